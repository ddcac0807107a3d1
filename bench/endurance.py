#!/usr/bin/env python3
"""Many small requests through four stages at a steady rate: is every result right, and does anything grow?

usage: endurance.py [--build FOLDER] [--requests N] [--seconds S] [--window S] [--json FILE] [--write FILE.md]

A small model runs in a session of four stages, which gets N requests evenly over S seconds (1,000,000 in an hour unless told
otherwise). Each result is compared, bit for bit, with that of one stage for the same input. For every window (a minute, or a
twentieth of a shorter run) a line tells the requests, the resident memory and descriptors of this process and of the four
stages, and the median and 99th percentile of the latency. In the end the first third of the windows, without the first tenth,
is held against the last third: how much the medians have grown. The figures are printed and never judged here. Exit status 1
when a result is wrong or missing.
"""
# Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
import dataclasses
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import threading
import time

import harness
import numpy as np

NUM_STAGES, NUM_INPUTS, MAX_IN_FLIGHT = 4, 64, 256
PAGE_MIB = os.sysconf("SC_PAGE_SIZE") / 2 ** 20
HEADINGS = {"seconds": "s", "requests": "requests", "host_mib": "host MiB", "stages_mib": "stages MiB",
            "descriptors": "descriptors", "p50_ms": "p50 ms", "p99_ms": "p99 ms"}


@dataclasses.dataclass
class Counts:
    """What has come back; the callbacks of the session's thread write it, under the lock."""
    right: int = 0
    wrong: int = 0
    failed: str = ""
    latencies_ms: list = dataclasses.field(default_factory=list)
    lock: threading.Lock = dataclasses.field(default_factory=threading.Lock)

    def add(self, future, expected, begin):
        elapsed = time.perf_counter() - begin
        error = future.exception()
        same = not error and future.result()[0].tobytes() == expected
        with self.lock:
            self.right += same
            self.wrong += not same
            self.failed = self.failed or (str(error) if error else "")
            self.latencies_ms.append(elapsed * 1e3)

    def take_latencies(self):
        with self.lock:
            taken, self.latencies_ms = self.latencies_ms, []
        return taken


def resident_mib(process):
    return int(pathlib.Path(f"/proc/{process}/statm").read_text().split()[1]) * PAGE_MIB


def num_descriptors(process):
    return len(os.listdir(f"/proc/{process}/fd"))


def sample(session, counts, begin):
    """One line of the table."""
    stages = [figures["pid"] for figures in session.stage_figures()]
    latencies = counts.take_latencies() or [float("nan")]
    return {"seconds": time.monotonic() - begin, "requests": counts.right + counts.wrong,
            "host_mib": resident_mib("self"), "stages_mib": sum(map(resident_mib, stages)),
            "descriptors": num_descriptors("self") + sum(map(num_descriptors, stages)),
            "p50_ms": float(np.percentile(latencies, 50)), "p99_ms": float(np.percentile(latencies, 99))}


def line_of(row):
    return [f"{row[name]:.0f}" if name in ("seconds", "requests", "descriptors") else f"{row[name]:.2f}" for name in HEADINGS]


class Sampler(threading.Thread):
    """Samples once per window until it is told to stop."""

    def __init__(self, session, counts, window_s):
        super().__init__(daemon=True)
        self.session, self.counts, self.window_s = session, counts, window_s
        self.rows, self.over = [], threading.Event()

    def run(self):
        begin = time.monotonic()
        while not self.over.wait(begin + (len(self.rows) + 1) * self.window_s - time.monotonic()):
            self.rows.append(sample(self.session, self.counts, begin))
            print(" ".join(f"{text:>12}" for text in line_of(self.rows[-1])), flush=True)


def feed(session, inputs, expected, counts, options):
    """Submits each request when it is due; a pipeline that cannot keep up is waited for."""
    places = threading.Semaphore(MAX_IN_FLIGHT)
    begin = time.perf_counter()

    def done(future, index, start):
        counts.add(future, expected[index], start)
        places.release()

    for number in range(options.requests):
        index = number % len(inputs)
        wait = begin + number * options.seconds / options.requests - time.perf_counter()
        if wait > 0:
            time.sleep(wait)
        places.acquire()
        start = time.perf_counter()
        future = session.submit(None, {"x": inputs[index]})
        future.add_done_callback(lambda future, index=index, start=start: done(future, index, start))
        if counts.failed:
            return
    for _ in range(MAX_IN_FLIGHT):    # all have come back
        places.acquire()


def growth(rows):
    """How much the medians of the last third are above those of the first, without the first tenth."""
    rows = rows[len(rows) // 10:]
    third = max(1, len(rows) // 3)
    middle = lambda part, name: statistics.median(row[name] for row in part)
    change = {name: middle(rows[-third:], name) - middle(rows[:third], name)
              for name in ("host_mib", "stages_mib", "descriptors")}
    return {**{f"{name}_growth": value for name, value in change.items()},
            "p99_ratio": middle(rows[-third:], "p99_ms") / middle(rows[:third], "p99_ms")}


def run(penstock, scratch, options):
    import tiny
    model = tiny.save(tiny.perceptron(), scratch / "tiny.onnx")
    inputs = [tiny.perceptron_input(1, seed=k) for k in range(NUM_INPUTS)]
    for stages in (1, NUM_STAGES):
        subprocess.run([options.build / "bin/penstock", "compile", model, "-o", scratch / f"{stages}.penstock", "--quiet",
                        "--stages", str(stages)], check=True)
    with penstock.Session(scratch / "1.penstock") as single:
        expected = [single.run(None, {"x": x})[0].tobytes() for x in inputs]
    counts = Counts()
    sampler, begin = None, time.monotonic()
    try:
        with penstock.Session(scratch / f"{NUM_STAGES}.penstock") as session:
            sampler = Sampler(session, counts, options.window or min(60, options.seconds / 20))
            sampler.start()
            begin = time.monotonic()
            feed(session, inputs, expected, counts, options)
            sampler.over.set()
            sampler.join()
    except penstock.Error as error:    # the lines until then are worth the most
        counts.failed = counts.failed or str(error)
    seconds = time.monotonic() - begin
    rows = sampler.rows if sampler else []
    num_back = counts.right + counts.wrong
    summary = {"requests": num_back, "wrong": counts.wrong, "missing": options.requests - num_back,
               "run_seconds": seconds, **(growth(rows) if rows else {})}
    return counts, rows, summary


def table(rows, summary):
    lines = ["| " + " | ".join(HEADINGS.values()) + " |", "|" + "---:|" * len(HEADINGS)]
    lines += ["| " + " | ".join(line_of(row)) + " |" for row in rows]
    return "\n".join([*lines, "", ", ".join(f"{name} {value:.6g}" for name, value in summary.items()), ""])


def main():
    parser = harness.parser(__doc__)
    parser.add_argument("--requests", type=int, default=1000000)
    parser.add_argument("--seconds", type=float, default=3600)
    parser.add_argument("--window", type=float, help="seconds")
    parser.add_argument("--write", type=pathlib.Path, metavar="FILE.md", help="the lines as a table")
    options = parser.parse_args()
    sys.path[:0] = [str(options.build / "python"), str(harness.ROOT / "python"), str(harness.ROOT / "test/e2e")]
    import penstock
    print(" ".join(f"{text:>12}" for text in HEADINGS.values()))
    with tempfile.TemporaryDirectory(prefix="penstock-endurance-") as scratch:
        counts, rows, summary = run(penstock, pathlib.Path(scratch), options)
    print(", ".join(f"{name} {value:.6g}" for name, value in summary.items()))
    harness.keep(options, {"run": summary, "windows": rows})
    if options.write:
        options.write.write_text(table(rows, summary))
    if counts.failed:
        print(f"error: {counts.failed}", file=sys.stderr)
    return 0 if summary["wrong"] == summary["missing"] == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
