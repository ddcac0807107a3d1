"""A compilation after another one takes its kernels from the cache: another cut builds none, the folder has the same bytes
with and without a cache, and compilations at the same time do not disturb each other."""
# Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
import json
import subprocess
import time

import models
import pytest
import runner
import tiny

# Convolutions and free shapes, recurrences with a state, branches, and a network with computed weights.
NAMES = ("ocr-classifier", "ocr-recognizer-static", "voice-if-bound", "voice-plain", "light-shufflenet")


def compiled(model, path, *flags):
    """What `compile` says of its kernels."""
    printed = runner.penstock("compile", model.path(), "-o", path, "--json", *model.flags, *flags,
                              timeout_s=runner.COMPILE_TIMEOUT_S)
    return json.loads(printed)["kernels"]


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def differing(left, right):
    left, right = contents(left), contents(right)
    return sorted(str(name) for name in left.keys() | right.keys() if left.get(name) != right.get(name))


@pytest.mark.parametrize("name", NAMES)
def test_recut_builds_no_kernel(name, tmp_path):
    model, cache = models.MODELS[name], ("--cache-dir", tmp_path / "cache")
    try:
        model.path()
    except models.NotHere as error:
        pytest.skip(str(error))
    cold = compiled(model, tmp_path / "cold", "--stages", 1, *cache)
    assert cold["built"] > 0 and cold["reused"] == 0, cold
    for stages in (1, max(model.stages)):
        warm = compiled(model, tmp_path / "warm", "--stages", stages, "--all-in-one", *cache)
        assert warm["built"] == 0 and warm["reused"] >= cold["built"], warm
        plain = compiled(model, tmp_path / "plain", "--stages", stages, "--all-in-one", "--no-cache")
        assert plain["reused"] == 0 and plain["built"] == warm["reused"], plain
        assert differing(tmp_path / "warm", tmp_path / "plain") == []


def test_recut_while_others_compile(tmp_path):
    """Several compilations share an empty cache at once, some are killed on the way: all that end give the same folder, and
    what they leave serves the next one."""
    model, cache = tiny.save(tiny.perceptron(8), tmp_path / "tiny.onnx"), tmp_path / "cache"
    tool = str(models.BUILD / "bin/penstock")

    def start(k):
        command = [tool, "compile", model, "--stages", "2", "-o", tmp_path / f"out{k}", "--quiet", "--cache-dir", cache]
        return subprocess.Popen(list(map(str, command)), stderr=subprocess.PIPE, text=True)

    runner.penstock("compile", model, "--stages", 2, "-o", tmp_path / "plain", "--quiet", "--no-cache")
    killed = []
    for delay in (0.1, 0.2, 0.3, 0.5):
        killed.append(start("-killed"))
        time.sleep(delay)
        killed[-1].kill()
    running = [start(k) for k in range(6)]
    for process in killed:
        process.communicate(timeout=60)
    for k, process in enumerate(running):
        _, message = process.communicate(timeout=300)
        assert process.returncode == 0, message
        assert differing(tmp_path / "plain", tmp_path / f"out{k}") == []
    last = json.loads(runner.penstock("compile", model, "--stages", 3, "-o", tmp_path / "last", "--json", "--cache-dir", cache))
    assert last["kernels"]["built"] == 0 and last["kernels"]["damaged"] == 0, last["kernels"]
