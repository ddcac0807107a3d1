"""What times kernels on a machine with a GPU, against the stand-in of the driver: small forms of the same kernels are timed, beside
all that the libraries list for them; what is missing or wrong keeps nothing else from being timed."""
# Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
import json
import os
import shutil
import subprocess

import models
import pytest
from test_cuda_stages import H200, STANDIN, machine, reports

QUICK = ("--least-ms", "0", "--touch-kib", "16")


def write_folder(made):
    done = subprocess.run([models.BUILD / "test/unit/gpu_cases", made, "--bench", "--small", "--played"], text=True,
                          capture_output=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    return made


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("bench"))


def bench(folder, environment, *flags):
    done = subprocess.run([folder / "gpu_bench", folder, *QUICK, *flags], text=True, capture_output=True, timeout=120,
                          env=os.environ | environment)
    return done.returncode, done.stdout.splitlines(), done.stderr


def test_every_kernel_is_timed(folder, tmp_path):
    cases = json.loads((folder / "cases.json").read_text())
    report = tmp_path / "report"
    status, lines, errors = bench(folder, machine(H200, PENSTOCK_STANDIN_REPORT=str(report)), "--json", tmp_path / "found.json")
    assert (status, errors) == (0, ""), lines
    assert lines[0].startswith("device 0 (NVIDIA H200, sm_90), CUDA 13.0: a copy within the device reads and writes ")
    assert lines[-1] == f"{len(cases['cases'])} measured, 0 failed, 0 skipped"
    (calls, faults), = reports(report)
    assert faults == [] and calls["cuMemcpyDtoDAsync"] >= 8 and calls["cuGraphLaunch"] > len(cases["cases"])
    found = json.loads((tmp_path / "found.json").read_text())
    assert [row["name"] for row in found["cases"]] == [case["name"] for case in cases["cases"]] and found["copy_gb_s"] > 0
    # Products, convolutions and attention are the libraries' alone, all of whose ways were tried.
    ways = {"product": 3, "convolution": 2, "attention": 2}
    for row in found["cases"]:
        kind, name = row["name"].split(": ")
        count = ways.get(kind, 0) + (kind == "convolution" and row["name"].endswith("bf16"))
        assert row.get("hand_ways", 0) == count and ("tflop_s" in row) == (count > 0), row
        assert row["gb_s"] == pytest.approx(row["bytes"] / row["us"] / 1e3) and row["touched_bytes"] >= row["bytes"]
        if count > 0:
            assert 1 <= row["hand_number"] <= count and row["hand_us"] > 0
    assert {row["name"].split(": ")[0] for row in found["cases"]} == {"product", "convolution", "attention", "elementwise", "norm", "softmax",
                                                                      "transpose"}


def test_what_is_counted(folder, tmp_path):
    """4 rows of 32 by 32 columns, with a bias and a residual, f32: 2 * 4 * 32 * 32 operations on 5760 bytes."""
    name = "product: bert_base projection, batch 1, f32"
    status, lines, _ = bench(folder, machine(H200), "--filter", name, "--json", tmp_path / "found.json")
    row, = json.loads((tmp_path / "found.json").read_text())["cases"]
    assert status == 0 and len(lines) == 3 and lines[1].startswith(f"{name}: ") and "; by hand " in lines[1]
    assert row["bytes"] == 4 * (4 * 32 + 32 * 32 + 32 + 4 * 32 + 4 * 32)
    assert row["tflop_s"] * row["us"] == pytest.approx(2 * 4 * 32 * 32 * 1e-6)


def test_without_a_gpu(folder, tmp_path):
    status, lines, _ = bench(folder, machine(), "--json", tmp_path / "found.json")
    assert status == 0 and len(lines) == 1 and lines[0].startswith("skipped: no GPU (") and "no CUDA" in lines[0]
    assert "no CUDA" in json.loads((tmp_path / "found.json").read_text())["no_gpu"]


def test_without_a_library(folder, tmp_path):
    for there in ("libcuda.so.1", "libcublasLt.so.13"):
        (tmp_path / there).symlink_to(STANDIN / there)
    status, lines, _ = bench(folder, machine(H200) | {"LD_LIBRARY_PATH": str(tmp_path)}, "--filter", "bf16")
    names = [case["name"] for case in json.loads((folder / "cases.json").read_text())["cases"] if "bf16" in case["name"]]
    skipped = [line for line in lines if line.startswith(("skipped: convolution: ", "skipped: attention: "))]
    assert status == 0 and len(skipped) == sum(name.startswith(("convolution", "attention")) for name in names)
    assert all("libcudnn.so.9" in line for line in skipped)
    assert lines[-1] == f"{len(names) - len(skipped)} measured, 0 failed, {len(skipped)} skipped"


def test_a_failure_keeps_no_other_kernel_from_being_timed(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "altered")
    cases = json.loads((copy / "cases.json").read_text())
    cases["cases"] = [case for case in cases["cases"] if case["name"].startswith("elementwise")]
    cases["kernels"][cases["cases"][0]["kernel"]]["symbol"] = "k_none"
    cases["cases"][1]["inputs"][0]["type"] = "i32"
    (copy / "cases.json").write_text(json.dumps(cases))
    status, lines, _ = bench(copy, machine(H200))
    assert status == 1 and lines[-1] == f"{len(cases['cases']) - 2} measured, 2 failed, 0 skipped"
    assert f"failed: {cases['cases'][0]['name']}: 'libkernels.so' has no kernel 'k_none'" in lines
    assert f"failed: {cases['cases'][1]['name']}: an input of type i32, expected f32 or bf16" in lines


def test_nothing_to_time(folder, tmp_path):
    assert bench(folder, machine(H200), "--filter", "no such kernel")[0] == 1
    status, lines, errors = bench(folder, machine(H200), "--filter", "resnet50 relu", "--json", tmp_path / "none" / "found.json")
    assert status == 1 and "cannot write" in errors
    copy = shutil.copytree(folder, tmp_path / "altered")
    cases = json.loads((copy / "cases.json").read_text())
    cases["cases"][0]["inputs"][0]["offset"] = 0
    (copy / "cases.json").write_text(json.dumps(cases))
    assert "is no list of cases: a tensor with contents" in bench(copy, machine(H200))[2]
