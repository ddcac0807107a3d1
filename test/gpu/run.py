#!/usr/bin/env python3
"""Run what ./dev gpu has packed on a machine with GPUs: every kernel's cases, whole models, the same bits whatever the cut,
and with --requests how long each takes, what GPUs do in that time, and how fast single kernels are.

usage: run.py [--only PATTERN] [--sanitize] [--json FILE] [--requests N] [PACK.tar.xz]

Needs python3 with numpy and NVIDIA's driver; cuBLASLt, cuDNN and NCCL are taken from LD_LIBRARY_PATH, else from the CUDA
toolkit or Python's nvidia packages, where they are there. Large weights are made here from seeds; their checksums are
compared with the packed ones when a stage starts. Prints a line per folder and last `N passed, N failed, N skipped`; exit
status 1 if anything failed. Without a GPU it prints `skipped: no GPU` and ends with 0.
"""
# Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
import argparse
import concurrent.futures
import fnmatch
import glob
import json
import os
import pathlib
import re
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import time

import numpy as np

import timeline

RUN_TIMEOUT_S = 120
# Outputs with more elements are compared at every n-th of them.
MAX_COMPARED = 1 << 16
# Requests in which code is loaded and graphs are made; they are not measured.
NUM_FIRST = 10
# Lines of a failure that are shown.
MAX_WORDS = 5


def uniform(seed, count, mean, deviation, dtype):
    """`count` numbers of a mean and a standard deviation: the same bits with every NumPy, for PCG64's raw output is fixed."""
    raw = np.random.PCG64(seed).random_raw((count + 1) // 2).view(np.uint32)[:count]
    unit = (raw >> np.uint32(8)).astype(np.float32) * np.float32(2.0 ** -24) - np.float32(0.5)
    values = unit * np.float32(deviation * 12 ** 0.5) + np.float32(mean)
    return to_bfloat16(values) if dtype == "bfloat16" else values.astype(dtype)


def to_bfloat16(values):
    """The bits of finite floats, to the nearest, half to even."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    return ((bits + np.uint32(0x7fff) + ((bits >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16)).astype(np.uint16)


def weights_of(recipe):
    """The bytes of weights that are made from a seed; of filters that the compiler has turned the channels come last."""
    values = uniform(*(recipe[key] for key in ("seed", "count", "mean", "deviation", "dtype")))
    return (np.moveaxis(values.reshape(recipe["turned"]), 1, -1) if "turned" in recipe else values).tobytes()


def compared(array):
    """The elements of an output that are kept and compared, in their order."""
    return array.reshape(-1)[::max(1, -(-array.size // MAX_COMPARED))]


def count_gpus():
    """0 without driver or device. The driver is asked in a process of its own, for what it leaves behind in one."""
    text = ("import ctypes; d = ctypes.CDLL('libcuda.so.1'); n = ctypes.c_int(); "
            "print(n.value if d.cuInit(0) == 0 and d.cuDeviceGetCount(ctypes.byref(n)) == 0 else 0)")
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True)
    return int(done.stdout) if done.returncode == 0 else 0


def machine():
    """The first GPU and its driver, as nvidia-smi has them."""
    try:
        done = subprocess.run(["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"],
                              capture_output=True, text=True)
    except OSError:
        return {}
    facts = [word.strip() for word in done.stdout.split("\n")[0].split(",")]
    return dict(zip(("gpu", "driver", "memory"), facts)) if done.returncode == 0 else {}


def library_folders():
    """Where NVIDIA's libraries may lie, by what is usual."""
    packages = {sysconfig.get_path("purelib"), *(entry for entry in sys.path if entry.endswith("-packages"))}
    found = [folder for package in packages for folder in sorted(glob.glob(f"{package}/nvidia/*/lib"))]
    return found + [folder for folder in ("/usr/local/cuda/lib64",) if os.path.isdir(folder)]


def environment():
    paths = [path for path in os.environ.get("LD_LIBRARY_PATH", "").split(":") if path]
    return os.environ | {"LD_LIBRARY_PATH": ":".join(paths + library_folders())}


def make_weights(folder, recipe, tensors):
    """Writes a weights file: its tensors are made from seeds, or lie in the pack; the rest is zero."""
    with open(folder / recipe["file"], "wb") as out:
        out.truncate(recipe["bytes"])
        for part in recipe["parts"]:
            out.seek(part["offset"])
            if "seed" in part:
                out.write(weights_of(part))
            else:
                out.write(tensors[part["at"]:part["at"] + part["bytes"]])


class Failure(Exception):
    """What went wrong in a folder, with what the program printed."""


def launch(folder, *flags, more=None):
    """Its standard output; `more`: in its environment."""
    command = [str(folder / "launch"), *map(str, flags)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=RUN_TIMEOUT_S,
                              env=environment() | (more or {}), stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired:
        raise Failure(f"ran longer than {RUN_TIMEOUT_S} s")
    if done.returncode != 0:
        raise Failure(f"exit status {done.returncode}: " + "\n".join(done.stderr.splitlines()[-8:]))
    return done.stdout


def outputs_of(folder, requests, names, where, form):
    """The outputs of each request, from one start of the pipeline; `form`: flags of `launch`."""
    flags = [word for request in requests for word in ("--inputs", request)]
    launch(folder, *flags, "--output-dir", where, "--quiet", *form)
    found = []
    for index in range(len(requests)):
        inside = where / str(index) if len(requests) > 1 else where
        found.append({name: np.load(inside / (re.sub(r"[^A-Za-z0-9._-]", "_", name) + ".npy")) for name in names})
    return found


def worst_of(outputs, expected, allowed):
    """The error nearest to its limit, as a share of it, and its words; a Failure if one is over."""
    worst = (0.0, "equal")
    for index, results in enumerate(outputs):
        for name, array in results.items():
            key = f"{index}/{name}"
            reference, limit = expected[key], allowed[key]
            if list(array.shape) != limit["shape"] or array.dtype != reference.dtype:
                raise Failure(f"{key}: {array.dtype}{list(array.shape)}; expected {reference.dtype}{limit['shape']}")
            got, wanted = compared(array).astype(np.float64), reference.astype(np.float64)
            if not np.array_equal(np.isnan(got), np.isnan(wanted)):
                raise Failure(f"{key}: NaN in other places than expected")
            error = float(np.linalg.norm(np.nan_to_num(got - wanted)))
            share = error / (limit["norm"] + 1e-30)
            if error > limit["norm"]:
                raise Failure(f"{key}: error norm {error:.3g} > allowed {limit['norm']:.3g}")
            worst = max(worst, (share, f"error norm {error:.3g} <= allowed {limit['norm']:.3g}"))
    return worst[1]


def same_bits(one, other):
    return all(a[name].tobytes() == b[name].tobytes() for a, b in zip(one, other) for name in a)


def run_program(program, shown, *checker):
    """(status, words, lines, report) of a program that has its cases beside it; `shown`: how lines begin that go into the words."""
    folder, report = program.parent, program.with_name("report.json")
    program.chmod(0o755)
    done = subprocess.run([*checker, str(program), str(folder), "--json", str(report)], capture_output=True, text=True,
                          errors="replace", env=environment())
    lines = done.stdout.splitlines() or done.stderr.splitlines() or ["it printed nothing"]
    words = "; ".join([line for line in lines if line.startswith(shown)][:MAX_WORDS] + [lines[-1]])
    return ("pass" if done.returncode == 0 else "fail", words, lines, json.loads(report.read_text()) if report.exists() else None)


def row_of(model, folder, status, words, **reports):
    """As of a model; reports that there are."""
    print(f"{status:4} {model}: {words}", flush=True)
    return {"model": model, "folder": folder, "status": status, "words": words,
            **{key: report for key, report in reports.items() if report is not None}}


def run_kernels(folder, sanitize):
    """A row from the program that runs the kernels' cases; `sanitize`: under compute-sanitizer."""
    checker = ("compute-sanitizer", "--tool", "memcheck", "--target-processes", "all", "--error-exitcode", "1") if sanitize else ()
    status, words, _, report = run_program(folder / "gpu_conformance", ("failed: ", "========= E"), *checker)
    return row_of("kernels", "cases", status, words, cases=report)


def run_bench(folder):
    """A row from the program that times kernels."""
    status, words, lines, report = run_program(folder / "gpu_bench", ("failed: ", "skipped: "))
    print("\n".join(lines[:-1]))
    return row_of("bench", "kernels", status, words, bench=report)


class Model:
    """One model of the pack, with its folders."""

    def __init__(self, root, row):
        self.root, self.row, self.name = root / row["name"], row, row["name"]
        self.requests = [self.root / f"in{index}.npz" for index in range(row["requests"])]
        with np.load(self.root / "expected.npz") as kept:
            self.expected = dict(kept)

    def prepare(self):
        tensors = (self.root / "tensors").read_bytes()
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda recipe: make_weights(self.root / recipe["folder"], recipe, tensors), self.row["weights"]))

    def check(self, folder, single, form):
        """(words, outputs)"""
        with tempfile.TemporaryDirectory() as scratch:
            outputs = outputs_of(self.root / folder, self.requests, self.row["outputs"], pathlib.Path(scratch), form)
        words = worst_of(outputs, self.expected, self.row["allowed"])
        if single and not same_bits(outputs, single):
            raise Failure("other bits than with one stage")
        return words, outputs

    def forms(self):
        """[(folder, flags, words)]: each folder as processes; where messages go through the host, as threads of one too."""
        return [(folder, form, " ".join((folder, *form))) for folder in self.row["folders"]
                for form in (((),) if folder == "1.penstock" or "-nccl" in folder else ((), ("--all-in-one",)))]

    def watch(self, folder, count, form):
        """What the GPUs do while the requests of measure() run."""
        with tempfile.TemporaryDirectory() as scratch:
            launch(self.root / folder, "--inputs", self.requests[0], "--repeat", NUM_FIRST + count, *form,
                   more={"PENSTOCK_CUDA_TIMELINE": f"{scratch}/stage"})
            files = list(pathlib.Path(scratch).iterdir())
            if not files:
                raise Failure("no stage has written what its device did")
            return timeline.shares(files)

    def measure(self, folder, count, form):
        """Milliseconds of one request at a time, and of each of many: of `count`, after those that begin."""
        def seconds_of(repeat, flags):
            return json.loads(launch(self.root / folder, "--inputs", self.requests[0], "--repeat", repeat, "--json", *flags,
                                     *form))["seconds"]
        return {key: (seconds_of(NUM_FIRST + count, flags) - seconds_of(NUM_FIRST, flags)) / count * 1e3
                for key, flags in (("latency_ms", ("--inflight", 1)), ("stream_ms", ()))}


def words_of(shares):
    idle = ", ".join(f"{share:.1%}" for share in shares["idle"])
    more = "".join(f", {words} {shares[key]:.1%}" for key, words in (("overlap", "copies behind kernels"), ("exposed", "exposed"))
                   if shares[key] is not None)
    return f", idle {idle}{more}"


def run_model(model, count, results):
    model.prepare()
    single = None
    for folder, form, words in model.forms():
        begin, row = time.monotonic(), {"model": model.name, "folder": words}
        try:
            row["words"], outputs = model.check(folder, single, form)
            single = single or outputs
            row["status"] = "pass"
            if count > 0:
                row.update(model.measure(folder, count, form))
                row["device"] = model.watch(folder, count, form)
        except Failure as error:
            row["status"], row["words"] = "fail", str(error)
        row["seconds"] = round(time.monotonic() - begin, 2)
        timing = "".join(f", {key} {row[key]:.3f}" for key in ("latency_ms", "stream_ms") if key in row)
        timing += words_of(row["device"]) if "device" in row else ""
        print(f"{row['status']:4} {model.name} {words}: {row['words']}{timing} ({row['seconds']} s)", flush=True)
        results.append(row)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="*", metavar="PATTERN", help="models whose name matches")
    parser.add_argument("--sanitize", action="store_true", help="the cases of kernels under compute-sanitizer")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE")
    parser.add_argument("--requests", type=int, default=0, metavar="N", help="measure each folder with N requests, and kernels")
    parser.add_argument("pack", nargs="?", type=pathlib.Path, default=pathlib.Path(__file__).with_name("pack.tar.xz"))
    options = parser.parse_args()
    if count_gpus() == 0:
        print("skipped: no GPU")
        print("0 passed, 0 failed, 1 skipped")
        return 0
    results = []
    with tempfile.TemporaryDirectory(prefix="penstock-gpu-") as scratch:
        root = pathlib.Path(scratch)
        with tarfile.open(options.pack) as archive:
            archive.extractall(root, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))
        if (root / "kernels").is_dir() and fnmatch.fnmatch("kernels", options.only):
            results.append(run_kernels(root / "kernels", options.sanitize))
        if options.requests > 0 and (root / "bench").is_dir() and fnmatch.fnmatch("bench", options.only):
            results.append(run_bench(root / "bench"))
        for row in json.loads((root / "index.json").read_text()):
            if fnmatch.fnmatch(row["name"], options.only):
                run_model(Model(root, row), options.requests, results)
    if options.json:
        options.json.write_text(json.dumps({"machine": machine(), "folders": results}, indent=1))
    failed = sum(row["status"] == "fail" for row in results)
    print(f"{len(results) - failed} passed, {failed} failed, 0 skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
