"""Stages on GPUs that are processes of their own and talk through NCCL, against the stand-ins of driver and NCCL: the CPU
target's numbers, under every launcher; nothing found, and nothing left when a stage dies."""
# Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import time

import hosts
import launchers
import numpy as np
import pytest
import runner
import slurm
import tiny
from processes import processes_of, stages_of, wait_for
from test_cuda_stages import (H200, LAUNCH_TIMEOUT_S, STANDIN, check_same, cluster_of, compile_played, launch, machine, reports,
                              results)

NUM_LAYERS = 8
REQUESTS = [{"x": tiny.perceptron_input(rows, seed=rows)} for rows in (4, 1, 7)]
NUM_MICROBATCHES = sum(len(request["x"]) for request in REQUESTS)
TIMEOUT_S = 10


class Compiled:
    """Folders of the same model for GPUs, by number of stages, and what the CPU target makes of the requests."""

    def __init__(self, where):
        self.where, self.folders = where, {}
        self.model = tiny.save(tiny.perceptron(NUM_LAYERS), where / "tiny.onnx")
        runner.penstock("compile", self.model, "-o", where / "cpu.penstock", "--stages", 2)
        self.expected = results(where / "cpu.penstock", REQUESTS, where, {})

    def folder(self, num_stages):
        if num_stages not in self.folders:
            self.folders[num_stages] = compile_played(self.model, self.where / f"nccl-{num_stages}.penstock", "--stages",
                                                      num_stages, "--transport", "nccl", "--all-in-one")
        return self.folders[num_stages]


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    return Compiled(tmp_path_factory.mktemp("nccl").resolve())


def between_stages(folder):
    """The channels whose ends are stages."""
    return [channel for channel in json.loads((folder / "plan.json").read_text())["channels"]
            if channel["from"] != "source" and "sink" not in channel["to"]]


def check_reports(prefix, folder, num_stages):
    """The machine has found nothing, and every message has gone from device to device: once more on each link, to connect."""
    found = reports(prefix)
    assert len(found) == num_stages
    assert [faults for _, faults in found] == [[]] * num_stages
    links = sum(len(channel["to"]) for channel in between_stages(folder))
    sends, receives = (sum(calls[name] for calls, _ in found) for name in ("ncclSend", "ncclRecv"))
    assert sends == receives == links * (NUM_MICROBATCHES + 1)
    assert all(calls["ncclCommAbort"] == 0 for calls, _ in found)


@pytest.mark.parametrize("num_stages", [2, 3, 4])
def test_a_device_each(compiled, tmp_path, num_stages):
    """Two to four processes; from three on the skip connection goes over a stage, in a channel of two consumers."""
    folder, report = compiled.folder(num_stages), tmp_path / "report"
    channels = between_stages(folder)
    assert channels and all(channel["carrier"] == "nccl" for channel in channels)
    got = results(folder, REQUESTS, tmp_path, machine(*[H200] * num_stages, PENSTOCK_STANDIN_REPORT=str(report)))
    check_same(got, compiled.expected)
    check_reports(report, folder, num_stages)


@pytest.mark.parametrize("num_stages, num_devices", [(2, 1), (4, 1), (4, 2)])
def test_shared_devices(compiled, tmp_path, num_stages, num_devices):
    """More stages than devices: those of the later turns get hosts of their own, and say so."""
    folder, report = compiled.folder(num_stages), tmp_path / "report"
    np.savez(tmp_path / "in.npz", **REQUESTS[0])
    done = launch(folder, machine(*[H200] * num_devices, PENSTOCK_STANDIN_REPORT=str(report)), "--inputs", tmp_path / "in.npz",
                  "--output-dir", tmp_path)
    assert done.returncode == 0, done.stderr
    warnings = sorted(done.stderr.splitlines())
    assert len(warnings) == num_stages - num_devices
    for line, stage in zip(warnings, range(num_devices, num_stages)):
        assert line.startswith(f"warning: stage {stage} shares device {stage % num_devices} (NVIDIA H200, sm_90) with other stages")
        assert line.endswith(f"-turn-{stage // num_devices})")
    check_same({0: np.load(tmp_path / "y.npy")}, {0: compiled.expected[pathlib.Path("0/y.npy")]})
    assert [faults for _, faults in reports(report)] == [[]] * num_stages


def test_threads_need_a_device_each(compiled):
    done = launch(compiled.folder(2), machine(H200), "--all-in-one", "--random")
    assert done.returncode == 1
    assert done.stderr == ("error: stage 1: over NCCL the stages of one process need a device each, and there is 1; run them as "
                           "processes, or compile without --transport nccl\n")


@pytest.mark.parametrize("notices", [True, False])
@pytest.mark.parametrize("stage", range(3))
def test_a_stage_is_killed(compiled, tmp_path, stage, notices):
    """In the middle, whether NCCL notices it or not: one error that names the stage, all end, and the others leave nothing on
    their devices."""
    folder, report = compiled.folder(3), tmp_path / "report"
    environment = machine(*[H200] * 3, f"blind={int(not notices)}", PENSTOCK_STANDIN_REPORT=str(report))
    command = [folder / "launch", "--random", "--repeat", 10 ** 9, "--inflight", 8, "--quiet", "--timeout", TIMEOUT_S]
    process = subprocess.Popen([str(word) for word in command], text=True, stderr=subprocess.PIPE, env=os.environ | environment)
    try:
        number = wait_for(lambda: stages_of(folder).get(f"stage-{stage}"))
        time.sleep(1)
        begin = time.monotonic()
        os.kill(number, signal.SIGKILL)
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert time.monotonic() - begin < TIMEOUT_S
    assert process.returncode == 1
    assert errors.startswith("error: ") and errors.count("\n") == 1, errors
    lost = re.search(r"stage (\d), channel '.*', tensor '.*', microbatch [1-9]\d*: lost stage (\d) over NCCL 2\.28\.9: ", errors)
    dead = f"stage {stage} ('stage-{stage}', process {number}) was ended by signal 9" in errors
    assert dead or (notices and lost and int(lost[2]) == stage != int(lost[1])), errors
    assert wait_for(lambda: not processes_of(folder)), processes_of(folder)
    assert [faults for _, faults in reports(report)] == [[]] * 2


@pytest.mark.parametrize("stage", range(2))
def test_a_stage_stops(compiled, stage):
    """Nothing tells of a stopped process but silence: the deadline, whose message names it."""
    folder = compiled.folder(2)
    done = launch(folder, machine(H200, H200), "--random", "--repeat", 10 ** 9, "--quiet", "--timeout", 1, "--fault",
                  f"{stage}:kernel:30:stop")
    assert done.returncode == 1
    assert f"stage {stage}" in done.stderr and done.stderr.count("\n") == 1, done.stderr
    assert wait_for(lambda: not processes_of(folder)), processes_of(folder)


def refused(folder, *parts, **more):
    done = launch(folder, machine(H200, H200, *parts) | more, "--random")
    assert done.returncode == 1 and done.stderr.count("\n") == 1, done.stderr
    return done.stderr


def test_no_library(compiled, tmp_path):
    """A machine with a driver, whose NCCL cannot be opened: only plans that use it try."""
    for name in ("libcuda.so.1", "libcublasLt.so.13"):
        (tmp_path / name).symlink_to(STANDIN / name)
    (tmp_path / "libnccl.so.2").touch()
    words = refused(compiled.folder(2), LD_LIBRARY_PATH=str(tmp_path))
    assert re.match(r"error: stage [01]: cannot use NCCL: .*libnccl\.so\.2: file too short; install NCCL 2\.18 or newer\n", words)
    staged = compile_played(compiled.model, tmp_path / "staged.penstock", "--stages", 2)
    assert not (staged / "lib/libpenstock-nccl.so").exists()
    check_same(results(staged, REQUESTS, tmp_path, machine(H200, H200) | {"LD_LIBRARY_PATH": str(tmp_path)}), compiled.expected)


def test_an_old_library(compiled):
    words = refused(compiled.folder(2), "nccl=21200")
    assert words.endswith(": cannot use NCCL: libnccl.so.2 has version 2.12.0; install NCCL 2.18 or newer\n")


def test_bench_names_the_transport(compiled):
    figures = runner.penstock("bench", compiled.folder(2), "--seconds", 0.2, "--warmup", 0.1, "--json",
                              environment=machine(H200, H200).items())
    transports = {consumer["transport"] for channel in json.loads(figures)["channels"] for consumer in channel["consumers"]
                  if isinstance(consumer["to"], str) and consumer["to"].startswith("stage")}
    assert "nccl" in transports


def test_over_a_stage_on_the_host(compiled, tmp_path):
    """The skip connection goes from GPU to GPU by NCCL, and the rest through the stage between them, which is on the host."""
    (tmp_path / "cluster.toml").write_text(cluster_of("gpu", "host", "gpu"))
    folder = compile_played(compiled.model, tmp_path / "mixed.penstock", "--stages", 3, "--cut", "t1", "--cut", "t4", "--transport",
                            "nccl", "--cluster", tmp_path / "cluster.toml")
    carried = [(channel["from"], channel["to"]) for channel in between_stages(folder) if channel.get("carrier") == "nccl"]
    assert carried == [(0, [2])] and len(between_stages(folder)) == 3
    report = tmp_path / "report"
    check_same(results(folder, REQUESTS, tmp_path, machine(H200, H200, PENSTOCK_STANDIN_REPORT=str(report))), compiled.expected)
    found = reports(report)
    assert [faults for _, faults in found] == [[]] * 2
    assert sum(calls["ncclSend"] for calls, _ in found) == NUM_MICROBATCHES + 1


def arguments(folder, where, *flags):
    """Of a run of all requests under a launcher."""
    words = [folder / "launch", "--output-dir", where / "out", *flags]
    for index, feeds in enumerate(REQUESTS):
        np.savez(where / f"in{index}.npz", **feeds)
        words += ["--inputs", where / f"in{index}.npz"]
    return [str(word) for word in words]


def check_out(compiled, where):
    check_same({path.relative_to(where / "out"): np.load(path) for path in (where / "out").rglob("*.npy")}, compiled.expected)


WAYS = pytest.mark.parametrize("flags", [(), ("--no-shared-memory",)], ids=["shared memory", "messages"])


@WAYS
@pytest.mark.skipif(shutil.which("mpirun") is None, reason="mpirun is not installed (package openmpi-bin)")
def test_mpirun(compiled, tmp_path, flags):
    """The identities of links, headers and credits go the way that the launcher gives."""
    folder, report = compiled.folder(3), tmp_path / "report"
    environment = hosts.ENVIRONMENT | machine(*[H200] * 3, PENSTOCK_STANDIN_REPORT=str(report))
    done = subprocess.run(["mpirun", "-n", "3", *arguments(folder, tmp_path, *flags)], text=True, capture_output=True,
                          env=environment, timeout=LAUNCH_TIMEOUT_S)
    assert done.returncode == 0, done.stderr
    check_out(compiled, tmp_path)
    check_reports(report, folder, 3)


@slurm.marked
def test_srun(compiled, tmp_path):
    folder, report = compiled.folder(3), tmp_path / "report"
    (tmp_path / "node").mkdir()
    with slurm.Slurm(tmp_path / "node") as cluster:
        cluster.environment |= machine(*[H200] * 3, PENSTOCK_STANDIN_REPORT=str(report))
        done = cluster.srun(3, *arguments(folder, tmp_path))
        assert done.returncode == 0, f"{done.stderr}\n{cluster.words()}"
    check_out(compiled, tmp_path)
    check_reports(report, folder, 3)


@WAYS
def test_rank_and_world_size(compiled, tmp_path, monkeypatch, flags):
    folder, report = compiled.folder(3), tmp_path / "report"
    for name, value in machine(*[H200] * 3, PENSTOCK_STANDIN_REPORT=str(report)).items():
        monkeypatch.setenv(name, value)
    with launchers.ranks(arguments(folder, tmp_path, *flags), 3) as started:
        ended = launchers.outcome(started)
    assert all(status == 0 for status, _, _ in ended.values()), ended
    check_out(compiled, tmp_path)
    check_reports(report, folder, 3)


def test_ranks_on_one_device(compiled, tmp_path, monkeypatch):
    """Refused with what to do, which helps."""
    for name, value in machine(H200).items():
        monkeypatch.setenv(name, value)
    command = arguments(compiled.folder(2), tmp_path)
    with launchers.ranks(command, 2) as started:
        ended = launchers.outcome(started)
    assert all(status == 1 for status, _, _ in ended.values()), ended
    words = [line for _, _, errors in ended.values() for line in errors]
    assert any(re.search(r"lost stage [01] over NCCL .*are both on one device\? Each needs an NCCL_HOSTID of its own", line)
               for line in words), ended
    with launchers.ranks(command, 2, prefix=lambda rank: ("env", f"NCCL_HOSTID=host-{rank}")) as started:
        ended = launchers.outcome(started)
    assert all(status == 0 for status, _, _ in ended.values()), ended
    check_out(compiled, tmp_path)
