"""What ./dev gpu packs for a machine with a GPU: it is made, unpacked and judged here, against the stand-in of the driver."""
# Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
import json
import os
import subprocess
import sys

import models
import numpy as np
import onnx
import pytest
import test_cuda_stages
import tiny

HERE = models.ROOT / "test/gpu"
sys.path.insert(0, str(HERE))
import pack
import report
import run


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    """The folder of a pack with one model, large enough that its weights are made from seeds."""
    scratch = tmp_path_factory.mktemp("pack")
    source = tiny.save(tiny.perceptron(num_layers=3), scratch / "tiny.onnx")
    requests = [(f"{rows} rows", {"x": tiny.perceptron_input(rows, seed=rows)}) for rows in (4, 1)]
    model = models.Model("tiny", lambda: source, lambda: requests)
    where = scratch / "pack"
    where.mkdir()
    row = pack.pack_model(model, [1, 2], test_cuda_stages.compile_played, where)
    (where / "index.json").write_text(json.dumps([row]))
    out = scratch / "gpu"
    out.mkdir()
    pack.write_archive(where, out / "pack.tar.xz")
    for script in ("run.py", "timeline.py"):
        (out / script).write_bytes((HERE / script).read_bytes())
    return out, row


def start(folder, environment, *flags):
    return subprocess.run([sys.executable, folder / "run.py", *flags], text=True, capture_output=True, timeout=300,
                          env=os.environ | environment)


def test_weights_come_from_seeds(packed):
    """Nothing that a seed gives is carried, and what it gives is what the compiler wrote: a stage would refuse it otherwise."""
    _, row = packed
    seeded = [part for recipe in row["weights"] for part in recipe["parts"] if "seed" in part]
    assert len(seeded) == 3 * 3 and row["carried"] < 4096
    assert all(part["count"] == tiny.WIDTH ** 2 for part in seeded)


def test_same_numbers_everywhere():
    """The generator's bits are a part of the pack: these are PCG64's, whatever NumPy makes of them elsewhere."""
    values = run.uniform(7, 5, mean=1.0, deviation=0.5, dtype="float32")
    raw = np.random.PCG64(7).random_raw(3)
    words = [int(raw[i // 2]) >> 32 * (i % 2) & 0xffffffff for i in range(5)]
    assert values == pytest.approx([((word >> 8) / 2 ** 24 - 0.5) * 0.5 * 12 ** 0.5 + 1 for word in words], rel=1e-6)
    many = run.uniform(7, 1 << 16, mean=1.0, deviation=0.5, dtype="float32")
    assert abs(many.mean() - 1) < 0.01 and abs(many.std() - 0.5) < 0.01


def test_every_folder_in_every_form(packed, tmp_path):
    folder, _ = packed
    done = start(folder, test_cuda_stages.machine(test_cuda_stages.H200), "--json", tmp_path / "rows.json", "--requests", "3")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "4 passed, 0 failed, 0 skipped"
    rows = json.loads((tmp_path / "rows.json").read_text())["folders"]
    assert [row["folder"] for row in rows] == ["1.penstock", "2.penstock", "2.penstock --all-in-one", "2-nccl.penstock"]
    assert all("latency_ms" in row and "stream_ms" in row for row in rows)
    assert [len(row["device"]["idle"]) for row in rows] == [1, 2, 2, 2]
    for row in rows:
        assert all(0 <= share < 1 for share in row["device"]["idle"]) and 0 <= row["device"]["overlap"] <= 1
        assert row["device"]["exposed"] is None and f"{row['folder']}: " in done.stdout and ", copies behind kernels " in done.stdout


def test_without_a_gpu(packed):
    folder, _ = packed
    done = start(folder, {"LD_LIBRARY_PATH": "", "CUDA_VISIBLE_DEVICES": ""})
    assert (done.returncode, done.stdout) == (0, "skipped: no GPU\n0 passed, 0 failed, 1 skipped\n")


def test_a_wrong_result_is_found():
    """An output that is off by more than the limit, has another shape, or NaN."""
    expected = {"0/y": np.ones(4, np.float32)}
    allowed = {"0/y": {"shape": [2, 2], "norm": 1e-5}}
    right = np.ones((2, 2), np.float32)
    assert run.worst_of([{"y": right}], expected, allowed) == "error norm 0 <= allowed 1e-05"
    for wrong, words in ((right * 1.0001, "error norm"), (right.reshape(4), r"float32\[4\]; expected"),
                         (right * np.float32("nan"), "NaN in other places"), (right.astype(np.float64), "float64")):
        with pytest.raises(run.Failure, match=words):
            run.worst_of([{"y": wrong}], expected, allowed)


def test_weights_that_were_drawn_anew(tmp_path):
    source = tiny.save(tiny.perceptron(num_layers=2), tmp_path / "tiny.onnx")
    recipes = pack.seed_weights(source, tmp_path / "seeded.onnx")
    assert sorted(recipe["dtype"] for recipe in recipes.values()) == ["bfloat16"] * 2 + ["float32"] * 2
    for old, new in zip(onnx.load(str(source)).graph.initializer, onnx.load(str(tmp_path / "seeded.onnx")).graph.initializer):
        old, new = onnx.numpy_helper.to_array(old), onnx.numpy_helper.to_array(new)
        assert old.shape == new.shape and not np.array_equal(old, new)
        assert abs(old.mean() - new.mean()) < 0.01 and 0.9 < old.std() / new.std() < 1.1


def test_report():
    """Every model has its line with what failed, and what was measured stands beside the peer's figures."""
    done = {"machine": {"gpu": "GPU X", "driver": "580.1", "memory": "1 MiB"},
            "folders": [{"model": "a", "folder": "1.penstock", "status": "pass", "words": "error norm 0 <= allowed 1"},
                        {"model": "a", "folder": "2.penstock", "status": "fail", "words": "other bits than with one stage"},
                        {"model": "b-f32-1", "folder": "1.penstock", "status": "pass", "words": "", "latency_ms": 2.0,
                         "stream_ms": 1.0}]}
    text = report.write(done, {"b-f32-1": {"eager": 3.0, "graph": 1.5}})
    assert "GPU X, driver 580.1" in text and "2 of 3 runs" in text
    assert "| a | 1 of 2 | 2.penstock: other bits than with one stage |" in text
    assert "| b-f32-1 | 2.000 | 1.000 | 3.000 | 1.500 | | 0.67 |" in text
