#!/usr/bin/env python3
"""What it costs to compile a model again with another cut, beside compiling it for the first time.

usage: recut.py [--build FOLDER] [--stages N] [--rounds N] [--json FILE] [MODEL]...

cold: wall time of `penstock compile` with an empty cache of kernels. recut: the same with the kernels in the cache and one
boundary moved to a neighbouring tensor, each of --rounds another one; the best of them, how many kernels they built in all,
and the bytes that each folder has. Models are files, or names of those that tools/dev/export_models.py writes into
FOLDER/models (bert_base if none is given). The figures are printed and never judged here. Exit status 1 when one is missing.
"""
# Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
import json
import shutil
import subprocess
import sys
import time

import harness


def run(*command):
    done = subprocess.run([str(word) for word in command], text=True, capture_output=True)
    if done.returncode != 0:
        raise RuntimeError((done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1])
    return done.stdout


def compiled(options, model, folder, cache, *flags):
    """Seconds, and what it says of its kernels. The folder is a new one: removing the old one is not counted."""
    shutil.rmtree(folder, ignore_errors=True)
    begin = time.perf_counter()
    printed = run(options.build / "bin/penstock", "compile", model, "-o", folder, "--json", "--cache-dir", cache, *flags)
    return time.perf_counter() - begin, json.loads(printed)["kernels"]


def boundaries(folder):
    """The last kernel of each stage but the last, and the kernels that follow the first of these."""
    stages = json.loads((folder / "plan.json").read_text())["stages"]
    names = [[kernel["name"] for kernel in stage["kernels"]] for stage in stages]
    return [stage[-1] for stage in names[:-1]], names[1]


def measure(options, model, scratch):
    folder, cache = scratch / "out", scratch / "cache"
    cold_s, cold = compiled(options, model, folder, cache, "--stages", options.stages)
    cuts, candidates = boundaries(folder)
    seconds, built = [], 0
    for moved in candidates:
        flags = [word for cut in (moved, *cuts[1:]) for word in ("--cut", cut)]
        try:
            took, kernels = compiled(options, model, folder, cache, *flags)
        except RuntimeError:
            continue    # no boundary lies at every tensor
        seconds.append(took)
        built += kernels["built"]
        if len(seconds) == options.rounds:
            break
    if not seconds:
        raise RuntimeError("no boundary could be moved")
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return {"cold_s": cold_s, "cold_built": cold["built"], "recut_s": min(seconds), "recut_built": built,
            "recuts": len(seconds), "folder_mib": size / 2**20}


def main():
    parser = harness.parser(__doc__)
    parser.add_argument("--stages", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("models", nargs="*", default=["bert_base"], metavar="MODEL")
    return harness.measure_models(parser.parse_args(), measure,
                                  f"{'model':28}  cold s  kernels built  recut s  kernels built  folder MiB",
                                  "{model:28}  {cold_s:6.2f}  {cold_built:13}  {recut_s:7.2f}"
                                  "  {recut_built:13}  {folder_mib:10.0f}")


if __name__ == "__main__":
    sys.exit(main())
