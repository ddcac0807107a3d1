"""Stages on two hosts, over TCP: the bits of one host, a link that is cut, a link that is slow."""
# Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
import json
import pathlib
import re
import subprocess

import hosts
import launchers
import numpy as np
import pytest
import tiny
import tiny_folder
from processes import stages_of, wait_for

REASON = hosts.reason_to_skip()
pytestmark = pytest.mark.skipif(REASON is not None, reason=REASON or "")
TIMEOUT_S = 6
START_S = 120               # at most: a machine that is busy with other tests is slow to start processes
MOVING_BYTES = 1 << 20      # far more than ranks say to each other before they begin


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_folder.compiled(tmp_path_factory.mktemp("hosts"), 3)


@pytest.fixture
def both(tmp_path):
    with hosts.TwoHosts(tmp_path) as made:
        yield made


def test_same_bits(folder, both, tmp_path):
    arguments, expected = tiny_folder.run_locally(folder, tmp_path, 7)
    started = both.mpirun(1, 2, folder / "launch", *arguments, tmp_path / "hosts", stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE)
    _, errors = started.communicate(timeout=60)
    assert started.returncode == 0, errors
    assert (tmp_path / "hosts/y.npy").read_bytes() == expected


def await_traffic(folder, both, processes, said):
    """Until all stages run and messages move between the hosts. A run that ends instead is shown with what it `said`."""
    def moves():
        return len(stages_of(folder)) == 3 and both.sent_bytes() > MOVING_BYTES

    wait_for(lambda: moves() or any(process.poll() is not None for process in processes), START_S)
    assert moves(), (stages_of(folder), both.sent_bytes(), [process.poll() for process in processes], said())


def cut_and_await_the_end(folder, both, processes, said):
    await_traffic(folder, both, processes, said)
    both.cut()
    # A second for what comes after the deadline, and more for a machine that is busy with other tests.
    wait_for(lambda: not stages_of(folder), TIMEOUT_S + 10)
    assert not stages_of(folder), (stages_of(folder), said())


def test_cut_link(folder, both, tmp_path):
    """Silence ends the run on both sides within the deadline; the rank that can still be heard says what it waited for."""
    with open(tmp_path / "errors.txt", "w") as errors:
        started = both.mpirun(1, 2, folder / "launch", "--random", "--repeat", 10 ** 9, "--timeout", TIMEOUT_S, "--quiet",
                              stdout=subprocess.DEVNULL, stderr=errors)
        try:
            said = pathlib.Path(errors.name).read_text
            cut_and_await_the_end(folder, both, [started], said)
            lines = [line for line in said().splitlines() if line.startswith("error: ")]
        finally:
            started.kill()
            started.wait()
    assert len(lines) == 1 and lines[0].startswith("error: stage 0, microbatch "), lines
    assert re.search(rf"waited {TIMEOUT_S}\S* s for '.*' .* stage [12], and heard nothing of it for", lines[0]), lines
    assert "(last done: " in lines[0], lines


def test_cut_link_between_sockets(folder, both):
    """The same for ranks that torchrun starts; nobody ends a rank for another one, so each says what it knows."""
    command = [folder / "launch", "--random", "--repeat", 10 ** 9, "--timeout", TIMEOUT_S, "--quiet"]
    with both.ranks(command, 1, 2) as started:
        cut_and_await_the_end(folder, both, started.values(), lambda: launchers.said(started))
        ended = launchers.outcome(started)
    assert all(status == 1 for status, _, _ in ended.values()), ended
    assert len(ended[0][2]) == 1 and re.search(rf"stage 0, microbatch \d+: waited {TIMEOUT_S}\S* s for '.*' .* stage [12], and heard "
                                               "nothing of it for", ended[0][2][0]), ended
    assert len(ended[1][2] + ended[2][2]) == 1 and re.search(rf"stage \d, microbatch \d+: waited {TIMEOUT_S}",
                                                             (ended[1][2] + ended[2][2])[0]), ended


@pytest.mark.parametrize("launcher", ["mpirun", "torchrun"])
def test_each_edge_has_its_transport(folder, both, tmp_path, launcher):
    """Two ranks on one host, a third elsewhere: shared memory, without a copy, between the first two only; the figures and
    the timeline say so, and so do the mappings of the processes."""
    np.save(tmp_path / "x.npy", tiny.perceptron_input(7))
    command = [folder / "launch", "--input", f"x={tmp_path / 'x.npy'}", "--repeat", 50, "--verbose", "--trace", tmp_path / "trace"]
    between = {"mpirun": "mpi", "torchrun": "tcp"}[launcher]
    if launcher == "mpirun":
        started = both.mpirun(2, 1, *command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        printed, errors = started.communicate(timeout=60)
        assert started.returncode == 0, errors
    else:
        with both.ranks(command, 2, 1) as started:
            ended = launchers.outcome(started)
        assert all(status == 0 for status, _, _ in ended.values()), ended
        printed = "".join(out for _, out, _ in ended.values())
    words, copied = launchers.transports(printed), launchers.copied(printed)
    first = next(tensor for tensor, text in words.items() if text == "shm to stage 1")
    assert words["t0"] == f"{between} to stage 2" and words["y"] == "shm to sink" and len(words) == 5, words
    assert copied[first] == 0 and copied["t0"] > 0, copied
    told = {(args["tensor"], args["transport"]) for args in (
        event.get("args", {}) for event in json.loads((tmp_path / "trace.1").read_text())["traceEvents"]) if "tensor" in args}
    assert (first, "shm") in told and any(transport == between for _, transport in told), told


def test_shared_slots(folder, both):
    """What a stage sends to its neighbour lies in memory that both map."""
    command = [folder / "launch", "--random", "--repeat", 10 ** 9, "--quiet"]
    with both.ranks(command, 2, 1) as started:
        await_traffic(folder, both, started.values(), lambda: launchers.said(started))
        slots = {name: launchers.slots_of(process) for name, process in stages_of(folder).items()}
    assert slots["stage-0"] & slots["stage-1"] and slots["stage-2"], slots
    assert not slots["stage-2"] & (slots["stage-0"] | slots["stage-1"]), slots


def test_slow_link(folder, tmp_path):
    """A millisecond of delay changes no bit. How well the slots hide it is measured by bench/hosts.py."""
    arguments, expected = tiny_folder.run_locally(folder, tmp_path, 7)
    with hosts.TwoHosts(tmp_path, delay_ms=1) as slow:
        assert slow.round_trip_ms() >= 2
        started = slow.mpirun(1, 2, folder / "launch", *arguments, tmp_path / "hosts", "--repeat", 30, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE)
        _, errors = started.communicate(timeout=120)
    assert started.returncode == 0, errors
    assert (tmp_path / "hosts/y.npy").read_bytes() == expected
