"""What a machine with a GPU runs to check all kernels, against the stand-in of the driver: sound kernels pass, and whatever may
go wrong there is found and named, without keeping the other cases from running."""
# Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
import json
import os
import re
import shutil
import subprocess

import models
import numpy as np
import pytest
import runner
import tiny
from test_cuda_stages import H200, machine, reports

CASES = "Reduction.ArgReduce:CublasLtKernel.Epilogues:Reduction.SoftmaxOfLargeNumbers:Selection.Positions:CudnnAttentionKernel.Masks:GpuOrdered.SumsOfColumnsAreShared"

# What cuDNN does.
CONVOLUTION = """
nn.kernel_def @conv(%x: tensor<?x4x9x7xf32, #nn.extents<[s0]>>, %w: tensor<6x4x3x3xf32>, %b: tensor<6xf32>)
    -> (tensor<?x6x7x5xf32, #nn.extents<[s0]>>) symbols 1 {
  %a = nn.conv %x, %w bias %b : tensor<6xf32> {dilations = array<i64: 1, 1>, group = 1 : i64, pads = array<i64: 0, 0, 0, 0>,
    strides = array<i64: 1, 1>} : tensor<?x4x9x7xf32, #nn.extents<[s0]>>, tensor<6x4x3x3xf32>
  %r = nn.unary relu %a : tensor<?x6x7x5xf32, #nn.extents<[s0]>>
  nn.yield %r : tensor<?x6x7x5xf32, #nn.extents<[s0]>>
}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Some of the kernels' tests, and the kernels of a small model."""
    made, scratch = tmp_path_factory.mktemp("cases"), tmp_path_factory.mktemp("model")
    model = tiny.save(tiny.perceptron(num_layers=2), scratch / "tiny.onnx")
    runner.penstock("compile", model, "--compile-to=schedule", "--dump-phases", scratch, "--quiet")
    dump, = scratch.glob("*.schedule.mlir")
    (scratch / "images.mlir").write_text(CONVOLUTION)
    done = subprocess.run([models.BUILD / "test/unit/gpu_cases", made, "--played", "--dump", dump, "3", "--dump", scratch / "images.mlir",
                           "2", f"--gtest_filter={CASES}"],
                          text=True, capture_output=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    return made


def conformance(folder, environment, *flags):
    done = subprocess.run([folder / "gpu_conformance", folder, *flags], text=True, capture_output=True, timeout=120,
                          env=os.environ | environment)
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    counts = re.fullmatch(r"(\d+) passed, (\d+) failed, (\d+) skipped", lines[-1])
    return done.returncode, lines, counts and tuple(map(int, counts.groups()))


def altered(folder, where, change):
    """The folder with other cases."""
    copy = shutil.copytree(folder, where / "altered")
    cases = json.loads((copy / "cases.json").read_text())
    change(cases)
    (copy / "cases.json").write_text(json.dumps(cases))
    return copy, cases["cases"]


def failed(lines):
    return [line.removeprefix("failed: ") for line in lines if line.startswith("failed: ")]


def test_sound_kernels_pass(folder, tmp_path):
    cases = json.loads((folder / "cases.json").read_text())["cases"]
    assert len(cases) > 50 and all(any(f"by {library}" in case["name"] for case in cases) for library in ("cuBLASLt", "cuDNN"))
    assert sum(case["name"].startswith("tiny.") for case in cases) >= 2
    report = tmp_path / "report"
    status, lines, counts = conformance(folder, machine(H200, PENSTOCK_STANDIN_REPORT=str(report)), "--json",
                                        tmp_path / "found.json")
    assert (status, counts) == (0, (len(cases), 0, 0)), lines
    assert lines[0] == f"{len(cases)} cases on device 0 (NVIDIA H200, sm_90), CUDA 13.0"
    found = json.loads((tmp_path / "found.json").read_text())
    assert (found["passed"], found["failed"], found["skipped"], found["failures"]) == (len(cases), 0, 0, [])
    # All in one process, each twice, the second time as a graph where there is more than one launch.
    (calls, faults), = [(calls, faults) for calls, faults in reports(report) if calls["cuLaunchKernel"] > 0]
    assert faults == []
    assert calls["cuMemcpyHtoDAsync"] >= 2 * len(cases) and calls["cuGraphLaunch"] > 0


def test_a_part_of_the_cases(folder):
    status, lines, counts = conformance(folder, machine(H200), "--filter", "Reduction.ArgReduce#1")
    assert status == 0 and 0 < counts[0] < 20 and counts[1:] == (0, 0)
    assert conformance(folder, machine(H200), "--filter", "no such case")[0] == 1


def test_no_gpu(folder, tmp_path):
    for environment, words in ((machine(), "no CUDA"), ({"LD_LIBRARY_PATH": str(tmp_path)}, "libcuda.so.1")):
        status, lines, _ = conformance(folder, environment)
        assert status == 0 and len(lines) == 1
        assert lines[0].startswith("skipped: no GPU (") and words in lines[0]


@pytest.mark.parametrize("kind", ["f32", "i64"])
def test_a_wrong_number_is_found(folder, tmp_path, kind):
    """One element of what is expected is another: a float by a part in a thousand, an integer by one."""
    copy, cases = altered(folder, tmp_path, lambda cases: None)
    case = next(case for case in cases if case["results"][0]["type"] == kind and 0 not in case["results"][0]["dims"])
    tensor = case["results"][0]
    shared = [other["name"] for other in cases
              if any(tensor["offset"] == used["offset"] for used in other["inputs"] + other["results"])]
    data = bytearray((copy / "data.bin").read_bytes())
    size = int(np.prod(tensor["dims"]))
    values = np.frombuffer(data, np.float32 if kind == "f32" else np.int64, size, tensor["offset"])
    most = np.argmax(np.abs(values))
    values[most] += np.abs(values[most]) / 1000 if kind == "f32" else 1
    (copy / "data.bin").write_bytes(data)
    status, lines, counts = conformance(copy, machine(H200))
    assert status == 1 and counts[0] + counts[1] == len(cases) and 0 < counts[1] <= len(shared)
    words = next(line for line in failed(lines) if line.startswith(case["name"] + ": "))
    assert "launch by launch: result 0, " in words and "the CPU target has" in words
    assert any(line.startswith("nn.kernel_def") for line in lines)


def test_what_is_written_outside_is_found(folder, tmp_path):
    def shorten(cases):
        case = next(case for case in cases["cases"] if case["name"].startswith("Reduction.SoftmaxOfLarge"))
        case["results"][0]["dims"][0] -= 1
        case["name"] = "short"
    copy, cases = altered(folder, tmp_path, shorten)
    status, lines, counts = conformance(copy, machine(H200))
    assert (status, counts) == (1, (len(cases) - 1, 1, 0))
    assert re.match(r"short: launch by launch: 0 bytes behind result 0 .*something was written", failed(lines)[0]), lines


def test_a_lost_device_keeps_no_other_case_from_running(folder, tmp_path):
    """After a launch every call of the driver fails, as it does after an illegal address; each process gets that far."""
    def few(cases):
        cases["cases"] = [case for case in cases["cases"] if case["name"].startswith("Reduction.ArgReduce")][:12]
    copy, cases = altered(folder, tmp_path, few)
    status, lines, (passed, lost, skipped) = conformance(copy, machine(H200, "lost=15"))
    assert status == 1 and passed + lost == len(cases) and passed >= 2 and lost >= 2 and skipped == 0
    assert all("CUDA_ERROR_ILLEGAL_ADDRESS" in line and "; the device is lost" in line for line in failed(lines)), lines


def test_a_process_that_ends_keeps_no_other_case_from_running(folder, tmp_path):
    def crash(cases):
        cases["kernels"].append({"symbol": "first_of_rt_cuda_kernels", "library": "no code", "text": "data"})
        cases["cases"][3] |= {"kernel": len(cases["kernels"]) - 1, "name": "a crash"}
    copy, cases = altered(folder, tmp_path, crash)
    status, lines, counts = conformance(copy, machine(H200))
    assert (status, counts) == (1, (len(cases) - 1, 1, 0))
    assert failed(lines) == ["a crash: the process ended by signal Segmentation fault; the device is lost "
                             "(first_of_rt_cuda_kernels)"]


@pytest.mark.parametrize("name, library, other", [("cuBLASLt", "libcublasLt.so.13", "libcudnn.so.9"),
                                                  ("cuDNN", "libcudnn.so.9", "libcublasLt.so.13")])
def test_without_a_library_its_cases_are_skipped(folder, tmp_path, name, library, other):
    for there in ("libcuda.so.1", other):
        (tmp_path / there).symlink_to(models.BUILD / "test/unit/standin" / there)
    cases = json.loads((folder / "cases.json").read_text())["cases"]
    num_of_library = sum(f"by {name}" in case["name"] for case in cases)
    status, lines, counts = conformance(folder, machine(H200) | {"LD_LIBRARY_PATH": str(tmp_path)})
    assert (status, counts) == (0, (len(cases) - num_of_library, 0, num_of_library))
    assert any(line.startswith("skipped: ") and library in line for line in lines)
