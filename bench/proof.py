#!/usr/bin/env python3
"""What the proof over all programs costs that `penstock compile` and `launch` run: milliseconds by number of stages.

usage: proof.py [--build FOLDER] [--json FILE]

A row per number of stages, each with 32 kernels and with skip connections: every stage a process of its own, or several
in one. The time is that of the processor: the proof has one thread and waits for nothing. The figures are printed and
never judged here. Exit status 1 when a measurement fails.
"""
# Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
import json
import re
import subprocess
import sys

import harness


def main():
    parser = harness.parser(__doc__)
    options = parser.parse_args()
    done = subprocess.run([options.build / "bench/ProofTime", "--benchmark_format=json"], text=True, capture_output=True)
    if done.returncode != 0:
        print(f"error: {done.stderr.strip() or done.returncode}", file=sys.stderr)
        return 1
    rows = {}
    print(f"{'stages':>6}  {'per process':>11}  {'proof ms':>9}")
    for found in json.loads(done.stdout)["benchmarks"]:
        if found.get("error_occurred"):
            print(f"error: {found['name']}: {found['error_message']}", file=sys.stderr)
            return 1
        stages, per_role = map(int, re.search(r"stages:(\d+)/per_role:(\d+)", found["name"]).groups())
        rows[str(stages) if per_role == 1 else f"{stages} in {stages // per_role}"] = {"proof_ms": found["cpu_time"]}
        print(f"{stages:6}  {per_role:11}  {found['cpu_time']:9.3f}")
    harness.keep(options, rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
