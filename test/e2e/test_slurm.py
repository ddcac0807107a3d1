"""A compiled folder under srun: a controller and a node daemon that this test starts and ends."""
# Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
import subprocess

import launchers
import models
import pytest
import slurm
import tiny_folder

pytestmark = slurm.MARKS
STAGES = 3


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_folder.compiled(tmp_path_factory.mktemp("slurm"), STAGES)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with slurm.Slurm(tmp_path_factory.mktemp("node")) as running:
        yield running


def test_same_bits(folder, cluster, tmp_path):
    arguments, expected = tiny_folder.run_locally(folder, tmp_path)
    for name, flags in {"shm": (), "mpi": ("--no-shared-memory",)}.items():
        done = cluster.srun(STAGES, folder / "launch", *arguments, tmp_path / name, "--verbose", *flags)
        assert done.returncode == 0, f"{done.stderr}\n{cluster.words()}"
        assert (tmp_path / name / "y.npy").exists(), f"{done.stdout}\n{done.stderr}\n{cluster.words()}"
        assert (tmp_path / name / "y.npy").read_bytes() == expected
        words = [text for text in launchers.transports(done.stdout).values() if "to stage" in text]
        assert any(text.startswith(f"{name} to stage") for text in words), words


def test_launcher_option(folder, cluster, tmp_path):
    """`penstock run --launcher srun` starts srun by itself."""
    command = [models.BUILD / "bin/penstock", "run", folder, "--launcher", "srun", "--random", "--output-dir", tmp_path / "results"]
    done = subprocess.run([str(word) for word in command], env=cluster.environment, text=True, capture_output=True, timeout=120)
    assert done.returncode == 0, f"{done.stderr}\n{cluster.words()}"
    assert (tmp_path / "results/y.npy").exists()


def test_wrong_number_of_ranks(folder, cluster):
    done = cluster.srun(STAGES - 1, folder / "launch", "--random")
    assert done.returncode != 0
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert errors == [f"error: the model was compiled into {STAGES} stages, and srun started {STAGES - 1} processes; "
                      f"expected {STAGES}, one per stage"]


def test_without_mpi(folder, cluster, tmp_path):
    """srun that is told to wire no MPI up: ranks meet at an address, or say that they know none."""
    done = cluster.srun(STAGES, "--mpi=none", folder / "launch", "--random")
    assert done.returncode != 0
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1 and "MASTER_ADDR" in errors[0] and "srun --mpi=pmix" in errors[0], done.stderr
    meeting = f"MASTER_ADDR=127.0.0.1,MASTER_PORT={launchers.free_port()}"
    done = cluster.srun(STAGES, "--mpi=none", f"--export=ALL,{meeting}", folder / "launch", "--random", "--output-dir",
                        tmp_path / "results")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "results/y.npy").exists()
