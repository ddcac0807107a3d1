"""What launch proves before it starts anything: a folder whose plan was edited is refused, and the fault is named."""
# Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
import copy
import json
import shutil
import subprocess

import numpy as np
import onnx
import pytest
import runner
import tiny
from onnx import helper


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three stages; the first result goes to the second stage and, past it, to the third."""
    where = tmp_path_factory.mktemp("proof")
    path = tiny.save(tiny.perceptron(num_layers=3), where / "m.onnx")
    plan = {"stages": [{"kernels": ["t0"]}, {"kernels": ["t1"]}, {"kernels": ["y"]}]}
    (where / "cut.json").write_text(json.dumps(plan))
    runner.penstock("compile", path, "-o", where / "m.penstock", "--plan", where / "cut.json")
    return where / "m.penstock"


@pytest.fixture
def plan(folder):
    return json.loads((folder / "plan.json").read_text())


def launch(folder, plan, where):
    """Runs the folder with another plan."""
    copied = where / "edited.penstock"
    shutil.copytree(folder, copied, dirs_exist_ok=True)
    (copied / "plan.json").write_text(json.dumps(plan))
    np.save(where / "x.npy", tiny.perceptron_input())
    return copied, [copied / "launch", "--input", f"x={where / 'x.npy'}", "--output-dir", where / "out"]


def refusal(folder, plan, where):
    """What launch says to an edited plan. The stages are gone: had it started one, it would say that."""
    copied, command = launch(folder, plan, where)
    for stage in copied.glob("stage-?"):
        stage.unlink()
    done = subprocess.run(command, text=True, capture_output=True, timeout=60)
    assert done.returncode == 2 and done.stdout == "" and done.stderr.count("\n") == 1, done
    assert not (where / "out").exists()
    prefix = f"error: the plan of '{copied}' cannot be run: "
    assert done.stderr.startswith(prefix), done.stderr
    return done.stderr[len(prefix):].strip()


def steady(plan, stage):
    return plan["stages"][stage]["program"]["steady"]


def the_skip(plan):
    """The channel of the first result."""
    return next(channel["name"] for channel in plan["channels"] if channel["tensor"] == "t0")


def test_as_compiled(folder, plan, tmp_path):
    assert plan["kernels"] == ["t0", "t1", "y"]
    assert [list(step)[0] for step in steady(plan, 2)] == ["receive", "receive", "run", "send"]
    _, command = launch(folder, plan, tmp_path)
    subprocess.run(command, check=True, timeout=60)
    assert np.load(tmp_path / "out" / "y.npy").shape == (1, tiny.WIDTH)


def test_dropped_send(folder, plan, tmp_path):
    skip = the_skip(plan)
    del steady(plan, 0)[-1]
    assert refusal(folder, plan, tmp_path) == \
        f"stage 0 does not send channel '{skip}' ('t0'), which stage 1 waits for, for microbatch 0 (of 1)"


def test_swapped_order(folder, plan, tmp_path):
    skip, steps = the_skip(plan), steady(plan, 0)
    steps[-1], steps[-2] = steps[-2], steps[-1]
    assert refusal(folder, plan, tmp_path) == \
        f"stage 0 sends channel '{skip}' ('t0') to stage 1 and stage 2 for microbatch 0 before it has run it (of 1)"


def test_depth_too_small(folder, plan, tmp_path):
    """A stage that runs twice before it sends needs two slots."""
    skip, program = the_skip(plan), plan["stages"][0]["program"]
    program["epilogue"] = copy.deepcopy(program["steady"])
    program["steady"] = [{**step, "microbatch": k} for step in program["steady"] for k in (0, 1)]
    program["round"] = 2
    for channel in plan["channels"]:
        channel["depth"] = 1 if channel["name"] == skip else max(2, channel["depth"])
    text = refusal(folder, plan, tmp_path)
    assert text.startswith("deadlock: "), text
    assert f"stage 0 waits for a free slot of channel '{skip}' ('t0'), depth 1, held by stage " in text, text
    assert f"waits for channel '{skip}' ('t0') from stage 0" in text, text


def test_duplicated_kernel(folder, plan, tmp_path):
    plan["stages"][2]["kernels"].append(plan["stages"][0]["kernels"][0])
    assert refusal(folder, plan, tmp_path) == \
        f"kernel 't0' ('t0') is run by stage 0 and by stage 2; expected one owner, and a mark on each clone; channel " \
        f"'{the_skip(plan)}' ('t0') carries it from stage 0 to stage 1 and stage 2"


def test_wrong_type(folder, plan, tmp_path):
    message = next(step for step in steady(plan, 2) if step.get("receive") == the_skip(plan))
    message["dtype"] = "f16"
    assert refusal(folder, plan, tmp_path) == \
        f"stage 2 receives channel '{the_skip(plan)}' ('t0') from stage 0 as f16[batch, {tiny.WIDTH}]; the channel carries " \
        f"f32[batch, {tiny.WIDTH}]"


def test_other_users_of_a_folder_prove_it_too(folder, plan, tmp_path):
    del steady(plan, 0)[-1]
    copied, _ = launch(folder, plan, tmp_path)
    for command in (["run", copied, "--random"], ["bench", copied, "--seconds", "0.1"]):
        with pytest.raises(runner.Failure, match="exit status 2\nerror: the plan of .* cannot be run: stage 0 does not send"):
            runner.penstock(*command)


def test_clones_are_marked(tmp_path):
    """A cheap kernel on the input that the first and the last stage read is run in both, and only once as its own."""
    model = tiny.perceptron(num_layers=3)
    model.graph.node.insert(0, helper.make_node("Sign", ["x"], ["sign"], name="sign"))
    for node in model.graph.node:
        if node.name in ("matmul_0", "skip"):
            node.input[:] = ["sign" if name in ("x", "t0") else name for name in node.input]
    onnx.checker.check_model(model)
    path = tiny.save(model, tmp_path / "m.onnx")
    runner.penstock("compile", path, "-o", tmp_path / "m.penstock", "--stages", 2, "--cut", "t1")
    plan = json.loads((tmp_path / "m.penstock/plan.json").read_text())
    kernels = [kernel for stage in plan["stages"] for kernel in stage["kernels"]]
    assert [(kernel["name"], kernel["clone_of"]) for kernel in kernels if "clone_of" in kernel] == [("sign@1", "sign")]
    assert "sign" in plan["kernels"] and "sign@1" not in plan["kernels"]
    np.save(tmp_path / "x.npy", tiny.perceptron_input())
    runner.penstock("run", tmp_path / "m.penstock", "--input", f"x={tmp_path / 'x.npy'}")
