"""Small networks with random weights, written as exporters write such models: one per kind of published model."""
# Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
import numpy as np
import tiny
from onnx import TensorProto, helper, numpy_helper

FLOAT, INT64, INT32, BOOL = TensorProto.FLOAT, TensorProto.INT64, TensorProto.INT32, TensorProto.BOOL


class Net:
    """A graph under construction: every call is a node and gives the name of its first output."""

    def __init__(self, seed=0):
        self.nodes, self.initializers, self.random = [], [], np.random.default_rng(seed)

    def constant(self, value, dtype=np.float32):
        name = f"c{len(self.initializers)}"
        self.initializers.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def ints(self, *values):
        return self.constant(list(values), np.int64)

    def weight(self, *shape):
        fan = int(np.prod(shape[1:])) or 1
        return self.constant(self.random.standard_normal(shape) / fan ** 0.5)

    def __call__(self, op, *inputs, outputs=1, domain="", **attributes):
        names = [f"{op.lower()}_{len(self.nodes)}" + (f"_{k}" if outputs > 1 else "") for k in range(outputs)]
        self.nodes.append(helper.make_node(op, list(inputs), names, name=f"/{op}_{len(self.nodes)}", domain=domain,
                                           **attributes))
        return names if outputs > 1 else names[0]

    def extent(self, value, axis):
        """One extent as a tensor of one element, as tracing exporters take it."""
        return self("Unsqueeze", self("Gather", self("Shape", value), self.constant(axis, np.int64)), self.ints(0))

    def finish(self, result, inputs, dtype=FLOAT, opset=17, domains=()):
        results = result if isinstance(result, list) else [result]
        outputs = [helper.make_tensor_value_info(name, dtype, None) for name in results]
        graph = helper.make_graph(self.nodes, "net", inputs, outputs, self.initializers)
        imports = [helper.make_opsetid("", opset), *(helper.make_opsetid(domain, 1) for domain in domains)]
        return helper.make_model(graph, opset_imports=imports, ir_version=9)


def layer_norm(net, x, width):
    centered = net("Sub", x, net("ReduceMean", x, axes=[-1]))
    variance = net("ReduceMean", net("Pow", centered, net.constant(2.0)), axes=[-1])
    normal = net("Div", centered, net("Sqrt", net("Add", variance, net.constant(1e-5))))
    return net("Add", net("Mul", normal, net.weight(width)), net.weight(width))


def quantized_linear(net, x, width, out):
    """As dynamic quantization writes it: weights of 8 bits, activations rounded when they are there."""
    codes, scale, zero = net("DynamicQuantizeLinear", x, outputs=3)
    weights = net.constant(net.random.integers(-90, 90, (width, out)), np.int8)
    sums = net("MatMulInteger", codes, weights, zero, net.constant(0, np.int8))
    factor = net("Mul", scale, net.constant(0.01 / width ** 0.5))
    return net("Add", net("Mul", net("Cast", sums, to=FLOAT), factor), net.weight(out))


def quantized_encoder(width=32, heads=4):
    net = Net()
    batch, length = net.extent("x", 0), net.extent("x", 1)
    normal = layer_norm(net, "x", width)

    def split(value):
        shape = net("Concat", batch, length, net.ints(heads), net.ints(width // heads), axis=0)
        return net("Transpose", net("Reshape", value, shape), perm=[0, 2, 1, 3])

    q, k, v = (split(quantized_linear(net, normal, width, width)) for _ in range(3))
    scores = net("Div", net("MatMul", q, net("Transpose", k, perm=[0, 1, 3, 2])), net.constant((width / heads) ** 0.5))
    mask = net("Cast", net("Unsqueeze", "mask", net.ints(1, 2)), to=FLOAT)
    bias = net("Mul", net("Sub", net.constant(1.0), mask), net.constant(-10000.0))
    mixed = net("MatMul", net("Softmax", net("Add", scores, bias), axis=-1), v)
    joined = net("Reshape", net("Transpose", mixed, perm=[0, 2, 1, 3]), net("Concat", batch, length, net.ints(width), axis=0))
    y = net("Add", "x", quantized_linear(net, joined, width, width))
    hidden = quantized_linear(net, layer_norm(net, y, width), width, 2 * width)
    inner = net("Add", net("Erf", net("Div", hidden, net.constant(2 ** 0.5))), net.constant(1.0))
    gelu = net("Mul", net("Mul", hidden, inner), net.constant(0.5))
    return net.finish(net("Add", y, quantized_linear(net, gelu, 2 * width, width)),
                      [tiny.tensor("x", ["batch", "seq", width]), tiny.tensor("mask", ["batch", "seq"], INT64)])


def quantized_encoder_requests(random):
    return [{"x": random.standard_normal((b, s, 32)).astype(np.float32), "mask": (np.arange(s) < s - 1)[None].repeat(b, 0)
             .astype(np.int64)} for b, s in ((1, 5), (2, 9))]


def quantized_images():
    """Quantize and dequantize around everything, per tensor and per channel, with a residual."""
    net = Net()

    def through(x, scale=0.05, zero=128):
        arguments = net.constant(scale), net.constant(zero, np.uint8)
        return net("DequantizeLinear", net("QuantizeLinear", x, *arguments), *arguments)

    def conv(x, channels, out, **attributes):
        weights = net.constant(net.random.integers(-100, 100, (out, channels, 3, 3)), np.int8)
        scales = net.constant(net.random.uniform(0.001, 0.003, out))
        real = net("DequantizeLinear", weights, scales, net.constant(np.zeros(out), np.int8), axis=0)
        return net("Conv", through(x), real, net.weight(out), pads=[1, 1, 1, 1], **attributes)

    stem = net("Relu", conv("x", 3, 8, strides=[2, 2]))
    y = net("Relu", net("Add", through(stem), through(conv(net("Relu", conv(stem, 8, 8)), 8, 8))))
    pooled = net("Flatten", through(net("GlobalAveragePool", through(y))))
    return net.finish(net("Gemm", pooled, net.weight(10, 8), net.weight(10), transB=1), [tiny.tensor("x", ["batch", 3, 16, 16])])


def quantized_images_requests(random):
    return [{"x": random.standard_normal((b, 3, 16, 16)).astype(np.float32)} for b in (1, 3)]


def quantized_recognizer(channels=(1, 8, 16), hidden=16, letters=11):
    """As an old quantizer writes it: biases in units of the products, divided by a scale that is known when it runs; an LSTM
    of ONNX Runtime's own with weights of 8 bits. A picture's values lie half-way between two codes."""
    net = Net()

    def bytes_of(*shape):
        return net.constant(net.random.integers(0, 256, shape), np.uint8), net.constant(121, np.uint8)

    def quantized(x):
        return net("DynamicQuantizeLinear", x, outputs=3)

    def conv(x, width, out):
        codes, scale, zero = quantized(x)
        weights, weight_zero = bytes_of(out, width, 3, 3)
        factor = net("Mul", scale, net.constant(0.004))
        bias = net("Cast", net("Floor", net("Div", net.weight(out), factor)), to=INT32)
        sums = net("ConvInteger", codes, weights, zero, weight_zero, pads=[1, 1, 1, 1], strides=[2, 1])
        sums = net("Add", sums, net("Reshape", bias, net.ints(1, -1, 1, 1)))
        y = net("Mul", net("Cast", sums, to=FLOAT), factor)
        return net("Mul", y, net("Sigmoid", y))

    y = "x"
    for width, out in zip(channels, channels[1:]):
        y = conv(y, width, out)
    y = net("Reshape", net("Transpose", y, perm=[3, 0, 1, 2]), net.ints(0, 0, -1))
    (w, w_zero), (r, r_zero) = bytes_of(2, 4 * channels[-1], 4 * hidden), bytes_of(2, hidden, 4 * hidden)
    pair = lambda zero: net("Concat", *[net("Unsqueeze", zero, net.ints(0))] * 2, axis=0)
    scales = net.constant([0.003, 0.002])
    states, *_ = net("DynamicQuantizeLSTM", y, w, r, net.weight(2, 8 * hidden), "", "", "", "", scales, pair(w_zero), scales,
                     pair(r_zero), outputs=3, domain="com.microsoft", direction="bidirectional", hidden_size=hidden)
    codes, scale, zero = quantized(net("Reshape", net("Transpose", states, perm=[0, 2, 1, 3]), net.ints(0, 0, -1)))
    weights, weight_zero = bytes_of(2 * hidden, letters)
    sums = net("Cast", net("MatMulInteger", codes, weights, zero, weight_zero), to=FLOAT)
    result = net("Add", net("Mul", sums, net("Mul", scale, net.constant(0.01))), net.weight(letters))
    return net.finish(result, [tiny.tensor("x", ["batch", 1, 16, "width"])], domains=("com.microsoft",))


def quantized_recognizer_requests(random):
    pictures = [random.integers(0, 256, (1, 1, 16, width)) / 127.5 - 1 for width in (24, 19)]
    return [{"x": picture.astype(np.float32)} for picture in (*pictures, np.zeros((1, 1, 16, 8)))]


def integer_products():
    """Sums of products of bytes that f32 holds, that it holds in parts only, and of unknown length: all exact."""
    net = Net()

    def extreme(*shape, dtype=np.int8):
        return net.constant(net.random.choice([np.iinfo(dtype).min, np.iinfo(dtype).max], shape), dtype)

    zero = net.constant(3, np.uint8)
    results = [net("MatMulInteger", "x", extreme(1100, 5), zero, net.constant(net.random.integers(-128, 128, 5), np.int8)),
               net("MatMulInteger", "x", net.constant(net.random.integers(-20, 20, (1100, 5)), np.int8)),
               net("MatMulInteger", "x", net("Transpose", "x", perm=[1, 0]), zero, net.constant(250, np.uint8)),
               net("MatMulInteger", net("Transpose", "x", perm=[1, 0]), "x", zero, zero)]
    image = net("Reshape", "x", net.ints(-1, 100, 11))
    results += [net("ConvInteger", image, extreme(4, 100, 5), zero, net.constant(-128, np.int8), pads=[2, 2]),
                net("ConvInteger", image, extreme(6, 50, 3, dtype=np.uint8), zero, group=2),
                net("ConvInteger", image, extreme(20, 10, 3), group=10, dilations=[2])]
    scale = net.constant(0.001)
    results.append(net("QLinearConv", image, scale, zero, extreme(4, 100, 3), scale, net.constant(1, np.int8), net.constant(0.01),
                       net.constant(100, np.uint8), net.constant([-90000, 0, 5, 1 << 20], np.int32)))
    outputs = [net("Cast", value, to=INT32) for value in results]
    return net.finish(outputs, [tiny.tensor("x", ["rows", 1100], TensorProto.UINT8)], INT32)


def integer_products_requests(random):
    return [{"x": random.choice([low, 255], (rows, 1100)).astype(np.uint8)} for rows, low in ((2, 0), (5, 0), (3, 254))]


def detector():
    """Two scales joined by a resize, boxes from a grid that is made of the shape, the best of them."""
    net = Net()

    def conv(x, channels, out, kernel=3, stride=1):
        y = net("Conv", x, net.weight(out, channels, kernel, kernel), net.weight(out), pads=[kernel // 2] * 4,
                strides=[stride, stride], kernel_shape=[kernel, kernel])
        return net("Mul", y, net("Sigmoid", y))

    fine = conv(conv("images", 3, 8, stride=2), 8, 16, stride=2)
    coarse = conv(fine, 16, 16, stride=2)
    pooled = net("Concat", coarse, net("MaxPool", coarse, kernel_shape=[5, 5], pads=[2, 2, 2, 2], strides=[1, 1]), axis=1)
    up = net("Resize", conv(pooled, 32, 16, kernel=1), "", net.constant([1, 1, 2, 2]), mode="nearest",
             coordinate_transformation_mode="asymmetric", nearest_mode="floor")
    head = net("Conv", net("Concat", up, fine, axis=1), net.weight(7, 32, 1, 1), net.weight(7))
    height, width = net.extent(head, 2), net.extent(head, 3)
    flat = net("Reshape", head, net("Concat", net.extent(head, 0), net.ints(7, -1), axis=0))
    boxes, objectness, classes = net("Split", flat, net.ints(4, 1, 2), axis=1, outputs=3)

    def line(count):
        scalar = net("Squeeze", count, net.ints(0))
        numbers = net("Range", net.constant(0, np.int64), scalar, net.constant(1, np.int64))
        return net("Add", net("Cast", numbers, to=FLOAT), net.constant(0.5))

    shape = net("Concat", height, width, axis=0)
    x = net("Expand", net("Unsqueeze", line(width), net.ints(0)), shape)
    y = net("Expand", net("Unsqueeze", line(height), net.ints(1)), shape)
    grid = net("Reshape", net("Concat", net("Unsqueeze", x, net.ints(0)), net("Unsqueeze", y, net.ints(0)), axis=0),
               net.ints(1, 2, -1))
    centers, extents = net("Split", net("Sigmoid", boxes), net.ints(2, 2), axis=1, outputs=2)
    centers = net("Mul", net("Add", centers, grid), net.constant(4.0))
    extents = net("Exp", net("Mul", extents, net.constant(2.0)))
    scores = net("Mul", net("Sigmoid", objectness), net("Softmax", classes, axis=1))
    best = net("ReduceMax", scores, axes=[1], keepdims=0)
    _, which = net("TopK", best, net.ints(8), axis=1, outputs=2)
    rows = net("Transpose", net("Concat", centers, extents, scores, axis=1), perm=[0, 2, 1])
    return net.finish(net("GatherND", rows, net("Unsqueeze", which, net.ints(-1)), batch_dims=1),
                      [tiny.tensor("images", ["batch", 3, "height", "width"])])


def detector_requests(random):
    return [{"images": random.random(shape, dtype=np.float32)} for shape in ((1, 3, 32, 32), (2, 3, 32, 48))]


def residuals():
    """Sums of a value and what is made of it, which it does not outlive; convolutions along one axis written with two."""
    net = Net()

    def swish(y):
        return net("Mul", y, net("Sigmoid", y))

    y = swish(net("Conv", "x", net.weight(24, 8, 1, 1), net.weight(24)))
    y = net("Add", y, swish(net("Conv", y, net.weight(24, 1, 1, 7), net.weight(24), group=24, pads=[0, 3, 0, 3])))
    rows = net("Transpose", net("Squeeze", y, net.ints(2)), perm=[0, 2, 1])
    rows = net("Add", rows, net("Relu", net("MatMul", rows, net.weight(24, 24))))
    image = net("Unsqueeze", net("Transpose", rows, perm=[0, 2, 1]), net.ints(3))
    line = net("Squeeze", net("Conv", image, net.weight(16, 24, 5, 1), pads=[2, 0, 2, 0]), net.ints(3))
    line = net("LeakyRelu", net("Sub", net("Relu", net("Add", line, net.weight(1, 16, 1))), net.weight(1, 16, 1)), alpha=0.1)
    return net.finish(net("ReduceMean", line, axes=[1]), [tiny.tensor("x", ["batch", 8, 1, "width"])])


def residuals_requests(random):
    return [{"x": random.standard_normal(shape).astype(np.float32)} for shape in ((1, 8, 1, 40), (2, 8, 1, 27))]


def recognizer():
    """Columns of a picture as a sequence: convolutions, a two-way LSTM, a line of scores per column."""
    net = Net()
    y = net("Relu", net("Conv", "x", net.weight(8, 1, 3, 3), pads=[1, 1, 1, 1]))
    y = net("MaxPool", y, kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1)
    factors = (net.constant(net.random.uniform(0.5, 1.5, 8)) for _ in range(4))
    y = net("BatchNormalization", y, *factors)
    y = net("Reshape", net("Transpose", y, perm=[3, 0, 1, 2]), net.ints(0, 0, -1))
    lstm = net("LSTM", y, net.weight(2, 64, 64), net.weight(2, 64, 16), net.weight(2, 128), direction="bidirectional",
               hidden_size=16)
    joined = net("Reshape", net("Transpose", lstm, perm=[0, 2, 1, 3]), net.ints(0, 0, -1))
    scores = net("Add", net("MatMul", joined, net.weight(32, 11)), net.weight(11))
    return net.finish(net("LogSoftmax", net("Transpose", scores, perm=[1, 0, 2]), axis=2), [tiny.tensor("x", ["batch", 1, 16, "width"])])


def recognizer_requests(random):
    return [{"x": random.random(shape, dtype=np.float32)} for shape in ((1, 1, 16, 40), (2, 1, 16, 27))]


def spectral():
    """A waveform, its frames' spectra, mel bands, convolutions over time, a GRU."""
    net = Net()
    window = net("HannWindow", net.constant(64, np.int64))
    frames = net("STFT", net("Unsqueeze", "wave", net.ints(-1)), net.constant(16, np.int64), window, net.constant(64, np.int64))
    power = net("ReduceSum", net("Mul", frames, frames), net.ints(-1), keepdims=0)
    mel = net("MelWeightMatrix", net.constant(20, np.int64), net.constant(64, np.int64), net.constant(8000, np.int64),
              net.constant(50.0), net.constant(3500.0))
    bands = net("Log", net("Clip", net("MatMul", power, mel), net.constant(1e-5)))
    y = net("Conv", net("Transpose", bands, perm=[0, 2, 1]), net.weight(16, 20, 3), net.weight(16), pads=[1, 1], strides=[2])
    groups = net("Reshape", y, net.ints(0, 4, -1))
    normal = net("InstanceNormalization", groups, net.constant(np.ones(4)), net.constant(np.zeros(4)))
    y = net("Relu", net("Reshape", normal, net("Shape", y)))
    states, _ = net("GRU", net("Transpose", y, perm=[2, 0, 1]), net.weight(1, 24, 16), net.weight(1, 24, 8), net.weight(1, 48),
                    hidden_size=8, linear_before_reset=1, outputs=2)
    return net.finish(net("Squeeze", states, net.ints(1)), [tiny.tensor("wave", ["batch", "samples"])])


def spectral_requests(random):
    return [{"wave": random.standard_normal(shape).astype(np.float32)} for shape in ((1, 400), (2, 1000))]


def old_style():
    """Operator set 9: what later sets take as inputs are attributes here."""
    net = Net()
    y = net("Pad", "x", pads=[0, 0, 1, 1, 0, 0, 1, 1], mode="reflect")
    y = net("Conv", y, net.weight(4, 3, 3, 3), kernel_shape=[3, 3])
    y = net("Clip", net("LeakyRelu", y, alpha=0.1), min=-0.5, max=2.0)
    y = net("Upsample", y, net.constant([1, 1, 2, 2]), mode="linear")
    y = net("Slice", y, axes=[2, 3], starts=[1, -9], ends=[9, 1000])
    y = net("PRelu", net("Dropout", y, ratio=0.5), net.weight(4, 1, 1))
    y = net("Softmax", net("LRN", y, size=3), axis=1)
    left, right = net("Split", net("Flatten", y, axis=1), axis=1, split=[100, 188], outputs=2)
    top, _ = net("TopK", net("Concat", right, left, axis=1), k=50, outputs=2)
    y = net("Gemm", top, net.weight(50, 6), net.weight(6), alpha=0.5, beta=2.0)
    return net.finish([y, net("Unsqueeze", net("ReduceLogSumExp", y, axes=[1]), axes=[0])], [tiny.tensor("x", ["batch", 3, 8, 8])], opset=9)


def old_style_requests(random):
    return [{"x": random.standard_normal((b, 3, 8, 8)).astype(np.float32)} for b in (1, 2)]


def shape_arithmetic():
    """What symbolic extents are computed to: negative indices, Where, Mod, uneven splits, empty parts, scalars."""
    net = Net()
    length = net("Gather", net("Shape", "x"), net.constant(-1, np.int64))
    half = net("Div", length, net.constant(2, np.int64))
    is_odd = net("Cast", net("Mod", length, net.constant(2, np.int64)), to=BOOL)
    zero, one = net.constant(0, np.int64), net.constant(1, np.int64)
    extra = net("Where", is_odd, one, zero)
    numbers = net("Range", zero, net("Mul", net("Add", half, half), one), one)
    taken = net("Gather", "x", numbers, axis=1)
    first = net("Slice", "x", net.ints(-1), net.ints(-2 ** 40), net.ints(1), net.ints(-1))
    nothing = net("Slice", "x", net.ints(0), net.ints(0), net.ints(0))
    rows = net("Concat", nothing, first, net("Slice", "x", net.ints(-3), net.ints(-1), net.ints(0)), axis=0)
    scaled = net("Mul", net("Cast", rows, to=TensorProto.DOUBLE), net("Cast", "factor", to=TensorProto.DOUBLE))
    masked = net("Where", net("Greater", scaled, net.constant(0, np.float64)), scaled, net.constant(-1, np.float64))
    total = net("ReduceSum", net("Cast", masked, to=FLOAT), net.ints(0), keepdims=1)
    pairs = net("ReduceMean", taken, axes=[1], keepdims=1)
    shifted = net("Add", net("Add", total, net("Cast", extra, to=FLOAT)), net("ReduceMax", pairs, axes=[0], keepdims=1))
    counts = net("Cast", net("Mul", net("ArgMax", "x", axis=1, keepdims=1), net("Cast", "factor", to=INT64)), to=INT32)
    return net.finish([shifted, net("Add", pairs, net("Cast", counts, to=FLOAT))],
                      [tiny.tensor("x", [4, "length"]), tiny.tensor("factor", [], INT32)], opset=17)


def shape_arithmetic_requests(random):
    return [{"x": random.standard_normal((4, n)).astype(np.float32), "factor": np.array(k, np.int32)} for n, k in ((8, 2), (13, 3))]


NETWORKS = {name: (globals()[name], globals()[f"{name}_requests"])
            for name in ("quantized_encoder", "quantized_images", "quantized_recognizer", "integer_products", "residuals",
                         "detector", "recognizer", "spectral", "old_style", "shape_arithmetic")}
