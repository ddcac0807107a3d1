"""Composed operators against ONNX's reference, where ONNX's own cases do not look: other types, attributes, odd shapes."""
# Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
import warnings

import ml_dtypes
import numpy as np
import onnx.parser
import pytest
from onnx.reference import ReferenceEvaluator

from test_operators import DTYPES, RUNNER, run_folders, write_case

RANDOM = np.random.default_rng(0)


def normal(*shape, dtype=np.float32):
    return RANDOM.standard_normal(shape).astype(dtype)


def determinants():
    for order in (1, 2, 3, 5, 7):
        yield (f"det-{order}", 22, f"(double[a, b, {order}, {order}] x) => (double[a, b] z) {{ z = Det(x) }}",
               {"x": normal(2, 3, order, order, dtype=np.float64)})
    singular = np.array([[[1, 1, 1]] * 3, [[0, 1, 2], [0, 3, 4], [5, 6, 7]]], np.float32)
    yield "det-singular", 11, "(float[2, 3, 3] x) => (float[2] z) { z = Det(x) }", {"x": singular}
    yield "det-scalar", 22, "(float[4, 4] x) => (float z) { z = Det(x) }", {"x": normal(4, 4)}
    yield "det-none", 22, "(float[0, 4, 4] x) => (float[0] z) { z = Det(x) }", {"x": normal(0, 4, 4)}


def columns():
    yield ("col2im-1d", 18, "(float[2, 6, 5] x) => (float[a, b, c] z) <int64[1] i = {7}, int64[1] b = {3}> "
           "{ z = Col2Im(x, i, b) }", {"x": normal(2, 6, 5)})
    yield ("col2im-all", 18, "(float[2, 12, 12] x) => (float[a, b, c, d] z) <int64[2] i = {6, 7}, int64[2] b = {2, 3}> "
           "{ z = Col2Im<pads = [1, 0, 2, 1], strides = [2, 2], dilations = [2, 1]>(x, i, b) }", {"x": normal(2, 12, 12)})
    yield ("col2im-free", 18, "(float[n, 5, 6] x) => (float[n, 1, 5, 4] z) <int64[2] i = {5, 4}, int64[2] b = {1, 5}> "
           "{ z = Col2Im<pads = [0, 1, 0, 1], strides = [2, 1]>(x, i, b) }", {"x": normal(3, 5, 6)})


def samplers():
    regions = np.array([[0, 0, 7, 5], [2.5, 1.5, 3, 2], [-3, -2, 4, 4], [6, 3, 20, 19], [1, 1, 1, 1]], np.float32)
    for mode in ("avg", "max"):
        for coordinates in ("half_pixel", "output_half_pixel"):
            node = (f'RoiAlign<mode = "{mode}", coordinate_transformation_mode = "{coordinates}", output_height = 2, '
                    "output_width = 5, sampling_ratio = 3, spatial_scale = 0.75>(x, b, i)")
            yield (f"roi-align-{mode}-{coordinates}", 22, "(float[n, 3, 7, 11] x, float[r, 4] b, int64[r] i) => "
                   f"(float[r, 3, 2, 5] z) {{ z = {node} }}",
                   {"x": normal(2, 3, 7, 11), "b": regions, "i": np.array([0, 1, 1, 0, 1])})
    yield ("deform-conv", 22, "(float[n, 4, 6, 7] x, float[6, 2, 2, 3] w, float[n, 24, 4, 2] o, float[6] b, "
           "float[n, 12, 4, 2] m) => (float[n, 6, 4, 2] z) { z = DeformConv<group = 2, offset_group = 2, pads = "
           "[1, 0, 1, 1], strides = [2, 2], dilations = [1, 2]>(x, w, o, b, m) }",
           {"x": normal(2, 4, 6, 7), "w": normal(6, 2, 2, 3), "o": 2 * normal(2, 24, 4, 2), "b": normal(6),
            "m": normal(2, 12, 4, 2)})


def rankings():
    """Different elements along the axis, so that there is one answer; one is kept, some, and all."""
    order = np.array([[RANDOM.permutation(50) for _ in range(2)] for _ in range(3)]).transpose(0, 2, 1)
    for element, dtype in (("float", np.float32), ("float16", np.float16), ("uint8", np.uint8), ("int64", np.int64)):
        values = order.astype(dtype)
        if dtype is np.float16:
            values /= np.float16(64)  # the sum of squares is a number of that type too
        for k, largest in ((1, 1), (7, 0), (7, 1), (50, 1)):
            for output in ("v", "i"):
                kind = element if output == "v" else "int64"
                yield (f"top-{k}-{element}-{largest}-{output}", 18, f"({element}[a, 50, 2] x) => ({kind}[a, {k}, 2] {output}) "
                       f"<int64[1] k = {{{k}}}> {{ v, i = TopK<axis = 1, largest = {largest}>(x, k) }}",
                       {"x": values})


def tables():
    yield ("labels-of-floats", 18, "(float[n, 3] x) => (int64[n, 3] z) { z = ai.onnx.ml.LabelEncoder<keys_floats = "
           "[1.0, 2.5, 1.5], values_int64s = [4, 5, 6], default_int64 = 9>(x) }",
           {"x": np.array([[1, 2, 2.5], [1.5, -1, 0]], np.float32)})
    yield ("labels-of-integers", 18, "(int64[5] x) => (float[5] z) { z = ai.onnx.ml.LabelEncoder<keys_int64s = "
           "[1, 0, -5], values_floats = [4.5, 5.5, 6.5], default_float = 9.5>(x) }", {"x": np.array([1, 0, -5, 7, 1])})
    yield ("binarizer", 18, "(double[7] x) => (double[7] z) { z = ai.onnx.ml.Binarizer<threshold = 0.5>(x) }",
           {"x": normal(7, dtype=np.float64)})
    yield ("features-of-vector", 18, "(int32[7] x, int64[1, 3] i) => (int32[1, 3] z) "
           "{ z = ai.onnx.ml.ArrayFeatureExtractor(x, i) }",
           {"x": np.arange(7, dtype=np.int32), "i": np.array([[6, 0, 3]])})
    yield ("ngrams-of-short-rows", 18, '(int64[n, 2] x) => (float[n, 3] z) { z = TfIdfVectorizer<mode = "TFIDF", '
           "min_gram_length = 1, max_gram_length = 3, max_skip_count = 5, ngram_counts = [0, 1, 3], ngram_indexes = "
           "[2, 0, 1], weights = [2.0, 3.0, 0.5], pool_int64s = [7, 7, 8, 1, 2, 3]>(x) }",
           {"x": np.array([[7, 8], [8, 7], [7, 7]])})


def transforms():
    yield ("stft", 17, "(float[1, 160, 1] x) => (float[a, b, c, d] z) <int64 s = {7}, int64 l = {31}> "
           "{ z = STFT(x, s, , l) }", {"x": normal(1, 160, 1)})
    yield ("dft-of-a-prime", 19, "(float[2, 101, 3, 2] x) => (float[2, 101, 3, 2] z) { z = DFT<axis = 1>(x) }",
           {"x": normal(2, 101, 3, 2)})
    yield ("dft-of-one", 19, "(double[2, 1, 1] x) => (double[2, 1, 2] z) { z = DFT<axis = 1>(x) }",
           {"x": normal(2, 1, 1, dtype=np.float64)})


CASES = [*determinants(), *columns(), *samplers(), *tables(), *transforms(), *rankings()]


def run(folder, opset, graph, values):
    """(model, first output) of one run."""
    model = onnx.parser.parse_model(f'<ir_version: 10, opset_import: ["" : {opset}, "ai.onnx.ml" : 5]> g {graph}')
    write_case(folder, model, values)
    status, text = run_folders([folder])[str(folder)]
    assert status == "ok", text
    *extents, dtype = text.split()[0].split("x")
    result = np.fromfile(folder / "output_0.bin", dtype=DTYPES[dtype])
    return model, result.reshape([int(extent) for extent in extents])


@pytest.mark.skipif(not RUNNER.exists(), reason="OperatorRunner is not built")
@pytest.mark.parametrize("opset, graph, values", [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_composed(tmp_path, opset, graph, values):
    model, got = run(tmp_path / "case", opset, graph, values)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        (want,) = ReferenceEvaluator(model).run(None, values)
    assert got.shape == want.shape and got.dtype == want.dtype
    assert np.linalg.norm(got - want) <= 1e-5 * np.linalg.norm(want)


@pytest.mark.skipif(not RUNNER.exists(), reason="OperatorRunner is not built")
@pytest.mark.parametrize("source, target, number, values", [
    ("float16", "bfloat16", 16, np.array([1, -3.5, np.nan], np.float16)),
    ("bfloat16", "uint16", 4, np.array([1, -3.5, np.inf], ml_dtypes.bfloat16)),
    ("uint8", "bool", 9, np.array([0, 1, 1], np.uint8)),
    ("double", "uint64", 13, np.array([-0.0, 1e300, -np.pi], np.float64)),
    ("int32", "float", 1, np.array([0, 0xffffffff, 0x7f800001], np.uint32).view(np.int32))])
def test_bits(tmp_path, source, target, number, values):
    """Every bit stays, those of a NaN too."""
    graph = f"({source}[3] x) => ({target}[3] z) {{ z = BitCast<to = {number}>(x) }}"
    _, got = run(tmp_path / "case", 26, graph, {"x": values})
    assert got.tobytes() == values.tobytes()
