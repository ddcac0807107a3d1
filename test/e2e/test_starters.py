"""The files for launchers that come with every folder start it."""
# Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
import importlib.util
import os
import re
import shutil
import subprocess
import sys

import hosts
import launchers
import pytest
import slurm
import tiny_folder

STAGES = 3


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_folder.compiled(tmp_path_factory.mktemp("starters"), STAGES)


@pytest.fixture(scope="module")
def given(folder):
    return tiny_folder.run_locally(folder, folder.parent)


@pytest.mark.skipif(shutil.which("mpirun") is None, reason="mpirun is not installed (package openmpi-bin)")
def test_mpirun(folder, given, tmp_path):
    arguments, expected = given
    done = subprocess.run(["sh", folder / "starters/mpirun.sh", *arguments, tmp_path / "results"], text=True, capture_output=True,
                          env=hosts.ENVIRONMENT, timeout=120)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "results/y.npy").read_bytes() == expected


@slurm.marked
def test_sbatch(folder, given, tmp_path):
    arguments, expected = given
    (tmp_path / "node").mkdir()
    with slurm.Slurm(tmp_path / "node") as cluster:
        command = ["sbatch", "--wait", "--output", tmp_path / "log.txt", "starters/slurm.sbatch", *arguments, tmp_path / "results"]
        done = subprocess.run([str(word) for word in command], text=True, capture_output=True, env=cluster.environment, cwd=folder,
                              timeout=120)
        assert done.returncode == 0, f"{done.stderr}\n{(tmp_path / 'log.txt').read_text()}\n{cluster.words()}"
    assert (tmp_path / "results/y.npy").read_bytes() == expected


def test_kubernetes(folder, given, tmp_path):
    """No cluster here: the pods are processes with the variables of the manifest, and their first host is this one."""
    arguments, expected = given
    text = (folder / "starters/kubernetes.yaml").read_text()
    pods = int(re.search(r"completions: (\d+)", text)[1])
    variables = dict(re.findall(r'- name: (\w+)\n\s+value: "(.*)"', text))
    assert pods == STAGES and variables.pop("MASTER_ADDR") == "penstock-tiny-0.penstock-tiny"
    assert re.search(r"- name: RANK\n\s+valueFrom:", text) and variables["MASTER_PORT"] == "29500"
    variables |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(launchers.free_port())}
    started = [subprocess.Popen([folder / "launch", *arguments, tmp_path / "results"], text=True, stderr=subprocess.PIPE,
                                env=os.environ | variables | {"RANK": str(rank)}) for rank in range(pods)]
    try:
        errors = [process.communicate(timeout=60)[1] for process in started]
    finally:
        for process in started:
            process.kill()
            process.wait()
    assert all(process.returncode == 0 for process in started), errors
    assert (tmp_path / "results/y.npy").read_bytes() == expected


def validate(manifest, version):
    """By the schema of a version of Kubernetes, in which a field that it does not know is an error."""
    command = [sys.executable, "-m", "kubernetes_validate", "--strict", "--kubernetes-version", version, manifest]
    return subprocess.run(command, text=True, capture_output=True, timeout=120)


@pytest.mark.skipif(importlib.util.find_spec("kubernetes_validate") is None,
                    reason="the schema of Kubernetes is not installed (./dev accept installs it)")
@pytest.mark.parametrize("version", ["1.25", "1.37"])
def test_kubernetes_schema(folder, tmp_path, version):
    manifest = folder / "starters/kubernetes.yaml"
    done = validate(manifest, version)
    assert done.returncode == 0 and "resource service/penstock-tiny" in done.stdout + done.stderr, done.stderr
    assert "resource job/penstock-tiny" in done.stdout + done.stderr, done.stdout
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(manifest.read_text().replace("completionMode:", "completionModus:"))
    done = validate(wrong, version)
    assert done.returncode == 1 and "'completionModus' was unexpected" in done.stdout + done.stderr, done.stderr
