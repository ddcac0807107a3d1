#!/usr/bin/env python3
"""What a message costs over shared memory: microseconds one way between two processes, and bytes copied.

usage: transport.py [--build FOLDER] [--count N] [--spin-ns NS] [--json FILE]

Prints a line per size, small to large: median and 99th percentile of one way, and the bytes that the transport copied
(none, whatever the size). Where there are two cores, each process has its own and spins for a while before it sleeps, as
stages do; --spin-ns 0 shows what sleeping at once costs. The figures are printed and never judged here. Exit status 1
when a measurement fails.
"""
# Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
import json
import os
import subprocess
import sys

import harness

SIZES = (64, 4096, 1 << 20, 64 << 20)


def main():
    parser = harness.parser(__doc__)
    parser.add_argument("--count", type=int, default=20000, help="messages of each size")
    parser.add_argument("--spin-ns", type=int, default=20000, help="spin this long before sleeping")
    options = parser.parse_args()
    rows = {}
    spin_ns = options.spin_ns if len(os.sched_getaffinity(0)) >= 2 else 0
    print(f"{'bytes':>10}  {'p50 us':>8}  {'p99 us':>8}  {'copied':>8}   {'spinning' if spin_ns else 'sleeping at once'}")
    for size in SIZES:
        done = subprocess.run([options.build / "bench/ShmLatency", str(size), str(options.count), str(spin_ns)],
                              text=True, capture_output=True)
        if done.returncode != 0:
            print(f"error: {size} bytes: {done.stderr.strip() or done.returncode}", file=sys.stderr)
            return 1
        figures = rows[size] = json.loads(done.stdout)
        print(f"{size:10}  {figures['p50_us']:8.2f}  {figures['p99_us']:8.2f}  {figures['bytes_copied']:8}")
    harness.keep(options, rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
