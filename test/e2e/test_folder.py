"""What a compiled folder promises: plain executables that need nothing of Penstock, the same bytes every time, no
copies, and an orderly end when a stage dies."""
# Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess

import models
import numpy as np
import pytest
import runner
import tiny
from processes import processes_of, stages_of, wait_for

ALLOWED_LIBRARIES = {"libc.so.6", "libm.so.6", "libdl.so.2", "libpthread.so.0", "librt.so.1", "ld-linux-x86-64.so.2",
                     "libdnnl.so.2", "libgomp.so.1"}
NOBODY = 65534


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny.save(tiny.perceptron(), tmp_path_factory.mktemp("model") / "tiny.onnx")


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("folder") / "tiny.penstock"
    runner.penstock("compile", model, "-o", path, "--stages", 2)
    return path


@pytest.fixture
def input_file(tmp_path):
    path = tmp_path / "x.npy"
    np.save(path, tiny.perceptron_input())
    return path


def executables(folder):
    return [folder / "stage-0", folder / "stage-1"]


def expected(rows=1):
    x = tiny.perceptron_input(rows).astype(np.float64)
    values = {i.name: tiny.numpy_helper.to_array(i).astype(np.float64)
              for i in tiny.perceptron().graph.initializer}
    first = value = np.tanh(x @ values["w0"])
    for k in range(1, 4):
        value = np.tanh(value @ values[f"w{k}"])
    return value + first


def test_result(folder, input_file, tmp_path):
    runner.penstock("run", folder, "--input", f"x={input_file}", "--output-dir", tmp_path / "out")
    np.testing.assert_allclose(np.load(tmp_path / "out/y.npy"), expected(), rtol=1e-4, atol=1e-5)


def test_one_executable_per_stage(folder):
    contents = [path.read_bytes() for path in executables(folder)]
    assert all(data[:4] == b"\x7fELF" for data in contents) and contents[0] != contents[1]
    plan = json.loads((folder / "plan.json").read_text())
    assert len(plan["stages"]) == 2 and (folder / "launch").exists()


def test_needed_libraries(folder):
    for path in executables(folder):
        dynamic = subprocess.run(["readelf", "-d", path], text=True, capture_output=True, check=True).stdout
        needed = set(re.findall(r"NEEDED.*\[(.*)\]", dynamic))
        assert needed <= ALLOWED_LIBRARIES, f"{path.name} needs {sorted(needed - ALLOWED_LIBRARIES)}"
        runpaths = re.findall(r"R(?:UN)?PATH.*\[(.*)\]", dynamic)
        assert all(entry.startswith("$ORIGIN") for text in runpaths for entry in text.split(":"))


def test_no_path_of_this_machine(folder):
    for path in [*executables(folder), folder / "plan.json"]:
        contents = path.read_bytes()
        assert [there for there in models.PATHS if there in contents] == [], path.name


def test_reproducible(model, folder, tmp_path):
    """In another place, and whether kernels come from a cache or not."""
    again = tmp_path / "elsewhere" / "tiny.penstock"
    again.parent.mkdir()
    runner.penstock("compile", model, "-o", again, "--stages", 2, "--no-cache")
    names = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    assert names == sorted(path.relative_to(again) for path in again.rglob("*") if path.is_file())
    assert [str(n) for n in names if (folder / n).read_bytes() != (again / n).read_bytes()] == []


def libraries_of(program, library_path):
    output = subprocess.run(["ldd", program], text=True, capture_output=True,
                            env=dict(os.environ, LD_LIBRARY_PATH=str(library_path))).stdout
    return {pathlib.Path(found) for found in re.findall(r"(/\S+) \(0x", output)}


@pytest.mark.skipif(subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode != 0,
                    reason="a mount namespace of its own needs root")
def test_native(folder, input_file, tmp_path):
    """Runs as nobody in a root that holds the folder, the C library, /proc, an empty /dev/null and nothing else."""
    root = tmp_path / "root"
    shutil.copytree(folder, root / "app", symlinks=True)
    for program in [*executables(folder), folder / "launch", *(folder / "lib").glob("*.so*")]:
        for library in libraries_of(program, folder / "lib"):
            if folder not in library.parents:
                assert re.match(r"(lib(c|m|dl|pthread|rt|gcc_s|stdc\+\+|OpenCL)|ld-linux)", library.name), library
                target = root / str(library).lstrip("/")
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(library, target)
    shutil.copy(input_file, root / "x.npy")
    (root / "out").mkdir()
    os.chown(root / "out", NOBODY, NOBODY)
    root.chmod(0o755)
    (root / "proc").mkdir()
    (root / "dev").mkdir()
    (root / "dev/null").touch()
    script = f"mount -t proc proc {root}/proc && exec env -i /usr/sbin/chroot --userspec={NOBODY}:{NOBODY} {root} " \
             "/app/launch --input x=/x.npy --output-dir /out"
    done = subprocess.run(["unshare", "--mount", "sh", "-c", script], text=True, capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr
    np.testing.assert_allclose(np.load(root / "out/y.npy"), expected(), rtol=1e-4, atol=1e-5)


def test_no_copy(folder):
    figures = json.loads(runner.penstock("bench", folder, "--seconds", 1, "--json"))
    assert figures["throughput_per_second"] > 0 and len(figures["stages"]) == 2
    assert [channel["bytes_copied"] for channel in figures["channels"]] == [0] * len(figures["channels"])


@pytest.fixture
def running(folder):
    """A run of very many repetitions with both stages up; killed afterwards if it still goes on."""
    tool = str(models.BUILD / "bin/penstock")
    process = subprocess.Popen([tool, "run", str(folder), "--random", "--repeat", "100000000", "--timeout", "5"],
                               text=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    yield process
    if process.poll() is None:
        process.kill()
        process.wait()


def stages_up(folder):
    up = stages_of(folder)
    return up if {"stage-0", "stage-1"} <= set(up) else None


@pytest.mark.parametrize("stage", [0, 1])
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_dead_stage_ends_the_run(folder, running, stage, how):
    """The run ends with status 1 and names the stage, within the deadline; no process is left behind."""
    up = wait_for(lambda: stages_up(folder))
    assert up, f"the stages did not start: {running.poll()}"
    os.kill(up[f"stage-{stage}"], how)
    _, message = running.communicate(timeout=40)
    assert running.returncode == 1, message
    assert re.search(r"^error: .*stage", message, re.MULTILINE), message
    assert wait_for(lambda: not processes_of(folder)), f"left behind: {processes_of(folder)}"


def test_own_weights_only(folder, running):
    """Each process maps its own weights file and no other."""
    up = wait_for(lambda: stages_up(folder))
    assert up, f"the stages did not start: {running.poll()}"
    for stage in (0, 1):
        own = f"stage-{stage}.weights"
        maps = lambda: set(re.findall(r"stage-\d+\.weights", pathlib.Path(f"/proc/{up[f'stage-{stage}']}/maps").read_text()))
        assert wait_for(lambda: maps() == {own}), maps()
