#!/usr/bin/env python3
"""What a model costs before it runs: seconds and memory of its compilation, and seconds from start to the first result.

usage: startup.py [--build FOLDER] [--stages N] [--rounds N] [--json FILE] [MODEL]...

compile: wall time of `penstock compile --no-cache` and the most memory that its process held. first result: wall time of `launch`
with one request of random values, from the start of its process to its end, which includes starting the stages, checking
their weights, one inference, collecting the outputs and ending; the first time after the folder was written, and the best
of --rounds more. latency: milliseconds of one request once the stages run, for comparison. Models
are files, or names of those that tools/dev/export_models.py writes into FOLDER/models (bert_base if none is given). The
figures are printed and never judged here. Exit status 1 when one is missing.
"""
# Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
import json
import os
import subprocess
import sys
import time

import harness


def measured(command):
    """Seconds, and MiB at the peak, of a command."""
    begin = time.perf_counter()
    process = subprocess.Popen([str(word) for word in command], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    message = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - begin
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise RuntimeError(message.strip().splitlines()[-1] if message.strip() else f"exit status {process.returncode}")
    return seconds, usage.ru_maxrss / 1024


def measure(options, model, scratch):
    folder = scratch / (model.stem + ".penstock")
    compile_s, peak_mib = measured([options.build / "bin/penstock", "compile", model, "-o", folder, "--quiet",
                                    "--stages", options.stages, "--no-cache"])
    run = [folder / "launch", "--random", "--quiet"]
    first = measured(run)[0]
    best = min(measured(run)[0] for _ in range(options.rounds))
    done = subprocess.run([options.build / "bin/penstock", "bench", folder, "--seconds", "2", "--json"],
                          text=True, capture_output=True, check=True)
    return {"compile_s": compile_s, "compile_peak_mib": peak_mib, "first_result_s": first, "first_result_best_s": best,
            "latency_ms": json.loads(done.stdout)["latency_ms"]["p50"]}


def main():
    parser = harness.parser(__doc__)
    parser.add_argument("--stages", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("models", nargs="*", default=["bert_base"], metavar="MODEL")
    return harness.measure_models(parser.parse_args(), measure,
                                  f"{'model':24}  compile s  peak MiB  first result s  best s  latency ms",
                                  "{model:24}  {compile_s:9.1f}  {compile_peak_mib:8.0f}"
                                  "  {first_result_s:14.2f}  {first_result_best_s:6.2f}  {latency_ms:10.2f}")


if __name__ == "__main__":
    sys.exit(main())
