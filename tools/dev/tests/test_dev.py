"""The script ./dev: its refusals, and the summing of run_tests.py."""
# Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
import os
import pathlib
import subprocess
import sys

import run_tests

ROOT = pathlib.Path(__file__).resolve().parents[3]


def dev(tmp_path, *arguments, fakes=()):
    """Run ./dev with an empty build folder and with fake programs, given as name -> what they print, first in PATH."""
    for name, text in dict(fakes).items():
        fake = tmp_path / name
        fake.write_text(f"#!/bin/sh\ncat <<'END'\n{text}\nEND\n")
        fake.chmod(0o755)
    env = dict(os.environ, PATH=f"{tmp_path}:{os.environ['PATH']}", PENSTOCK_BUILD=str(tmp_path / "build"))
    return subprocess.run([ROOT / "dev", *arguments], text=True, capture_output=True, env=env, timeout=60)


def test_without_root_the_missing_packages_are_one_line(tmp_path):
    packages = [line for line in (ROOT / "tools/dev/packages.txt").read_text().split("\n") if line and line[0] != "#"]
    installed = "\n".join(f"installed {name}" for name in packages if name not in ("lld-19", "ccache"))
    done = dev(tmp_path, "setup", fakes={"dpkg-query": installed, "id": "1000"})
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr == "error: missing Debian packages: ccache lld-19 (run ./dev setup as root, or install them)\n"
    assert not (tmp_path / "build").exists()


def test_unknown_command(tmp_path):
    done = dev(tmp_path, "frobnicate")
    assert done.returncode == 2 and "error: unknown command 'frobnicate'" in done.stderr


def test_help_names_every_command(tmp_path):
    text = dev(tmp_path, "help").stdout
    assert all(f"\n  {name}" in text for name in ("setup", "build", "test", "demo", "lint", "bench", "gpu", "accept", "fresh"))


def write_program(path, body):
    path.write_text(f"#!{sys.executable}\nimport os, sys\n{body}\n")
    path.chmod(0o755)
    return path


REPORT = """
report = [a for a in sys.argv if a.startswith('--gtest_output=xml:')][0].partition(':')[2]
open(report, 'w').write('''<testsuites><testsuite>
<testcase name="good" classname="A" status="run" result="completed"/>
<testcase name="bad" classname="A" status="run" result="completed"><failure message="x"/></testcase>
<testcase name="lazy" classname="A" status="run" result="skipped"><skipped message="file.cpp:1&#x0A;no such CPU"/></testcase>
</testsuite></testsuites>''')
sys.exit(1)
"""


def run_one(tmp_path, body):
    program = write_program(tmp_path / "program", body)
    context = run_tests.Context(tmp_path, "", tmp_path)
    return run_tests.run_program(context, {"name": "P", "command": [str(program)]})


def test_cases_of_a_program_are_counted(tmp_path):
    results = run_one(tmp_path, REPORT)
    assert run_tests.count(results) == {"passed": 1, "failed": 1, "skipped": 1}
    assert [result.detail for result in results if result.status == "skipped"] == ["no such CPU"]


def test_a_program_that_dies_is_one_failure(tmp_path):
    results = run_one(tmp_path, "os.abort()")
    assert run_tests.count(results) == {"passed": 0, "failed": 1, "skipped": 0} and "exit status -6" in results[0].detail


def test_a_program_that_dies_after_its_report_fails(tmp_path):
    results = run_one(tmp_path, REPORT.replace('<failure message="x"/>', "").replace("sys.exit(1)", "os.abort()"))
    assert run_tests.count(results)["failed"] == 1


def test_a_program_that_is_not_built_fails(tmp_path):
    results = run_tests.run_program(run_tests.Context(tmp_path, "", tmp_path), {"name": "P"})
    assert [result.detail for result in results] == ["its program is not built"]


def test_lit_results():
    statuses = {code: run_tests.lit_result({"name": "t", "code": code, "output": "why"}).status
                for code in ("PASS", "FAIL", "XPASS", "TIMEOUT", "UNRESOLVED", "UNSUPPORTED", "XFAIL")}
    assert statuses == {"PASS": "passed", "FAIL": "failed", "XPASS": "failed", "TIMEOUT": "failed",
                        "UNRESOLVED": "failed", "UNSUPPORTED": "skipped", "XFAIL": "passed"}


def test_fresh_removes_what_a_killed_run_has_left(tmp_path):
    for name, pid in (("penstock-fresh-dead", 2 ** 22 + 1), ("penstock-fresh-alive", os.getpid())):
        (tmp_path / name).mkdir()
        (tmp_path / name / "pid").write_text(f"{pid}\n")
    done = subprocess.run([ROOT / "tools/dev/fresh.sh", "--host", "help"], text=True, capture_output=True, timeout=60,
                          env=os.environ | {"TMPDIR": str(tmp_path)})
    assert done.returncode == 0, done.stderr
    assert f"fresh: removing {tmp_path}/penstock-fresh-dead, whose run was killed\n" in done.stdout
    assert [path.name for path in tmp_path.glob("penstock-fresh-*")] == ["penstock-fresh-alive"]
