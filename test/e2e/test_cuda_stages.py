"""Folders of the CUDA target end to end, without a GPU: the stages run against the stand-in of the driver, which plays their
kernels on the host, and give the CPU target's numbers. The stand-in must find nothing: no missing event, no leak."""
# Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
import collections
import json
import os
import subprocess

import models
import numpy as np
import onnx
import pytest
import runner
import test_control
import test_cuda
import tiny
from onnx import helper

STANDIN = models.BUILD / "test/unit/standin"
H200 = "device=NVIDIA H200|9|0|150754820096"
LAUNCH_TIMEOUT_S = 120


def machine(*parts, **more):
    return {"LD_LIBRARY_PATH": str(STANDIN), "PENSTOCK_STANDIN": ";".join(("driver=13000", *parts)), **more}


def compile_played(model, folder, *flags):
    done = subprocess.run([models.BUILD / "test/unit/gpu_compile", model, "-o", folder, *map(str, flags)], text=True,
                          capture_output=True, timeout=runner.COMPILE_TIMEOUT_S)
    assert done.returncode == 0, done.stderr
    return folder


def launch(folder, environment, *flags):
    return subprocess.run([folder / "launch", *map(str, flags)], text=True, capture_output=True, timeout=LAUNCH_TIMEOUT_S,
                          env=os.environ | environment)


def results(folder, requests, where, environment, *flags):
    """The outputs of all requests, in one run."""
    for index, feeds in enumerate(requests):
        np.savez(where / f"in{index}.npz", **feeds)
        flags += ("--inputs", where / f"in{index}.npz")
    out = where / f"{folder.name}-out"
    done = launch(folder, environment, *flags, "--output-dir", out)
    assert done.returncode == 0, done.stderr
    return {path.relative_to(out): np.load(path) for path in sorted(out.rglob("*.npy"))}


def reports(prefix):
    """What the stand-in says in each process: calls by name, and faults."""
    found = []
    for path in prefix.parent.glob(prefix.name + ".*"):
        calls, faults = collections.Counter(), []
        for line in path.read_text().splitlines():
            kind, words = line.split(" ", 1)
            if kind == "call":
                calls[words.split()[0]] = int(words.split()[1])
            else:
                faults.append(words)
        found.append((calls, faults))
    return found


def check_same(got, expected, tolerance=1e-5):
    assert got.keys() == expected.keys() and len(got) > 0
    for name, values in expected.items():
        assert np.std(values) > 1e-4 or values.size < 2, f"{name} could not differ"
        assert got[name].shape == values.shape
        norm = np.linalg.norm(got[name].astype(np.float64) - values)
        assert norm <= tolerance * np.linalg.norm(values) + 1e-7 * values.size ** 0.5, f"{name} differs by {norm}"


def check(model, where, requests, num_stages, *flags, tolerance=1e-5):
    runner.penstock("compile", model, "-o", where / "cpu.penstock", "--stages", num_stages, *flags)
    folder = compile_played(model, where / "cuda.penstock", "--stages", num_stages, *flags)
    report = where / "report"
    got = results(folder, requests, where, machine(H200, H200, PENSTOCK_STANDIN_REPORT=str(report)))
    check_same(got, results(where / "cpu.penstock", requests, where, {}), tolerance)
    found = reports(report)
    assert len(found) == num_stages
    assert [fault for _, faults in found for fault in faults] == []
    return folder, found


@pytest.mark.parametrize("num_stages", [1, 2, 3])
def test_perceptron(tmp_path, num_stages):
    """Microbatches of one row, a skip connection over all stages, a free dimension that grows and shrinks."""
    # Long enough for several launches in each stage: a single one is no graph.
    model = tiny.save(tiny.perceptron(num_layers=8), tmp_path / "tiny.onnx")
    requests = [{"x": tiny.perceptron_input(rows, seed=rows)} for rows in (4, 1, 7, 4)]
    folder, found = check(model, tmp_path, requests, num_stages)
    for calls, _ in found:
        assert calls["cuMemcpyHtoDAsync"] > 16 and calls["cuMemcpyDtoHAsync"] >= 16
        # Everything that microbatches do comes again: it is recorded a few times, and launched whole. Of the 16 the first
        # may be none: its products are new to the library.
        assert calls["cuGraphLaunch"] >= 15 and 0 < calls["cuGraphInstantiate"] < calls["cuGraphLaunch"]
        assert calls["cuLaunchKernel"] < 16 * 3
    plan = json.loads((folder / "plan.json").read_text())
    assert [stage["device"] for stage in plan["stages"]] == ["cuda"] * num_stages
    assert sorted(path.name for path in (folder / "lib").glob("libpenstock-*")) == ["libpenstock-cuda.so",
                                                                                 "libpenstock-mpi.so"]


def test_algorithms_are_kept(tmp_path):
    """What cuBLASLt's heuristic says at the first start is in the folder, and later starts do not ask it."""
    model = tiny.save(tiny.perceptron(num_layers=4), tmp_path / "tiny.onnx")
    requests = [{"x": tiny.perceptron_input(rows, seed=rows)} for rows in (2, 1)]
    folder, found = check(model, tmp_path, requests, 2)
    assert all(calls["cublasLtMatmulAlgoGetHeuristic"] > 0 for calls, _ in found)
    files = sorted(path.name for path in (folder / "tuning").iterdir())
    assert files == ["stage-0.sm_90.txt", "stage-1.sm_90.txt"]
    later = tmp_path / "later"
    first = results(folder, requests, tmp_path, machine(H200, H200))
    second = results(folder, requests, tmp_path, machine(H200, H200, PENSTOCK_STANDIN_REPORT=str(later)))
    assert all(np.array_equal(first[name], second[name]) for name in second)
    for calls, faults in reports(later):
        assert calls["cublasLtMatmulAlgoGetHeuristic"] == 0 and calls["cublasLtMatmulAlgoCheck"] > 0 and faults == []


def test_convolutions(tmp_path):
    """An image through convolutions and a head, in two stages of fixed shapes."""
    x, w, b = (np.random.default_rng(k).standard_normal(shape).astype(np.float32) * 0.3
               for k, shape in enumerate([(1, 3, 12, 12), (8, 3, 3, 3), (8,)]))
    nodes = [helper.make_node("Conv", ["x", "w", "b"], ["c"], name="conv", pads=[1, 1, 1, 1]),
             helper.make_node("Relu", ["c"], ["r"], name="relu"),
             helper.make_node("MaxPool", ["r"], ["p"], name="pool", kernel_shape=[2, 2], strides=[2, 2]),
             helper.make_node("Flatten", ["p"], ["f"], name="flatten"),
             helper.make_node("MatMul", ["f", "v"], ["m"], name="matmul"),
             helper.make_node("Softmax", ["m"], ["y"], name="softmax", axis=-1)]
    initializers = [onnx.numpy_helper.from_array(w, "w"), onnx.numpy_helper.from_array(b, "b"),
                    tiny.weights("v", 288, 40, seed=9)]
    model = tiny.save(tiny.model(nodes, [tiny.tensor("x", [1, 3, 12, 12])], [tiny.tensor("y", [1, 40])], initializers),
                      tmp_path / "images.onnx")
    _, found = check(model, tmp_path, [{"x": x}, {"x": x[:, ::-1].copy()}, {"x": -x}], 2, "--cut", "p")
    # The first stage's convolution, with its bias, is cuDNN's, and only that stage opens the library.
    assert sorted(calls["cudnnBackendExecute"] for calls, _ in found) == [0, 3]
    assert sorted(calls["cudnnCreate"] for calls, _ in found) == [0, 1]


def residual_block(x, rng):
    """Convolutions of all kinds, joined again: the nodes and weights of x -> y, 8 channels."""
    def weights(name, *shape):
        return onnx.numpy_helper.from_array((rng.standard_normal(shape) / np.prod(shape[1:]) ** 0.5).astype(np.float32), name)
    nodes = [helper.make_node("Conv", [x, "w0", "b0"], ["c0"], name="conv0", pads=[1, 1, 1, 1]),
             helper.make_node("Relu", ["c0"], ["r0"], name="relu0"),
             helper.make_node("Conv", ["r0", "w1"], ["c1"], name="depthwise", group=8, pads=[2, 2, 2, 2], dilations=[2, 2]),
             helper.make_node("Sigmoid", ["c1"], ["s1"], name="sigmoid"),
             helper.make_node("Conv", ["s1", "w2", "b2"], ["c2"], name="grouped", group=2, pads=[1, 1, 1, 1]),
             helper.make_node("Add", ["c2", "r0"], ["a2"], name="join"),
             helper.make_node("Relu", ["a2"], ["r2"], name="relu2"),
             helper.make_node("Conv", ["r2", "w3", "b3"], ["c3"], name="aside", pads=[0, 0, 1, 1], strides=[2, 2]),
             helper.make_node("Sigmoid", ["c3"], ["s3"], name="sigmoid3"),
             helper.make_node("Conv", ["s3", "w4"], ["y"], name="pointwise")]
    return nodes, [weights("w0", 8, 3, 3, 3), weights("b0", 8), weights("w1", 8, 1, 3, 3), weights("w2", 8, 4, 3, 3),
                   weights("b2", 8), weights("w3", 8, 8, 3, 3), weights("b3", 8), weights("w4", 8, 8, 1, 1)]


def test_images(tmp_path):
    """A residual block cut in two, with a free batch: every convolution is cuDNN's, in graphs from the second time on."""
    rng = np.random.default_rng(4)
    nodes, initializers = residual_block("x", rng)
    model = tiny.save(tiny.model(nodes, [tiny.tensor("x", ["n", 3, 10, 9])], [tiny.tensor("y", ["n", 8, 5, 4])], initializers),
                      tmp_path / "images.onnx")
    requests = [{"x": rng.standard_normal((rows, 3, 10, 9)).astype(np.float32)} for rows in (2, 1, 3, 2)]
    _, found = check(model, tmp_path, requests, 2, "--cut", "s1")
    for calls, _ in found:
        # Eight images one by one, all of one shape.
        assert calls["cudnnCreate"] == 1
        assert calls["cuGraphLaunch"] >= 7 and 0 < calls["cudnnBackendExecute"] < 8 * 3


@pytest.mark.parametrize("element", ["FLOAT16", "BFLOAT16"])
def test_narrow_images(tmp_path, element):
    """Convolutions of 16-bit images have their channels last; filters and pictures are turned once."""
    rng = np.random.default_rng(6)
    nodes, initializers = residual_block("x16", rng)
    to = getattr(onnx.TensorProto, element)
    for weight in initializers:
        nodes.insert(0, helper.make_node("Cast", [weight.name + "_wide"], [weight.name], name=f"cast_{weight.name}", to=to))
        weight.name += "_wide"
    nodes = [helper.make_node("Cast", ["x"], ["x16"], name="narrow", to=to), *nodes]
    nodes[-1].output[0] = "y16"
    nodes.append(helper.make_node("Cast", ["y16"], ["y"], name="widen", to=onnx.TensorProto.FLOAT))
    model = tiny.save(tiny.model(nodes, [tiny.tensor("x", ["n", 3, 10, 9])], [tiny.tensor("y", ["n", 8, 5, 4])], initializers),
                      tmp_path / "images.onnx")
    requests = [{"x": rng.standard_normal((rows, 3, 10, 9)).astype(np.float32)} for rows in (2, 1)]
    _, found = check(model, tmp_path, requests, 2, "--cut", "s1", tolerance=4e-3 if element == "FLOAT16" else 3e-2)
    assert sum(calls["cudnnBackendExecute"] for calls, _ in found) > 0


def test_state_stays_on_the_device(tmp_path):
    nodes = [helper.make_node("Add", ["x", "s"], ["sum"], name="add"), helper.make_node("Tanh", ["sum"], ["t"], name="tanh"),
             helper.make_node("Mul", ["t", "half"], ["y"], name="scale")]
    half = onnx.numpy_helper.from_array(np.full((1, tiny.WIDTH), 0.5, np.float32), "half")
    shape = [1, tiny.WIDTH]
    model = tiny.save(tiny.model(nodes, [tiny.tensor("x", shape), tiny.tensor("s", shape)],
                                 [tiny.tensor("y", shape), tiny.tensor("t", shape)], [half]), tmp_path / "state.onnx")
    check(model, tmp_path, [{"x": tiny.perceptron_input(seed=seed)} for seed in range(4)], 1, "--state", "s=t")


def test_branches(tmp_path):
    """Each branch where data decide; one that takes extents for granted which do not hold is refused if it is taken, no sooner."""
    model = tiny.save(test_control.squeezing_branches(), tmp_path / "branches.onnx")
    x = np.random.default_rng(5).standard_normal((3, 2)).astype(np.float32)
    requests = [{"x": x, "c": np.array(False)}, {"x": x[:, :1].copy(), "c": np.array(True)},
                {"x": x[:, 1:].copy(), "c": np.array(False)}, {"x": -x, "c": np.array(False)}]
    folder, _ = check(model, tmp_path, requests, 1)
    np.savez(tmp_path / "wrong.npz", x=x, c=np.array(True))
    report = tmp_path / "refused"
    done = launch(folder, machine(H200, PENSTOCK_STANDIN_REPORT=str(report)), "--inputs", tmp_path / "in0.npz", "--inputs",
                  tmp_path / "wrong.npz", "--output-dir", tmp_path / "wrong-out")
    assert done.returncode == 2, done.stderr
    for words in ("'len' and '1'", "condition of node 'shape_if' (If)", "extents 2 and 1, expected them to be equal"):
        assert words in done.stderr
    assert [faults for _, faults in reports(report)] == [[]]


def test_extent_that_a_kernel_finds(tmp_path):
    """The number of non-zero elements is read back from the device."""
    nodes = [helper.make_node("NonZero", ["x"], ["i"], name="nonzero"),
             helper.make_node("Cast", ["i"], ["f"], name="cast", to=onnx.TensorProto.FLOAT),
             helper.make_node("Mul", ["f", "f"], ["y"], name="square")]
    model = tiny.save(tiny.model(nodes, [tiny.tensor("x", [6, 5])], [tiny.tensor("y", [2, "n"])]), tmp_path / "found.onnx")
    x = np.random.default_rng(0).integers(0, 2, (6, 5)).astype(np.float32)
    check(model, tmp_path, [{"x": x}, {"x": np.eye(6, 5, dtype=np.float32)}], 1)


def test_all_in_one(tmp_path):
    model = tiny.save(tiny.perceptron(), tmp_path / "tiny.onnx")
    folder = compile_played(model, tmp_path / "cuda.penstock", "--stages", 3, "--all-in-one")
    requests = [{"x": tiny.perceptron_input(rows, seed=rows)} for rows in (3, 5)]
    report = tmp_path / "report"
    threads = results(folder, requests, tmp_path, machine(H200, PENSTOCK_STANDIN_REPORT=str(report)), "--all-in-one")
    processes = results(folder, requests, tmp_path, machine(H200))
    assert all(np.array_equal(threads[name], processes[name]) for name in processes) and len(processes) == 2
    assert [faults for _, faults in reports(report)] == [[]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two stages with real images, which the stand-in does not run."""
    test_cuda.need_assembler()
    where = tmp_path_factory.mktemp("real")
    model = tiny.save(tiny.perceptron(), where / "tiny.onnx")
    runner.penstock("compile", model, "-o", where / "tiny.penstock", "--target", "cuda", "--arch", "sm_90", "--stages", 2)
    return where / "tiny.penstock"


def refused(folder, environment):
    np.save(folder.parent / "x.npy", tiny.perceptron_input())
    done = launch(folder, environment, "--input", f"x={folder.parent / 'x.npy'}")
    assert len(done.stderr.splitlines()) == 1, done.stderr
    return done.returncode, done.stderr


def test_no_driver(folder, tmp_path):
    status, words = refused(folder, {"LD_LIBRARY_PATH": str(tmp_path)})
    assert status == 1
    assert "libcuda.so.1" in words


def test_no_device(folder):
    status, words = refused(folder, machine())
    assert status == 1
    assert "error: stage" in words and "no CUDA" in words
    status, words = refused(folder, machine(H200, CUDA_VISIBLE_DEVICES=""))
    assert status == 1
    assert "CUDA_VISIBLE_DEVICES" in words


def test_too_old_a_chip(folder):
    status, words = refused(folder, machine("device=Tesla V100|7|0|34359738368"))
    assert status == 2
    assert "(Tesla V100, sm_70) cannot run code that was compiled for sm_90; compile again with --arch sm_70" in words


def test_no_cudnn(tmp_path):
    """A stage with convolutions says which library is missing."""
    nodes, initializers = residual_block("x", np.random.default_rng(4))
    model = tiny.save(tiny.model(nodes, [tiny.tensor("x", [1, 3, 10, 9])], [tiny.tensor("y", [1, 8, 5, 4])], initializers),
                      tmp_path / "images.onnx")
    folder = compile_played(model, tmp_path / "cuda.penstock")
    libraries = tmp_path / "libraries"
    libraries.mkdir()
    (libraries / "libcuda.so.1").symlink_to(STANDIN / "libcuda.so.1")
    (libraries / "libcudnn.so.9").touch()
    done = launch(folder, machine(H200, LD_LIBRARY_PATH=str(libraries)), "--random")
    assert done.returncode == 1
    assert "needs cuDNN on device 0 (NVIDIA H200, sm_90): no cuDNN: " in done.stderr
    assert "libcudnn.so.9: file too short; install cuDNN 9" in done.stderr


def test_too_little_memory(folder):
    status, words = refused(folder, machine("device=Tiny|9|0|16384"))
    assert status == 1
    assert "(Tiny, sm_90) has 16.0 KiB free of 16.0 KiB, and " in words and " more are needed: weights " in words


CLASSES = """
[[class]]
name = "host"
threads = 1
[[class]]
name = "gpu"
target = "cuda"
peak = { f32 = 1e13 }
bandwidth = "1 TB/s"
"""


def cluster_of(*classes):
    """The text of a cluster file with a device of each of these classes: host or gpu."""
    names = ("first", "second", "third")
    return CLASSES + "".join(f'[[device]]\nname = "{name}"\nclass = "{kind}"\n' for name, kind in zip(names, classes))


MIXED = cluster_of("host", "gpu", "host")


def check_cluster(where, text, flags, devices, *form, played=()):
    """Three stages placed by a cluster file have the CPU target's numbers; the folder, and what the machine reports. `form`: how
    the folder is run; `played`: flags of its compilation alone."""
    cluster = where / "cluster.toml"
    cluster.write_text(text)
    model = tiny.save(tiny.perceptron(num_layers=6), where / "tiny.onnx")
    requests = [{"x": tiny.perceptron_input(rows, seed=rows)} for rows in (3, 1, 5)]
    runner.penstock("compile", model, "-o", where / "cpu.penstock", "--stages", 3, *flags)
    folder = compile_played(model, where / "placed.penstock", "--stages", 3, *flags, "--cluster", cluster, *played)
    report = where / "report"
    got = results(folder, requests, where, machine(*devices, PENSTOCK_STANDIN_REPORT=str(report)), *form)
    check_same(got, results(where / "cpu.penstock", requests, where, {}))
    return folder, reports(report)


def check_copies(plan, trace, num_microbatches=9):
    """The timeline has a copy of each message that the host carries to or from a stage on a GPU, and no other; how many of
    each kind there are for a microbatch."""
    expected = collections.Counter()
    for channel in (channel for channel in plan["channels"] if "carrier" not in channel):
        for kind, stages in (("upload", channel["to"]), ("download", [channel["from"]])):
            expected.update((stage, kind) for stage in stages
                            if isinstance(stage, int) and plan["stages"][stage]["device"] == "cuda")
    found = collections.Counter((event["pid"], event["cat"]) for event in json.loads(trace.read_text())["traceEvents"]
                                if event.get("cat") in ("upload", "download"))
    assert found == {copy: count * num_microbatches for copy, count in expected.items()}
    return [sum(count for (_, kind), count in expected.items() if kind == wanted) for wanted in ("upload", "download")]


def test_mixed_with_the_host(tmp_path):
    """A stage on a GPU between two on CPUs, as the cluster file says; all have the same kernels."""
    trace = tmp_path / "trace.json"
    folder, found = check_cluster(tmp_path, MIXED, ("--cut", "t1", "--cut", "t3"), (H200,), "--trace", trace)
    (calls, faults), = found
    assert faults == []
    plan = json.loads((folder / "plan.json").read_text())
    assert [stage["device"] for stage in plan["stages"]] == ["cpu", "cuda", "cpu"]
    uploads, downloads = check_copies(plan, trace)
    assert uploads > 0 and downloads > 0
    assert calls["cuMemcpyHtoDAsync"] > 9 * uploads and calls["cuMemcpyDtoHAsync"] == 9 * downloads


OVER_NCCL = """
[[class]]
name = "gpu"
target = "cuda"
peak = { f32 = 1e13 }
bandwidth = "1 TB/s"
[[device]]
name = "gpu"
class = "gpu"
count = 3
[link.same_host]
transport = "nccl"
"""


def test_payloads_over_nccl(tmp_path):
    """From device to device, over two boundaries at once too; the model's inputs and outputs are staged. The stand-in of NCCL
    joins threads of one process."""
    trace = tmp_path / "trace.json"
    folder, found = check_cluster(tmp_path, OVER_NCCL, (), (H200,) * 3, "--all-in-one", "--trace", trace,
                                  played=("--all-in-one",))
    plan = json.loads((folder / "plan.json").read_text())
    inner = [channel for channel in plan["channels"] if channel["from"] != "source" and "sink" not in channel["to"]]
    assert len(inner) >= 2 and all(channel["carrier"] == "nccl" for channel in inner)
    assert all("carrier" not in channel for channel in plan["channels"] if channel not in inner)
    assert (folder / "lib/libpenstock-nccl.so").exists()
    (calls, faults), = found
    assert faults == []
    assert calls["ncclSend"] == calls["ncclRecv"] >= 9 * len(inner)
    assert check_copies(plan, trace) == [len(plan["inputs"]), len(plan["outputs"])]


def test_trained_model(tmp_path):
    """The text classifier at a small size, in two stages."""
    _, path = test_cuda.find("ocr-classifier-static")
    shape = test_cuda.PLAYED["ocr-classifier-static"]
    x = np.random.default_rng(0).standard_normal((1, 3, 48, 32)).astype(np.float32)
    check(path, tmp_path, [{"x": x}, {"x": x[:, :, ::-1].copy()}], 2, "--shape", *shape)


def test_trained_branches(tmp_path):
    """The voice model that chooses by the rate, which is an input: each branch takes the length of a chunk for granted."""
    _, path = test_cuda.find("voice-if")
    (_, first), (_, second) = models.chunks(0, with_rate=True, num_chunks=2)
    state = np.random.default_rng(1).standard_normal((2, 1, 128)).astype(np.float32) * 0.1
    check(path, tmp_path, [first, {**second, "state": state}], 1, tolerance=1e-4)
