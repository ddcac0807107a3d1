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
import timeline

TIMED = ("product: resnet50 classes, batch 1, f32", "elementwise: vit_b_16 add, batch 1, bf16")


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    """The folder of a pack with one model, large enough that its weights are made from seeds, and two kernels to be timed."""
    scratch = tmp_path_factory.mktemp("pack")
    source = tiny.save(tiny.perceptron(num_layers=3), scratch / "tiny.onnx")
    requests = [(f"{rows} rows", {"x": tiny.perceptron_input(rows, seed=rows)}) for rows in (4, 1)]
    model = models.Model("tiny", lambda: source, lambda: requests)
    where = scratch / "pack"
    where.mkdir()
    row = pack.pack_model(model, [1, 2], test_cuda_stages.compile_played, where)
    (where / "index.json").write_text(json.dumps([row]))
    pack.pack_kernels(models.BUILD, where / "bench", "--bench", "--small", "--played")
    cases = json.loads((where / "bench/cases.json").read_text())
    cases["cases"] = [case for case in cases["cases"] if case["name"] in TIMED]
    (where / "bench/cases.json").write_text(json.dumps(cases))
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
    assert done.stdout.splitlines()[-1] == "5 passed, 0 failed, 0 skipped"
    bench, *rows = json.loads((tmp_path / "rows.json").read_text())["folders"]
    assert [row["name"] for row in bench["bench"]["cases"]] == list(TIMED) and "pass bench: 2 measured, 0 failed" in done.stdout
    assert f"{TIMED[0]}: " in done.stdout
    assert [row["folder"] for row in rows] == ["1.penstock", "2.penstock", "2.penstock --all-in-one", "2-nccl.penstock"]
    assert all("latency_ms" in row and "stream_ms" in row for row in rows)
    assert [len(row["device"]["idle"]) for row in rows] == [1, 2, 2, 2]
    for row in rows:
        assert all(0 <= share < 1 for share in row["device"]["idle"]) and 0 <= row["device"]["overlap"] <= 1
        assert row["device"]["exposed"] is None and f"{row['folder']}: " in done.stdout and ", copies behind kernels " in done.stdout


def test_without_figures_nothing_is_timed(packed):
    folder, _ = packed
    done = start(folder, test_cuda_stages.machine(test_cuda_stages.H200))
    assert done.returncode == 0 and done.stdout.splitlines()[-1] == "4 passed, 0 failed, 0 skipped"
    assert "bench" not in done.stdout and "idle" not in done.stdout


def write_timeline(path, bus, events):
    """A file as the plug-in writes it: [(name, category, begin, end)]."""
    content = {"otherData": {"bus": bus}, "traceEvents": [{"name": "process_name", "ph": "M"}] + [
        {"name": name, "cat": category, "ph": "X", "ts": begin, "dur": end - begin} for name, category, begin, end in events]}
    path.write_text(json.dumps(content))
    return path


def steps(period, busy, count=12, first=0):
    return [("graph", "compute", first + period * i, first + period * i + busy) for i in range(count)]


def test_idle_time(tmp_path):
    """Of a graph of 80 us every 100 us, from the fifth of twelve on; what came before them is not steady."""
    before = [("launch", "compute", -5000.0, -4990.0), ("copy in", "copy", -6000.0, -5500.0)]
    shares = timeline.shares([write_timeline(tmp_path / "a", "0", before + steps(100, 80))])
    assert shares == {"idle": [pytest.approx(1 - 8 * 80 / 780)], "overlap": None, "exposed": None}
    only_launches = [("launch", "compute", 10.0 * i, 10.0 * i + 10) for i in range(6)]
    assert timeline.shares([write_timeline(tmp_path / "b", "0", only_launches)])["idle"] == [0]
    assert timeline.shares([write_timeline(tmp_path / "c", "0", [])]) == {"idle": [1], "overlap": None, "exposed": None}


def test_copies_behind_kernels(tmp_path):
    """A copy that a kernel hides half, one that another stage's kernel hides, one on another device that nothing hides."""
    one = write_timeline(tmp_path / "a", "0", steps(100, 50) + [("copy in", "copy", 530, 570), ("copy out", "copy", 560, 580)])
    other = write_timeline(tmp_path / "b", "0", steps(100, 50, first=50))
    shares = timeline.shares([one, other])
    assert shares["overlap"] == 1 and shares["exposed"] is None
    assert timeline.shares([one])["overlap"] == pytest.approx(20 / 60)
    elsewhere = write_timeline(tmp_path / "c", "1", steps(100, 50, first=50) + [("copy in", "copy", 610, 640)])
    assert timeline.shares([one, elsewhere])["overlap"] == pytest.approx(20 / 90)


def test_exposed_communication(tmp_path):
    """Of two devices the one that computes more leaves 10 us of each 100."""
    files = [write_timeline(tmp_path / bus, bus, steps(100, busy, count=300)) for bus, busy in (("0", 90), ("1", 60))]
    shares = timeline.shares(files)
    assert shares["exposed"] == pytest.approx(0.1, abs=0.001) and shares["idle"] == [
        pytest.approx(0.1, abs=0.001), pytest.approx(0.4, abs=0.002)]
    assert run.words_of(shares).endswith(", exposed 10.0%")


def test_a_run_without_a_timeline_is_a_failure(tmp_path, monkeypatch):
    np.savez(tmp_path / "expected.npz")
    model = run.Model(tmp_path, {"name": ".", "requests": 1})
    monkeypatch.setattr(run, "launch", lambda *words, more: "{}")
    with pytest.raises(run.Failure, match="no stage has written what its device did"):
        model.watch("1.penstock", 3, ())


def test_a_kernel_that_cannot_be_timed(tmp_path, capsys):
    """The row says which, and why, with what was timed beside it."""
    (tmp_path / "gpu_bench").write_text("#!/bin/sh\necho 'failed: a: why'\necho '0 measured, 1 failed, 0 skipped'\nexit 1\n")
    row = run.run_bench(tmp_path)
    assert (row["status"], row["words"]) == ("fail", "failed: a: why; 0 measured, 1 failed, 0 skipped") and "bench" not in row
    assert capsys.readouterr().out == "failed: a: why\nfail bench: failed: a: why; 0 measured, 1 failed, 0 skipped\n"


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


def timed(name, us, share, hand_us=None, touched=100):
    row = {"name": name, "us": us, "gb_s": 1000 * share, "copy_share": share, "touched_bytes": touched}
    return row | ({"tflop_s": 5.0, "hand_us": hand_us, "hand_number": 2, "hand_ways": 7} if hand_us else {})


def test_report_of_kernels():
    """Promises by kind, batch and type, with the kernel that is farthest from each; a line per kernel; what was not timed."""
    bench = {"copy_gb_s": 4000.4, "touched_bytes": 100, "failed": [], "skipped": [{"name": "convolution: d, batch 1, f32", "words": "no cuDNN"}],
             "cases": [timed("product: a, batch 1, f32", 10.1, 0.2, 10.0), timed("product: b, batch 1, f32", 11.0, 0.3, 10.0),
                       timed("product: a, batch 1, bf16", 10.0, 0.2, 10.0), timed("elementwise: c, batch 32, f32", 5.0, 0.8),
                       timed("norm: c, batch 32, f32", 5.0, 0.86, touched=50), timed("transpose: e, batch 32, f32", 5.0, 0.5)]}
    text = report.write({"machine": {}, "folders": [{"model": "bench", "folder": "kernels", "status": "pass", "words": "", "bench": bench}]}, {})
    assert "reads and writes 4000 GB/s." in text and "- convolution: d, batch 1, f32: no cuDNN" in text
    slower, bandwidth = "at most 2% slower than by hand", "85% of a copy's bandwidth"
    for line in (f"| product, batch 1, f32 | {slower} | 1 of 2 | b: +10.0% of the time by hand, missed by 8.0 points |",
                 f"| product, batch 1, bf16 | {slower} | 1 of 1 | a: +0.0% of the time by hand |",
                 f"| elementwise, batch 32, f32 | {bandwidth} | 0 of 1 | c: 80% of a copy, missed by 5.0 points |",
                 f"| norm, batch 32, f32 | {bandwidth} | 1 of 1 | c: 86% of a copy |",
                 "| product: b, batch 1, f32 | 11.00 | 300 | 30% | 5.0 | 10.00 | 2, 7 |",
                 "| norm: c, batch 32, f32 | 5.00 | 860 | 86% (caches) | | | |"):
        assert line in text.splitlines(), line
    assert "| transpose, " not in text and "| transpose: e, " in text


def test_report_of_devices():
    def row(model, folder, **device):
        return {"model": model, "folder": folder, "status": "pass", "words": "", "device": {"overlap": None, "exposed": None} | device}
    text = report.write({"machine": {}, "folders": [
        row("a-f32-32", "1.penstock", idle=[0.04]), row("b-f32-32", "1.penstock", idle=[0.07]), row("b-f32-1", "1.penstock", idle=[0.5]),
        row("a-f32-32", "2.penstock", idle=[0.1, 0.2], overlap=0.9, exposed=0.1)]}, {})
    for line in ("| a-f32-32 | 1.penstock | 4.0% | | |", "| b-f32-32 | 1.penstock | 7.0%, missed by 2.0 points | | |",
                 "| b-f32-1 | 1.penstock | 50.0% | | |", "| a-f32-32 | 2.penstock | 10.0%, 20.0% | 90% | 10.0%, missed by 5.0 points |"):
        assert line in text.splitlines(), line
