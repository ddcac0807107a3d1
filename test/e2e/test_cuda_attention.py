"""Attention on GPUs as two products of the library: the stages run against the stand-ins, and give the CPU target's numbers."""
# Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
import numpy as np
import onnx
import pytest
import test_attention
import test_cuda_stages
import tiny
from onnx import TensorProto, helper


@pytest.mark.parametrize("case", test_attention.CASES, ids=lambda case: case.name)
def test_products(case, tmp_path):
    """Every form of attention, in two requests."""
    path = tmp_path / "model.onnx"
    onnx.save(test_attention.make_model(case), path)
    _, ((calls, _),) = test_cuda_stages.check(path, tmp_path, [dict(case.inputs)] * 2, 1)
    assert calls["cublasLtMatmul"] >= 2


def narrow_model(element):
    """Floats become 16 bits wide, heads share keys, and there is a condition."""
    def cast(name, to, result):
        return helper.make_node("Cast", [name], [result], name=f"cast_{result}", to=to)
    nodes = [cast(name, element, f"{name}16") for name in "qkv"]
    nodes += [helper.make_node("Attention", ["q16", "k16", "v16", "m"], ["y16"], name="attention"),
              cast("y16", TensorProto.FLOAT, "y")]
    inputs = [tiny.tensor("q", [1, 4, "rows", 16]), tiny.tensor("k", [1, 2, "positions", 16]),
              tiny.tensor("v", [1, 2, "positions", 16]),
              helper.make_tensor_value_info("m", TensorProto.BOOL, ["rows", "positions"])]
    graph = helper.make_graph(nodes, "narrow", inputs, [tiny.tensor("y", [1, 4, "rows", 16])])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 23)], ir_version=10)


@pytest.mark.parametrize("element", ["FLOAT16", "BFLOAT16"])
def test_narrow(element, tmp_path):
    """Scores are f32: what is rounded to 16 bits are weights and results."""
    rng = np.random.default_rng(3)
    requests = []
    for rows, positions in ((5, 7), (1, 33), (5, 7)):
        hidden = np.arange(positions)[None, :] <= np.arange(rows)[:, None] + 1
        feeds = {name: rng.standard_normal((1, heads, count, 16)).astype(np.float32)
                 for name, heads, count in (("q", 4, rows), ("k", 2, positions), ("v", 2, positions))}
        requests.append({**feeds, "m": hidden})
    path = tmp_path / "narrow.onnx"
    onnx.save(narrow_model(getattr(TensorProto, element)), path)
    tolerance = 2e-3 if element == "FLOAT16" else 1e-2
    _, found = test_cuda_stages.check(path, tmp_path, requests, 1, tolerance=tolerance)
    assert found[0][0]["cublasLtMatmul"] >= 4


def test_cut_between(tmp_path):
    """Scores and weights may be in different stages."""
    case = next(case for case in test_attention.CASES if case.name == "self_causal")
    path = tmp_path / "model.onnx"
    onnx.save(test_attention.make_model(case), path)
    _, found = test_cuda_stages.check(path, tmp_path, [dict(case.inputs)], 3)
    assert sum(calls["cublasLtMatmul"] for calls, _ in found) >= 3
