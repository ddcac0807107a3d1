"""Random operators: how what they draw is spread, and that it is the same in every run."""
# Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
import numpy as np
import onnx.parser
import pytest

from test_operators import DTYPES, RUNNER, run_folders, write_case

COUNT = 40000
pytestmark = pytest.mark.skipif(not RUNNER.exists(), reason="OperatorRunner is not built")


def draw(folder, graph, values=None):
    """The outputs of one run."""
    model = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : 15]> g {graph}')
    write_case(folder, model, values or {})
    status, text = run_folders([folder])[str(folder)]
    assert status == "ok", text
    outputs = []
    for index, kind in enumerate(text.split()):
        *extents, dtype = kind.split("x")
        array = np.fromfile(folder / f"output_{index}.bin", dtype=DTYPES[dtype])
        outputs.append(array.reshape([int(extent) for extent in extents]))
    return outputs


def correlation(one, other):
    return np.corrcoef(one.astype(np.float64), other.astype(np.float64))[0, 1]


@pytest.mark.parametrize("dtype, number", [("float", 1), ("double", 11), ("float16", 10)])
def test_uniform(tmp_path, dtype, number):
    node = f"RandomUniform<shape = [{COUNT}], low = -1.0, high = 3.0, seed = 2.0, dtype = {number}>()"
    graph = f"() => ({dtype}[{COUNT}] z) {{ z = {node} }}"
    (one,), (again,) = draw(tmp_path / "one", graph), draw(tmp_path / "again", graph)
    assert np.array_equal(one, again)
    assert one.min() >= -1 and one.max() <= 3
    shares = np.histogram(one, bins=16, range=(-1, 3))[0] / COUNT
    assert np.abs(shares - 1 / 16).max() < 0.005
    assert abs(correlation(one[:-1], one[1:])) < 0.02


def test_seeds(tmp_path):
    """Another seed, and another node without one, draws other numbers; an equal seed the same."""
    node = "RandomUniform<shape = [40000]{}>()"
    seeded = node.format(", seed = 7.0")
    graph = (f"() => (float[{COUNT}] a, float[{COUNT}] b, float[{COUNT}] c, float[{COUNT}] d, float[{COUNT}] e) "
             f"{{ a = {seeded} b = {seeded} c = {node.format(', seed = 8.0')} d = {node.format('')} e = {node.format('')} }}")
    first, equal, *others = draw(tmp_path / "case", graph)
    assert np.array_equal(first, equal)
    for index, other in enumerate(others):
        assert abs(correlation(first, other)) < 0.02
        assert all(abs(correlation(other, later)) < 0.02 for later in others[index + 1:])


def test_normal(tmp_path):
    (drawn,) = draw(tmp_path / "case", f"(float[200, 200] x) => (float[200, 200] z) "
                    "{ z = RandomNormalLike<mean = 2.0, scale = 3.0>(x) }", {"x": np.zeros((200, 200), np.float32)})
    scaled = (drawn.ravel().astype(np.float64) - 2) / 3
    assert abs(scaled.mean()) < 0.03 and abs(scaled.std() - 1) < 0.02
    assert abs((np.abs(scaled) < 1).mean() - 0.6827) < 0.01 and abs((scaled ** 4).mean() - 3) < 0.2


def test_bernoulli_and_multinomial(tmp_path):
    chances = np.tile(np.array([0, 0.25, 0.75, 1], np.float32), (10000, 1))
    (hits,) = draw(tmp_path / "bernoulli", "(float[10000, 4] x) => (float[10000, 4] z) { z = Bernoulli(x) }",
                   {"x": chances})
    assert np.abs(hits.mean(axis=0) - chances[0]).max() < 0.015 and set(np.unique(hits)) == {0, 1}
    weights = np.log(np.array([[1, 2, 5], [8, 0, 0]], np.float32) + 1e-30)
    (classes,) = draw(tmp_path / "multinomial", "(float[2, 3] x) => (int32[2, 20000] z) "
                      "{ z = Multinomial<sample_size = 20000>(x) }", {"x": weights})
    shares = np.bincount(classes[0], minlength=3) / 20000
    assert np.abs(shares - [0.125, 0.25, 0.625]).max() < 0.015 and np.all(classes[1] == 0)


def test_dropout(tmp_path):
    graph = (f"(float[{COUNT}] x) => (float[{COUNT}] z, bool[{COUNT}] m) <float r = {{0.25}}, bool t = {{1}}> "
             "{ z, m = Dropout<seed = 3>(x, r, t) }")
    values = np.arange(1, COUNT + 1, dtype=np.float32)
    dropped, mask = draw(tmp_path / "case", graph, {"x": values})
    assert abs(mask.mean() - 0.75) < 0.01
    assert np.allclose(dropped, np.where(mask, values / 0.75, 0), rtol=1e-6)
