#!/usr/bin/env python3
"""What a message costs between two ranks of MPI, beside MPI's own calls.

usage: ranks.py [--build FOLDER] [--repeat N] [--depth D] [--mpirun ARGUMENTS] [--json FILE]

Prints a line per size: the median of one way, to and fro, by MPI_Isend and MPI_Recv and over a channel, and by how much
the latter is more than 1.1 of the former; then messages and gigabytes per second one way, with D of them under way. Both
are run in turn, N times, and the best of each is shown. The figures are printed and never judged here. Exit status 1 when
a measurement fails.
"""
# Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
import json
import os
import shlex
import subprocess
import sys

import harness

SIZES = {64: 20000, 4096: 20000, 1 << 16: 5000, 1 << 20: 1000, 16 << 20: 60}
ENVIRONMENT = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")


def measure(options, how, what, size, count):
    command = ["mpirun", "-n", "2", *shlex.split(options.mpirun), options.build / "bench/MpiLatency", how, what, str(size),
               str(count), str(options.depth)]
    done = subprocess.run(command, text=True, capture_output=True, env=ENVIRONMENT)
    if done.returncode != 0:
        sys.exit(f"error: {how} {what} of {size} bytes: {done.stderr.strip() or done.returncode}")
    return json.loads(done.stdout)


def main():
    parser = harness.parser(__doc__)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--depth", type=int, default=4, help="slots of a channel, and MPI sends under way")
    parser.add_argument("--mpirun", default="", help="arguments for mpirun, as '--mca btl tcp,self'")
    options = parser.parse_args()
    rows = {}
    print(f"{'bytes':>10} | {'MPI us':>8} {'channel us':>10} {'excess us':>9} | {'MPI msg/s':>10} {'channel msg/s':>13} | "
          f"{'MPI GB/s':>8} {'channel GB/s':>12}")
    for size, count in SIZES.items():
        row = rows[size] = {}
        for how in ("raw", "penstock") * options.repeat:
            way = measure(options, how, "pingpong", size, count)["p50_us"]
            flow = measure(options, how, "stream", size, count)
            best = row.setdefault(how, {"p50_us": way, **flow})
            best["p50_us"] = min(best["p50_us"], way)
            for name in ("messages_per_second", "gigabytes_per_second"):
                best[name] = max(best[name], flow[name])
        raw, own = row["raw"], row["penstock"]
        row["excess_us"] = own["p50_us"] - 1.1 * raw["p50_us"]
        print(f"{size:10} | {raw['p50_us']:8.2f} {own['p50_us']:10.2f} {row['excess_us']:9.2f} | {raw['messages_per_second']:10.0f} "
              f"{own['messages_per_second']:13.0f} | {raw['gigabytes_per_second']:8.2f} {own['gigabytes_per_second']:12.2f}")
    harness.keep(options, rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
