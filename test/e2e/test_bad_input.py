"""Every bad input is one clear line, exit status 2, and no partial output: never a crash, a signal or a hang."""
# Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
import os
import pathlib
import re
import shutil
import subprocess

import models
import numpy as np
import onnx
import pytest
import runner
import tiny
from onnx import helper

TIMEOUT_S = 60
NEEDS_MOUNT = pytest.mark.skipif(subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode != 0,
                                 reason="a mount namespace of its own needs root")


def penstock(*arguments, cwd=None):
    return subprocess.run([str(models.BUILD / "bin/penstock"), *map(str, arguments)], text=True, errors="replace",
                          capture_output=True, timeout=TIMEOUT_S, stdin=subprocess.DEVNULL, cwd=cwd)


def check_refused(done, *words, status=2):
    """Exit status, and one `error: ...` line that holds each of the words."""
    assert done.returncode == status, f"exit status {done.returncode}\n{done.stderr}"
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert errors, done.stderr
    text = errors[0][len("error: "):]
    assert not text.endswith(".") and not re.match(r"[A-Z][a-z]", text), text
    for word in words:
        assert word in done.stderr, done.stderr


def refuse_model(tmp_path, data, *words):
    """The model (bytes or a ModelProto) is refused by compile, which leaves nothing behind."""
    path = tmp_path / "bad.onnx"
    path.write_bytes(data if isinstance(data, bytes) else data.SerializeToString())
    done = penstock("compile", path, "-o", tmp_path / "out.penstock")
    check_refused(done, "bad.onnx", *words)
    assert [p.name for p in tmp_path.iterdir() if p.name != "bad.onnx"] == []


def good_bytes():
    return tiny.perceptron().SerializeToString()


@pytest.mark.parametrize("data", [
    b"", b"\x00" * 1000, os.urandom(5000), good_bytes()[:1000], good_bytes()[:-7], b"not a model at all\n" * 50,
    tiny.perceptron().graph.initializer[0].SerializeToString()],
    ids=["empty", "zeros", "random", "truncated", "a little truncated", "text", "wrong protobuf"])
def test_bytes_that_are_no_model(tmp_path, data):
    refuse_model(tmp_path, data)


def with_nodes(*nodes, **options):
    return tiny.model(list(nodes), [tiny.tensor("x", [2, 3])], [tiny.tensor("y", [2, 3])], **options)


@pytest.mark.parametrize("model, words", [
    (with_nodes(helper.make_node("Add", ["x", "b"], ["a"]), helper.make_node("Relu", ["a"], ["b"]),
                helper.make_node("Relu", ["a"], ["y"])), ()),
    (with_nodes(helper.make_node("Frobnicate", ["x"], ["y"], name="first")), ("Frobnicate", "first")),
    (with_nodes(helper.make_node("Relu", ["x"], ["y"], domain="com.example", name="n"), domains=["com.example"]),
     ("com.example",)),
    (with_nodes(helper.make_node("Relu", ["x"], ["y"]), opset=99), ("99",)),
    (with_nodes(helper.make_node("Relu", ["nowhere"], ["y"], name="n")), ("nowhere",)),
    (with_nodes(helper.make_node("Conv", ["x", "x"], ["y"], name="conv_1", kernel_shape=[-1, 3])), ("conv_1",)),
], ids=["cycle", "unknown operator", "unknown domain", "unknown opset", "undefined value", "bad attribute"])
def test_malformed_graphs(tmp_path, model, words):
    refuse_model(tmp_path, model, *words)


def test_every_unsupported_operator_at_once(tmp_path):
    model = with_nodes(helper.make_node("Frobnicate", ["x"], ["a"], name="n1"),
                       helper.make_node("Defenestrate", ["a"], ["y"], name="n2"))
    refuse_model(tmp_path, model, "Frobnicate", "n1", "Defenestrate", "n2")


def test_absurd_dimensions(tmp_path):
    huge = 1 << 40
    model = tiny.model([helper.make_node("Relu", ["x"], ["y"])], [tiny.tensor("x", [huge, huge])],
                       [tiny.tensor("y", [huge, huge])])
    refuse_model(tmp_path, model)


@pytest.fixture
def external(tmp_path):
    """A model with its weights in a file beside it."""
    return tiny.save(tiny.perceptron(), tmp_path / "bad.onnx", save_as_external_data=True, location="w.bin",
                     size_threshold=0)


def edit_locations(path, location):
    model = onnx.load(path, load_external_data=False)
    for initializer in model.graph.initializer:
        for entry in initializer.external_data:
            if entry.key == "location":
                entry.value = location
    path.write_bytes(model.SerializeToString())


def test_external_file_missing(external, tmp_path):
    (tmp_path / "w.bin").unlink()
    check_refused(penstock("compile", external, "-o", tmp_path / "out"), "w.bin")
    assert not (tmp_path / "out").exists()


def test_external_file_short(external, tmp_path):
    os.truncate(tmp_path / "w.bin", 100)
    check_refused(penstock("compile", external, "-o", tmp_path / "out"), "w.bin")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("location", ["../w.bin", "/etc/passwd", "a/../../w.bin"])
def test_external_path_leaves_the_folder(external, tmp_path, location):
    edit_locations(external, location)
    check_refused(penstock("compile", external, "-o", tmp_path / "out"), "--external-data-dir")


# ---- flags ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    return tiny.save(tiny.perceptron(), tmp_path_factory.mktemp("good") / "tiny.onnx")


@pytest.mark.parametrize("flags, words", [
    (["--stages", "0"], ("stage",)), (["--stages", "-1"], ("stage",)), (["--stages", "1000"], ("1000",)),
    (["--stages", "two"], ("two",)), (["--cut", "no_such_tensor", "--stages", "2"], ("no_such_tensor",)),
    (["--dim", "no_such_dim=3"], ("no_such_dim",)), (["--shape", "x=1x2x3"], ("x",)), (["--shape", "z=1x64"], ("z",)),
    (["--no-such-flag"], ("--no-such-flag",)), (["--memory-limit", "1KiB"], ("stage",)),
    (["--target", "abacus"], ("abacus",)), (["--balance", "vibes"], ("vibes",))])
def test_flags(good, tmp_path, flags, words):
    check_refused(penstock("compile", good, "-o", tmp_path / "out", *flags), *words)
    assert list(tmp_path.iterdir()) == []


def test_plan_of_another_model(good, tmp_path):
    """A plan names kernels; one that the model lacks, or leaves out, is an error that names it."""
    other = tiny.save(tiny.perceptron(num_layers=3), tmp_path / "other.onnx")
    for planned, compiled in ((good, other), (other, good)):
        (tmp_path / "plan.json").write_text(runner.penstock("plan", planned, "--stages", 2, "--json"))
        done = penstock("compile", compiled, "-o", tmp_path / "out", "--plan", tmp_path / "plan.json")
        check_refused(done, "plan.json", "does not fit the model", "'t2'")
        assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"stages": 7}', '{"plans": [{"stages": [{"kernels": ["t0"]}]}]}'])
def test_plan_that_is_none(good, tmp_path, text):
    (tmp_path / "plan.json").write_text(text)
    check_refused(penstock("compile", good, "-o", tmp_path / "out", "--plan", tmp_path / "plan.json"), "plan.json")
    assert not (tmp_path / "out").exists()


@NEEDS_MOUNT
@pytest.mark.parametrize("size", ["16k", "1500k"])
def test_disk_full(good, tmp_path, size):
    """The file system takes no more: one line, exit status 1, and what was begun is removed."""
    (tmp_path / "small").mkdir()
    script = f"mount -t tmpfs -o size={size} none {tmp_path}/small && {models.BUILD}/bin/penstock compile {good} --stages 2 " \
             f"-o {tmp_path}/small/out; status=$?; ls -A {tmp_path}/small; exit $status"
    done = subprocess.run(["unshare", "--mount", "sh", "-c", script], text=True, capture_output=True, timeout=TIMEOUT_S)
    check_refused(done, "no space left on device", status=1)
    assert done.stdout == ""


@NEEDS_MOUNT
def test_disk_full_of_results(folder, tmp_path):
    x = tmp_path / "x.npy"
    np.save(x, np.ones((1, tiny.WIDTH), np.float32))
    (tmp_path / "small").mkdir()
    script = f"mount -t tmpfs -o size=16k none {tmp_path}/small && head -c 16k /dev/zero > {tmp_path}/small/full && " \
             f"{models.BUILD}/bin/penstock run {folder} --input x={x} --output-dir {tmp_path}/small"
    done = subprocess.run(["unshare", "--mount", "sh", "-c", script], text=True, capture_output=True, timeout=TIMEOUT_S)
    check_refused(done, "y.npy", "no space left on device", status=1)


def test_missing_file(tmp_path):
    check_refused(penstock("compile", tmp_path / "none.onnx"), "none.onnx")


def test_output_folder_of_somebody_else(good, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/letter.txt").write_text("keep me")
    check_refused(penstock("compile", good, "-o", tmp_path / "mine"), "mine")
    assert [p.name for p in (tmp_path / "mine").iterdir()] == ["letter.txt"]


def test_output_below_a_file(good, tmp_path):
    (tmp_path / "file").write_text("")
    done = penstock("compile", good, "-o", tmp_path / "file/out")
    assert done.returncode in (1, 2) and done.stderr.startswith("error: ")


# ---- run ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(good, tmp_path_factory):
    path = tmp_path_factory.mktemp("folder") / "tiny.penstock"
    runner.penstock("compile", good, "-o", path, "--stages", 2)
    return path


def refuse_input(folder, tmp_path, name, array, *words):
    file = tmp_path / f"{name}.npy"
    np.save(file, array)
    done = penstock("run", folder, "--input", f"{name}={file}", "--output-dir", tmp_path / "out")
    check_refused(done, *words)
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize("array", [
    np.zeros((1, tiny.WIDTH), np.float64), np.zeros((1, tiny.WIDTH), np.int64), np.zeros((1, tiny.WIDTH + 1), np.float32),
    np.zeros(tiny.WIDTH, np.float32), np.zeros((1, 1, tiny.WIDTH), np.float32)],
    ids=["f64", "i64", "too wide", "one axis", "three axes"])
def test_wrong_input(folder, tmp_path, array):
    refuse_input(folder, tmp_path, "x", array, "'x'")


def test_unknown_input(folder, tmp_path):
    refuse_input(folder, tmp_path, "z", np.zeros((1, tiny.WIDTH), np.float32), "z")


def test_missing_input(folder):
    check_refused(penstock("run", folder), "x")


def test_input_file_that_is_none(folder, tmp_path):
    (tmp_path / "x.npy").write_bytes(b"\x93NUMPY nonsense")
    check_refused(penstock("run", folder, "--input", f"x={tmp_path / 'x.npy'}"), "x.npy")
    check_refused(penstock("run", folder, "--input", f"x={tmp_path / 'none.npy'}"), "none.npy")


@pytest.fixture
def damaged(folder, tmp_path):
    return pathlib.Path(shutil.copytree(folder, tmp_path / "damaged.penstock"))


def flip(path, offset):
    data = bytearray(path.read_bytes())
    data[offset] ^= 0x40
    path.write_bytes(data)


def run_damaged(folder):
    return penstock("run", folder, "--random", "--timeout", "10")


def test_damaged_weights(damaged):
    flip(damaged / "stage-1.weights", (damaged / "stage-1.weights").stat().st_size // 2)
    check_refused(run_damaged(damaged), "stage-1.weights")


def test_truncated_weights(damaged):
    os.truncate(damaged / "stage-0.weights", 100)
    check_refused(run_damaged(damaged), "stage-0.weights")


@pytest.mark.parametrize("name", ["stage-0", "stage-1", "stage-0.weights", "plan.json"])
def test_missing_part(damaged, name):
    (damaged / name).unlink()
    check_refused(run_damaged(damaged), name)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema": 1}', "null"])
def test_damaged_plan(damaged, text):
    (damaged / "plan.json").write_text(text)
    check_refused(run_damaged(damaged), "plan.json")


def test_stages_of_two_folders(good, damaged, tmp_path):
    """An executable of another cut is refused in the handshake, and the message says so."""
    other = tmp_path / "other.penstock"
    runner.penstock("compile", good, "-o", other, "--stages", 2, "--cut", "t0")
    shutil.copy(other / "stage-1", damaged / "stage-1")
    shutil.copy(other / "stage-1.weights", damaged / "stage-1.weights")
    check_refused(run_damaged(damaged), "stage")


def test_not_a_folder(tmp_path):
    check_refused(penstock("run", tmp_path, "--random"), tmp_path.name)
    check_refused(penstock("run", tmp_path / "none", "--random"), "none")


def test_expand_of_an_extent_that_does_not_fit(tmp_path):
    """An unknown extent that is expanded to a known one is that or 1; another one is found when the model runs."""
    nodes = [helper.make_node("Expand", ["x", "s"], ["h"]), helper.make_node("Sin", ["h"], ["y"])]
    shape = onnx.numpy_helper.from_array(np.array([5], np.int64), "s")
    path = tiny.save(tiny.model(nodes, [tiny.tensor("x", ["n"])], [tiny.tensor("y", [5])], [shape]), tmp_path / "m.onnx")
    assert penstock("compile", path, "-o", tmp_path / "m").returncode == 0
    for extent in (1, 3, 5):
        np.save(tmp_path / "x.npy", np.arange(extent, dtype=np.float32))
        done = penstock("run", tmp_path / "m", "--input", f"x={tmp_path / 'x.npy'}")
        if extent == 3:
            check_refused(done, "(Expand) is 1 or 5")
        else:
            assert done.returncode == 0, done.stderr
