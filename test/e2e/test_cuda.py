"""Kernels for GPUs, without one: every kernel of the trained models, and of those exported with torch where they are, is
assembled without spills, and some are played on the host.

cuda_spills.txt has a line `model function-of-kernel chip bytes` for each exception, `python test/e2e/test_cuda.py` prints
such lines. What is played runs at small shapes: a thread of a GPU costs the host some hundred nanoseconds.
"""
# Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import models
import pytest
import runner

TABLE = pathlib.Path(__file__).with_name("cuda_spills.txt")
CHIPS = "sm_80,sm_90"
# Weights do not change kernels, so that one of two models with equal graphs is enough.
ASSEMBLED = [model.name for model in models.MODELS.values()
             if model.tier in ("ci", "torch") and not model.name.endswith("-shipped")]
# Shapes at which a kernel takes the host seconds, not minutes.
PLAYED = {"ocr-classifier-static": ("x=1x3x48x32",), "ocr-recognizer-static": ("x=1x3x48x32",),
          "ocr-detector-static": ("x=1x3x32x32",), "voice-if-bound": (), "voice-op18-bound": ()}


def toolkit():
    return pathlib.Path(os.environ.get("PENSTOCK_CUDA") or models.BUILD / "cuda/nvidia/cu13")


def find(name):
    try:
        return models.MODELS[name], models.MODELS[name].path()
    except models.NotHere as error:
        pytest.skip(str(error))


def compile_to(phase, name, where, flags):
    """The dump after `phase`."""
    _, path = find(name)
    runner.penstock("compile", path, *flags, f"--compile-to={phase}", "--dump-phases", where, "--quiet",
                    timeout_s=runner.COMPILE_TIMEOUT_S)
    return next(pathlib.Path(where).glob(f"*.{phase}.mlir"))


def measure(name, where):
    """The figures of every function of the model's kernels on every chip."""
    dump = compile_to("kernels", name, where, (*models.MODELS[name].flags, "--target", "cuda", "--arch", CHIPS))
    return json.loads(runner.penstock("inspect", "--json", dump))["functions"]


def spills(functions):
    return [(function["function"], function["arch"], function["spill_stores"] + function["spill_loads"])
            for function in functions if function["spill_stores"] + function["spill_loads"] > 0]


def read_table():
    rows = [line.split() for line in TABLE.read_text().splitlines() if line and not line.startswith("#")]
    return {name: [(row[1], row[2], int(row[3])) for row in rows if row[0] == name] for name in ASSEMBLED}


def need_assembler():
    if not os.access(toolkit() / "bin/ptxas", os.X_OK):
        pytest.skip(f"no assembler: {toolkit() / 'bin/ptxas'} does not exist")


@contextlib.contextmanager
def needs_mathematics():
    """Around what compiles a model whose kernels may call libdevice's functions."""
    try:
        yield
    except runner.Failure as failure:
        if "libdevice" not in str(failure) or (toolkit() / "nvvm/libdevice").exists():
            raise
        pytest.skip("its kernels call functions of mathematics, which come with ./dev build --cuda")


@pytest.mark.parametrize("name", ASSEMBLED)
def test_assembled_without_spills(name, tmp_path):
    need_assembler()
    with needs_mathematics():
        functions = measure(name, tmp_path)
    assert {function["arch"] for function in functions} == set(CHIPS.split(","))
    assert all(function["registers"] > 0 for function in functions)
    assert spills(functions) == read_table()[name]


@pytest.mark.parametrize("name", ASSEMBLED)
def test_one_to_four_stages(name, tmp_path):
    """Folders of every model, for devices alone; a condition of a model's own cannot be cut."""
    need_assembler()
    model, path = find(name)
    for stages in model.stages:
        folder = tmp_path / "made.penstock"
        with needs_mathematics():
            runner.penstock("compile", path, *model.flags, "--target", "cuda", "--arch", CHIPS, "--stages", stages, "-o", folder,
                            "--quiet", timeout_s=runner.COMPILE_TIMEOUT_S)
        plan = json.loads((folder / "plan.json").read_text())
        assert [stage["device"] for stage in plan["stages"]] == ["cuda"] * stages
        shutil.rmtree(folder)


def test_the_same_functions_for_any_number_of_stages(tmp_path):
    need_assembler()
    made = []
    for stages in (1, 2, 3, 4):
        folder = tmp_path / str(stages)
        dump = compile_to("kernels", "ocr-classifier-static", folder,
                          (*models.MODELS["ocr-classifier-static"].flags, "--target", "cuda", "--arch", "sm_90", "--stages", stages))
        made.append({row["function"] for row in json.loads(runner.penstock("inspect", "--json", dump))["functions"]})
    assert all(functions == made[0] for functions in made) and made[0]


@pytest.mark.parametrize("name", PLAYED)
def test_played_on_the_host(name, tmp_path):
    model, _ = find(name)
    shapes = [flag for shape in PLAYED[name] for flag in ("--shape", shape)]
    dump = compile_to("schedule", name, tmp_path, shapes or model.flags)
    done = subprocess.run([models.BUILD / "test/unit/gpu_play", dump, "1"], text=True, capture_output=True,
                          timeout=runner.COMPILE_TIMEOUT_S)
    assert done.returncode == 0, done.stdout + done.stderr
    kernels = int(done.stdout.splitlines()[-1].split()[0])
    assert kernels > 5 and done.stdout.splitlines()[-1] == f"{kernels} kernels, 0 wrong, 0 without code", done.stdout


if __name__ == "__main__":
    for each in sys.argv[1:] or ASSEMBLED:
        with tempfile.TemporaryDirectory() as scratch:
            for row in spills(measure(each, scratch)):
                print(each, *row, flush=True)
