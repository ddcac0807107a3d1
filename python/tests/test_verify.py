"""penstock.verify: equal folders pass, a wrong kernel is named, against the uncut model and against ONNX Runtime."""
# Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
import json
import os
import re
import subprocess
import sys

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import penstock
from penstock import compiler, recording, verify


def info(name, shape, dtype=TensorProto.FLOAT):
    return helper.make_tensor_value_info(name, dtype, shape)


def weights(name, *shape):
    values = np.random.default_rng(len(name)).standard_normal(shape) / np.prod(shape[1:]) ** 0.5
    return numpy_helper.from_array(values.astype(np.float32), name)


def pictures():
    """Convolutions that lie channels-last between kernels, on cubic images that do not tell it by their shape."""
    nodes = [helper.make_node("Conv", ["x", "w0"], ["c0"], name="conv_0", pads=[1, 1, 1, 1]),
             helper.make_node("Relu", ["c0"], ["r0"], name="relu_0"),
             helper.make_node("Conv", ["r0", "w1"], ["c1"], name="conv_1", pads=[1, 1, 1, 1]),
             helper.make_node("Tanh", ["c1"], ["t1"], name="tanh_1"),
             helper.make_node("Conv", ["t1", "w2"], ["y"], name="conv_2", pads=[1, 1, 1, 1])]
    graph = helper.make_graph(nodes, "pictures", [info("x", [1, 16, 16, 16])], [info("y", [1, 16, 16, 16])],
                              [weights(f"w{k}", 16, 16, 3, 3) for k in range(3)])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def scaled():
    """An input that is bound, a free batch that is cut, a scalar that a dump shows."""
    nodes = [helper.make_node("Mul", ["x", "gain"], ["a"], name="amplify"),
             helper.make_node("MatMul", ["a", "w"], ["b"], name="mix"),
             helper.make_node("Add", ["b", "shift"], ["c"], name="move"),
             helper.make_node("MatMul", ["c", "w"], ["d"], name="mix_again"),
             helper.make_node("Tanh", ["d"], ["y"], name="squash")]
    graph = helper.make_graph(nodes, "scaled", [info("x", ["n", 32]), info("gain", [])], [info("y", ["n", 32])],
                              [weights("w", 32, 32), numpy_helper.from_array(np.array(0.125, np.float32), "shift")])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def run(*arguments, **environment):
    tool = compiler._find_tool()
    return subprocess.run([tool, *map(str, arguments)], text=True, capture_output=True,
                          env={**os.environ, "PENSTOCK_PYTHON": sys.executable, **environment})


@pytest.fixture(scope="module")
def scaled_model(tmp_path_factory):
    where = tmp_path_factory.mktemp("scaled")
    onnx.save(scaled(), where / "m.onnx")
    penstock.compile(where / "m.onnx", where / "m", stages=3, bind={"gain": 1.5}, microbatch=2,
                     dump_phases=where / "dumps")
    return where


@pytest.fixture(scope="module")
def pictures_model(tmp_path_factory):
    where = tmp_path_factory.mktemp("pictures")
    onnx.save(pictures(), where / "m.onnx")
    penstock.compile(where / "m.onnx", where / "m", stages=2, dump_phases=where / "dumps")
    return where


def test_a_folder_knows_its_flags(scaled_model, tmp_path):
    """As far as they decide the bits; through a dump too."""
    flags = json.loads((scaled_model / "m/plan.json").read_text())["flags"]
    assert flags == ["--bind=gain=1.5", "--microbatch=2"]
    given = {"dim": {"n": "1..8:4"}, "bind": {"gain": 2}, "batch_dim": "n"}
    penstock.compile(scaled_model / "m.onnx", tmp_path / "bounded", threads=2, dump_phases=tmp_path / "dumps", **given)
    expected = ["--dim=n=1..8:4", "--bind=gain=2", "--batch-dim=n", "--threads=2"]
    assert json.loads((tmp_path / "bounded/plan.json").read_text())["flags"] == expected
    penstock.compile(tmp_path / "dumps/m.1.normalize.mlir", tmp_path / "again", compile_from="normalize", threads=2)
    assert json.loads((tmp_path / "again/plan.json").read_text())["flags"] == expected
    penstock.compile(scaled_model / "m.onnx", tmp_path / "shaped", shape={"x": (3, "?"), "gain": "scalar"})
    assert json.loads((tmp_path / "shaped/plan.json").read_text())["flags"] == ["--shape=x=3x?", "--shape=gain=scalar"]
    done = run("verify", scaled_model / "m.onnx", tmp_path / "shaped", "--against", "single")
    assert done.returncode == 0, done.stderr


def test_a_bounded_dimension_is_compared_as_it_is(scaled_model, tmp_path):
    """Storage has room for the bound; results are shorter."""
    penstock.compile(scaled_model / "m.onnx", tmp_path / "bounded", stages=2, dim={"n": "1..8:4"}, microbatch=8)
    for against in ("single", "onnxruntime"):
        done = run("verify", scaled_model / "m.onnx", tmp_path / "bounded", "--against", against, "--dim", "n=11")
        assert done.returncode == 0, done.stderr


def plant(where, pattern, replacement):
    """A folder from a dump in which one thing is changed."""
    dump = next((where / "dumps").glob("*.2.fuse.mlir"))
    text = dump.read_text()
    assert len(re.findall(pattern, text)) == 1, text
    (where / "wrong.mlir").write_text(re.sub(pattern, replacement, text))
    return penstock.compile(where / "wrong.mlir", where / "wrong", compile_from="fuse", stages=2)


def test_equal_folders_pass(scaled_model, pictures_model):
    for where in (scaled_model, pictures_model):
        for against, words in (("single", "the bits of the uncut model"), ("onnxruntime", "the numbers of ONNX Runtime")):
            done = run("verify", where / "m.onnx", where / "m", "--against", against)
            assert done.returncode == 0, done.stderr
            assert words in done.stdout and not done.stderr


def test_inputs_of_ones_own(scaled_model, tmp_path):
    rng = np.random.default_rng(0)
    files = [tmp_path / f"{k}.npz" for k in range(2)]
    for file, rows in zip(files, (5, 2)):
        np.savez(file, x=rng.standard_normal((rows, 32)).astype(np.float32))
    flags = [word for file in files for word in ("--inputs", file)]
    for against in ("single", "onnxruntime"):
        done = run("verify", scaled_model / "m.onnx", scaled_model / "m", "--against", against, "--json", *flags)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout) == {"against": against, "same": True, "difference": None}


@pytest.mark.parametrize("against", ["single", "onnxruntime"])
def test_a_wrong_constant_is_found(scaled_model, against):
    plant(scaled_model, r"dense<1\.250000e-01>", "dense<1.250002e-01>" if against == "single" else "dense<1.260000e-01>")
    done = run("verify", scaled_model / "m.onnx", scaled_model / "wrong", "--against", against, "--json")
    assert done.returncode == 1, done.stdout + done.stderr
    found = json.loads(done.stdout)["difference"]
    kernels = [kernel for stage in json.loads((scaled_model / "wrong/plan.json").read_text())["stages"]
               for kernel in stage["kernels"]]
    assert found["tensor"] in ("c", "b") and found["node"] == "move", found
    assert found["kernel"] in [kernel["kernel"] for kernel in kernels if kernel["name"] == found["tensor"]]
    assert f"'{found['tensor']}', made by node 'move' in kernel {found['kernel']}" in done.stderr


@pytest.mark.parametrize("against", ["single", "onnxruntime"])
def test_a_wrong_kernel_between_images_is_found(pictures_model, against):
    plant(pictures_model, r"\btanh\b", "sigmoid")
    done = run("verify", pictures_model / "m.onnx", pictures_model / "wrong", "--against", against, "--json")
    assert done.returncode == 1, done.stdout + done.stderr
    found = json.loads(done.stdout)["difference"]
    assert (found["tensor"], found["node"]) == ("t1", "tanh_1"), found


def test_mistakes_are_named(scaled_model, tmp_path):
    def refused(words, *arguments):
        done = run("verify", *arguments)
        assert done.returncode == 2 and words in done.stderr and done.stderr.count("\n") == 1, done.stderr
    refused("no.onnx", tmp_path / "no.onnx", scaled_model / "m")
    refused("is no folder that penstock compile wrote", scaled_model / "m.onnx", tmp_path)
    refused("no.npz", scaled_model / "m.onnx", scaled_model / "m", "--inputs", tmp_path / "no.npz")
    refused("no free dimension 'q'", scaled_model / "m.onnx", scaled_model / "m", "--dim", "q=3")
    refused("fly", scaled_model / "m.onnx", scaled_model / "m", "--against", "fly")
    np.savez(tmp_path / "zeros.npz", x=np.zeros((2, 32), np.float32))
    refused("the same for every input", scaled_model / "m.onnx", scaled_model / "m", *["--inputs", tmp_path / "zeros.npz"] * 2)


def test_what_is_not_installed_is_said(scaled_model, tmp_path):
    (tmp_path / "onnxruntime.py").write_text("raise ImportError('gone', name='onnxruntime')\n")
    done = run("verify", scaled_model / "m.onnx", scaled_model / "m", PYTHONPATH=str(tmp_path))
    assert done.returncode == 1 and "pip install onnxruntime" in done.stderr, done.stderr
    done = run("verify", scaled_model / "m.onnx", scaled_model / "m", PENSTOCK_PYTHON=str(tmp_path / "python"))
    assert done.returncode == 1 and "PENSTOCK_PYTHON" in done.stderr, done.stderr


def test_recordings_are_held_against_their_length(scaled_model, tmp_path):
    path = tmp_path / "run.rec"
    done = run("run", scaled_model / "m", "--random", "--dim", "n=4", "--record", path, "--record-kernels")
    assert done.returncode == 0, done.stderr
    found = recording.Recording(path)
    plan = json.loads((scaled_model / "m/plan.json").read_text())
    assert found.fingerprint == plan["fingerprint"] and found.is_complete
    assert {record.when for record in found.records} == {(0, 0), (0, 1)}
    whole = path.read_bytes()
    for length in range(1, len(whole), 97):
        path.write_bytes(whole[:length])
        with pytest.raises(penstock.InvalidArgument):
            recording.Recording(path)


def test_extents():
    values = {"n": 7}
    assert recording.evaluate(["ceildiv", ["+", "n", 1], 3], values) == 3
    assert recording.evaluate(["max", ["mod", "n", 4], ["min", 2, "n"]], values) == 3


def test_near():
    reference = np.random.default_rng(0).standard_normal((4, 5)).astype(np.float32)
    assert verify.compare_near("t", (0, 0), reference * np.float32(1 + 1e-6), reference, reference) is None
    off = reference.copy()
    off[2, 3] += 1
    difference = verify.compare_near("t", (0, 0), off, reference, reference)
    assert difference.place == [2, 3] and "error norm 1," in difference.words
    off[2, 3] = np.nan
    assert verify.compare_near("t", (0, 0), off, reference, reference).place == [2, 3]
    assert verify.compare_near("t", (0, 0), np.int64([1, 2]), np.int64([1, 3]), np.int64([1, 3])).actual == "2"
    bits = verify.compare_bits("t", (0, 0), np.float32([0.0, 1]), np.float32([-0.0, 1]))
    assert (bits.actual, bits.expected) == ("0 (0x00000000)", "-0 (0x80000000)")
