"""Stages on two hosts, over TCP: the bits of one host, a link that is cut, a link that is slow."""
# Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
import json
import os
import pathlib
import re
import subprocess
import time

import hosts
import numpy as np
import pytest
import runner
import tiny

REASON = hosts.reason_to_skip()
pytestmark = pytest.mark.skipif(REASON is not None, reason=REASON or "")
TIMEOUT_S = 6


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    work = tmp_path_factory.mktemp("hosts")
    runner.penstock("compile", tiny.save(tiny.perceptron(6), work / "tiny.onnx"), "-o", work / "tiny.penstock", "--stages", 3)
    return work / "tiny.penstock"


@pytest.fixture
def both(tmp_path):
    with hosts.TwoHosts(tmp_path) as made:
        yield made


def running(folder):
    """The stages of the folder that run, by name."""
    found = set()
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            target = os.readlink(process / "exe")
        except OSError:
            continue
        if target.startswith(f"{folder}/"):
            found.add(pathlib.Path(target).name)
    return found


def wait_for(condition, seconds):
    until = time.monotonic() + seconds
    while not condition() and time.monotonic() < until:
        time.sleep(0.02)
    return condition()


def test_same_bits(folder, both, tmp_path):
    np.save(tmp_path / "x.npy", tiny.perceptron_input(7))
    arguments = ["--input", f"x={tmp_path / 'x.npy'}", "--output-dir"]
    runner.penstock("run", folder, *arguments, tmp_path / "local")
    started = both.mpirun(1, 2, folder / "launch", *arguments, tmp_path / "hosts", stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE)
    _, errors = started.communicate(timeout=60)
    assert started.returncode == 0, errors
    assert (tmp_path / "hosts/y.npy").read_bytes() == (tmp_path / "local/y.npy").read_bytes()


def test_cut_link(folder, both, tmp_path):
    """Silence ends the run on both sides within the deadline; the rank that can still be heard says what it waited for."""
    stages = {"stage-0", "stage-1", "stage-2"}
    with open(tmp_path / "errors.txt", "w+") as errors:
        started = both.mpirun(1, 2, folder / "launch", "--random", "--repeat", 10 ** 9, "--timeout", TIMEOUT_S, "--quiet",
                              stdout=subprocess.DEVNULL, stderr=errors)
        try:
            assert wait_for(lambda: stages <= running(folder), 20)
            time.sleep(5)     # let it get going, on a busy machine too
            assert stages <= running(folder)
            both.cut()
            # A second for what comes after the deadline, and more for a machine that is busy with other tests.
            assert wait_for(lambda: not running(folder), TIMEOUT_S + 10), running(folder)
            errors.seek(0)
            lines = [line for line in errors.read().splitlines() if line.startswith("error: ")]
        finally:
            started.kill()
            started.wait()
    assert len(lines) == 1 and lines[0].startswith("error: stage 0, microbatch "), lines
    assert re.search(rf"waited {TIMEOUT_S}\S* s for '.*' .* stage [12], and heard nothing of it for", lines[0]), lines
    assert "(last done: " in lines[0], lines


def throughput(both, folder):
    """Requests per second with a first stage that takes 5 ms for each."""
    started = both.mpirun(1, 2, folder / "launch", "--random", "--repeat", 200, "--fault", "0:publish:*:delay=5", "--json",
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    printed, errors = started.communicate(timeout=120)
    assert started.returncode == 0, errors
    return json.loads(printed)["throughput_per_second"]


def test_slow_link(folder, both):
    """A millisecond of delay is hidden by the slots; how well, is printed and not judged."""
    if why := both.delay(0):
        pytest.skip(why)
    before = throughput(both, folder)
    both.delay(1)
    print(f"{before:.0f} requests per second, {throughput(both, folder):.0f} with a delay of 1 ms")
