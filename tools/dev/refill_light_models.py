#!/usr/bin/env python3
"""Write ONNX's `light` networks with ordinary weights: as shipped every weight is the same constant, so that their
output is the same number for every input and a comparison on it cannot fail.

usage: refill_light_models.py OUTDIR

He-normal weights, batch-norm variances in 0.5..1.5, from a fixed seed.
"""
# Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
import os
import pathlib
import sys

import numpy as np
import onnx
from onnx import numpy_helper


def refill(model, rng):
    """Replace every ConstantOfShape whose shape is an initializer by an initializer of that shape."""
    shapes = {i.name: numpy_helper.to_array(i) for i in model.graph.initializer}
    variances = {n.input[4] for n in model.graph.node if n.op_type == "BatchNormalization"}
    kept = []
    for node in model.graph.node:
        if node.op_type != "ConstantOfShape" or node.input[0] not in shapes:
            kept.append(node)
            continue
        shape = [int(extent) for extent in shapes[node.input[0]]]
        if len(shape) > 1:
            value = rng.standard_normal(shape) * np.sqrt(2 / np.prod(shape[1:]))
        elif node.output[0] in variances:
            value = rng.uniform(0.5, 1.5, shape)
        else:
            value = rng.standard_normal(shape) * 0.1
        model.graph.initializer.append(numpy_helper.from_array(value.astype(np.float32), node.output[0]))
    del model.graph.node[:]
    model.graph.node.extend(kept)


def write(source, target):
    """Refill `source` into `target`, which appears only when it is complete."""
    model = onnx.load(source)
    refill(model, np.random.default_rng(0))
    target = pathlib.Path(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    complete = f"{target}.{os.getpid()}"    # tests that run side by side may all want it
    onnx.save(model, complete)
    os.replace(complete, target)


def main():
    out = pathlib.Path(sys.argv[1])
    for path in sorted((pathlib.Path(onnx.__file__).parent / "backend/test/data/light").glob("*.onnx")):
        write(path, out / path.name)
        print(out / path.name)


if __name__ == "__main__":
    main()
