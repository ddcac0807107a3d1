"""Stages that do not belong together refuse each other and say in what they differ, before anything runs."""
# Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
import json
import re
import shutil
import subprocess

import hosts
import models
import pytest
import runner
import tiny

FIELDS = ("model", "weights", "cut", "schedule", "build")

needs_mpirun = pytest.mark.skipif(shutil.which("mpirun") is None, reason="mpirun is not installed (package openmpi-bin)")


def other_graph(proto):
    """Another function, with tensors of the same names and types."""
    proto.graph.node[1].op_type = "Sigmoid"


def other_weights(proto):
    """The same graph with other numbers."""
    proto.graph.initializer[3].CopyFrom(tiny.weights("w3", tiny.WIDTH, tiny.WIDTH, seed=77))


def compile_into(path, change=None, flags=("--stages", 2)):
    proto = tiny.perceptron(5, batch=2)
    if change:
        change(proto)
    path.mkdir()
    runner.penstock("compile", tiny.save(proto, path / "tiny.onnx"), "-o", path / "tiny.penstock", *flags)
    return path / "tiny.penstock"


def deeper_schedule(path):
    """The cut of `base` with a channel of another depth, by hand."""
    path.mkdir()
    model = tiny.save(tiny.perceptron(5, batch=2), path / "tiny.onnx")
    runner.penstock("compile", model, "--stages", 2, "--cut", "t2", "--quiet", "--compile-to", "schedule", "--dump-phases",
                    path / "dump")
    dump, = (path / "dump").glob("*schedule.mlir")
    text, count = re.subn(r"(pipe\.channel .* from @s0 to \[@s1\] depth) 2", r"\1 3", dump.read_text(), count=1)
    assert count == 1
    dump.write_text(text)
    runner.penstock("compile", dump, "--compile-from", "schedule", "-o", path / "tiny.penstock")
    return path / "tiny.penstock"


def patched(folder, path, key, old, new):
    """A copy of a folder whose second stage says something else of itself, in its note."""
    shutil.copytree(folder, path)
    data = (path / "stage-1").read_bytes()
    line = f"\n{key} {old}".encode() if key != "abi" else f"abi {old}\n".encode()
    assert data.count(line) == 1 and len(old) == len(new)
    (path / "stage-1").write_bytes(data.replace(line, line.replace(old.encode(), new.encode())))
    return path


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """{what is different: folder}, each beside `base`."""
    work = tmp_path_factory.mktemp("identity")
    same = ("--stages", 2, "--cut", "t2")
    found = {"base": compile_into(work / "base", flags=same), "cut": compile_into(work / "cut", flags=("--stages", 2, "--cut", "t1")),
             "model": compile_into(work / "model", other_graph, same), "weights": compile_into(work / "weights", other_weights, same),
             "build": compile_into(work / "build", flags=(*same, "--threads", 2)), "schedule": deeper_schedule(work / "schedule")}
    abi = str(json.loads((found["base"] / "plan.json").read_text())["abi"])
    found["abi"] = patched(found["base"], work / "abi.penstock", "abi", abi, str(int(abi) + 1))
    return found


def said(folder):
    plan = json.loads((folder / "plan.json").read_text())
    return plan["identity"]


def expect_words(message, base, other, what, strangers):
    """One line that names the stage, the field and both values."""
    line, = [line for line in message.splitlines() if line.startswith("error: ")]
    if what == "abi":
        assert re.search(r"stage-1.* has ABI version \d+, expected \d+; compile the model again with this version", line), line
        return
    assert re.search(r"stage-1( on rank 1)? comes from another compilation: ", line), line
    theirs, ours = said(other), said(base)
    assert theirs[what] != ours[what]
    for key in FIELDS:
        words = f"{key} is '{theirs[key]}' in stage-1 and '{ours[key]}' in {strangers}"
        assert (words in line) == (theirs[key] != ours[key]), f"{key}: {line}"


@pytest.mark.parametrize("what", [*FIELDS, "abi"])
def test_swapped_executable_over_shared_memory(folders, what, tmp_path):
    mixed = tmp_path / "mixed.penstock"
    shutil.copytree(folders["base"], mixed)
    shutil.copy(folders[what] / "stage-1", mixed / "stage-1")
    done = subprocess.run([mixed / "launch", "--random", "--output-dir", tmp_path / "out"], text=True, capture_output=True, timeout=60)
    assert done.returncode == 2 and not (tmp_path / "out").exists(), done.stderr
    expect_words(done.stderr, folders["base"], folders[what], what, "plan.json")


@needs_mpirun
@pytest.mark.parametrize("what", [*FIELDS, "abi"])
def test_swapped_folder_over_mpi(folders, what, tmp_path):
    """Each rank starts from a folder of its own; each folder but the patched one is whole in itself."""
    command = ["mpirun", "-n", "1", folders["base"] / "launch", "--random", "--output-dir", tmp_path / "a", ":", "-n", "1",
               folders[what] / "launch", "--random", "--output-dir", tmp_path / "b"]
    done = subprocess.run(list(map(str, command)), text=True, capture_output=True, env=hosts.ENVIRONMENT, timeout=120)
    assert done.returncode != 0
    lines = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert lines, done.stderr
    # Each rank sees it from its side, and one may end the run before the other has spoken.
    for line in lines:
        if what == "abi" or "stage-1 on rank 1" in line:
            expect_words(line, folders["base"], folders[what], what, "stage-0")
        else:
            expect_words(swapped(line), folders[what], folders["base"], what, "stage-0")


def swapped(line):
    """The same words as the other rank would say them."""
    return re.sub(r"(stage-|rank )([01])\b", lambda found: found.group(1) + "10"[int(found.group(2))], line)


def test_same_model_compiled_twice_is_one(folders, tmp_path):
    """Another name of the folder, or of the time, is no difference: its stages run together."""
    again = compile_into(tmp_path / "again", flags=("--stages", 2, "--cut", "t2"))
    shutil.copy(again / "stage-1", tmp_path / "stage-1")
    shutil.copy(folders["base"] / "stage-1", again / "stage-1")
    subprocess.run([again / "launch", "--random", "--output-dir", tmp_path / "out"], check=True, timeout=60)


def inspect(*arguments):
    return runner.penstock("inspect", *arguments)


def test_inspect_reads_the_executable(folders, tmp_path):
    """A copy outside of its folder, stripped of its sections, says the same; in a folder of others it says what differs."""
    base = folders["base"]
    shutil.copy(base / "stage-1", tmp_path / "elsewhere")
    subprocess.run(["objcopy", "--strip-all", tmp_path / "elsewhere"], check=True)
    role, = json.loads(inspect(tmp_path / "elsewhere", "--json"))["roles"]
    plan = json.loads((base / "plan.json").read_text())
    assert {key: role[key] for key in FIELDS} == plan["identity"]
    assert (role["name"], role["role"], role["roles"], role["abi"]) == ("stage-1", 1, 2, plan["abi"])
    assert role["fingerprint"] == plan["fingerprint"] and "plan" not in role and "differs_from_plan" not in role
    text = inspect(tmp_path / "elsewhere")
    assert re.search(r"^stage +stage-1, role 1 of 2$", text, re.MULTILINE) and plan["identity"]["cut"] in text
    shutil.copy(folders["cut"] / "stage-1", tmp_path / "stage-1")
    shutil.copy(base / "plan.json", tmp_path / "plan.json")
    assert f"not of the folder that it lies in: cut is '{said(folders['cut'])['cut']}' in stage-1" in inspect(tmp_path / "stage-1")
    own, = json.loads(inspect(base / "stage-1", "--json"))["roles"]
    assert [stage["name"] for stage in own["plan"]["stages"]] == ["stage-1"]


def test_version_says_the_same(folders):
    shown = subprocess.run([folders["base"] / "stage-0", "--version"], text=True, capture_output=True, check=True).stdout
    assert shown == inspect(folders["base"] / "stage-0")[:len(shown)] and "stage-0, role 0 of 2" in shown


@pytest.mark.parametrize("damage", ["cut short", "no notes", "note without lines", "note of nothing"])
def test_damaged_executables(folders, damage, tmp_path):
    data = (folders["base"] / "stage-1").read_bytes()
    path = tmp_path / "stage-1"
    if damage == "cut short":
        path.write_bytes(data[:300])
    elif damage == "no notes":
        shutil.copy("/bin/true", path)
    elif damage == "note without lines":
        path.write_bytes(data.replace(b"\nrole 1\n", b"\nrole-1\n"))
    else:
        path.write_bytes(data.replace(b"Penstock\0\0\0\0abi ", b"Penstock\0\0\0\0xyz "))
    done = subprocess.run([models.BUILD / "bin/penstock", "inspect", path], text=True, capture_output=True, timeout=60)
    assert done.returncode == 2 and re.fullmatch(r"error: .*\n", done.stderr), done.stderr
    assert "stage-1" in done.stderr
