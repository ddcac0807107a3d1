"""Attention on GPUs, as two products of cuBLASLt or by cuDNN: the stages run against the stand-ins, and give the CPU target's
numbers."""
# Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
import numpy as np
import onnx
import pytest
import runner
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
    """Heads that share keys, and rows that see nothing, in one request."""
    rng = np.random.default_rng(3)
    requests = []
    for rows, positions in ((5, 7), (1, 33), (5, 7)):
        seen = (np.arange(positions)[None, :] <= np.arange(rows)[:, None] + 1) & (np.arange(rows) != 2)[:, None]
        feeds = {name: rng.standard_normal((1, heads, count, 16)).astype(np.float32)
                 for name, heads, count in (("q", 4, rows), ("k", 2, positions), ("v", 2, positions))}
        requests.append({**feeds, "m": seen})
    path = tmp_path / "narrow.onnx"
    onnx.save(narrow_model(getattr(TensorProto, element)), path)
    tolerance = 2e-3 if element == "FLOAT16" else 1e-2
    _, found = test_cuda_stages.check(path, tmp_path, requests, 1, tolerance=tolerance)
    assert found[0][0]["cudnnBackendExecute"] >= 3 and found[0][0]["cublasLtMatmul"] == 0


def test_cut_between(tmp_path):
    """Scores and weights may be in different stages."""
    case = next(case for case in test_attention.CASES if case.name == "self_causal")
    path = tmp_path / "model.onnx"
    onnx.save(test_attention.make_model(case), path)
    _, found = test_cuda_stages.check(path, tmp_path, [dict(case.inputs)], 3)
    assert sum(calls["cublasLtMatmul"] for calls, _ in found) >= 3


def layers_model(element, num_layers):
    """Layers of attention of a 16-bit type with a residual each: query, key and value are parts of one product, and a mask is
    added."""
    def weights(name, *shape):
        values = np.random.default_rng(sum(name.encode())).standard_normal(shape) / 8
        return helper.make_tensor(name, element, shape, values.ravel())
    initializers = [weights("scale", 1)]
    nodes = [helper.make_node("Cast", ["x"], ["h0"], to=element), helper.make_node("Cast", ["mask"], ["mask16"], to=element)]
    shapes = {"heads": [0, 0, 4, 16], "rows": [0, 0, 64]}
    initializers += [helper.make_tensor(name, TensorProto.INT64, [len(dims)], dims) for name, dims in shapes.items()]
    for i in range(num_layers):
        initializers += [weights(f"w{i}", 64, 192), weights(f"o{i}", 64, 64)]
        nodes += [helper.make_node("MatMul", [f"h{i}", f"w{i}"], [f"qkv{i}"]),
                  helper.make_node("Split", [f"qkv{i}"], [f"{name}{i}" for name in "qkv"], axis=2, num_outputs=3)]
        for name, perm in (("q", [0, 2, 1, 3]), ("k", [0, 2, 3, 1]), ("v", [0, 2, 1, 3])):
            nodes += [helper.make_node("Reshape", [f"{name}{i}", "heads"], [f"{name}h{i}"]),
                      helper.make_node("Transpose", [f"{name}h{i}"], [f"{name}t{i}"], perm=perm)]
        nodes += [helper.make_node("MatMul", [f"qt{i}", f"kt{i}"], [f"scores{i}"]),
                  helper.make_node("Mul", [f"scores{i}", "scale"], [f"scaled{i}"]),
                  helper.make_node("Add", [f"scaled{i}", "mask16"], [f"masked{i}"]),
                  helper.make_node("Softmax", [f"masked{i}"], [f"weights{i}"], axis=-1),
                  helper.make_node("MatMul", [f"weights{i}", f"vt{i}"], [f"a{i}"]),
                  helper.make_node("Transpose", [f"a{i}"], [f"at{i}"], perm=[0, 2, 1, 3]),
                  helper.make_node("Reshape", [f"at{i}", "rows"], [f"ar{i}"]),
                  helper.make_node("MatMul", [f"ar{i}", f"o{i}"], [f"ao{i}"]),
                  helper.make_node("Add", [f"ao{i}", f"h{i}"], [f"h{i + 1}"])]
    nodes.append(helper.make_node("Cast", [f"h{num_layers}"], ["y"], to=TensorProto.FLOAT))
    return tiny.model(nodes, [tiny.tensor("x", ["batch", "length", 64]), tiny.tensor("mask", ["batch", 1, "length", "length"])],
                      [tiny.tensor("y", ["batch", "length", 64])], initializers)


@pytest.mark.parametrize("element, num_stages", [("FLOAT16", 1), ("BFLOAT16", 1), ("BFLOAT16", 2)])
def test_by_cudnn(element, num_stages, tmp_path):
    """Nothing is brought together or turned in front of an attention or behind it: no kernel of the layers is generated code."""
    rng = np.random.default_rng(5)
    requests = []
    for batch, length in ((1, 5), (2, 9), (1, 1), (1, 5)):
        mask = np.where(rng.random((batch, 1, length, length)) < 0.3, -1e4, 0)
        requests.append({"x": rng.standard_normal((batch, length, 64)).astype(np.float32), "mask": mask.astype(np.float32)})
    path = tmp_path / "layers.onnx"
    onnx.save(layers_model(getattr(TensorProto, element), 3), path)
    tolerance = 2e-3 if element == "FLOAT16" else 1e-2
    folder, found = test_cuda_stages.check(path, tmp_path, requests, num_stages, tolerance=tolerance)
    assert sum(calls["cudnnBackendExecute"] for calls, _ in found) >= 3 * 3
    kernels = runner.penstock("compile", path, "--target", "cuda", "--stages", num_stages, "--compile-to=assign")
    assert kernels.count("nn.attention") == 3 and "nn.softmax" not in kernels
    assert kernels.count(" = nn.kernel ") == 3 + 3 * 3  # casts; two products around each attention
