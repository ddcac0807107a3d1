"""A compiled folder under mpirun: each stage a rank, the bits of shared memory; and nothing of MPI where it is not used."""
# Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
import re
import shutil
import subprocess

import hosts
import models
import numpy as np
import pytest
import runner
import tiny
import tiny_folder

ALLOWED_LIBRARIES = {"libc.so.6", "libm.so.6", "ld-linux-x86-64.so.2", "libdnnl.so.2", "libgomp.so.1"}

needs_mpirun = pytest.mark.skipif(shutil.which("mpirun") is None, reason="mpirun is not installed (package openmpi-bin)")


@pytest.fixture(scope="module", params=[2, 3, 4])
def folder(request, tmp_path_factory):
    return tiny_folder.compiled(tmp_path_factory.mktemp("ranks"), request.param), request.param


def run(command, **options):
    return subprocess.run([str(word) for word in command], text=True, capture_output=True, env=hosts.ENVIRONMENT, timeout=120,
                          **options)


def test_needed_libraries(folder):
    """The plug-in too: the library of MPI is opened by it, not needed by the folder."""
    path, _ = folder
    for file in [*path.glob("stage-?"), path / "launch", path / "lib/libpenstock-mpi.so"]:
        dynamic = run(["readelf", "-d", file]).stdout
        needed = set(re.findall(r"NEEDED.*\[(.*)\]", dynamic))
        assert needed <= ALLOWED_LIBRARIES, f"{file.name} needs {sorted(needed - ALLOWED_LIBRARIES)}"


@needs_mpirun
def test_same_bits(folder, tmp_path):
    path, stages = folder
    arguments, expected = tiny_folder.run_locally(path, tmp_path)
    for name, command in {
            "ranks": ["mpirun", "-n", stages, path / "launch", *arguments],
            "option": [models.BUILD / "bin/penstock", "run", path, "--launcher", "mpirun", *arguments],
            "programs": ["mpirun", *" : ".join(f"-n 1 {path}/stage-{k} {' '.join(map(str, arguments))} {tmp_path}/programs"
                                                for k in range(stages)).split()]}.items():
        done = run([*command, *([] if name == "programs" else [tmp_path / name])])
        assert done.returncode == 0 and done.stderr == "", f"{name}: {done.stderr}"
        assert (tmp_path / name / "y.npy").read_bytes() == expected, name


@needs_mpirun
def test_wrong_number_of_ranks(folder):
    path, stages = folder
    done = run(["mpirun", "-n", stages - 1, path / "launch", "--random"])
    assert done.returncode == 2
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1 and f"compiled into {stages} stages" in errors[0] and f"{stages - 1} process" in errors[0]


def forked():
    """Two inputs, the second one used by the last layer only; three outputs, two of which later layers read as well."""
    layers, value = [], "x"
    weights = [tiny.weights(f"w{k}", tiny.WIDTH, tiny.WIDTH, seed=k) for k in range(4)]
    for k in range(4):
        layers += [tiny.helper.make_node("MatMul", [value, f"w{k}"], [f"m{k}"], name=f"matmul_{k}"),
                   tiny.helper.make_node("Tanh", [f"m{k}"], [f"t{k}"], name=f"tanh_{k}")]
        value = f"t{k}"
    layers.append(tiny.helper.make_node("Mul", ["t3", "z"], ["y"], name="scale"))
    shape = ["batch", tiny.WIDTH]
    return tiny.model(layers, [tiny.tensor("x", shape), tiny.tensor("z", shape)],
                      [tiny.tensor(name, shape) for name in ("y", "t0", "t2")], weights)


@needs_mpirun
def test_inputs_and_outputs_of_several_stages(tmp_path):
    """Each rank reads and writes what is its own: a channel can lead to the sink and to another rank at once."""
    path = tmp_path / "forked.penstock"
    runner.penstock("compile", tiny.save(forked(), tmp_path / "forked.onnx"), "-o", path, "--stages", 3, "--cut", "t0",
                    "--cut", "t2")
    archives = []
    for k in range(3):
        archives += ["--inputs", tmp_path / f"{k}.npz"]
        np.savez(archives[-1], x=tiny.perceptron_input(3 + k, seed=k), z=tiny.perceptron_input(3 + k, seed=10 + k))
    runner.penstock("run", path, *archives, "--output-dir", tmp_path / "local")
    done = run(["mpirun", "-n", 3, path / "launch", *archives, "--repeat", 5, "--output-dir", tmp_path / "ranks"])
    assert done.returncode == 0 and done.stderr == "", done.stderr
    names = sorted(file.relative_to(tmp_path / "local") for file in (tmp_path / "local").rglob("*.npy"))
    assert len(names) == 9
    for name in names:
        assert (tmp_path / "ranks" / name).read_bytes() == (tmp_path / "local" / name).read_bytes(), name
