"""A compiled folder of a small model, and what it makes of an input on one host: what runs under launchers must agree with."""
# Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
import numpy as np
import runner
import tiny


def compiled(where, num_stages):
    """`where`/tiny.penstock."""
    folder = where / "tiny.penstock"
    runner.penstock("compile", tiny.save(tiny.perceptron(6), where / "tiny.onnx"), "-o", folder, "--stages", num_stages)
    return folder


def run_locally(folder, where, num_rows=5):
    """Arguments that lack the folder for results, and the bytes of y.npy that a run without a launcher leaves."""
    np.save(where / "x.npy", tiny.perceptron_input(num_rows))
    arguments = ["--input", f"x={where / 'x.npy'}", "--output-dir"]
    runner.penstock("run", folder, *arguments, where / "local")
    return arguments, (where / "local/y.npy").read_bytes()
