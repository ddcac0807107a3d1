"""The memory contract: what plan.json promises of every stage is what its process holds, for every whole model whose
dimensions are static or bounded; and what is promised where they are not. memory.py is the long form, with 1 to 4 stages."""
# Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
import json
import re
import subprocess
import time

import memory
import models
import numpy as np
import pytest
import runner
import tiny

CASES = [pytest.param(name, flags, id=f"{name}-{form}") for name, model in models.MODELS.items() if model.tier != "accept"
         for form, flags in memory.forms_of(name)]


@pytest.mark.parametrize("name, flags", CASES)
def test_contract_is_kept(name, flags, tmp_path):
    """Private pages, shared memory and mapped weights of every stage are within 5 % + 8 MiB of the contract."""
    model = models.MODELS[name]
    try:
        rows = memory.check(model, flags, min(2, max(model.stages)), tmp_path)
    except models.NotHere as reason:
        pytest.skip(str(reason))
    for stage, held, promised, wrong in rows:
        print(stage, memory.describe(held, promised))
        parts = ("weights", "arena", "slots", "slots_read", "states", "runtime", "shapes")
        assert sum(promised[part] for part in parts) == promised["total"] and promised["workspaces"] <= promised["arena"]
        # By parts too, so that too much here cannot hide too little there.
        assert held.weights <= promised["weights"] + 4096
        assert held.shared <= 1.05 * (promised["slots"] + promised["slots_read"]) + (1 << 20)
        assert wrong is None, f"{stage}: {wrong}"


def test_a_free_dimension_is_named(tmp_path):
    """Where a dimension is free there is no promise, and the contract says in which."""
    model = tiny.save(tiny.perceptron(), tmp_path / "tiny.onnx")
    said = runner.penstock("compile", model, "-o", tmp_path / "free.penstock", "--stages", 2)
    assert "memory of stage 0 is unbounded in: batch\nmemory of stage 1 is unbounded in: batch\n" in said
    plan = json.loads((tmp_path / "free.penstock/plan.json").read_text())
    assert [stage["memory"]["unbounded"] for stage in plan["stages"]] == [["batch"], ["batch"]]
    assert [stage["memory"]["total"] for stage in plan["stages"]] == [-1, -1]
    shown = runner.penstock("inspect", tmp_path / "free.penstock")
    assert len(re.findall(r"; unbounded in: batch$", shown, re.MULTILINE)) == 2
    runner.penstock("compile", model, "-o", tmp_path / "bound.penstock", "--stages", 2, "--dim", "batch=1..8")
    shown = runner.penstock("inspect", tmp_path / "bound.penstock")
    assert len(re.findall(r"; in all \d+ bytes$", shown, re.MULTILINE)) == 2 and "unbounded" not in shown


def test_launch_holds_what_is_in_flight(tmp_path):
    """Inputs, results in flight and of the first round, the slots of both, and little else, however long it runs."""
    rows, in_flight = 16384, 5
    model = tiny.save(tiny.perceptron(2, batch=rows), tmp_path / "tiny.onnx")
    folder = tmp_path / "tiny.penstock"
    runner.penstock("compile", model, "-o", folder, "--stages", 2, "--quiet")
    np.save(tmp_path / "x.npy", tiny.perceptron_input(rows))
    tensor = rows * tiny.WIDTH * 4
    slots = sum(channel["depth"] * channel["slot_bytes"] for channel in json.loads((folder / "plan.json").read_text())["channels"]
                if channel["from"] == "source" or "sink" in channel["to"])
    promised = slots + tensor * (1 + in_flight + 1) + (2 << 20)
    process = subprocess.Popen([folder / "launch", "--input", f"x={tmp_path / 'x.npy'}", "--repeat", "100000000", "--inflight",
                                str(in_flight), "--timeout", "0"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        most, rounds = 0, 0
        while rounds < 40:
            assert process.poll() is None, process.stderr.read()
            held = memory.held_by(process.pid)
            most = max(most, held.total)
            rounds += held.shared >= slots / 2    # from when the pipeline is full
            time.sleep(0.1)
    finally:
        process.kill()
        process.wait()
    assert most <= promised + memory.room(promised), f"{most >> 10} KiB held, {promised >> 10} promised"
