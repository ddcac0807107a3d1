"""Gives nodes of a model pipeline stages: annotate_model.py IN.onnx OUT.onnx [NODE=STAGE[@CONFIGURATION]]...

The configuration is "two" where none is named; the model gets "two" and "other"."""
# Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
import sys

import onnx

source, target, *annotations = sys.argv[1:]
model = onnx.load(source)
model.ir_version = 11
for name in ("two", "other"):
    model.configuration.append(onnx.DeviceConfigurationProto(name=name, num_devices=2))
nodes = {node.name: node for node in model.graph.node}
for annotation in annotations:
    name, value = annotation.split("=")
    stage, _, configuration = value.partition("@")
    nodes[name].device_configurations.append(
        onnx.NodeDeviceConfigurationProto(configuration_id=configuration or "two", pipeline_stage=int(stage)))
onnx.save(model, target)
