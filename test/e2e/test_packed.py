"""Weights lie in the folder as oneDNN wants them: its own log shows no reorder of a weight, only what a stage reads is in
its weights file, and neither the cut nor a dump in between changes a byte of them."""
# Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
import json
import os
import re
import subprocess

import models
import numpy as np
import onnxruntime
import pytest
import runner
import tiny
from onnx import helper

SIDE = 16


def network(batch):
    """A 3x3 convolution, a pointwise one, the mean over all pixels, two products."""
    def layer(k, op, source, *shape, **attributes):
        nodes.append(helper.make_node(op, [source, f"w{k}"], [f"c{k}"], name=f"layer_{k}", **attributes))
        nodes.append(helper.make_node("Relu", [f"c{k}"], [f"r{k}"], name=f"relu_{k}"))
        initializers.append(tiny.weights(f"w{k}", *shape, seed=k))
        return f"r{k}"
    nodes, initializers = [], []
    value = layer(0, "Conv", "x", 48, 8, 3, 3, pads=[1, 1, 1, 1])
    value = layer(1, "Conv", value, 64, 48, 1, 1)
    nodes += [helper.make_node("GlobalAveragePool", [value], ["mean"], name="mean"),
              helper.make_node("Flatten", ["mean"], ["flat"], name="flat")]
    value = layer(2, "MatMul", "flat", 64, 96)
    nodes.append(helper.make_node("MatMul", [value, "w3"], ["y"], name="last"))
    initializers.append(tiny.weights("w3", 96, 80, seed=3))
    return tiny.model(nodes, [tiny.tensor("x", [batch, 8, SIDE, SIDE])], [tiny.tensor("y", [batch, 80])], initializers)


def compiled(where, batch, *flags, stages=2, env=()):
    model = tiny.save(network(batch), where / "net.onnx")
    path = where / f"net-{stages}.penstock"
    tool = str(models.BUILD / "bin/penstock")
    subprocess.run([tool, "compile", str(model), "-o", str(path), "--stages", str(stages), "--quiet", *flags], check=True,
                   env=dict(os.environ, **dict(env)))
    return path


def stages_of(folder):
    return json.loads((folder / "plan.json").read_text())["stages"]


def packed_layouts(folder):
    """Layouts of all packed weights: extents, as the model has them, as the file has them."""
    return [re.fullmatch(r"(\S+) (\S+) to (\S+)", entry["layout"]).groups() for stage in stages_of(folder)
            for kernel in stage["kernels"] for entry in kernel.get("packed_weights", [])]


def log_of(folder, *flags):
    """What oneDNN executes in a run of one request: (kind of primitive, extents)."""
    done = subprocess.run([str(models.BUILD / "bin/penstock"), "run", str(folder), "--random", *flags], text=True,
                          capture_output=True, check=True, env=dict(os.environ, ONEDNN_VERBOSE="1"))
    lines = [line.split(",") for line in (done.stdout + done.stderr).splitlines() if "onednn_verbose,exec" in line]
    return [(fields[3], fields[9]) for fields in lines]


def check_log(folder, log):
    weights = {extents for extents, _, _ in packed_layouts(folder)}
    assert weights and {"convolution", "matmul"} <= {kind for kind, _ in log}
    assert [extents for kind, extents in log if kind == "reorder" and extents in weights] == []


def test_packed_static(tmp_path):
    folder = compiled(tmp_path, 2)
    check_log(folder, log_of(folder))


def test_packed_at_the_typical_shape(tmp_path):
    folder = compiled(tmp_path, "batch", "--dim", "batch=1..32:4")
    check_log(folder, log_of(folder, "--dim", "batch=4"))


def test_packed_free_batch(tmp_path):
    """The typical batch is 1; other sizes give numbers too, whatever oneDNN makes of the layout."""
    folder = compiled(tmp_path, "batch")
    check_log(folder, log_of(folder))
    outputs = {}
    for rows in (1, 7):
        x = np.random.default_rng(rows).standard_normal((rows, 8, SIDE, SIDE)).astype(np.float32)
        np.save(tmp_path / "x.npy", x)
        runner.penstock("run", folder, "--input", f"x={tmp_path / 'x.npy'}", "--output-dir", tmp_path / "out")
        outputs[rows] = np.load(tmp_path / "out/y.npy")
        session = onnxruntime.InferenceSession(str(tmp_path / "net.onnx"), providers=["CPUExecutionProvider"])
        np.testing.assert_allclose(outputs[rows], session.run(None, {"x": x})[0], rtol=1e-4, atol=1e-5)
    assert [kernel["scratch"] for stage in stages_of(folder) for kernel in stage["kernels"] if "scratch" in kernel]


def test_packed_weights_alone(tmp_path):
    """What the library reads packed is in no weights file as it was."""
    folder = compiled(tmp_path, 2)
    layouts = packed_layouts(folder)
    assert layouts and all(source != target for _, source, target in layouts)
    originals = {f"w{k}": tiny.weights(f"w{k}", *shape, seed=k).raw_data
                 for k, shape in enumerate([(48, 8, 3, 3), (64, 48, 1, 1), (64, 96), (96, 80)])}
    for number, stage in enumerate(stages_of(folder)):
        data = (folder / f"stage-{number}.weights").read_bytes()
        names = {entry["name"] for entry in stage["weight_tensors"]}
        for name in originals:
            assert f"{name}.packed" not in names or (name not in names and originals[name] not in data), name


def test_packed_counted(tmp_path):
    """The memory that the plan states has the packed bytes and the scratch of the library: nothing is by shape."""
    for stage in stages_of(compiled(tmp_path, "batch", "--dim", "batch=1..8")):
        assert stage["memory"]["weights"] == stage["weights_bytes"] and stage["memory"]["arena"] > 0
        assert not [kernel["name"] for kernel in stage["kernels"] if "scratch" in kernel]


def results(folder, where, x):
    np.save(where / "x.npy", x)
    runner.penstock("run", folder, "--input", f"x={where / 'x.npy'}", "--output-dir", where / "out")
    return np.load(where / "out/y.npy")


def test_packed_for_a_lower_instruction_set(tmp_path):
    """The folder keeps the set that it was compiled for: one stage and three give the same bits, with AVX2 too, whatever
    the environment says at run time."""
    x = np.random.default_rng(0).standard_normal((2, 8, SIDE, SIDE)).astype(np.float32)
    lower = {"DNNL_MAX_CPU_ISA": "AVX2"}
    folders = [compiled(tmp_path, 2, stages=n, env=lower) for n in (1, 3)]
    assert {kernel["isa"] for folder in folders for stage in stages_of(folder) for kernel in stage["kernels"]
            if kernel["kind"] == "library"} == {"avx2"}
    first, second = (results(folder, tmp_path, x) for folder in folders)
    np.testing.assert_array_equal(first, second)
    own = compiled(tmp_path, 2)
    plain = results(own, tmp_path, x)
    np.testing.assert_allclose(plain, first, rtol=1e-4, atol=1e-5)
    os.environ |= lower
    try:
        np.testing.assert_array_equal(results(own, tmp_path, x), plain)
    finally:
        del os.environ["DNNL_MAX_CPU_ISA"]


@pytest.mark.parametrize("phase", ["fuse", "schedule", "kernels", "place", "emit"])
def test_packed_resumed(tmp_path, phase):
    """From each dump around packing come the same bytes."""
    folder = compiled(tmp_path, 2, "--dump-phases", str(tmp_path / "dumps"))
    dump = next((tmp_path / "dumps").glob(f"*.{phase}.mlir"))
    if phase in ("kernels", "place", "emit"):
        assert " packed @" in dump.read_text()
    again = tmp_path / "again.penstock"
    runner.penstock("compile", dump, f"--compile-from={phase}", "--stages", 2, "-o", again)
    for path in folder.rglob("*"):
        assert path.is_dir() or path.read_bytes() == (again / path.relative_to(folder)).read_bytes(), path.name


def test_packed_for_another_version(tmp_path):
    """A dump that was packed for a library that is not here is refused, and leaves no folder."""
    compiled(tmp_path, 2, "--dump-phases", str(tmp_path / "dumps"))
    dump = next((tmp_path / "dumps").glob("*.emit.mlir"))
    text = dump.read_text()
    assert "oneDNN 2." in text
    dump.write_text(re.sub(r"oneDNN 2\.\d+\.\d+", "oneDNN 1.0.0", text))
    done = subprocess.run([str(models.BUILD / "bin/penstock"), "compile", str(dump), "--compile-from=emit", "-o",
                           str(tmp_path / "other.penstock")], text=True, capture_output=True)
    assert done.returncode == 2 and "oneDNN 1.0.0" in done.stderr, done.stderr
    assert not (tmp_path / "other.penstock").exists()
