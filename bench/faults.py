#!/usr/bin/env python3
"""How long a run of four stages lives after a fault, and how long it takes to its first result.

usage: faults.py [--build FOLDER] [--model MODEL] [--timeout S] [--rounds N] [--json FILE]

kill, stop: SIGKILL or SIGSTOP to each stage in turn while requests go through, N times; the longest time from the signal to
the end of `launch`, and how much of it lies after the deadline (a stopped stage is noticed by --timeout, a killed one at
once). start: wall time of `launch` with one request of random values, from the start of its process to its end, the best of
N. The model is a file, or the name of one that tools/dev/export_models.py writes into FOLDER/models. The figures are printed
and never judged here. Exit status 1 when a run does not end with status 1 and one line that names the stage.
"""
# Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

import harness

NUM_STAGES = 4


def stage_processes(launcher):
    """{name of the executable: id} of the launcher's children."""
    found = {}
    for task in pathlib.Path(f"/proc/{launcher}/task").iterdir():
        for number in (task / "children").read_text().split():
            try:
                found[pathlib.Path(os.readlink(f"/proc/{number}/exe")).name] = int(number)
            except OSError:
                pass    # it has ended meanwhile
    return found


def seconds_to_exit(folder, stage, how, timeout_s):
    process = subprocess.Popen([folder / "launch", "--random", "--repeat", str(10 ** 9), "--quiet", "--timeout", str(timeout_s)],
                               text=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        name, until = f"stage-{stage}", time.monotonic() + 60
        while name not in stage_processes(process.pid) and time.monotonic() < until:
            time.sleep(0.01)
        time.sleep(1)    # requests go through by now
        begin = time.monotonic()
        os.kill(stage_processes(process.pid)[name], how)
        errors = process.communicate(timeout=60 + timeout_s)[1]
        seconds = time.monotonic() - begin
    finally:
        process.kill()
        process.wait()
    if process.returncode != 1 or errors.count("\n") != 1 or f"stage {stage}" not in errors:
        sys.exit(f"error: {how.name} of stage {stage}: exit status {process.returncode}: {errors}")
    return seconds


def first_result_s(folder):
    begin = time.monotonic()
    subprocess.run([folder / "launch", "--random", "--quiet"], check=True)
    return time.monotonic() - begin


def main():
    parser = harness.parser(__doc__)
    parser.add_argument("--model", default="resnet50")
    parser.add_argument("--timeout", type=float, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    try:
        model = harness.model_path(options, options.model)
    except RuntimeError as error:
        sys.exit(f"error: {error}")
    rows = {}
    with tempfile.TemporaryDirectory(prefix="penstock-faults-") as scratch:
        folder = pathlib.Path(scratch) / "model.penstock"
        subprocess.run([options.build / "bin/penstock", "compile", model, "-o", folder, "--quiet", "--stages", str(NUM_STAGES)],
                       check=True)
        for name, how, deadline_s in (("kill", signal.SIGKILL, 0), ("stop", signal.SIGSTOP, options.timeout)):
            worst = max(seconds_to_exit(folder, stage, how, options.timeout)
                        for stage in range(NUM_STAGES) for _ in range(options.rounds))
            rows[name] = {"exit_s": worst, "after_deadline_s": worst - deadline_s}
            print(f"{name}: {worst:.2f} s to the exit, {worst - deadline_s:.2f} s after the deadline", flush=True)
        rows["start"] = {"first_result_s": min(first_result_s(folder) for _ in range(options.rounds))}
        print(f"start: {rows['start']['first_result_s']:.2f} s from the start of {NUM_STAGES} stages to the first result")
    harness.keep(options, rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
