"""Small models, made here, for tests of the command line and of compiled folders."""
# Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

WIDTH = 64


def model(nodes, inputs, outputs, initializers=(), opset=18, domains=()):
    graph = helper.make_graph(nodes, "tiny", inputs, outputs, list(initializers))
    imports = [helper.make_opsetid("", opset), *(helper.make_opsetid(domain, 1) for domain in domains)]
    return helper.make_model(graph, opset_imports=imports, ir_version=9)


def tensor(name, shape, dtype=TensorProto.FLOAT):
    return helper.make_tensor_value_info(name, dtype, shape)


def weights(name, *shape, seed=0):
    values = np.random.default_rng(seed).standard_normal(shape) / shape[0] ** 0.5
    return numpy_helper.from_array(values.astype(np.float32), name)


def perceptron(num_layers=4, batch="batch"):
    """x -> (MatMul, Tanh) * num_layers -> y; with a skip connection from the first layer to the last."""
    nodes, initializers, value = [], [], "x"
    for k in range(num_layers):
        initializers.append(weights(f"w{k}", WIDTH, WIDTH, seed=k))
        nodes.append(helper.make_node("MatMul", [value, f"w{k}"], [f"m{k}"], name=f"matmul_{k}"))
        nodes.append(helper.make_node("Tanh", [f"m{k}"], [f"t{k}"], name=f"tanh_{k}"))
        value = f"t{k}"
    nodes.append(helper.make_node("Add", [value, "t0"], ["y"], name="skip"))
    return model(nodes, [tensor("x", [batch, WIDTH])], [tensor("y", [batch, WIDTH])], initializers)


def perceptron_input(rows=1, seed=0):
    return np.random.default_rng(seed).standard_normal((rows, WIDTH)).astype(np.float32)


def save(model_proto, path, **options):
    onnx.save(model_proto, str(path), **options)
    return path
