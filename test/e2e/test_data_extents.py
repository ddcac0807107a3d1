"""Extents that are found when the model runs: the numbers of ONNX Runtime, the same bits for every number of stages."""
# Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
import networks
import numpy as np
import onnxruntime
import pytest
import tiny
from networks import BOOL, FLOAT, INT64
from onnx import TensorProto, helper, numpy_helper
from test_bad_input import check_refused, penstock

FLOAT16 = TensorProto.FLOAT16


class Net(networks.Net):
    def finish_as(self, outputs, inputs):
        """outputs: {value: element type}."""
        infos = [helper.make_tensor_value_info(name, dtype, None) for name, dtype in outputs.items()]
        graph = helper.make_graph(self.nodes, "net", inputs, infos, self.initializers)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def compile_model(folder, model, stages=1, flags=(), name="m"):
    path = tiny.save(model, folder / f"{name}.onnx")
    target = folder / f"{name}-{stages}.penstock"
    return target, penstock("compile", "--quiet", path, "-o", target, "--stages", stages, *flags)


def run(folder, target, feeds):
    np.savez(folder / "in.npz", **feeds)
    return penstock("run", target, "--inputs", folder / "in.npz", "--output-dir", folder / "out")


def check(folder, model, requests, stages=(1, 2, 3), flags=()):
    """Every request from one folder, for each number of stages."""
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    first = None
    for count in stages:
        target, done = compile_model(folder, model, count, flags)
        assert done.returncode == 0, done.stderr
        results = []
        for feeds in requests:
            done = run(folder, target, feeds)
            assert done.returncode == 0, done.stderr
            results.append([np.load(folder / "out" / f"{name}.npy") for name in names])
            for name, ours, theirs in zip(names, results[-1], session.run(names, feeds)):
                assert ours.shape == theirs.shape and ours.dtype == theirs.dtype, name
                if ours.dtype.kind == "f":
                    np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=2e-6, err_msg=name)
                else:
                    np.testing.assert_array_equal(ours, theirs, err_msg=name)
        first = first or results
        for ours, single in zip(results, first):
            assert [value.tobytes() for value in ours] == [value.tobytes() for value in single]


def detector():
    """Scores and boxes of a small convolution, the best boxes of each class, and a head over what they show."""
    net = Net()
    features = net("Relu", net("Conv", "images", net.weight(16, 3, 3, 3), net.weight(16), strides=[2, 2], pads=[1, 1, 1, 1]))
    head = net("Conv", features, net.weight(7, 16, 1, 1), net.weight(7))
    rows = net("Reshape", net("Transpose", head, perm=[0, 2, 3, 1]), net.ints(1, -1, 7))
    boxes, classes = net("Split", rows, net.ints(4, 3), axis=2, outputs=2)
    boxes = net("Mul", net("Sigmoid", boxes), net.constant([8, 8, 30, 30]))
    scores = net("Transpose", net("Sigmoid", classes), perm=[0, 2, 1])
    chosen = net("NonMaxSuppression", boxes, scores, net.ints(5), net.constant([0.4]), "threshold", center_point_box=1)
    which = net("Squeeze", net("Slice", chosen, net.ints(2), net.ints(3), net.ints(1)), net.ints(1))
    kept = net("Gather", net("Squeeze", boxes, net.ints(0)), which, axis=0)
    seen = net("Gather", net("Squeeze", net("Reshape", features, net.ints(1, 16, -1)), net.ints(0)), which, axis=1)
    names = net("Softmax", net("Add", net("MatMul", net("Transpose", seen, perm=[1, 0]), net.weight(16, 5)), net.weight(5)), axis=1)
    count = net("Cast", net("Gather", net("Shape", chosen), net.constant(0, np.int64)), to=FLOAT)
    return net.finish_as({chosen: INT64, kept: FLOAT, names: FLOAT, count: FLOAT},
                         [tiny.tensor("images", [1, 3, "height", "width"]), tiny.tensor("threshold", [1])])


def detector_requests():
    random = np.random.default_rng(3)
    return [{"images": random.standard_normal((1, 3, h, w)).astype(np.float32), "threshold": np.array([t], np.float32)}
            for h, w, t in ((13, 17, 0.5), (22, 14, 0.6), (13, 17, 2.0))]


def test_detector(tmp_path):
    check(tmp_path, detector(), detector_requests())


def test_detector_of_bounded_images(tmp_path):
    check(tmp_path, detector(), detector_requests(), stages=(2,), flags=("--dim", "height=8..32", "--dim", "width=8..32"))


def padded():
    """What is found, filled up with zeros to a fixed number of rows."""
    net = Net()
    at = net("NonZero", net("Greater", "x", net.constant(0.5)))
    rows = net("Slice", net("Transpose", at, perm=[1, 0]), net.ints(0), net.ints(20), net.ints(0))
    missing = net("Sub", net.ints(20), net("Slice", net("Shape", rows), net.ints(0), net.ints(1)))
    zeros = net("ConstantOfShape", net("Concat", missing, net.ints(2), axis=0))
    return net.finish_as({net("Concat", net("Cast", rows, to=FLOAT), zeros, axis=0): FLOAT}, [tiny.tensor("x", ["n", 11])])


def values(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def test_shapes_are_results(tmp_path):
    net = Net()
    found = net("NonZero", "x")
    model = net.finish_as({net("Shape", found): INT64, found: INT64, net("Cast", net("Size", found), to=FLOAT): FLOAT,
                           net("Shape", "x"): INT64}, [tiny.tensor("x", ["n", 3])])
    check(tmp_path, model, [{"x": values(5, 3)}, {"x": np.zeros((2, 3), np.float32)}], stages=(1, 2))


def chain():
    """One found extent decides another; sums, products and the best of what was found."""
    net = Net()
    rows = net("GatherND", "x", net("Transpose", net("NonZero", net("Greater", "x", net.constant(0.0))), perm=[1, 0]))
    best, where = net("TopK", rows, net("Min", net("Shape", rows), net.ints(4)), axis=0, outputs=2)
    shares = net("Softmax", net("Unsqueeze", rows, net.ints(0)), axis=1)
    both = net("Concat", rows, best, axis=0)
    product = net("MatMul", net("Unsqueeze", both, net.ints(1)), net.weight(1, 6))
    return net.finish_as({best: FLOAT, where: INT64, shares: FLOAT, product: FLOAT,
                          net("NonZero", net("Greater", both, net.constant(1.0))): INT64}, [tiny.tensor("x", ["n", 3])])


def test_chain(tmp_path):
    check(tmp_path, chain(), [{"x": values(7, 3)}, {"x": values(2, 3, seed=4)}])


def chosen_images():
    """Only the images that a mask chooses go through the network."""
    net = Net()
    images = net("Gather", "x", net("Squeeze", net("NonZero", "mask"), net.ints(0)), axis=0)
    y = net("Relu", net("Conv", images, net.weight(8, 3, 3, 3), net.weight(8), pads=[1, 1, 1, 1]))
    y = net("Conv", y, net.weight(4, 8, 1, 1), net.weight(4))
    scores = net("Gemm", net("Flatten", net("GlobalAveragePool", y)), net.weight(5, 4), net.weight(5), transB=1)
    return net.finish_as({y: FLOAT, scores: FLOAT}, [tiny.tensor("x", ["n", 3, "h", "w"]), tiny.tensor("mask", ["n"])])


def test_chosen_images(tmp_path):
    check(tmp_path, chosen_images(), [{"x": values(6, 3, 8, 8), "mask": np.array(mask, np.float32)}
                                      for mask in ([1, 0, 1, 1, 0, 1], [0] * 6, [1] * 6)])


@pytest.mark.parametrize("axis", [None, 0, 1])
@pytest.mark.parametrize("is_sorted", [0, 1])
def test_unique(tmp_path, axis, is_sorted):
    net = Net()
    results = net("Unique", "x", outputs=4, sorted=is_sorted, **({} if axis is None else {"axis": axis}))
    model = net.finish_as(dict(zip(results, (FLOAT, INT64, INT64, INT64))), [tiny.tensor("x", ["a", "b"])])
    random = np.random.default_rng(0)
    requests = [random.integers(0, 3, (5, 2)), random.integers(0, 2, (11, 3)), np.ones((1, 1))]
    check(tmp_path, model, [{"x": x.astype(np.float32)} for x in requests], stages=(1, 2))


def test_what_is_found_may_be_anything_or_nothing(tmp_path):
    requests = [{"x": values(7, 11)}, {"x": values(7, 11) - 100}, {"x": np.ones((3, 11), np.float32)}]
    check(tmp_path, padded(), requests, stages=(1, 2))


def choices():
    net = Net()
    kept = net("Compress", "x", "mask", axis=1)
    flat = net("Compress", "x", "mask")
    best, where = net("TopK", "x", "k", axis=0, outputs=2)
    part = net("Slice", "x", "starts", "ends")
    back = net("Slice", "x", net.ints(-1, 0), "ends", net.ints(0, 1), net.ints(-2, 3))
    return net.finish_as({kept: FLOAT, flat: FLOAT, best: FLOAT, where: INT64, part: FLOAT, back: FLOAT},
                         [tiny.tensor("x", [7, 5]), tiny.tensor("mask", [5], BOOL), tiny.tensor("k", [1], INT64),
                          tiny.tensor("starts", [2], INT64), tiny.tensor("ends", [2], INT64)])


def choice(mask, k, starts, ends):
    return {"x": values(7, 5), "mask": np.array(mask, bool), "k": np.array([k], np.int64),
            "starts": np.array(starts, np.int64), "ends": np.array(ends, np.int64)}


def test_choices(tmp_path):
    check(tmp_path, choices(), [choice([1, 0, 1, 1, 0], 3, [1, -3], [6, 100]), choice([0] * 5, 0, [5, 2], [3, 2]),
                                choice([1] * 5, 7, [-100, 0], [-1, -2 ** 62])], stages=(1, 2))


@pytest.mark.parametrize("dtype, kind", [(np.float16, FLOAT16), (np.uint8, TensorProto.UINT8), (np.int64, INT64),
                                         (np.bool_, BOOL), (np.float64, TensorProto.DOUBLE)])
@pytest.mark.parametrize("shape", [(), (5,), (2, 3, 5), (0, 4)])
def test_nonzero(tmp_path, dtype, kind, shape):
    net = Net()
    model = net.finish_as({net("NonZero", "x"): INT64}, [tiny.tensor("x", list(shape), kind)])
    x = np.array(np.random.default_rng(1).integers(0, 2, shape)).astype(dtype)
    target, done = compile_model(tmp_path, model)
    assert done.returncode == 0, done.stderr
    done = run(tmp_path, target, {"x": x})
    assert done.returncode == 0, done.stderr
    expected = np.stack(np.nonzero(x)) if shape else np.zeros((0, int(x)), np.int64)
    np.testing.assert_array_equal(np.load(tmp_path / "out" / f"{model.graph.output[0].name}.npy"), expected)


def sized():
    """Extents that only --dim can bound; the range is named y.0 by its output."""
    net = Net()
    net.nodes.append(helper.make_node("Range", ["low", "high", "step"], ["y"], name="count_up"))
    net.nodes.append(helper.make_node("Expand", [net.constant([[1], [2]]), "shape"], ["z"], name="stretch"))
    return net.finish_as({"y": FLOAT, "z": FLOAT}, [tiny.tensor(name, []) for name in ("low", "high", "step")] +
                         [tiny.tensor("shape", [2], INT64)])


def sizes(low, high, step, *shape):
    numbers = {"low": low, "high": high, "step": step}
    return {**{name: np.array(value, np.float32) for name, value in numbers.items()}, "shape": np.array(shape, np.int64)}


BOUNDS = ("--dim", "y.0=0..9", "--dim", "z.0=0..4", "--dim", "z.1=0..4")


def test_bounds_of_the_user(tmp_path):
    check(tmp_path, sized(), [sizes(0, 5, 0.75, 2, 3), sizes(3, 0, 1, 2, 4), sizes(3, 0, -1, 2, 1)], stages=(1, 2), flags=BOUNDS)


def test_an_extent_without_a_bound_is_refused(tmp_path):
    _, done = compile_model(tmp_path, sized())
    check_refused(done, "node 'count_up' (Range)", "dimension 'y.0' depends on data", "--dim y.0=0..N")


def test_an_extent_beyond_its_bound_ends_the_run(tmp_path):
    target, done = compile_model(tmp_path, sized(), flags=BOUNDS)
    assert done.returncode == 0, done.stderr
    check_refused(run(tmp_path, target, sizes(0, 11, 1, 2, 3)), "dimension 'y.0' of node 'count_up' is 11, expected 0..9")
    check_refused(run(tmp_path, target, sizes(0, 2, 1, 2, -1)), "dimension 'z.1' of node 'stretch' is -1, expected 0..4")


def test_extents_that_must_agree_are_checked_where_they_are_known(tmp_path):
    net = Net()
    rows = net("Compress", "x", "a", axis=0), net("Compress", "x", "b", axis=0)
    model = net.finish_as({net("Add", *rows): FLOAT}, [tiny.tensor("x", [5, 2])] + [tiny.tensor(n, [5], BOOL) for n in "ab"])
    feeds = {"x": values(5, 2), "a": np.array([1, 1, 0, 0, 1], bool), "b": np.array([0, 1, 1, 1, 0], bool)}
    check(tmp_path, model, [feeds], stages=(1, 2))
    target, _ = compile_model(tmp_path, model, 2)
    check_refused(run(tmp_path, target, {**feeds, "b": np.array([0, 1, 0, 0, 0], bool)}), "have extents 3 and 1")


def found_or_given():
    """What is found in x, or x itself, by a condition."""
    nodes = [helper.make_node("NonZero", ["x"], ["found"], name="inner"), helper.make_node("Cast", ["found"], ["p"], to=FLOAT)]
    inside = helper.make_graph(nodes, "inside", [], [tiny.tensor("p", None)])
    return inside, helper.make_graph([helper.make_node("Identity", ["x"], ["q"])], "other", [], [tiny.tensor("q", None)])


def test_branches_of_different_extents(tmp_path):
    net = Net()
    inside, other = found_or_given()
    result = net("If", "c", then_branch=inside, else_branch=other)
    model = net.finish_as({result: FLOAT, net("Exp", result): FLOAT, net("Shape", result): INT64},
                          [tiny.tensor("x", ["rows", 4]), tiny.tensor("c", [], BOOL)])
    sparse = np.where(values(3, 4) > 0.3, values(3, 4), 0)
    check(tmp_path, model, [{"x": x, "c": np.array(c)} for x in (values(1, 4), sparse) for c in (True, False)])


def test_nothing_found_in_nothing(tmp_path):
    """As detectors suppress boxes: where there are none the result is empty, else a branch finds some."""
    net = Net()
    found = net("GatherND", "x", net("Transpose", net("NonZero", net("Greater", "x", net.constant(0.0))), perm=[1, 0]))
    is_none = net("Equal", net("ReduceProd", net("Shape", found), keepdims=0), net.constant(0, np.int64))
    empty = helper.make_graph([], "nothing", [], [tiny.tensor("none", [0], INT64)],
                              [numpy_helper.from_array(np.zeros(0, np.int64), "none")])
    some = helper.make_graph([helper.make_node("Greater", [found, net.constant(0.5)], ["large"]),
                              helper.make_node("NonZero", ["large"], ["where"]),
                              helper.make_node("Squeeze", ["where", net.ints(0)], ["at"])],
                             "some", [], [tiny.tensor("at", None, INT64)])
    which = net("Slice", net("If", is_none, then_branch=empty, else_branch=some), net.ints(0), net.ints(3), net.ints(0))
    model = net.finish_as({which: INT64, net("Gather", found, which): FLOAT}, [tiny.tensor("x", ["n"])])
    check(tmp_path, model, [{"x": x} for x in (values(9), np.full(4, -1, np.float32), values(30, seed=2))], stages=(1, 2))


def test_repeats_and_sizes_are_inputs(tmp_path):
    net = Net()
    tiled = net("Tile", "x", "repeats")
    images = net("Unsqueeze", "x", net.ints(0, 1))
    resized = net("Resize", images, "", "", net("Concat", net.ints(1, 1), "sizes", axis=0), mode="linear")
    model = net.finish_as({tiled: FLOAT, net("Relu", resized): FLOAT},
                          [tiny.tensor("x", ["n", 3]), tiny.tensor("repeats", [2], INT64), tiny.tensor("sizes", [2], INT64)])
    flags = [flag for name in (f"{tiled}.repeats.0", f"{tiled}.repeats.1", f"{resized}.2", f"{resized}.3")
             for flag in ("--dim", f"{name}=0..16")]
    check(tmp_path, model, [{"x": values(n, 3), "repeats": np.array(repeats), "sizes": np.array(sizes)}
                            for n, repeats, sizes in ((4, [2, 3], [9, 5]), (5, [1, 0], [2, 16]))], stages=(1, 2), flags=flags)


def test_pads_parts_and_depths_are_inputs(tmp_path):
    net = Net()
    padded = net("Pad", "x", "pads")
    first, second = net("Split", "x", "parts", axis=0, outputs=2)
    codes = net("OneHot", net("Cast", net("Sign", "x"), to=INT64), "depth", net.constant([0.0, 1.0]))
    model = net.finish_as({padded: FLOAT, first: FLOAT, net("Neg", second): FLOAT, codes: FLOAT},
                          [tiny.tensor("x", ["n", 3]), tiny.tensor("pads", [4], INT64), tiny.tensor("parts", [2], INT64),
                           tiny.tensor("depth", [], INT64)])
    flags = [flag for name in (*(f"{padded}.pads.{i}" for i in range(4)), f"{codes}.2") for flag in ("--dim", f"{name}=0..9")]
    check(tmp_path, model, [{"x": values(5, 3), "pads": np.array(pads), "parts": np.array(parts), "depth": np.array(depth)}
                            for pads, parts, depth in (([1, 0, 2, 3], [2, 3], 4), ([0, 0, 0, 0], [5, 0], 2))],
          stages=(1, 2), flags=flags)
    target, _ = compile_model(tmp_path, model, 1, flags)
    check_refused(run(tmp_path, target, {"x": values(5, 3), "pads": np.zeros(4, np.int64), "parts": np.array([2, 2]),
                                         "depth": np.array(4)}), "parts of node '/Split_1' (Split)", "extents 4 and 5")


@pytest.mark.parametrize("phase", ["import", "fuse", "assign", "split", "schedule", "place"])
def test_resumed_from_a_dump(tmp_path, phase):
    target, done = compile_model(tmp_path, padded(), 2, ("--dump-phases", tmp_path / "dumps"))
    assert done.returncode == 0, done.stderr
    dump = next(path for path in (tmp_path / "dumps").iterdir() if phase in path.name)
    again = tmp_path / "again.penstock"
    done = penstock("compile", "--quiet", dump, "-o", again, "--stages", 2, "--compile-from", phase)
    assert done.returncode == 0, done.stderr
    for name in ("stage-0", "stage-1"):
        assert (target / name).read_bytes() == (again / name).read_bytes()


def test_bench_takes_random_inputs(tmp_path):
    target, done = compile_model(tmp_path, padded(), 2)
    assert done.returncode == 0, done.stderr
    done = penstock("bench", target, "--seconds", 0.2, "--warmup", 0, "--json")
    assert done.returncode == 0, done.stderr
