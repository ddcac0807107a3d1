#!/usr/bin/env python3
"""Compile and run whole models and compare: with ONNX Runtime, and between numbers of stages.

usage: runner.py [--stages 1,2,3,4] [--tier ci,accept,torch] [--keep] [--threads N] [MODEL]...
       runner.py --cuts N [--seed S] [--isa AVX2] [--tier ...] [--threads N] [MODEL]...

Prints one line per model and number of stages: pass, fail or missing, the worst error norm and what is allowed. With
--cuts, one line per random cut into 1 to 6 stages, whose results must have the bits of the uncut model, as processes and
as threads of one (all-in-one); --isa lowers the instruction set of oneDNN's kernels (DNNL_MAX_CPU_ISA), of all of them
alike. Exit status 1 if anything failed.
"""
# Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

import numpy as np
import onnx

import compare
import cuts
import models

COMPILE_TIMEOUT_S, RUN_TIMEOUT_S = 600, 300


class Failure(Exception):
    """What went wrong, with the command and what it printed."""


def penstock(*arguments, timeout_s=RUN_TIMEOUT_S, environment=()):
    """Run the command line; returns stdout. Anything but exit status 0 is a Failure."""
    tool = models.BUILD / "bin/penstock"
    if not tool.exists():
        raise Failure(f"{tool} does not exist")
    command = [str(tool), *map(str, arguments)]
    try:
        done = subprocess.run(command, text=True, errors="replace", capture_output=True, timeout=timeout_s,
                              stdin=subprocess.DEVNULL, env=os.environ | dict(environment))
    except subprocess.TimeoutExpired:
        raise Failure(f"{' '.join(command)}\nran longer than {timeout_s} s")
    if done.returncode != 0:
        text = "\n".join(done.stderr.splitlines()[-15:])
        raise Failure(f"{' '.join(command)}\nexit status {done.returncode}\n{text}")
    return done.stdout


def file_name(output):
    return re.sub(r"[^A-Za-z0-9._-]", "_", output) + ".npy"


class Folder:
    """One compiled folder and how to run requests on it."""

    def __init__(self, model, num_stages, where, extra=(), environment=()):
        self.path = pathlib.Path(where) / f"{model.name}-{num_stages}.penstock"
        self.environment = environment
        penstock("compile", model.path(), "-o", self.path, "--stages", num_stages, *model.flags, *extra,
                 timeout_s=COMPILE_TIMEOUT_S, environment=environment)
        executables = [path for path in self.path.glob("stage-*") if path.suffix == ""]
        if len(executables) != num_stages:
            raise Failure(f"{self.path.name} holds {len(executables)} executables; expected {num_stages}")

    def run(self, requests, names, where, form=()):
        """Outputs of each request: one process start for all of them. `form`: flags of `penstock run`."""
        where = pathlib.Path(where)
        shutil.rmtree(where, ignore_errors=True)
        where.mkdir(parents=True)
        flags = []
        for index, feeds in enumerate(requests):
            np.savez(where / f"in{index}.npz", **feeds)
            flags += ["--inputs", where / f"in{index}.npz"]
        penstock("run", self.path, *flags, "--output-dir", where / "out", *form, environment=self.environment)
        found = []
        for index in range(len(requests)):
            folder = where / "out" / str(index) if len(requests) > 1 else where / "out"
            found.append({name: np.load(folder / file_name(name)) for name in names})
        return found


def session_of(folder):
    """A Python session on the folder if the module is built, else None."""
    sys.path[:0] = [str(models.BUILD / "python"), str(models.ROOT / "python")]
    try:
        import penstock as module
        return module.Session(str(folder.path))
    except (ImportError, AttributeError):
        return None


def run_feedback(model, folder, feeds, names, where, form=()):
    """Each request with the outputs of the one before it: over a session, or one process start per request."""
    session, state, found = None if form else session_of(folder), {}, []
    for what in feeds:
        full = {**what, **state}
        if session:
            outputs = dict(zip(names, session.run(names, full)))
        else:
            outputs = folder.run([full], names, where, form)[0]
        state = {into: outputs[out] for out, into in model.feedback}
        found.append(outputs)
    return found


class Expected:
    """ONNX Runtime's outputs of every request of a model, computed once."""

    def __init__(self, model):
        self.requests = [feeds for _, feeds in model.requests()]
        self.labels = [what for what, _ in model.requests()]
        bind = {name: np.array(value, np.int64) for name, value in model.bind}
        reference = compare.Reference(model.path(), bind)
        self.names, self.optimised, self.unoptimised = reference.names, [], []
        states = ({}, {})
        for feeds in self.requests:
            if model.feedback:
                pair = [reference_step(reference, i, {**feeds, **states[i]}) for i in (0, 1)]
                states = tuple({into: pair[i][out] for out, into in model.feedback} for i in (0, 1))
            elif model.rows:
                pair = reference.run_rows(feeds, model.rows)
            else:
                pair = reference.run(feeds)
            self.optimised.append(pair[0])
            self.unoptimised.append(pair[1])
        fault = None if model.fixed else compare.reference_fault(self.optimised)
        if fault:
            raise Failure(f"the reference of {model.name} is of no use: {fault}")

    def verdicts(self, outputs):
        return [compare.compare(f"{label}: {name}", outputs[i][name], self.optimised[i][name], self.unoptimised[i][name])
                for i, label in enumerate(self.labels) for name in self.names]


def reference_step(reference, level, feeds):
    outputs = reference.sessions[level].run(None, {**feeds, **reference.bind})
    return dict(zip(reference.names, outputs))


def outputs_of(model, expected, num_stages, where, extra=(), keep=False, environment=()):
    """Compile for a number of stages, run every request; the folder is removed unless kept."""
    folder = Folder(model, num_stages, where, extra, environment)
    try:
        return outputs_as(model, folder, expected, where)
    finally:
        if not keep:
            shutil.rmtree(folder.path, ignore_errors=True)


def outputs_as(model, folder, expected, where, form=()):
    """Outputs of a folder that is run in a form: as processes, or as all in one, of which one start per chunk would be long."""
    scratch = pathlib.Path(where) / f"{model.name}-run"
    if model.feedback:
        return run_feedback(model, folder, expected.requests[:3] if form else expected.requests, expected.names, scratch, form)
    return folder.run(expected.requests, expected.names, scratch, form)


def check_forms(model, folder, expected, single, where):
    """A cut has the bits of the uncut model as processes, and as threads of one."""
    for form in ((), ("--all-in-one",)):
        try:
            check_bits(expected, outputs_as(model, folder, expected, where, form), single)
        except Failure as error:
            raise Failure(f"{' '.join(form) or 'processes'}: {error}")


def check_bits(expected, outputs, single):
    for label, one, other in zip(expected.labels, outputs, single):
        name = compare.same_bits(one, other)
        if name:
            raise Failure(f"{label}: {name} has other bits than with one stage")


def check_numbers(expected, outputs):
    """The verdict nearest to its limit; a Failure when one is over."""
    verdicts = expected.verdicts(outputs)
    bad = [verdict for verdict in verdicts if not verdict.is_equal]
    if bad:
        raise Failure("; ".join(map(str, bad[:5])) + (f"; and {len(bad) - 5} more" if len(bad) > 5 else ""))
    return max(verdicts, key=lambda verdict: verdict.error / (verdict.allowed + 1e-30))


def run_model(model, stages, where, extra=(), keep=False):
    """Yields (number of stages, status, text) with status pass, fail or missing."""
    try:
        expected = Expected(model)
    except models.NotHere as error:
        yield 0, "missing", str(error)
        return
    except Failure as error:
        yield 0, "fail", str(error)
        return
    single = None
    for num_stages in stages:
        start = time.monotonic()
        try:
            outputs = outputs_of(model, expected, num_stages, where, extra, keep)
            worst = check_numbers(expected, outputs)
            single = single or outputs
            check_bits(expected, outputs, single)
            yield num_stages, "pass", f"{worst} ({len(expected.requests)} requests, {time.monotonic() - start:.1f} s)"
        except Failure as error:
            yield num_stages, "fail", str(error)


def kernels_of(model, where, extra=()):
    """The kernels of a model, as the compiler has fused them."""
    dumps = pathlib.Path(where) / f"{model.name}-dumps"
    penstock("compile", model.path(), "-o", dumps / "none.penstock", *model.flags, *extra, "--compile-to=fuse",
             f"--dump-phases={dumps}", timeout_s=COMPILE_TIMEOUT_S)
    return cuts.Kernels.parse(next(dumps.glob("*.fuse.mlir")).read_text())


class Requests:
    """What run_cuts() needs to know of a model's requests where nothing is compared with ONNX Runtime."""

    def __init__(self, model):
        requests = model.requests()
        self.requests, self.labels = [feeds for _, feeds in requests], [what for what, _ in requests]
        self.names = [output.name for output in onnx.load(str(model.path()), load_external_data=False).graph.output]


def run_cuts(model, num_cuts, where, seed=0, isa=None, extra=()):
    """Yields (number of stages, status, text) for the uncut model and for random cuts of it: the same bits."""
    environment = {"DNNL_MAX_CPU_ISA": isa}.items() if isa else ()
    rng = np.random.default_rng([seed, *model.name.encode()])
    try:
        requests = Requests(model)
        single = outputs_of(model, requests, 1, where, extra, environment=environment)
        kernels = kernels_of(model, where, extra)
    except models.NotHere as error:
        yield 1, "missing", str(error)
        return
    except Failure as error:
        yield 1, "fail", str(error)
        return
    yield 1, "pass", f"{len(requests.requests)} requests, {len(kernels.names)} kernels"
    most = kernels.most_stages() if len(model.stages) > 1 else 1    # a condition and what decides it stay in one stage
    for index in range(num_cuts if most > 1 else 0):
        num_stages = most - index % (most - 1)    # every number comes up
        plan = cuts.write_plan(kernels.random_cut(rng, num_stages), pathlib.Path(where) / f"{model.name}-plan.json")
        start = time.monotonic()
        try:
            folder = Folder(model, num_stages, where, (*extra, "--plan", plan, "--all-in-one"), environment)
            check_forms(model, folder, requests, single, where)
            yield num_stages, "pass", f"cut {index} ({time.monotonic() - start:.1f} s)"
        except Failure as error:
            yield num_stages, "fail", f"cut {index}: {error}\n{plan.read_text()}"
        shutil.rmtree(pathlib.Path(where) / f"{model.name}-{num_stages}.penstock", ignore_errors=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stages", default="1,2,3,4")
    parser.add_argument("--tier", default="ci,accept,torch")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--cuts", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--isa")
    parser.add_argument("models", nargs="*", metavar="MODEL")
    options = parser.parse_args()
    unknown = set(options.models) - set(models.MODELS)
    if unknown:
        parser.error(f"unknown model {', '.join(sorted(unknown))}; known: {', '.join(models.MODELS)}")
    stages = [int(text) for text in options.stages.split(",")]
    extra = ("--threads", str(options.threads)) if options.threads else ()
    where = tempfile.mkdtemp(prefix="penstock-e2e-")
    failed = False
    for name, model in models.MODELS.items():
        if (name not in options.models) if options.models else (model.tier not in options.tier.split(",")):
            continue
        if options.cuts:
            runs = run_cuts(model, options.cuts, where, options.seed, options.isa, extra)
        else:
            runs = run_model(model, [s for s in stages if s in model.stages], where, extra, options.keep)
        for num_stages, status, text in runs:
            print(f"{status:7} {name} {f'{num_stages} stages' if num_stages else ''}: {text}", flush=True)
            failed |= status == "fail"
    if options.keep:
        print(f"kept in {where}")
    else:
        shutil.rmtree(where, ignore_errors=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
