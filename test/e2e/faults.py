"""Runs of a compiled folder in which something is made to fail, and what must be true of each of them afterwards."""
# Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
import os
import signal
import subprocess
import time

import numpy as np
import runner
import tiny
from processes import PATIENCE_S, processes_of, stages_of, wait_for

NUM_REQUESTS = 4
CAN_MOUNT = subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode == 0
MARK = "INCOMPLETE"
# Runs "$@" where /dev/shm is empty and nobody else's; exit status 99 if something is left there.
ALONE = 'mount -t tmpfs none /dev/shm && "$@"; status=$?; [ -z "$(ls -A /dev/shm)" ] || exit 99; exit $status'


def stage_process(folder, stage):
    """The id of a stage's process, once there is one."""
    name = f"stage-{stage}"
    number = wait_for(lambda: stages_of(folder).get(name))
    assert number, f"{name} did not start"
    return number


class Pipeline:
    """A folder of three stages, requests for it, and their results."""

    def __init__(self, work, num_stages=3):
        self.work, self.path = work, work / "tiny.penstock"
        runner.penstock("compile", tiny.save(tiny.perceptron(), work / "tiny.onnx"), "-o", self.path, "--stages", num_stages)
        self.inputs = []
        for k in range(NUM_REQUESTS):
            np.savez(work / f"{k}.npz", x=tiny.perceptron_input(1, seed=k))
            self.inputs += ["--inputs", work / f"{k}.npz"]
        runner.penstock("run", self.path, *self.inputs, "--output-dir", work / "expected")

    def start(self, *arguments, before=(), **options):
        command = [*before, self.path / "launch", *arguments]
        return subprocess.Popen([str(word) for word in command], text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, **options)

    def run(self, out, *arguments, **options):
        """One run of all requests; its exit status, what it printed as an error, and seconds."""
        alone = ["unshare", "--mount", "sh", "-c", ALONE, "sh"] if CAN_MOUNT else []
        begin = time.monotonic()
        process = self.start(*self.inputs, "--output-dir", out, *arguments, before=alone, **options)
        _, errors = process.communicate(timeout=PATIENCE_S)
        return process.returncode, errors, time.monotonic() - begin

    def check_failed(self, status, errors, expected=1):
        """The run has failed as it should: status, one line, no process, nothing in /dev/shm."""
        assert status != 99, "something is left in /dev/shm"
        assert status == expected, f"exit status {status}: {errors}"
        assert errors.startswith("error: ") and errors.count("\n") == 1, errors
        assert wait_for(lambda: not processes_of(self.path)), f"left behind: {processes_of(self.path)}"

    def check_results(self, out):
        """What is there is whole and right; what is not all there is marked. Returns the number of requests that are."""
        there = [k for k in range(NUM_REQUESTS) if (out / str(k) / "y.npy").exists()]
        for k in there:
            assert (out / str(k) / "y.npy").read_bytes() == (self.work / "expected" / str(k) / "y.npy").read_bytes()
        assert there == list(range(len(there)))
        files = sorted(str(file.relative_to(out)) for file in out.rglob("*") if file.is_file()) if out.exists() else []
        marks = [MARK] if there else []
        assert files == sorted([*(f"{k}/y.npy" for k in there), *marks]), files
        assert there or not out.exists()
        return len(there)

    def mark_of(self, out):
        return (out / MARK).read_text()


def send(number, how):
    os.kill(number, getattr(signal, how))
