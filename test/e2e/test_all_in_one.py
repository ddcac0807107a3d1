"""The executable of all stages gives the bytes that the processes of the same folder give, needs no more libraries than
they do, and works under a debugger."""
# Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
import json
import re
import shutil
import subprocess

import models
import numpy as np
import pytest
import runner
import test_folder
import tiny

# The cases of a model are one group: they run in one process, where its kernels are compiled once.
CASES = [pytest.param(model.name, num_stages, marks=pytest.mark.xdist_group(f"all-in-one-{model.name}"))
         for model in models.MODELS.values() if model.tier == "ci" for num_stages in model.stages]


@pytest.fixture(scope="module")
def kernel_cache(tmp_path_factory):
    return tmp_path_factory.mktemp("kernels") / "cache"


def results_of(folder, requests, where, *flags):
    """The files that a run of all requests writes."""
    files = []
    for index, feeds in enumerate(requests):
        np.savez(where / f"in{index}.npz", **feeds)
        files += ["--inputs", where / f"in{index}.npz"]
    out = where / "out"
    shutil.rmtree(out, ignore_errors=True)
    runner.penstock("run", folder, *files, "--output-dir", out, *flags)
    return {path.relative_to(out): path.read_bytes() for path in out.rglob("*.npy")}


@pytest.mark.parametrize("name, num_stages", CASES)
def test_same_bytes_as_processes(name, num_stages, kernel_cache, tmp_path):
    model = models.MODELS[name]
    try:
        requests = [feeds for _, feeds in model.requests()]
        folder = runner.Folder(model, num_stages, tmp_path, ("--all-in-one", "--cache-dir", kernel_cache))
    except models.NotHere as error:
        pytest.skip(str(error))
    if model.feedback:    # what is fed back is not given by later requests; one request says enough
        requests = requests[:1]
    processes = results_of(folder.path, requests, tmp_path)
    threads = results_of(folder.path, requests, tmp_path, "--all-in-one")
    assert len(processes) >= len(requests)
    assert threads == processes


@pytest.mark.parametrize("name, flags", [("voice-plain", ("--state", "state=stateN")), ("ocr-classifier", ("--threads", "2"))])
def test_same_bytes_with_states_and_with_threads(name, flags, kernel_cache, tmp_path):
    """A state is kept from chunk to chunk in the thread of its stage; each stage's kernels have a pool of their own."""
    model = models.MODELS[name]
    try:
        requests = [feeds for _, feeds in model.requests()[:20]]
        folder = runner.Folder(model, 2, tmp_path, ("--all-in-one", "--cache-dir", kernel_cache, *flags))
    except models.NotHere as error:
        pytest.skip(str(error))
    for feeds in requests:
        feeds.pop("state", None)
    processes = results_of(folder.path, requests, tmp_path)
    assert len(set(processes.values())) > 1
    assert results_of(folder.path, requests, tmp_path, "--all-in-one") == processes


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    where = tmp_path_factory.mktemp("folder")
    model = tiny.save(tiny.perceptron(), where / "tiny.onnx")
    runner.penstock("compile", model, "-o", where / "tiny.penstock", "--stages", 3, "--all-in-one")
    return where / "tiny.penstock"


def test_listed(folder):
    assert "all-in-one for all of them" in runner.penstock("inspect", folder)
    of_all = runner.penstock("inspect", folder / "all-in-one", "--json")
    plan, roles = json.loads((folder / "plan.json").read_text()), json.loads(of_all)["roles"]
    assert {role["fingerprint"] for role in roles} == {plan["fingerprint"]}
    assert [stage for role in roles for stage in role["plan"]["stages"]] == plan["stages"]


def test_needed_libraries(folder):
    dynamic = subprocess.run(["readelf", "-d", folder / "all-in-one"], text=True, capture_output=True, check=True).stdout
    needed = set(re.findall(r"NEEDED.*\[(.*)\]", dynamic))
    assert needed <= test_folder.ALLOWED_LIBRARIES, f"it needs {sorted(needed - test_folder.ALLOWED_LIBRARIES)}"
    assert re.findall(r"R(?:UN)?PATH.*\[(.*)\]", dynamic) == ["$ORIGIN/lib"]


def test_no_path_of_this_machine(folder):
    contents = (folder / "all-in-one").read_bytes()
    assert [path for path in models.PATHS if path in contents] == []


def test_same_stages_without_it(folder, tmp_path):
    """It is one more file: the others are those of a folder without it, but for the line that names it."""
    model = tiny.save(tiny.perceptron(), tmp_path / "tiny.onnx")
    runner.penstock("compile", model, "-o", tmp_path / "plain", "--stages", 3)
    for path in tmp_path.joinpath("plain").rglob("*"):
        if path.is_file() and path.name != "plan.json":
            assert path.read_bytes() == (folder / path.relative_to(tmp_path / "plain")).read_bytes(), path.name
    plan = json.loads((folder / "plan.json").read_text())
    assert plan.pop("all_in_one") == "all-in-one"
    assert plan == json.loads((tmp_path / "plain/plan.json").read_text())


def test_recorded(folder, tmp_path):
    """What it records, a stage alone replays with the same bits."""
    recording = tmp_path / "run.rec"
    runner.penstock("run", folder, "--all-in-one", "--random", "--dim", "batch=3", "--quiet", "--record", recording)
    for stage in range(3):
        printed = runner.penstock("replay", folder, "--stage", stage, "--recording", recording)
        assert "all with the bits that were recorded" in printed


@pytest.mark.skipif(not shutil.which("gdb"), reason="gdb is not installed")
def test_under_a_debugger(folder, tmp_path):
    """A breakpoint in a kernel of the last stage stops its thread, which has the stage's name; then the run goes on."""
    kernel = json.loads((folder / "plan.json").read_text())["stages"][2]["kernels"][-1]["kernel"]
    script = [f"break {kernel}", "run", "info threads", "delete", "continue"]
    done = subprocess.run(["gdb", "-q", "-nx", "-batch", "-ex", "set confirm off",
                           *(word for line in script for word in ("-ex", line)),
                           "--args", str(folder / "all-in-one"), "--random", "--quiet", "--output-dir", str(tmp_path / "out")],
                          text=True, capture_output=True, timeout=120, stdin=subprocess.DEVNULL)
    assert re.search(rf'hit Breakpoint 1, .*{kernel}', done.stdout), done.stdout + done.stderr
    assert re.search(r'^\* .*"stage-2"', done.stdout, re.MULTILINE), done.stdout
    assert {f'"stage-{k}"' for k in range(3)} <= set(re.findall(r'"stage-\d"', done.stdout)), done.stdout
    assert "exited normally" in done.stdout, done.stdout + done.stderr
    assert (tmp_path / "out/y.npy").exists()
