"""Attention as ONNX and ONNX Runtime write it in one node, against ONNX Runtime."""
# Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
import dataclasses

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import runner
from onnx import TensorProto, helper

RNG = np.random.default_rng(0)


def floats(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


@dataclasses.dataclass(frozen=True)
class Case:
    name: str
    domain: str
    op: str
    inputs: tuple  # (name, array or None) in the operator's order
    attributes: dict


HEADS = tuple((name, floats(2, heads, rows, 8)) for name, heads, rows in (("q", 4, 5), ("k", 4, 7), ("v", 4, 7)))
FEW_HEADS = (HEADS[0],) + tuple((name, floats(2, 2, 7, 8)) for name in "kv")
ROWS = tuple((name, floats(2, rows, 32)) for name, rows in (("q", 5), ("k", 7), ("v", 7)))
PADDING = np.array([[1] * 7, [1] * 4 + [0] * 3], np.int32)
HALF_HIDDEN = np.array([[True] * 7] * 4 + [[False] * 6 + [True]])
SELF = (("x", floats(2, 6, 16)), ("w", floats(16, 96) / 4), ("b", floats(96)))
CASES = [
    Case("onnx", "", "Attention", HEADS, {}),
    Case("onnx_scaled_mask", "", "Attention", HEADS + (("m", floats(5, 7)),), {"scale": 0.3}),
    Case("onnx_condition", "", "Attention", HEADS + (("m", HALF_HIDDEN),), {}),
    Case("onnx_causal", "", "Attention", HEADS, {"is_causal": 1}),
    Case("onnx_few_heads", "", "Attention", FEW_HEADS, {}),
    Case("onnx_rows", "", "Attention", ROWS, {"q_num_heads": 4, "kv_num_heads": 4}),
    Case("multi_head", "com.microsoft", "MultiHeadAttention", ROWS, {"num_heads": 4}),
    Case("multi_head_bias_padding", "com.microsoft", "MultiHeadAttention",
         ROWS + (("b", floats(96)), ("p", PADDING), ("a", floats(2, 4, 5, 7))), {"num_heads": 4, "scale": 0.5}),
    Case("self", "com.microsoft", "Attention", SELF, {"num_heads": 4}),
    Case("self_causal", "com.microsoft", "Attention", SELF, {"num_heads": 4, "unidirectional": 1}),
    Case("self_padding", "com.microsoft", "Attention", SELF + (("p", PADDING[:, 1:]),), {"num_heads": 4}),
]


def make_model(case):
    types = {np.dtype(np.float32): TensorProto.FLOAT, np.dtype(np.int32): TensorProto.INT32, np.dtype(bool): TensorProto.BOOL}
    values = [helper.make_tensor_value_info(name, types[array.dtype], array.shape) for name, array in case.inputs]
    node = helper.make_node(case.op, [name for name, _ in case.inputs], ["y"], domain=case.domain, **case.attributes)
    graph = helper.make_graph([node], case.name, values, [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)])
    opsets = [helper.make_opsetid("", 23), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_attention(case, tmp_path):
    model = make_model(case)
    feeds = dict(case.inputs)
    path = tmp_path / "model.onnx"
    onnx.save(model, path)
    expected = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"]).run(None, feeds)[0]
    assert np.isfinite(expected).all() and expected.std() > 1e-2, "a comparison with this could not fail"
    np.savez(tmp_path / "in.npz", **feeds)
    runner.penstock("compile", path, "-o", tmp_path / "out", "--dump-phases", tmp_path)
    assert "nn.attention " in next(tmp_path.glob("*.normalize.mlir")).read_text()
    runner.penstock("run", tmp_path / "out", "--inputs", tmp_path / "in.npz", "--output-dir", tmp_path / "results")
    np.testing.assert_allclose(np.load(tmp_path / "results/y.npy"), expected, rtol=1e-4, atol=1e-5)
