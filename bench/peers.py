#!/usr/bin/env python3
"""Penstock, ONNX Runtime and OpenVINO on the same models in one run: milliseconds per inference, and rate of a stream.

usage: peers.py [--build FOLDER] [--seconds S] [--rounds N] [--write FILE.md] [--json FILE] [MODEL]...

One thread: median latency of one stage with one thread beside ONNX Runtime and OpenVINO with one. Stream: requests per
second of two stages of one thread each, cut by the measured times of their kernels (`penstock compile --profile`),
beside ONNX Runtime with two threads, two ONNX Runtime processes of one thread, and OpenVINO with two streams; and the
share that it reaches of what its slowest stage, measured alone and always busy, would allow. Engines take turns
(`--rounds` times), so that a change of the machine's speed meets them all; each figure is the best round. Models are those that tools/dev/export_models.py writes into FOLDER/models, at batch 1.
OpenVINO is left out, with a note, where it is not installed. A model or engine that fails is reported and the rest go on.
Exit status 1 when a figure of Penstock is missing. The figures are printed and never judged here.
"""
# Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
import datetime
import json
import math
import multiprocessing
import os
import pathlib
import platform
import subprocess
import sys
import tempfile
import time

import harness
import numpy as np
import onnxruntime as ort

try:
    import openvino
except ImportError:
    openvino = None

MODELS = ("resnet50", "mobilenet_v2", "vit_b_16", "bert_base", "gpt2", "llama_small")
SHARE = "penstock 2 stages, of limit"
DTYPES = {"tensor(float)": np.float32, "tensor(int64)": np.int64, "tensor(int32)": np.int32}


def random_feeds(session):
    """Ordinary numbers for every input: no denormals, token ids inside small vocabularies."""
    rng, feeds = np.random.default_rng(0), {}
    for tensor in session.get_inputs():
        shape = [extent if isinstance(extent, int) else 1 for extent in tensor.shape]
        dtype = DTYPES[tensor.type]
        if np.issubdtype(dtype, np.integer):
            feeds[tensor.name] = (np.ones(shape) if "mask" in tensor.name else rng.integers(0, 100, shape)).astype(dtype)
        else:
            feeds[tensor.name] = rng.standard_normal(shape).astype(dtype)
    return feeds


def ort_session(path, threads):
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def calls_per_second(call, seconds):
    call(), call()
    calls, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds or calls < 5:
        call()
        calls += 1
    return calls / (time.perf_counter() - start)


def median_ms(call, seconds):
    call(), call()
    samples, start = [], time.perf_counter()
    while time.perf_counter() - start < seconds or len(samples) < 5:
        begin = time.perf_counter()
        call()
        samples.append(time.perf_counter() - begin)
    return float(np.median(samples)) * 1e3


def ort_latency(path, threads, seconds):
    session = ort_session(path, threads)
    feeds = random_feeds(session)
    return median_ms(lambda: session.run(None, feeds), seconds)


def ort_rate(path, threads, seconds):
    session = ort_session(path, threads)
    feeds = random_feeds(session)
    return calls_per_second(lambda: session.run(None, feeds), seconds)


def _count_calls(path, core, seconds, barrier, queue):
    os.sched_setaffinity(0, {core})
    session = ort_session(path, 1)
    feeds = random_feeds(session)
    session.run(None, feeds)
    barrier.wait()
    queue.put(calls_per_second(lambda: session.run(None, feeds), seconds))


def ort_processes(path, num_processes, seconds):
    context = multiprocessing.get_context("spawn")
    barrier, queue = context.Barrier(num_processes), context.Queue()
    cores = sorted(os.sched_getaffinity(0))[:num_processes]
    workers = [context.Process(target=_count_calls, args=(path, core, seconds, barrier, queue)) for core in cores]
    for worker in workers:
        worker.start()
    total = sum(queue.get(timeout=600) for _ in workers)
    for worker in workers:
        worker.join()
    return total


def openvino_model(path, threads, streams):
    core = openvino.Core()
    return core.compile_model(core.read_model(str(path)), "CPU", {
        "INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": streams, "INFERENCE_PRECISION_HINT": "f32"})


def openvino_latency(path, seconds):
    request = openvino_model(path, 1, 1).create_infer_request()
    feeds = random_feeds(ort_session(path, 1))
    return median_ms(lambda: request.infer(feeds), seconds)


def openvino_rate(path, streams, seconds):
    queue = openvino.AsyncInferQueue(openvino_model(path, streams, streams), 2 * streams)
    feeds = random_feeds(ort_session(path, 1))
    calls, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        queue.start_async(feeds)
        calls += 1
    queue.wait_all()
    return calls / (time.perf_counter() - start)


class Penstock:
    """Compiles each model once per number of stages and measures with `penstock bench`."""

    def __init__(self, build, scratch):
        self.tool, self.scratch, self.folders = build / "bin/penstock", pathlib.Path(scratch), {}
        self.shares = {}  # of the last stream of each model

    def call(self, *arguments):
        done = subprocess.run([str(self.tool), *map(str, arguments)], text=True, capture_output=True)
        if done.returncode != 0:
            raise RuntimeError((done.stderr.strip().splitlines() or ["no message"])[-1])
        return done.stdout

    def folder(self, path, num_stages):
        key = (path, num_stages)
        if key not in self.folders:
            target = self.scratch / f"{path.stem}-{num_stages}.penstock"
            timed = ["--profile"] if num_stages > 1 else []
            self.call("compile", path, "-o", target, "--stages", num_stages, "--threads", 1, *timed)
            self.folders[key] = target
        return self.folders[key]

    def bench(self, path, num_stages, seconds):
        return json.loads(self.call("bench", self.folder(path, num_stages), "--seconds", seconds, "--json"))

    def stream(self, path, seconds):
        figures = self.bench(path, 2, seconds)
        self.shares[path] = figures["throughput_per_second"] / figures["limit_per_second"]
        return figures["throughput_per_second"]


def engines(penstock):
    """column -> (is it a rate, function of (path, seconds)); in the order in which they take turns."""
    table = {
        "penstock 1 stage, ms": (False, lambda p, s: penstock.bench(p, 1, s)["latency_ms"]["p50"]),
        "onnxruntime 1 thread, ms": (False, lambda p, s: ort_latency(p, 1, s)),
        "penstock 2 stages, /s": (True, penstock.stream),
        SHARE: (True, lambda p, s: penstock.shares[p]),
        "onnxruntime 2 threads, /s": (True, lambda p, s: ort_rate(p, 2, s)),
        "onnxruntime 2 processes, /s": (True, lambda p, s: ort_processes(p, 2, s)),
    }
    if openvino:
        table["openvino 1 thread, ms"] = (False, lambda p, s: openvino_latency(p, s))
        table["openvino 2 streams, /s"] = (True, lambda p, s: openvino_rate(p, 2, s))
    return table


def measure(path, table, options):
    """{column: figure or None}; failures go to stderr."""
    row = dict.fromkeys(table)
    for _ in range(options.rounds):
        for column, (is_rate, engine) in table.items():
            try:
                figure = engine(path, options.seconds)
            except Exception as error:  # one engine's failure must not hide the others' figures
                print(f"{path.name}: {column}: {error}", file=sys.stderr)
                continue
            best = max if is_rate else min
            row[column] = figure if row[column] is None else best(row[column], figure)
    return row


def ratios(row):
    """(speed of one stage over ONNX Runtime's one thread, rate of two stages over its two threads); None where unknown."""
    one = row["onnxruntime 1 thread, ms"], row["penstock 1 stage, ms"]
    two = row["penstock 2 stages, /s"], row["onnxruntime 2 threads, /s"]
    return tuple(a / b if a and b else None for a, b in (one, two))


def geometric_mean(values):
    known = [value for value in values if value]
    return math.exp(sum(map(math.log, known)) / len(known)) if known else None


def show(figure):
    return "-" if figure is None else f"{figure:.3g}" if figure < 100 else f"{figure:.0f}"


def markdown(rows, columns):
    cpu = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), platform.machine())
    lines = [f"{cpu}, {len(os.sched_getaffinity(0))} cores, {datetime.date.today()}; ONNX Runtime {ort.__version__}"
             f"{', OpenVINO ' + openvino.__version__.split('-')[0] if openvino else ', OpenVINO not installed'}; f32, batch 1.", "",
             "| model | " + " | ".join(columns) + " | 1 stage : 1 thread | 2 stages : 2 threads |",
             "|---" * (len(columns) + 3) + "|"]
    for name, row in rows.items():
        lines.append("| " + " | ".join([name, *(show(row[c]) for c in columns), *map(show, ratios(row))]) + " |")
    means = [geometric_mean(values) for values in zip(*(ratios(row) for row in rows.values()))]
    lines.append("| geometric mean | " + " | ".join("" for _ in columns) + " | " + " | ".join(map(show, means)) + " |")
    return "\n".join(lines) + "\n"


def main():
    parser = harness.parser(__doc__)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--write", type=pathlib.Path)
    parser.add_argument("models", nargs="*", metavar="MODEL", help=f"default: {' '.join(MODELS)}")
    options = parser.parse_args()
    rows = {}
    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as scratch:
        table = engines(Penstock(options.build.resolve(), scratch))
        for name in options.models or MODELS:
            path = options.build.resolve() / "models" / f"{name}.onnx"
            if not path.exists():
                print(f"{name}: not exported; ./dev accept does it", file=sys.stderr)
                rows[name] = dict.fromkeys(table)
                continue
            rows[name] = measure(path, table, options)
    text = markdown(rows, list(table))
    print(text, end="")
    if options.write:
        options.write.write_text(f"# Benchmarks\n\nWritten by `bench/peers.py`.\n\n{text}")
    harness.keep(options, rows)
    complete = all(row[column] is not None for row in rows.values() for column in row if column.startswith("penstock"))
    return 0 if rows and complete else 1


if __name__ == "__main__":
    sys.exit(main())
