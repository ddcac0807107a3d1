"""Compares outputs of the perceptron with ONNX Runtime: check_run.py MODEL [INPUT OUTPUT]..."""
# Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
import sys

import numpy as np
import onnxruntime

session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
pairs = list(zip(sys.argv[2::2], sys.argv[3::2], strict=True))
assert pairs
for given, found in pairs:
    x = np.load(given)
    x = x["x"] if given.endswith(".npz") else x
    expected, = session.run(None, {"x": x})
    assert np.std(expected) > 0.1
    np.testing.assert_allclose(np.load(found), expected, rtol=1e-5, atol=1e-6)
