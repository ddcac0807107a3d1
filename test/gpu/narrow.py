"""A model in bfloat16: weights and activations; inputs and outputs stay as they are."""
# Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

import run


def _convert_tensor(tensor):
    if tensor.data_type != TensorProto.FLOAT:
        return
    array, name = numpy_helper.to_array(tensor), tensor.name
    data = run.to_bfloat16(np.ascontiguousarray(array)).tobytes()
    tensor.CopyFrom(TensorProto(name=name, dims=array.shape, data_type=TensorProto.BFLOAT16, raw_data=data))


def _rename(names, old, new):
    for index, name in enumerate(names):
        if name == old:
            names[index] = new


def _add_casts(graph):
    """Between floats of the outside and their narrow forms."""
    before, after = [], []
    for value in graph.input:
        if value.type.tensor_type.elem_type == TensorProto.FLOAT:
            before.append(helper.make_node("Cast", [value.name], [f"{value.name}_narrow"], f"{value.name}_narrow",
                                           to=TensorProto.BFLOAT16))
            for node in graph.node:
                _rename(node.input, value.name, f"{value.name}_narrow")
    for value in graph.output:
        if value.type.tensor_type.elem_type == TensorProto.FLOAT:
            after.append(helper.make_node("Cast", [f"{value.name}_narrow"], [value.name], f"{value.name}_wide",
                                          to=TensorProto.FLOAT))
            for node in graph.node:
                _rename(node.input, value.name, f"{value.name}_narrow")
                _rename(node.output, value.name, f"{value.name}_narrow")
    nodes = [*before, *graph.node, *after]
    del graph.node[:]
    graph.node.extend(nodes)


def convert(source, target):
    """Writes `source`, a model in f32 without subgraphs, as one in bfloat16."""
    proto = onnx.load(str(source))
    for tensor in proto.graph.initializer:
        _convert_tensor(tensor)
    for node in proto.graph.node:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.TENSOR:
                _convert_tensor(attribute.t)
            if node.op_type == "Cast" and attribute.name == "to" and attribute.i == TensorProto.FLOAT:
                attribute.i = TensorProto.BFLOAT16
    _add_casts(proto.graph)
    del proto.graph.value_info[:]
    onnx.save(proto, str(target))
