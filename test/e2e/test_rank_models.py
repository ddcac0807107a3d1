"""Whole models with a rank for each stage: the bits of one host, through shared memory and through MPI."""
# Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
import shutil
import subprocess

import hosts
import models
import numpy as np
import pytest
import runner

STAGES = 4
NAMES = ["ocr-classifier"] + [model.name for model in models.MODELS.values() if model.tier == "torch"]

pytestmark = pytest.mark.skipif(shutil.which("mpirun") is None, reason="mpirun is not installed (package openmpi-bin)")


def files(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*.npy")}


@pytest.mark.parametrize("name", NAMES)
def test_same_bits(name, tmp_path):
    model = models.MODELS[name]
    try:
        folder = runner.Folder(model, STAGES, tmp_path).path
    except models.NotHere as error:
        pytest.skip(str(error))
    arguments = []
    for index, (_, feeds) in enumerate(model.requests()):
        np.savez(tmp_path / f"in{index}.npz", **feeds)
        arguments += ["--inputs", tmp_path / f"in{index}.npz"]
    runner.penstock("run", folder, *arguments, "--output-dir", tmp_path / "local")
    for kind, flags in {"shm": (), "mpi": ("--no-shared-memory",)}.items():
        command = ["mpirun", "-n", STAGES, folder / "launch", *arguments, "--output-dir", tmp_path / kind, *flags]
        done = subprocess.run([str(word) for word in command], text=True, capture_output=True, env=hosts.ENVIRONMENT,
                              timeout=runner.RUN_TIMEOUT_S)
        assert done.returncode == 0, done.stderr
        assert files(tmp_path / kind) == files(tmp_path / "local") != {}, kind
