"""Plans written into the model's own file, as ONNX's multi-device annotations, and read back from there."""
# Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
import json
import resource
import subprocess

import models
import numpy as np
import onnx
import onnx.parser
import pytest
import tiny
from onnx import helper
from test_bad_input import check_refused, penstock

NAMES = ("ocr-classifier", "ocr-recognizer", "ocr-detector", "voice-if-bound", "voice-op15", "voice-plain",
         "light-squeezenet-shipped", "light-resnet50-shipped")


def plan(path, *flags):
    done = penstock("plan", path, "--json", *flags)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def assignment(report):
    return [(stage["kernels"], stage["clones"]) for stage in report["stages"]]


def stages_of(nodes):
    """The pipeline stage of each node in our configuration, None where it has none."""
    result = []
    for node in nodes:
        found = [entry.pipeline_stage for entry in node.device_configurations if entry.configuration_id == "penstock"]
        assert len(found) <= 1, node
        result.append(found[0] if found else None)
    return result


def all_nodes(model):
    """Every node of the main graph, of subgraphs and of functions."""
    pending, found = [*model.graph.node, *(node for function in model.functions for node in function.node)], []
    while pending:
        node = pending.pop()
        found.append(node)
        for attribute in node.attribute:
            for graph in [attribute.g, *attribute.graphs]:
                pending += graph.node
    return found


def without_stages(model):
    bare = onnx.ModelProto()
    bare.CopyFrom(model)
    del bare.configuration[:]
    for node in all_nodes(bare):
        del node.device_configurations[:]
    bare.ir_version = 0
    return bare


def write(path, target, num_stages, *flags):
    """Writes the plan for so many stages; returns what the plan says and the model that was written."""
    report = plan(path, "--stages", num_stages, "--write-onnx", target, *flags)
    written = onnx.load(str(target), load_external_data=False)
    onnx.checker.check_model(str(target))
    assert written.ir_version >= 11
    ours = [entry for entry in written.configuration if entry.name == "penstock"]
    assert [entry.num_devices for entry in ours] == [num_stages]
    original = onnx.load(str(path), load_external_data=False)
    assert without_stages(written) == without_stages(original)
    used = {stage for stage in stages_of(all_nodes(written)) if stage is not None}
    assert used == set(range(num_stages))
    return report, written


def round_trip(path, target, num_stages, *flags):
    report, written = write(path, target, num_stages, *flags)
    assert assignment(plan(target, "--from-onnx-stages", *flags)) == assignment(report)
    return written


@pytest.mark.parametrize("num_stages", (2, 4))
@pytest.mark.parametrize("name", NAMES)
def test_round_trip(name, num_stages, tmp_path):
    """What is read back from the file is the plan that was written, kernel for kernel."""
    model = models.MODELS[name]
    written = round_trip(model.path(), tmp_path / "m.onnx", num_stages, *model.flags)
    if name.startswith(("ocr", "light")):  # without branches: at most what nobody reads, and an output that is a weight
        silent = [node.op_type for node, stage in zip(written.graph.node, stages_of(written.graph.node)) if stage is None]
        assert len(silent) <= 0.01 * len(written.graph.node), silent


def test_the_same_folder(tmp_path):
    """Compiled from the annotations, the folder has the stages of the plan; its results have the bits of any other."""
    path = models.MODELS["ocr-classifier-static"].path()
    report, _ = write(path, tmp_path / "m.onnx", 2)
    bits = []
    for model, flags in ((path, ["--stages", "1"]), (tmp_path / "m.onnx", ["--from-onnx-stages"])):
        folder = tmp_path / f"{len(bits)}.penstock"
        done = penstock("compile", model, "-o", folder, "--shape", "x=1x3x48x192", *flags)
        assert done.returncode == 0, done.stderr
        done = penstock("run", folder, "--random", "--output-dir", folder / "out")
        assert done.returncode == 0, done.stderr
        bits.append([file.read_bytes() for file in sorted((folder / "out").iterdir())])
    stages = json.loads((folder / "plan.json").read_text())["stages"]
    kernels = [sorted(kernel["name"] for kernel in stage["kernels"]) for stage in stages]
    assert kernels == [sorted(owned + clones) for owned, clones in assignment(report)]
    assert bits[0] == bits[1]


# ---- small graphs ---------------------------------------------------------------------------------------------------


def parsed(text, path):
    onnx.save(onnx.parser.parse_model(text), str(path))
    return path


def layers(*lines):
    """A graph over x[4, 64] with a weight w[64, 64]; the last line makes y."""
    body = "\n".join(lines)
    return f"""<ir_version: 8, opset_import: ["" : 18, "local" : 1]>
        g (float[4, 64] x, float[64, 64] w) => (float[4, 64] y) {{ {body} }}"""


TWICE = """<domain: "local", opset_import: ["" : 18]> twice (v, w) => (u) { a = MatMul(v, w)
        t = Tanh(a)
        b = MatMul(t, w)
        u = Tanh(b) }"""


def test_calls_carry_the_stage(tmp_path):
    """A function that is called in two stages: the calls say it, its nodes do not."""
    path = parsed(layers("[one] h = local.twice(x, w)", "[two] y = local.twice(h, w)") + TWICE, tmp_path / "f.onnx")
    written = round_trip(path, tmp_path / "m.onnx", 2, "--cut", "h")
    assert stages_of(written.graph.node) == [0, 1]
    assert stages_of(written.functions[0].node) == [None] * 4


def test_a_function_that_is_cut(tmp_path):
    """Called once, its nodes say their stages; called twice, they would have to say two."""
    path = parsed(layers("[one] y = local.twice(x, w)") + TWICE, tmp_path / "f.onnx")
    written = round_trip(path, tmp_path / "m.onnx", 2)
    assert stages_of(written.graph.node) == [None]
    assert stages_of(written.functions[0].node) == [0, 0, 1, 1]
    path = parsed(layers("[one] h = local.twice(x, w)", "[two] y = local.twice(h, w)") + TWICE, tmp_path / "g.onnx")
    done = penstock("plan", path, "--stages", "4", "--write-onnx", tmp_path / "n.onnx")
    check_refused(done, "is partly in stage", "ONNX gives a node one stage", "--cut")
    assert not (tmp_path / "n.onnx").exists()


def test_branches(tmp_path):
    """An If is of one stage, which it carries; of one whose condition is constant, the nodes of the branch say theirs."""
    branch = """If (c) <then_branch = t () => (float[4, 64] p) { m = MatMul(h, w)
        n = Tanh(m)
        o = MatMul(n, w)
        p = Tanh(o) }, else_branch = e () => (float[4, 64] q) { q = Sin(h) }>"""
    free = layers("h = MatMul(x, w)", f"[fork] k = {branch}", "y = MatMul(k, w)").replace("(float[4, 64] x", "(bool c, float[4, 64] x")
    written = round_trip(parsed(free, tmp_path / "free.onnx"), tmp_path / "m.onnx", 2, "--cut", "h")
    assert stages_of(written.graph.node) == [0, 1, 1]
    written = round_trip(parsed(free, tmp_path / "bound.onnx"), tmp_path / "n.onnx", 2, "--bind", "c=1", "--cut", "n")
    then, other = (attribute.g for attribute in written.graph.node[1].attribute)
    assert stages_of(written.graph.node) == [0, None, 1]
    assert (stages_of(then.node), stages_of(other.node)) == ([0, 0, 1, 1], [None])


def test_fused_nodes_and_silent_ones(tmp_path):
    """All nodes of a kernel have its stage; nodes without code have that of their first reader, if values still flow
    forward then."""
    text = layers("m = MatMul(x, w)", "h = Tanh(m)", "s = Shape(h)", "k = MatMul(h, w)", "r = Reshape(k, s)",
                  "y = Tanh(r)", )
    written = round_trip(parsed(text, tmp_path / "m.onnx"), tmp_path / "n.onnx", 2, "--cut", "h")
    assert stages_of(written.graph.node) == [0, 0, 1, 1, 1, 1]
    # The shape of a later value, which an earlier one is reshaped to.
    text = layers("m = MatMul(x, w)", "h = Tanh(m)", "k = MatMul(h, w)", "s = Shape(k)", "r = Reshape(h, s)",
                  "t = MatMul(r, w)", "y = MatMul(k, w)").replace("64] y)", "64] y, float[4, 64] t)")
    written = round_trip(parsed(text, tmp_path / "back.onnx"), tmp_path / "o.onnx", 2, "--cut", "t")
    assert stages_of(written.graph.node)[3] is None


def test_clones_carry_no_stage(tmp_path):
    """A cheap kernel that both stages repeat: its nodes have no stage, and both repeat it again."""
    text = layers("c = Sin(w)", "d = ReduceSum<keepdims = 0>(c)", "m = MatMul(x, w)", "h = Add(m, d)", "k = MatMul(h, w)",
                  "y = Add(k, d)").replace("float[64, 64] w)", "float[64, 64] w, float[8] z)").replace(
                      "c = Sin(w)", "c = Sin(z)")
    written = round_trip(parsed(text, tmp_path / "m.onnx"), tmp_path / "n.onnx", 2, "--cut", "h")
    assert stages_of(written.graph.node)[2:] == [0, 0, 1, 1]
    assert stages_of(written.graph.node)[1] is None


def test_stages_that_were_there(tmp_path):
    """They are replaced; whatever else the model says of its devices stays."""
    model = tiny.perceptron()
    model.configuration.extend([onnx.DeviceConfigurationProto(name="mine", num_devices=2),
                                onnx.DeviceConfigurationProto(name="penstock", num_devices=7)])
    sharding = onnx.ShardingSpecProto(tensor_name="t0", device=[0, 1])
    for node in model.graph.node:
        node.device_configurations.extend([
            onnx.NodeDeviceConfigurationProto(configuration_id="mine", pipeline_stage=1, sharding_spec=[sharding]),
            onnx.NodeDeviceConfigurationProto(configuration_id="penstock", pipeline_stage=6)])
    model.ir_version = 11
    path = tiny.save(model, tmp_path / "m.onnx")
    report = plan(path, "--stages", "2", "--write-onnx", path)  # over itself
    written = onnx.load(str(path))
    assert [(entry.name, entry.num_devices) for entry in written.configuration] == [("mine", 2), ("penstock", 2)]
    for node in written.graph.node:
        mine = [entry for entry in node.device_configurations if entry.configuration_id == "mine"]
        assert len(mine) == 1 and not mine[0].HasField("pipeline_stage") and mine[0].sharding_spec == [sharding]
    assert assignment(plan(path, "--from-onnx-stages")) == assignment(report)


def external(folder):
    path = folder / "m.onnx"
    tiny.save(tiny.perceptron(), path, save_as_external_data=True, location="m.data", size_threshold=0)
    return path


def test_external_data_stay_where_they_are(tmp_path):
    path = external(tmp_path)
    before = (tmp_path / "m.data").stat()
    round_trip(path, tmp_path / "n.onnx", 2)
    assert (tmp_path / "m.data").stat().st_mtime_ns == before.st_mtime_ns
    (tmp_path / "other").mkdir()
    done = penstock("plan", path, "--stages", "2", "--write-onnx", tmp_path / "other/n.onnx")
    check_refused(done, "m.data", "expected a file in the same folder", str(tmp_path))
    assert not list((tmp_path / "other").iterdir())


def test_weights_are_not_loaded(tmp_path):
    """A model of 512 MiB in one file is written under a limit of 256 MiB for the data of the process."""
    weight = np.random.default_rng(0).standard_normal((8192, 8192)).astype(np.float32)
    path = tmp_path / "big.onnx"
    graph = [helper.make_node("MatMul", ["x", "w0"], ["h"]), helper.make_node("MatMul", ["h", "w1"], ["y"])]
    arrays = [onnx.numpy_helper.from_array(weight, "w0"), onnx.numpy_helper.from_array(weight, "w1")]
    tiny.save(tiny.model(graph, [tiny.tensor("x", [1, 8192])], [tiny.tensor("y", [1, 8192])], arrays), path)
    limit = 256 << 20
    done = subprocess.run([str(models.BUILD / "bin/penstock"), "plan", str(path), "--stages", "2", "--write-onnx",
                           str(tmp_path / "n.onnx")], capture_output=True, text=True, timeout=120,
                          preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_DATA, (limit, limit)))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "n.onnx").stat().st_size >= path.stat().st_size
    assert stages_of(onnx.load(str(tmp_path / "n.onnx")).graph.node) == [0, 1]


# ---- refusals -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("flags", [[], ["--stages", "1..3"]])
def test_one_number_of_stages(tmp_path, flags):
    path = tiny.save(tiny.perceptron(), tmp_path / "m.onnx")
    done = penstock("plan", path, "--write-onnx", tmp_path / "n.onnx", *flags)
    check_refused(done, "--write-onnx writes the stages of one plan", "expected --stages N")
    assert not (tmp_path / "n.onnx").exists()


def test_no_place_to_write(tmp_path):
    path = tiny.save(tiny.perceptron(), tmp_path / "m.onnx")
    for target in (tmp_path / "none/n.onnx", tmp_path):
        check_refused(penstock("plan", path, "--stages", "2", "--write-onnx", target), "cannot write", str(target))
    assert [file.name for file in tmp_path.iterdir()] == ["m.onnx"]


def test_no_plan_no_file(tmp_path):
    path = tiny.save(tiny.perceptron(), tmp_path / "m.onnx")
    done = penstock("plan", path, "--stages", "60", "--write-onnx", tmp_path / "n.onnx")
    check_refused(done, "60 stages were asked for")
    assert [file.name for file in tmp_path.iterdir()] == ["m.onnx"]
