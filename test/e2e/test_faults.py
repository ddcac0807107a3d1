"""Whatever fails, a run ends in time with one message of the cause, leaves no process and no file behind, and keeps the
results that it had."""
# Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
import json
import os
import pathlib
import re
import resource
import shutil
import subprocess
import time

import faults
import pytest
import runner
import tiny
from faults import NUM_REQUESTS, Pipeline, send, stage_process
from processes import PATIENCE_S, processes_of, wait_for

TIMEOUT_S = 0.7
# Step -> the call of the stage at which it happens; the third request has been sent by then.
STEPS = {"start": "start:1", "open": "open:2", "wait": "wait:3", "acquire": "acquire:3", "kernel": "kernel:3",
         "publish": "publish:3", "release": "release:3"}
SIGNALS = {"kill": 9, "segv": 11}
MEMORY_GROUPS = pathlib.Path("/sys/fs/cgroup/memory")
needs_mount = pytest.mark.skipif(not faults.CAN_MOUNT, reason="a mount namespace of its own needs root")


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory):
    return Pipeline(tmp_path_factory.mktemp("faults").resolve())


@pytest.fixture
def copy(pipeline, tmp_path):
    """A folder to damage."""
    damaged = Pipeline.__new__(Pipeline)
    damaged.__dict__.update(pipeline.__dict__, path=tmp_path.resolve() / "copy.penstock")
    shutil.copytree(pipeline.path, damaged.path, symlinks=True)
    return damaged


@pytest.fixture
def endless(pipeline):
    """A run that goes on for ever, with all its stages up and work queued for each."""
    process = pipeline.start("--random", "--repeat", 10 ** 9, "--inflight", 64, "--timeout", TIMEOUT_S, "--quiet", "--fault",
                             "2:kernel:*:delay=5")
    for stage in range(3):
        stage_process(pipeline.path, stage)
    yield process
    for number in [process.pid, *processes_of(pipeline.path)]:
        try:
            send(number, "SIGKILL")
        except ProcessLookupError:
            pass
    process.communicate()


@pytest.mark.parametrize("stage", range(3))
@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("how", SIGNALS)
def test_dies(pipeline, tmp_path, how, step, stage):
    status, errors, _ = pipeline.run(tmp_path / "out", "--fault", f"{stage}:{STEPS[step]}:{how}")
    pipeline.check_failed(status, errors)
    assert re.match(rf"error: stage {stage} \('stage-{stage}', process \d+\) was ended by signal {SIGNALS[how]} ", errors)
    pipeline.check_results(tmp_path / "out")


@pytest.mark.parametrize("stage", range(3))
@pytest.mark.parametrize("step", STEPS)
def test_is_stopped(pipeline, tmp_path, step, stage):
    """Nothing tells of a stopped process but silence: the deadline, whose message names it; then it is killed."""
    status, errors, _ = pipeline.run(tmp_path / "out", "--timeout", TIMEOUT_S, "--fault", f"{stage}:{STEPS[step]}:stop")
    pipeline.check_failed(status, errors)
    waited = rf"waited [0-9.]+ s for '.*' (from|to be released by) stage {stage} \(last done: "
    never = rf"stage {stage} \('stage-{stage}'\) was not ready after [0-9.]+ s"
    assert re.search(never if step in ("start", "open") else waited, errors), errors
    pipeline.check_results(tmp_path / "out")


@pytest.mark.parametrize("stage", range(3))
def test_every_call_fails(pipeline, tmp_path, stage):
    """The n-th call that a stage makes fails, for every n, until there are no more."""
    for number in range(1, 100):
        out = tmp_path / str(number)
        status, errors, _ = pipeline.run(out, "--fault", f"{stage}:any:{number}:fail")
        if status == 0:
            break
        pipeline.check_failed(status, errors)
        assert f"planted failure at call {number} (" in errors
        pipeline.check_results(out)
    assert 20 < number < 99


@pytest.mark.parametrize("how", ["SIGKILL", "SIGSEGV", "SIGTERM"])
@pytest.mark.parametrize("when", ["starting", "running", "with a stopped stage"])
def test_launcher_dies(pipeline, when, how):
    """The stages end by themselves, a stopped one too."""
    slow = ["--fault", "1:start:1:delay=5000"] if when == "starting" else []
    process = pipeline.start("--random", "--repeat", 10 ** 9, "--quiet", *slow)
    try:
        numbers = [stage_process(pipeline.path, stage) for stage in range(3)]
        if when == "with a stopped stage":
            send(numbers[1], "SIGSTOP")
        send(process.pid, how)
        _, errors = process.communicate(timeout=PATIENCE_S)
    finally:
        process.kill()
        process.wait()
    assert process.returncode != 0
    assert errors == ("error: interrupted\n" if how == "SIGTERM" else "")
    assert wait_for(lambda: not processes_of(pipeline.path)), processes_of(pipeline.path)


def test_launcher_is_stopped(pipeline, endless):
    """Stages that wait for what it should feed or collect give up; when it may go on, it says so."""
    time.sleep(0.3)
    send(endless.pid, "SIGSTOP")
    stages = lambda: [name for name, state in processes_of(pipeline.path).values() if name != "launch" and state != "Z"]
    assert wait_for(lambda: not stages()), processes_of(pipeline.path)
    send(endless.pid, "SIGCONT")
    _, errors = endless.communicate(timeout=PATIENCE_S)
    pipeline.check_failed(endless.returncode, errors)
    assert re.search(r"waited [0-9.]+ s for .*(source|sink)", errors), errors


def test_all_stopped_and_continued(pipeline, endless):
    """A job that was held as a whole has not hung."""
    time.sleep(0.3)
    numbers = processes_of(pipeline.path)
    for how in ("SIGSTOP", "SIGCONT"):
        for number in numbers:
            send(number, how)
        time.sleep(3 * TIMEOUT_S)
    assert endless.poll() is None and len(processes_of(pipeline.path)) == 4


@pytest.mark.parametrize("script, words", [
    ("exec sleep 600", r"stage 1 \('stage-1'\) was not ready after"),
    ("exit 3", r"stage 1 \('stage-1', process \d+\) ended with status 3 before the run did"),
    ("kill -9 $$", r"stage 1 \('stage-1', process \d+\) was ended by signal 9")], ids=["silent", "ends", "is killed"])
def test_peer_never_starts(copy, tmp_path, script, words):
    (copy.path / "stage-1").write_text(f"#!/bin/sh\n{script}\n")
    status, errors, _ = copy.run(tmp_path / "out", "--timeout", TIMEOUT_S)
    copy.check_failed(status, errors)
    assert re.search(words, errors), errors
    assert not (tmp_path / "out").exists()


def test_slow_consumer(pipeline, tmp_path):
    """A stage that holds the others back is no fault while it gets on."""
    status, errors, seconds = pipeline.run(tmp_path / "out", "--timeout", TIMEOUT_S, "--fault", "2:kernel:*:delay=300")
    assert (status, errors) == (0, "") and seconds > 1.2
    (tmp_path / "out" / faults.MARK).touch()    # for the comparison; it is not there after a run that ended well
    assert pipeline.check_results(tmp_path / "out") == NUM_REQUESTS


def test_consumer_that_stands_still(pipeline, tmp_path):
    status, errors, _ = pipeline.run(tmp_path / "out", "--timeout", TIMEOUT_S, "--fault", "2:kernel:3:delay=600000")
    pipeline.check_failed(status, errors)
    assert re.search(r"waited [0-9.]+ s for '.*' (from|to be released by) stage 2 \(last done: microbatch ", errors), errors
    pipeline.check_results(tmp_path / "out")


def test_hang_is_dumped(pipeline, tmp_path):
    """One line names stage, microbatch, tensor, peer and the last step of both, and the file with all queues."""
    status, errors, _ = pipeline.run(tmp_path / "out", "--timeout", TIMEOUT_S, "--on-hang", "dump", "--fault",
                                     "1:kernel:3:stop", cwd=tmp_path)
    pipeline.check_failed(status, errors)
    found = re.fullmatch(r"error: (stage 2, microbatch \d+: waited [0-9.]+ s for '[^']+' from stage 1 \(last done: "
                         r"microbatch \d+, '[^']+'\); stage 2 has last done microbatch \d+, '[^']+'); "
                         r"the state of all queues is in '(.*/penstock-hang-\w+\.json)'\n", errors)
    assert found, errors
    files = list(tmp_path.glob("penstock-hang-*.json"))
    assert [str(file) for file in files] == [found.group(2)]
    state = json.loads(files[0].read_text())
    assert state["cause"] == found.group(1)
    stages = {stage["name"]: stage for stage in state["stages"]}
    assert stages["stage-1"]["activity"] == "running" and stages["stage-1"]["waits_for"] is None
    assert stages["stage-2"]["activity"] == "waiting" and stages["stage-2"]["waits_for"]["what"] == "message"
    held = [consumer["slots_held"] for channel in state["channels"] for consumer in channel["consumers"]
            if consumer["stage"] == "stage 1"]
    assert sum(held) >= 1 and state["source"]["submitted"] >= 3
    assert all(channel["published"] - consumer["released"] <= channel["depth"]
               for channel in state["channels"] for consumer in channel["consumers"])


def test_results_so_far(pipeline, tmp_path):
    """Three requests are through when the fourth meets its end: they are there, with a mark that says why not all are."""
    out = tmp_path / "out"
    status, errors, _ = pipeline.run(out, "--fault", "2:publish:*:delay=300,publish:4:kill")
    pipeline.check_failed(status, errors)
    assert pipeline.check_results(out) == 3
    assert pipeline.mark_of(out) == f"3 of 4 requests are here; the run failed: {errors[len('error: '):]}"
    status, errors, _ = pipeline.run(out)
    assert (status, errors) == (0, "") and not (out / faults.MARK).exists()


def test_results_of_a_killed_launcher(pipeline, tmp_path):
    out = tmp_path / "out"
    process = pipeline.start(*pipeline.inputs, "--output-dir", out, "--fault", "2:publish:*:delay=300")
    assert wait_for(lambda: (out / "1/y.npy").exists())
    send(process.pid, "SIGKILL")
    process.communicate()
    assert wait_for(lambda: not processes_of(pipeline.path))
    assert pipeline.check_results(out) >= 2


@needs_mount
def test_disk_full_of_later_results(pipeline, tmp_path):
    """What fits on the disk stays; the file that did not fit is not there in part."""
    small = tmp_path / "small"
    small.mkdir()
    # A page per file of the results, and of 16 three are left.
    script = f"mount -t tmpfs -o size=64k none {small} && head -c 52k /dev/zero > {small}/full && mkdir {small}/out && " \
             f'"$@"; status=$?; cp -r {small}/out {tmp_path}/kept; exit $status'
    command = [pipeline.path / "launch", *pipeline.inputs, "--output-dir", small / "out"]
    done = subprocess.run(["unshare", "--mount", "sh", "-c", script, "sh", *map(str, command)], text=True, capture_output=True,
                          timeout=PATIENCE_S)
    pipeline.check_failed(done.returncode, done.stderr)
    assert re.search(r"cannot write '.*/\d/y\.npy.*': no space left on device", done.stderr), done.stderr
    assert 1 <= pipeline.check_results(tmp_path / "kept") < NUM_REQUESTS


@pytest.mark.parametrize("limit, value, words", [
    (resource.RLIMIT_NOFILE, 12, "too many open files"), (resource.RLIMIT_FSIZE, 4096, "file too large"),
    (resource.RLIMIT_AS, 1 << 26, "(cannot (reserve|map|allocate|make|create)|memory is exhausted|was ended by)")],
    ids=["descriptors", "length of shared memory", "address space"])
def test_shared_memory_exhausted(pipeline, tmp_path, limit, value, words):
    """What the system refuses is an error of whoever asked for it, and no signal."""
    status, errors, _ = pipeline.run(tmp_path / "out", preexec_fn=lambda: resource.setrlimit(limit, (value, value)))
    pipeline.check_failed(status, errors)
    assert re.search(words, errors), errors
    assert not (tmp_path / "out").exists()


def test_page_that_cannot_be_had(pipeline, tmp_path):
    """Shared memory that the system has promised and cannot give is a SIGBUS of who touches it; here it is planted."""
    status, errors, _ = pipeline.run(tmp_path / "out", "--fault", "1:kernel:2:bus")
    pipeline.check_failed(status, errors)
    assert re.search(r"stage 1 .* was ended by signal 7 .*; memory is exhausted\n", errors), errors
    pipeline.check_results(tmp_path / "out")


@pytest.mark.skipif(not MEMORY_GROUPS.is_dir() or not os.access(MEMORY_GROUPS, os.W_OK),
                    reason=f"no memory groups of our own to make in {MEMORY_GROUPS}")
def test_out_of_memory(tmp_path):
    """A stage needs more than its group of processes may have, and the system kills it."""
    wide = 4096
    nodes = [tiny.helper.make_node("MatMul", ["x", "w0"], ["m0"], name="widen"),
             tiny.helper.make_node("Tanh", ["m0"], ["t0"], name="tanh"),
             tiny.helper.make_node("MatMul", ["t0", "w1"], ["y"], name="narrow")]
    model = tiny.model(nodes, [tiny.tensor("x", ["batch", tiny.WIDTH])], [tiny.tensor("y", ["batch", tiny.WIDTH])],
                       [tiny.weights("w0", tiny.WIDTH, wide), tiny.weights("w1", wide, tiny.WIDTH)])
    folder = tmp_path.resolve() / "wide.penstock"
    runner.penstock("compile", tiny.save(model, tmp_path / "wide.onnx"), "-o", folder, "--microbatch", 8192)
    group = MEMORY_GROUPS / f"penstock-test-{os.getpid()}"
    group.mkdir()
    try:
        (group / "memory.limit_in_bytes").write_text(str(64 << 20))
        done = subprocess.run([folder / "launch", "--random", "--dim", "batch=8192", "--quiet"], text=True, capture_output=True,
                              timeout=PATIENCE_S, preexec_fn=lambda: (group / "cgroup.procs").write_text(str(os.getpid())))
        assert done.returncode == 1 and done.stderr.count("\n") == 1, done
        assert re.match(r"error: stage 0 .* was ended by signal 9 .*; somebody killed it, or the system ran out of memory\n",
                        done.stderr), done.stderr
        assert wait_for(lambda: not processes_of(folder))
    finally:
        wait_for(lambda: not (group / "cgroup.procs").read_text())
        group.rmdir()


def truncate(file):
    os.truncate(file, 0)


def overwrite(file):
    with open(file, "r+b") as stream:
        stream.write(b"\xff" * 64)


def replace(file):
    shutil.copy(file, file.with_suffix(".new"))
    os.replace(file.with_suffix(".new"), file)


@pytest.mark.parametrize("change, words", [
    (truncate, "truncated while in use|has 0; it was changed"), (overwrite, "was written to"), (replace, "was replaced"),
    (os.unlink, "was removed")], ids=["truncated", "overwritten", "replaced", "removed"])
def test_weights_change_under_a_stage(copy, change, words):
    process = copy.start("--random", "--repeat", 10 ** 9, "--quiet")
    stage_process(copy.path, 2)
    wait_for(lambda: "stage-1.weights" in open(f"/proc/{stage_process(copy.path, 1)}/maps").read())
    time.sleep(0.3)
    change(copy.path / "stage-1.weights")
    _, errors = process.communicate(timeout=PATIENCE_S)
    copy.check_failed(process.returncode, errors, expected=2)
    assert "/stage-1.weights' " in errors and re.search(words, errors), errors
