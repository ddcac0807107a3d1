"""Writes a small model: make_model.py KIND OUT.onnx, with KIND perceptron (4 layers of MatMul and Tanh with a skip
connection, free batch), static (the same, batch 1), wide (6 layers of MatMul and Tanh, 1 MiB of weights each, batch 1), single (one Tanh), long (a Relu of 1 MiB), scratch (a softmax over rows, whose code asks for
storage of its own; free batch) or unsupported (nodes of a domain nobody knows)."""
# Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

WIDTH = 64


def tensor(name, shape):
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def model(nodes, shape, initializers=(), domains=()):
    graph = helper.make_graph(nodes, "tiny", [tensor("x", shape)], [tensor("y", shape)], list(initializers))
    imports = [helper.make_opsetid("", 18), *(helper.make_opsetid(domain, 1) for domain in domains)]
    return helper.make_model(graph, opset_imports=imports, ir_version=9)


def perceptron(batch):
    nodes, weights, value = [], [], "x"
    for k in range(4):
        values = np.random.default_rng(k).standard_normal((WIDTH, WIDTH)) / WIDTH ** 0.5
        weights.append(numpy_helper.from_array(values.astype(np.float32), f"w{k}"))
        nodes += [helper.make_node("MatMul", [value, f"w{k}"], [f"m{k}"], name=f"matmul_{k}"),
                  helper.make_node("Tanh", [f"m{k}"], [f"t{k}"], name=f"tanh_{k}")]
        value = f"t{k}"
    nodes.append(helper.make_node("Add", [value, "t0"], ["y"], name="skip"))
    return model(nodes, [batch, WIDTH], weights)


def wide():
    nodes, weights, value, width = [], [], "x", 512
    for k in range(6):
        values = np.random.default_rng(k).standard_normal((width, width)) / width ** 0.5
        weights.append(numpy_helper.from_array(values.astype(np.float32), f"w{k}"))
        result = "y" if k == 5 else f"t{k}"
        nodes += [helper.make_node("MatMul", [value, f"w{k}"], [f"m{k}"]), helper.make_node("Tanh", [f"m{k}"], [result])]
        value = result
    return model(nodes, [1, width], weights)


def scratch():
    weight = numpy_helper.from_array(np.eye(WIDTH, dtype=np.float32), "w")
    return model([helper.make_node("MatMul", ["x", "w"], ["a"]), helper.make_node("Softmax", ["a"], ["b"], axis=0),
                  helper.make_node("MatMul", ["b", "w"], ["y"])], ["batch", WIDTH], [weight])


def unsupported():
    return model([helper.make_node("Strange", ["x"], ["a"], name="first", domain="nobody"),
                  helper.make_node("Stranger", ["a"], ["y"], name="second", domain="nobody")], [1, 4], (), ["nobody"])


KINDS = {"perceptron": lambda: perceptron("batch"), "static": lambda: perceptron(1), "unsupported": unsupported, "scratch": scratch,
         "wide": wide,
         "long": lambda: model([helper.make_node("Relu", ["x"], ["y"], name="only")], [256, 1024]),
         "single": lambda: model([helper.make_node("Tanh", ["x"], ["y"], name="only")], [1, 4])}

onnx.save(KINDS[sys.argv[1]](), sys.argv[2])
