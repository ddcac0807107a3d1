"""Kernels on several threads: the bits of one thread, from generated loops and from library calls alike."""
# Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
import json

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import runner

SHAPE = [1, 400, 256]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A product between kernels that no library takes, each large enough to be shared out."""
    rng = np.random.default_rng(0)
    weights = {"w": rng.standard_normal((256, 256)) / 16, "scale": rng.standard_normal(256), "bias": rng.standard_normal(256)}
    nodes = [helper.make_node("LayerNormalization", ["x", "scale", "bias"], ["n"], axis=-1),
             helper.make_node("MatMul", ["n", "w"], ["m"]),
             helper.make_node("Softmax", ["m"], ["s"], axis=-1),
             helper.make_node("Transpose", ["s"], ["t"], perm=[0, 2, 1]),
             helper.make_node("Exp", ["t"], ["e"]),
             helper.make_node("ReduceSum", ["e", "axes"], ["r"], keepdims=1),
             helper.make_node("Div", ["e", "r"], ["y"])]
    initializers = [numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()]
    initializers.append(numpy_helper.from_array(np.array([2], dtype=np.int64), "axes"))
    graph = helper.make_graph(nodes, "threads", [helper.make_tensor_value_info("x", TensorProto.FLOAT, SHAPE)],
                              [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 256, 400])], initializers)
    path = tmp_path_factory.mktemp("threads") / "threads.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)
    return path


def result(model, folder, threads, feed):
    runner.penstock("compile", model, "-o", folder, "--stages", 2, "--threads", threads)
    plan = json.loads((folder / "plan.json").read_text())
    assert [stage["threads"] for stage in plan["stages"]] == [threads] * 2
    runner.penstock("run", folder, "--input", f"x={feed}", "--output-dir", folder.parent / f"out{threads}")
    return np.load(folder.parent / f"out{threads}" / "y.npy")


def test_same_bits(model, tmp_path):
    feed = tmp_path / "x.npy"
    np.save(feed, np.random.default_rng(1).standard_normal(SHAPE).astype(np.float32))
    one = result(model, tmp_path / "one.penstock", 1, feed)
    assert np.isfinite(one).all() and one.std() > 1e-6
    for threads in (2, 4):
        many = result(model, tmp_path / f"many{threads}.penstock", threads, feed)
        np.testing.assert_array_equal(many, one)
