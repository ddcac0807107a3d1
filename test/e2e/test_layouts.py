"""Images stay in one layout between convolutions: oneDNN's own log shows no more reorders of activations than layouts.txt.

A line of layouts.txt is `model convolutions reorders`: what oneDNN runs for one request, with one stage, when weights are
packed already. `python test/e2e/test_layouts.py MODEL...` prints such lines.
"""
# Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
import collections
import os
import pathlib
import subprocess
import sys
import tempfile

import models
import pytest
import runner

TABLE = pathlib.Path(__file__).with_name("layouts.txt")


def read_table():
    rows = [line.split() for line in TABLE.read_text().splitlines() if line and not line.startswith("#")]
    return {name: (int(convolutions), int(reorders)) for name, convolutions, reorders in rows}


def executed(folder, num_requests):
    """Number of oneDNN's primitives of each kind that this many equal requests ran."""
    done = subprocess.run([models.BUILD / "bin/penstock", "run", folder, "--random", "--repeat", str(num_requests)],
                          text=True, capture_output=True, timeout=runner.RUN_TIMEOUT_S,
                          env={**os.environ, "DNNL_VERBOSE": "1"})
    assert done.returncode == 0, done.stderr
    fields = [line.split(",") for line in done.stdout.splitlines() if line.startswith("onednn_verbose,exec,")]
    return collections.Counter(line[3] for line in fields)


def measure(name, where):
    """Convolutions and reorders of one request after the first, which also packs weights."""
    model = models.MODELS[name]
    folder = runner.Folder(model, 1, where).path
    steady = executed(folder, 2) - executed(folder, 1)
    return steady["convolution"] + steady["deconvolution"], steady["reorder"]


@pytest.mark.parametrize("name", read_table())
def test_activation_reorders(name, tmp_path):
    try:
        models.MODELS[name].path()
    except models.NotHere as error:
        pytest.skip(str(error))
    assert measure(name, tmp_path) == read_table()[name]


if __name__ == "__main__":
    for each in sys.argv[1:]:
        with tempfile.TemporaryDirectory() as scratch:
            print(f"{each:28} {'{:4} {:4}'.format(*measure(each, scratch))}", flush=True)
