#!/usr/bin/env python3
"""The acceptance list: one line per point with pass, fail or missing, and under it what failed or is missing.

usage: accept.py --build FOLDER [--without-torch] [--without-fresh] [--quick] [POINT]...

A point is made of claims (accept_points.py). Each is shown by something that runs here: tests chosen by name, whole
models, commands, figures of a benchmark beside what they must reach. A claim that nothing shows is missing; a point
passes when all its claims do. The README's two commands run first, in a new clone in a new Debian root, and what their
tests found there is the evidence of the claims on tests. All of it takes about two hours on two cores, half of them for point t1
(twenty cuts of every model, twice). --without-torch
leaves out the models that torch exports (it is installed into build/venv-torch), --without-fresh the new root (the tests
then run here), --quick these, all other whole models, and the benchmarks. Exit status: 0 every point passes, 1 otherwise.
"""
# Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
import argparse
import concurrent.futures
import dataclasses
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

import run_tests

ROOT = run_tests.ROOT


@dataclasses.dataclass
class Evidence:
    """What a claim found: pass, fail or missing, and why."""
    status: str
    text: str = ""


class Workbench:
    """Runs each group of tests and each model at most once and remembers what came out."""

    def __init__(self, build, options, scratch):
        self.build, self.options, self.scratch = build, options, pathlib.Path(scratch)
        self.groups, self.models, self.figures, self.fresh = {}, {}, None, None

    def run_fresh(self):
        """What ./dev fresh printed and how it ended; its tests become the evidence of their groups."""
        if self.fresh is None:
            print("... running ./dev fresh", file=sys.stderr, flush=True)
            report, log = self.scratch / "fresh.json", self.build / "fresh.log"
            with log.open("w") as output:
                status = subprocess.run([ROOT / "dev", "fresh", "--report", report], stdin=subprocess.DEVNULL,
                                        stdout=output, stderr=subprocess.STDOUT).returncode
            self.fresh = status, log.read_text(errors="replace")
            if report.exists():
                for group, found in json.loads(report.read_text()).items():
                    self.groups[group] = [run_tests.Result(**result) for result in found["results"]]
        return self.fresh

    def results(self, group):
        if self.with_fresh():
            self.run_fresh()
        if group not in self.groups:
            print(f"... running ./dev test {group}", file=sys.stderr, flush=True)
            context = run_tests.Context(self.build, "", self.scratch)
            try:
                self.groups[group] = run_tests.GROUPS[group](context)
            except Exception as error:  # a group that cannot run is a failure of every claim on it
                self.groups[group] = [run_tests.Result(group, "failed", str(error))]
        return self.groups[group]

    def with_fresh(self):
        return not (self.options.quick or self.options.without_fresh)

    def model(self, name):
        """[(number of stages, status, text)] of one whole model; those that every test run has are looked up there."""
        if name not in self.models:
            sys.path.insert(0, str(ROOT / "test/e2e"))
            import models
            import runner
            model = models.MODELS[name]
            if model.tier == "ci":
                self.models[name] = [self.tested(name, num_stages) for num_stages in model.stages]
                return self.models[name]
            print(f"... running {name}", file=sys.stderr, flush=True)
            self.models[name] = list(runner.run_model(model, model.stages, self.scratch))
        return self.models[name]

    def cuts(self, name, num_cuts, isa):
        """The same of random cuts of one whole model, held to an instruction set."""
        sys.path.insert(0, str(ROOT / "test/e2e"))
        import models
        import runner
        print(f"... cutting {name}{f' with {isa}' if isa else ''}", file=sys.stderr, flush=True)
        return list(runner.run_cuts(models.MODELS[name], num_cuts, self.scratch, isa=isa))

    def tested(self, name, num_stages):
        words = {"passed": "pass", "failed": "fail", "skipped": "missing"}
        for result in self.results("e2e"):
            if f"test_model[{name}-{num_stages}]" in result.name:
                return num_stages, words[result.status], result.detail
        return num_stages, "missing", "no such test"

    def peers(self):
        """{model: row} of bench/peers.py, which leaves its table in the build folder, to be copied to docs/."""
        if self.figures is None:
            print("... running bench/peers.py", file=sys.stderr, flush=True)
            sys.path.insert(0, str(ROOT / "bench"))
            result = self.scratch / "peers.json"
            subprocess.run([sys.executable, ROOT / "bench/peers.py", "--build", self.build, "--json", result, "--write",
                            self.build / "Benchmarks.md"], stdout=subprocess.DEVNULL, timeout=7200)
            self.figures = json.loads(result.read_text())
        return self.figures


def tests(groups, pattern):
    """A claim shown by the tests of some groups whose names match; no such test: missing."""
    def look(bench):
        group = groups.replace(" ", " and ")
        chosen = [result for name in groups.split() for result in bench.results(name)
                  if re.search(pattern, result.name, re.IGNORECASE)]
        ran = [result for result in chosen if result.status != "skipped"]
        failed = [result.name for result in ran if result.status == "failed"]
        if not ran:
            skipped = f"{len(chosen)} skipped" if chosen else "no such test"
            return Evidence("missing", f"{skipped}: {group} /{pattern}/")
        if failed:
            return Evidence("fail", f"{len(failed)} of {len(ran)} {group} tests failed: {', '.join(failed[:3])}")
        return Evidence("pass", f"{len(ran)} {group} tests")
    return look


def here(group, pattern):
    """A claim shown by tests that need what a new root has not, such as NVIDIA's libraries: they run here, and none may be
    skipped."""
    def look(bench):
        results = run_tests.GROUPS[group](run_tests.Context(bench.build, pattern, bench.scratch))
        bad = [f"{result.name} {result.status}: {result.detail.strip()[-300:]}" for result in results
               if result.status != "passed"]
        if not results or any(result.status == "failed" for result in results):
            return Evidence("fail", f"{len(bad)} of {len(results)} {group} tests: {', '.join(bad[:3])}")
        if bad:
            return Evidence("missing", f"{len(bad)} of {len(results)} {group} tests: {', '.join(bad[:3])}")
        return Evidence("pass", f"{len(results)} {group} tests")
    return look


def exported_too(pattern):
    """A claim shown by e2e tests that need the models exported with torch."""
    look_here = here("e2e", pattern)

    def look(bench):
        if bench.options.quick or bench.options.without_torch:
            return Evidence("missing", "models exported with torch are left out by a flag")
        return look_here(bench)
    return look


def whole_model(*names):
    """A claim shown by whole models, each with every number of stages it is listed for; several at once."""
    def runs_of(bench, pool):
        bench.results("e2e")
        return pool.map(bench.model, names)
    return of_runs(names, runs_of)


def random_cuts(num_cuts, isa, *names):
    """A claim shown by random cuts of whole models, whose results have the bits of the uncut ones; several at once."""
    return of_runs(names, lambda bench, pool: pool.map(lambda name: bench.cuts(name, num_cuts, isa), names))


def of_runs(names, runs_of):
    """A claim on runs of whole models; runs_of(bench, pool) gives [(number of stages, status, text)] for each."""
    def look(bench):
        if bench.options.quick:
            return Evidence("missing", "whole models are left out by --quick")
        missing, failed, passed = [], [], 0
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            runs = list(runs_of(bench, pool))
        for name, run in zip(names, runs):
            for num_stages, status, text in run:
                line = f"{name}, {num_stages} stages: {text.splitlines()[-1] if text else ''}"
                passed += status == "pass"
                (failed if status == "fail" else missing if status == "missing" else []).append(line)
        if failed:
            return Evidence("fail", f"{passed} runs passed, {len(failed)} failed: " + " | ".join(failed[:4]))
        if missing:
            return Evidence("missing", f"{passed} runs passed; " + " | ".join(missing[:4]))
        return Evidence("pass", f"{passed} runs")
    return look


def command(*words, timeout_s=3600, expect=None):
    """A claim shown by a command that exits with 0 and prints what `expect` matches."""
    def look(bench):
        env = os.environ | {"PENSTOCK_BUILD": str(bench.build)}
        status, output = run_tests.run([word.format(build=bench.build, python=sys.executable) for word in words],
                                       timeout_s=timeout_s, env=env)
        last = output.strip().splitlines()[-1:] or [""]
        if status != 0:
            return Evidence("fail", f"{' '.join(words)}: exit status {status}: {last[0]}")
        if expect and not re.search(expect, output):
            return Evidence("fail", f"{' '.join(words)}: nothing in the output matches /{expect}/")
        return Evidence("pass", last[0][:120])
    return look


def peers(stages, mean, least):
    """A claim on the benchmark beside other engines: the geometric mean of the ratios to ONNX Runtime, and the least one."""
    def judge_ratios(module, found):
        reached = module.geometric_mean(found.values())
        return reached >= mean and min(found.values()) >= least, f"mean {reached:.2f} of {mean}, each at least {least}"
    return of_peers(lambda module, row: module.ratios(row)[stages - 1], judge_ratios)


def limit(least):
    """A claim on the rate of two stages as a share of what their slowest stage, measured alone, would allow."""
    return of_peers(lambda module, row: row[module.SHARE],
                    lambda module, found: (min(found.values()) >= least, f"each at least {least}"))


def of_peers(figure, verdict):
    """A claim on one figure of each row of bench/peers.py; verdict(module, {model: figure}) gives (is it reached, text)."""
    def look(bench):
        if bench.options.quick:
            return Evidence("missing", "benchmarks are left out by --quick")
        try:
            rows = bench.peers()
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            return Evidence("fail", f"bench/peers.py: {error}")
        import peers as module
        found = {name: figure(module, row) for name, row in rows.items()}
        unknown = [name for name, value in found.items() if value is None]
        if unknown or not found:
            return Evidence("missing", f"no figures of {', '.join(unknown)}")
        good, text = verdict(module, found)
        figures_text = ", ".join(f"{name} {value:.2f}" for name, value in found.items())
        return Evidence("pass" if good else "fail", f"{text}: {figures_text}")
    return look


def figures(path, goals, *arguments):
    """A claim on figures of a script that writes them as JSON, {row: {figure: value}}; goals: {row: {figure: at most}}."""
    def look(bench):
        if bench.options.quick:
            return Evidence("missing", "benchmarks are left out by --quick")
        result = bench.scratch / (pathlib.Path(path).stem + ".json")
        status, output = run_tests.run([sys.executable, ROOT / path, "--build", bench.build, "--json", result, *arguments],
                                       timeout_s=3600)
        if status != 0:
            return Evidence("missing", f"{path}: {(output.strip().splitlines() or [status])[-1]}")
        rows = json.loads(result.read_text())
        found = [(row, name, rows[row][name], most) for row, wanted in goals.items() for name, most in wanted.items()]
        text = ", ".join(f"{row} {name} {value:.3g} of {most:g}" for row, name, value, most in found)
        return Evidence("pass" if all(value <= most for _, _, value, most in found) else "fail", text)
    return look


def exists(*paths):
    """A claim shown by files being there."""
    def look(bench):
        absent = [path for path in paths if not (ROOT / path).exists()]
        return Evidence("missing", f"no {', '.join(absent)}") if absent else Evidence("pass", ", ".join(paths))
    return look


def fresh(pattern, what, most=None):
    """A claim on what the README's two commands print in a new Debian root; `most`: the largest sum of the numbers that
    `pattern` finds."""
    def look(bench):
        if not bench.with_fresh():
            return Evidence("missing", "left out by a flag")
        status, output = bench.run_fresh()
        found = re.findall(pattern, output, re.MULTILINE)
        if not found:
            last = output.strip().splitlines()[-1:] or ["nothing"]
            return Evidence("fail", f"./dev fresh: exit status {status}, no {what} in {bench.build}/fresh.log: {last[0]}")
        if most is None:
            return Evidence("pass", found[-1])
        total = sum(map(float, found))
        return Evidence("pass" if total <= most else "fail", f"{what}: {total:.0f} of {most}")
    return look


def edit_round(source, group, pattern, most_s):
    """A claim on the time of an edit, a build and the tests of one pass."""
    def look(bench):
        env = os.environ | {"PENSTOCK_BUILD": str(bench.build), "CCACHE_RECACHE": "1"}
        run_tests.run([ROOT / "dev", "build"], timeout_s=3600, env=env)
        (ROOT / source).touch()
        begin = time.monotonic()
        status, output = run_tests.run([ROOT / "dev", "test", group, pattern], timeout_s=3600, env=env)
        seconds = time.monotonic() - begin
        good = status == 0 and seconds <= most_s
        return Evidence("pass" if good else "fail", f"{source}: {seconds:.0f} s of {most_s}, exit status {status}")
    return look


def install_torch(build):
    """The environment that exports models, and the exported models; what went wrong goes to stderr."""
    venv = build / "venv-torch"
    steps = []
    if not (venv / ".complete").exists():
        steps += [["/usr/bin/python3", "-m", "venv", "--clear", venv],
                  [venv / "bin/pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes", "-r",
                   ROOT / "tools/dev/requirements-torch.txt"], ["touch", venv / ".complete"]]
    steps.append([venv / "bin/python", ROOT / "tools/dev/export_models.py", build / "models"])
    for step in steps:
        print("... " + " ".join(map(str, step)), file=sys.stderr, flush=True)
        if subprocess.run([str(word) for word in step]).returncode != 0:
            print("error: the models that need torch could not be exported", file=sys.stderr)
            return


def judge(point, bench):
    """Status of a point and the lines under it."""
    lines, statuses = [], []
    for claim, look in point.claims:
        evidence = look(bench)
        statuses.append(evidence.status)
        lines.append(f"    {evidence.status:7} {claim}" + (f" ({evidence.text})" if evidence.text else ""))
    status = "fail" if "fail" in statuses else "missing" if "missing" in statuses or not statuses else "pass"
    return status, f"{statuses.count('pass')} of {len(statuses)} claims", lines


def main():
    import accept_points
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, required=True)
    for flag in ("--without-torch", "--without-fresh", "--quick"):
        parser.add_argument(flag, action="store_true")
    parser.add_argument("points", nargs="*", metavar="POINT")
    options = parser.parse_args()
    known = [point.label for point in accept_points.POINTS]
    unknown = set(options.points) - set(known)
    if unknown:
        parser.error(f"unknown point {', '.join(sorted(unknown))}; known: {', '.join(known)}")
    build = options.build.resolve()
    if not options.quick and not options.without_torch:
        install_torch(build)
    counts = {"pass": 0, "fail": 0, "missing": 0}
    with tempfile.TemporaryDirectory(prefix="penstock-accept-") as scratch:
        bench = Workbench(build, options, scratch)
        for point in accept_points.POINTS:
            if options.points and point.label not in options.points:
                continue
            status, summary, lines = judge(point, bench)
            counts[status] += 1
            print(f"{status:7} {point.label:>9}  {point.title} ({summary})")
            print("\n".join(lines), flush=True)
    print(", ".join(f"{number} {status}" for status, number in counts.items()))
    return 0 if counts["pass"] and not counts["fail"] and not counts["missing"] else 1


if __name__ == "__main__":
    sys.exit(main())
