"""Penstock: ONNX models as pipelines of native executables.

    folder = penstock.compile("cat.onnx", stages=2)
    with penstock.Session(folder) as session:
        scores, = session.run(None, {"image": image})
"""
# Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
from penstock.compiler import compile
from penstock.errors import Error, InvalidArgument

__all__ = ["compile", "Error", "InvalidArgument", "NodeArg", "Session"]


def __getattr__(name):
    # Only sessions need NumPy and the native module.
    if name in ("NodeArg", "Session"):
        from penstock import session
        return getattr(session, name)
    raise AttributeError(f"module 'penstock' has no attribute '{name}'")
