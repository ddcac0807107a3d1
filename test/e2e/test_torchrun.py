"""A compiled folder under torchrun, or under something that sets the same variables: ranks that meet at an address."""
# Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
import os
import signal
import subprocess
import time

import launchers
import models
import pytest
import tiny_folder
from processes import stages_of, wait_for

STAGES = 3
TORCHRUN = models.BUILD / "venv-torch/bin/torchrun"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_folder.compiled(tmp_path_factory.mktemp("torchrun"), STAGES)


@pytest.fixture(scope="module")
def given(folder):
    return tiny_folder.run_locally(folder, folder.parent)


def test_same_bits(folder, given, tmp_path):
    """Through shared memory, as on one host, and through sockets, as between hosts."""
    arguments, expected = given
    for flags, transport, copies in ((), "shm", False), (("--no-shared-memory",), "tcp", True):
        results = tmp_path / transport
        command = [folder / "launch", *arguments, results, "--repeat", 20, "--verbose", *flags]
        with launchers.ranks(command, STAGES) as started:
            ended = launchers.outcome(started)
        assert all(status == 0 and not errors for status, _, errors in ended.values()), ended
        assert (results / "y.npy").read_bytes() == expected
        for rank in range(STAGES - 1):
            words = launchers.transports(ended[rank][1])
            between = [text for text in words.values() if "to stage" in text and f"to stage {rank}" not in text]
            assert between and all(text.startswith(f"{transport} to stage") for text in between), words
            moved = launchers.copied(ended[rank][1])
            assert any(number > 0 for number in moved.values()) == copies, moved


def test_one_stage_per_program(folder, given, tmp_path):
    """Ranks need not have the numbers of the stages that they run."""
    arguments, expected = given
    commands = {rank: [folder / f"stage-{STAGES - 1 - rank}", *arguments, tmp_path / "results"] for rank in range(STAGES)}
    with launchers.ranks(commands, STAGES) as started:
        ended = launchers.outcome(started)
    assert all(status == 0 for status, _, _ in ended.values()), ended
    assert (tmp_path / "results/y.npy").read_bytes() == expected


@pytest.mark.skipif(not TORCHRUN.exists(), reason="torchrun is not installed (the long form of ./dev accept installs torch)")
def test_torchrun_itself(folder, given, tmp_path):
    arguments, expected = given
    command = [TORCHRUN, "--no-python", "--nproc-per-node", STAGES, "--master-port", launchers.free_port(), folder / "launch",
               *arguments, tmp_path / "results"]
    done = subprocess.run([str(word) for word in command], text=True, capture_output=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "results/y.npy").read_bytes() == expected


@pytest.mark.parametrize("size", [STAGES - 1, STAGES + 1])
def test_wrong_world_size(folder, size):
    """Refused with what was built and what was started, by one rank for all."""
    with launchers.ranks([folder / "launch", "--random"], size) as started:
        ended = launchers.outcome(started)
    assert all(status == 2 for status, _, _ in ended.values()), ended
    assert [line for _, _, errors in ended.values() for line in errors] == [
        f"error: the model was compiled into {STAGES} stages, and torchrun started {size} processes; expected {STAGES}, one per "
        "stage"]


def test_no_place_to_meet(folder):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MASTER_")}
    done = subprocess.run([folder / "launch", "--random"], text=True, capture_output=True, timeout=30,
                          env=environment | {"RANK": "0", "WORLD_SIZE": str(STAGES)})
    assert done.returncode == 2
    assert "torchrun started rank 0 of 3 without MPI" in done.stderr and "MASTER_ADDR and MASTER_PORT" in done.stderr


def test_rank_that_never_starts(folder):
    begin = time.monotonic()
    with launchers.ranks([folder / "launch", "--random", "--timeout", 2], STAGES, only=(0, 1)) as started:
        ended = launchers.outcome(started)
    assert all(status != 0 for status, _, _ in ended.values()), ended
    assert time.monotonic() - begin < 20
    assert any("rank 2 did not come to the meeting of ranks" in line for line in ended[0][2]), ended


@pytest.mark.parametrize("flags", [(), ("--no-shared-memory",)], ids=["shm", "tcp"])
def test_killed_stage(folder, flags):
    """The end of a connection is noticed, whether tensors went over it or not."""
    command = [folder / "launch", "--random", "--repeat", 10 ** 9, "--timeout", 20, "--quiet", *flags]
    with launchers.ranks(command, STAGES) as started:
        assert wait_for(lambda: len(stages_of(folder)) == STAGES, 30)
        time.sleep(1)
        os.kill(stages_of(folder)["stage-1"], signal.SIGKILL)
        begin = time.monotonic()
        ended = launchers.outcome(started)
    assert time.monotonic() - begin < 12
    assert all(status == 1 for status, _, _ in ended.values()), ended
    assert "was ended by signal 9" in ended[1][2][0], ended
    assert wait_for(lambda: not stages_of(folder), 5)
