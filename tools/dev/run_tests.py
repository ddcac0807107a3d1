#!/usr/bin/env python3
"""Run every test of Penstock, or one group, and sum them up in one last line: `N passed, N failed, N skipped`.

usage: run_tests.py --build FOLDER [--report FILE.json] [GROUP [PATTERN]]

Groups: unit (GoogleTest and other ctest programs), lit (twice: plain and with --verify-roundtrip), python, checks (the
check scripts and their own tests), e2e (whole models), sanitize (plain libraries and runtime under the sanitizers), fuzz (libFuzzer, up to a minute per target).
Programs of a group, and cases of e2e, share the cores. PATTERN is a part of a test's name. --report writes every result
and the seconds of each group as JSON. Each GoogleTest case, lit file and Python test counts as one; a program that dies
before it could report counts as one failure. Every skip is printed with its reason. Exit status: 0 all passed, 1
something failed or nothing ran, 2 wrong use.
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
import xml.etree.ElementTree as ElementTree

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM_TIMEOUT_S = 900
CHECKS = ("check_map", "check_lit", "check_constraints", "check_size", "check_models", "check_text", "check_reliability",
          "check_docs", "check_python")
SANITIZERS = ("address,undefined", "thread")
# Its ranks have deadlines of seconds and one of them speaks first: beside another program two may speak.
ALONE = {"RuntimeSessionTests"}
# Target -> folder of its kept corpus, and seconds.
FUZZ_TARGETS = {"fuzz_import": ("import", 60), "fuzz_wire": ("import", 60), "fuzz_runtime": ("runtime", 60),
                "fuzz_settings": ("settings", 30), "fuzz_planted": ("import", 60)}
PLANTED_CRASH = "fuzz_planted"


@dataclasses.dataclass
class Result:
    """One test: status is passed, failed or skipped; detail is the output of a failure or the reason of a skip."""
    name: str
    status: str
    detail: str = ""


@dataclasses.dataclass
class Context:
    build: pathlib.Path
    pattern: str
    scratch: pathlib.Path


def run(command, cwd=ROOT, timeout_s=PROGRAM_TIMEOUT_S, env=None):
    """Exit status (None: ran too long) and the output, stdout and stderr together."""
    try:
        done = subprocess.run([str(part) for part in command], cwd=cwd, timeout=timeout_s, env=env, text=True,
                              errors="replace", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT)
        return done.returncode, done.stdout
    except subprocess.TimeoutExpired as error:
        output = error.stdout or b""
        return None, (output if isinstance(output, str) else output.decode(errors="replace")) + \
            f"\nran longer than {timeout_s} s"


def tail(text, num_lines=40):
    return "\n".join(text.splitlines()[-num_lines:])


def parse_junit(path, prefix=""):
    """Results of a JUnit-like XML file, as GoogleTest and pytest write it."""
    results = []
    for case in ElementTree.parse(path).getroot().iter("testcase"):
        name = f"{prefix}{case.get('classname')}.{case.get('name')}"
        bad = [*case.findall("failure"), *case.findall("error")]
        skipped = case.find("skipped")
        if bad:
            results.append(Result(name, "failed", "\n".join(tail(b.text or b.get("message", "")) for b in bad)))
        elif skipped is not None:
            reason = (skipped.get("message") or skipped.text or "no reason given").strip()
            results.append(Result(name, "skipped", reason.splitlines()[-1]))
        elif case.get("status") == "notrun" and case.get("result") == "suppressed":
            continue    # left out by a filter, or DISABLED_
        else:
            results.append(Result(name, "passed"))
    return results


# ---- unit -----------------------------------------------------------------------------------------------------------


def ctest_programs(folder):
    status, output = run(["ctest", "--test-dir", folder, "--show-only=json-v1"])
    if status != 0:
        raise RuntimeError(f"ctest could not list the tests of {folder}:\n{tail(output)}")
    return json.loads(output)["tests"]


def run_program(context, test, prefix=""):
    """One ctest entry; a GoogleTest program is one that writes the report it is asked for."""
    name, command = prefix + test["name"], list(test.get("command", ()))
    if not command:
        return [Result(name, "failed", "its program is not built")]
    report = context.scratch / (re.sub(r"\W", "_", name) + ".xml")
    command.append(f"--gtest_output=xml:{report}")
    if context.pattern and context.pattern not in test["name"]:
        command.append(f"--gtest_filter=*{context.pattern}*")
    env = dict(os.environ, PENSTOCK_BUILD=str(context.build), TSAN_OPTIONS="halt_on_error=1")
    status, output = run(command, cwd=context.build, env=env)
    if report.exists():
        results = parse_junit(report, f"{name}: ")
        if status == 0 or any(result.status == "failed" for result in results):
            return results
        return results + [Result(name, "failed", f"exit status {status} after its last case\n{tail(output)}")]
    if status == 0 and not context.pattern:
        return [Result(name, "passed")]
    if status == 0:
        return []
    return [Result(name, "failed", f"exit status {status}\n{tail(output)}")]


def side_by_side(function, items):
    """The lists that function(item) gives, joined in the items' order; as many at once as there are cores."""
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        return [result for results in pool.map(function, items) for result in results]


def run_programs(context, folder, prefix=""):
    tests = ctest_programs(folder)
    crowd = [test for test in tests if test["name"] not in ALONE]
    results = side_by_side(lambda test: run_program(context, test, prefix), crowd)
    for test in tests:
        if test["name"] in ALONE:
            results += run_program(context, test, prefix)
    return results


def run_unit(context):
    return run_programs(context, context.build)


def run_sanitize(context):
    """The runtime and the plain libraries once more, under each set of sanitizers, in build folders of their own."""
    results = []
    for sanitizer in SANITIZERS:
        folder = context.build / ("sanitize-" + sanitizer.replace(",", "-"))
        steps = (["cmake", "-S", ROOT, "-B", folder, "-G", "Ninja", "-DCMAKE_C_COMPILER=clang-19",
                  "-DCMAKE_CXX_COMPILER=clang++-19", "-DPENSTOCK_COMPILER=OFF", f"-DPENSTOCK_SANITIZE={sanitizer}",
                  "-DCMAKE_EXE_LINKER_FLAGS=-fuse-ld=lld-19"], ["ninja", f"-j{os.cpu_count()}", "-C", folder])
        for step in steps:
            status, output = run(step, timeout_s=1800)
            if status != 0:
                results.append(Result(f"build with {sanitizer}", "failed", tail(output)))
                break
        else:
            results += run_programs(context, folder, f"[{sanitizer}] ")
    return results


# ---- fuzz -----------------------------------------------------------------------------------------------------------


def fuzz_one(context, target):
    """Exit status and output of one target; what it finds new stays in the scratch folder."""
    corpus, seconds = FUZZ_TARGETS[target]
    found = context.scratch / f"{target}-found"
    found.mkdir(exist_ok=True)
    options = [f"-max_total_time={seconds}", "-timeout=20", "-rss_limit_mb=4096", "-print_final_stats=1", "-verbosity=0",
               "-max_len=4096", f"-artifact_prefix={found}/"]
    env = dict(os.environ, ASAN_OPTIONS="detect_container_overflow=0:detect_leaks=0", UBSAN_OPTIONS="print_stacktrace=1")
    return run([context.build / "test/fuzz" / target, *options, found, ROOT / "test/fuzz/corpus" / corpus], env=env)


def run_fuzz(context):
    """Each target from its kept corpus, and a target with a planted crash, which must be found."""
    status, output = run(["ninja", f"-j{os.cpu_count()}", "-C", context.build, "PenstockFuzz"], timeout_s=1800)
    if status != 0:
        return [Result("build of the fuzz targets", "failed", tail(output))]
    targets = [target for target in FUZZ_TARGETS if context.pattern in target]
    return side_by_side(lambda target: judge_fuzzing(context, target), targets)


def judge_fuzzing(context, target):
    status, output = fuzz_one(context, target)
    if target == PLANTED_CRASH:
        is_found = status not in (0, None) and "deadly signal" in output
        return [Result(target, "passed" if is_found else "failed", "the planted crash was not found")]
    executions = re.search(r"number_of_executed_units: (\d+)", output)
    print(f"  {target}: {executions.group(1) if executions else 'unknown number of'} executions")
    is_good = status == 0 and executions and int(executions.group(1)) > 100
    return [Result(target, "passed" if is_good else "failed", tail(output))]


# ---- lit ------------------------------------------------------------------------------------------------------------


def run_lit(context):
    folder = context.build / "test"
    if not (folder / "lit.site.cfg.py").exists():
        return [Result("lit", "skipped", "this build has no compiler")]
    results = []
    for params in ((), ("--param", "roundtrip=1")):
        report = context.scratch / "lit.json"
        report.unlink(missing_ok=True)
        command = [context.build / "venv/bin/lit", "--quiet", f"-j{os.cpu_count()}", "--timeout=300", *params,
                   "--output", report, folder]
        if context.pattern:
            command += ["--filter", re.escape(context.pattern)]
        status, output = run(command, timeout_s=3600)
        if not report.exists():
            results.append(Result("lit", "failed", f"exit status {status}\n{tail(output)}"))
            continue
        results += [lit_result(test) for test in json.loads(report.read_text())["tests"]]
    return [result for result in results if result.status]


def lit_result(test):
    name, code, output = test["name"], test["code"], test.get("output", "")
    if code in ("PASS", "FLAKYPASS", "XFAIL"):
        return Result(name, "passed")
    if code in ("UNSUPPORTED", "SKIPPED"):
        return Result(name, "skipped", " ".join(output.split()) or "not supported here")
    if code == "EXCLUDED":
        return Result(name, "")
    return Result(name, "failed", f"{code}\n{tail(output, 60)}")


# ---- Python ---------------------------------------------------------------------------------------------------------


def run_pytest(context, folders, *options, timeout_s=3600):
    folders = [folder for folder in folders if (ROOT / folder).is_dir()]
    if not folders:
        return []
    report = context.scratch / "pytest.xml"
    report.unlink(missing_ok=True)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--junitxml", report, *options, *folders]
    if context.pattern:
        command += ["-k", context.pattern]
    path = os.pathsep.join([str(context.build / "python"), str(ROOT / "python"), str(ROOT / "tools/dev")])
    # What earlier runs have left in the user's cache folder has no say; within one run kernels are compiled once.
    env = dict(os.environ, PENSTOCK_BUILD=str(context.build), PYTHONPATH=path, XDG_CACHE_HOME=str(context.scratch / "cache"))
    status, output = run(command, timeout_s=timeout_s, env=env)
    if not report.exists():
        return [Result("pytest " + " ".join(folders), "failed", f"exit status {status}\n{tail(output)}")]
    results = parse_junit(report)
    if status not in (0, 1, 5):    # 5: nothing collected, which a pattern may well cause
        results.append(Result("pytest " + " ".join(folders), "failed", f"exit status {status}\n{tail(output)}"))
    return results


def run_python(context):
    return run_pytest(context, ["python/tests"])


def run_e2e(context):
    return run_pytest(context, ["test/e2e"], f"-n{os.cpu_count()}", "--dist=loadgroup", timeout_s=2400)


def run_checks(context):
    results = []
    for check in CHECKS:
        if context.pattern not in check:
            continue
        status, output = run([sys.executable, ROOT / "tools/dev" / f"{check}.py"])
        results.append(Result(check, "passed" if status == 0 else "failed", tail(output)))
    if context.pattern in "update_docs" and (context.build / "bin/penstock").exists():
        status, output = run([sys.executable, ROOT / "tools/dev/update_docs.py", "--build", context.build, "--check"])
        results.append(Result("update_docs", "passed" if status == 0 else "failed", tail(output)))
    return results + run_pytest(context, ["tools/dev/tests"])


# ---- summary --------------------------------------------------------------------------------------------------------

GROUPS = {"checks": run_checks, "unit": run_unit, "lit": run_lit, "python": run_python, "e2e": run_e2e,
          "sanitize": run_sanitize, "fuzz": run_fuzz}


def count(results):
    return {status: sum(result.status == status for result in results) for status in ("passed", "failed", "skipped")}


def print_group(group, results, seconds):
    for result in results:
        if result.status == "skipped":
            print(f"  skipped: {result.name}: {result.detail}")
        elif result.status == "failed":
            print(f"  FAILED: {result.name}\n" + "\n".join(f"    {line}" for line in result.detail.splitlines()))
    counts = count(results)
    print(f"{group}: " + ", ".join(f"{number} {status}" for status, number in counts.items()) + f" ({seconds:.0f} s)",
          flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, required=True)
    parser.add_argument("--report", type=pathlib.Path)
    parser.add_argument("group", nargs="?", choices=[*GROUPS, "all"], default="all")
    parser.add_argument("pattern", nargs="?", default="")
    options = parser.parse_args()
    results, report = [], {}
    with tempfile.TemporaryDirectory(prefix="penstock-test-") as scratch:
        for group, runner in GROUPS.items():
            if options.group not in ("all", group):
                continue
            start = time.monotonic()
            try:
                found = runner(Context(options.build.resolve(), options.pattern, pathlib.Path(scratch)))
            except Exception as error:  # a runner that cannot run is a failure, and the others still run
                found = [Result(group, "failed", f"{type(error).__name__}: {error}")]
            seconds = time.monotonic() - start
            print_group(group, found, seconds)
            report[group] = {"seconds": seconds, "results": [dataclasses.asdict(result) for result in found]}
            results += found
    if options.report:
        options.report.write_text(json.dumps(report))
    counts = count(results)
    if not counts["passed"] and not counts["failed"]:
        print("error: no test ran")
    print(", ".join(f"{number} {status}" for status, number in counts.items()))
    return 0 if counts["passed"] and not counts["failed"] else 1


if __name__ == "__main__":
    sys.exit(main())
