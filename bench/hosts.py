#!/usr/bin/env python3
"""What a slow link between two hosts costs a pipeline whose channels have slots enough.

usage: hosts.py [--build FOLDER] [--delay-ms D] [--repeat N] [--json FILE]

Two network namespaces of this machine are the hosts (needs root), TCP between them is the link. Each message takes 5 ms to make
(a sleep), so that nothing but the link can make a difference. Both kinds of ranks are measured, N times in turn, without
and with a delay of D ms each way, and the best of each is shown: requests per second, and how many of them the delay
costs. The figures are printed and never judged here. Exit status 1 when a measurement fails.
"""
# Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import harness

sys.path.insert(0, str(harness.ROOT / "test/e2e"))
import hosts        # noqa: E402
import launchers    # noqa: E402

STAGES = 3
REQUESTS = 300


def rate(both, launcher, folder):
    """Requests per second, with the first stage on one host and the others on the other one."""
    command = [folder / "launch", "--random", "--repeat", REQUESTS, "--json"]
    for stage in range(STAGES):
        command += ["--fault", f"{stage}:publish:*:delay=5"]
    if launcher == "mpi":
        started = both.mpirun(1, STAGES - 1, *command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        printed, errors = started.communicate(timeout=300)
        if started.returncode != 0:
            sys.exit(f"error: {errors.strip()}")
        return json.loads(printed)["throughput_per_second"]
    with both.ranks(command, 1, STAGES - 1) as started:
        ended = launchers.outcome(started, timeout=300)
    if any(status != 0 for status, _, _ in ended.values()):
        sys.exit(f"error: {ended}")
    return json.loads(ended[STAGES - 1][1])["throughput_per_second"]


def main():
    parser = harness.parser(__doc__)
    parser.add_argument("--delay-ms", type=float, default=1)
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    if why := hosts.reason_to_skip():
        sys.exit(f"error: {why}")
    os.environ["PENSTOCK_BUILD"] = str(options.build)
    import tiny_folder
    rows = {}
    with tempfile.TemporaryDirectory(prefix="penstock-hosts-") as scratch:
        work = pathlib.Path(scratch)
        folder = tiny_folder.compiled(work, STAGES)
        for delay in (0, options.delay_ms) * options.repeat:
            with hosts.TwoHosts(work, delay_ms=delay) as both:
                for launcher in ("mpi", "tcp"):
                    row = rows.setdefault(launcher, {"per_second": 0.0, "delayed_per_second": 0.0})
                    name = "delayed_per_second" if delay else "per_second"
                    row[name] = max(row[name], rate(both, launcher, folder))
    for launcher, row in rows.items():
        row["loss_percent"] = 100 * (1 - row["delayed_per_second"] / row["per_second"])
        print(f"{launcher}: {row['per_second']:.1f} requests per second, {row['delayed_per_second']:.1f} with {options.delay_ms:g} ms "
              f"each way: {row['loss_percent']:.1f} % lost")
    harness.keep(options, rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
