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
import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]


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


def measure(model, options, scratch):
    folder = pathlib.Path(scratch) / (model.stem + ".penstock")
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
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, default=pathlib.Path(os.environ.get("PENSTOCK_BUILD", ROOT / "build")))
    parser.add_argument("--stages", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=pathlib.Path)
    parser.add_argument("models", nargs="*", default=["bert_base"], metavar="MODEL")
    options = parser.parse_args()
    rows = {}
    print(f"{'model':24}  compile s  peak MiB  first result s  best s  latency ms")
    for name in options.models:
        path = pathlib.Path(name) if name.endswith(".onnx") else options.build / "models" / f"{name}.onnx"
        try:
            if not path.exists():
                raise RuntimeError(f"'{path}' is not there; ./dev accept exports the models")
            with tempfile.TemporaryDirectory(prefix="penstock-startup-") as scratch:
                row = rows[name] = measure(path, options, scratch)
        except (RuntimeError, subprocess.CalledProcessError) as error:
            print(f"error: {name}: {error}", file=sys.stderr)
            continue
        print(f"{path.stem:24}  {row['compile_s']:9.1f}  {row['compile_peak_mib']:8.0f}  {row['first_result_s']:14.2f}"
              f"  {row['first_result_best_s']:6.2f}  {row['latency_ms']:10.2f}", flush=True)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))
    return 0 if len(rows) == len(options.models) else 1


if __name__ == "__main__":
    sys.exit(main())
