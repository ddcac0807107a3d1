"""penstock.compile and penstock.Session: the numbers of ONNX Runtime, any number of requests in flight, errors in words."""
# Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
import concurrent.futures
import gc
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import penstock

pytest.importorskip("penstock._native", reason="the native module is not built")
import onnxruntime as ort  # noqa: E402

WIDTH = 64
pytestmark = pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")


def info(name, shape, dtype=TensorProto.FLOAT):
    return helper.make_tensor_value_info(name, dtype, shape)


def make_model(nodes, inputs, outputs, initializers=()):
    graph = helper.make_graph(nodes, "tiny", inputs, outputs, list(initializers))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def perceptron(num_layers=4, batch="batch", width=WIDTH):
    nodes, weights, value = [], [], "x"
    for k in range(num_layers):
        values = np.random.default_rng(k).standard_normal((width, width)) / width ** 0.5
        weights.append(numpy_helper.from_array(values.astype(np.float32), f"w{k}"))
        nodes += [helper.make_node("MatMul", [value, f"w{k}"], [f"m{k}"]),
                  helper.make_node("Tanh", [f"m{k}"], [f"t{k}"])]
        value = f"t{k}"
    nodes.append(helper.make_node("Add", [value, "t0"], ["y"]))
    return make_model(nodes, [info("x", [batch, width])], [info("y", [batch, width])], weights)


def mixed():
    """Several inputs and outputs, each of another type."""
    nodes = [helper.make_node("Cast", ["count"], ["real"], to=TensorProto.FLOAT),
             helper.make_node("Where", ["mask", "x", "real"], ["chosen"]),
             helper.make_node("Mul", ["count", "count"], ["square"]),
             helper.make_node("Not", ["mask"], ["inverse"]),
             helper.make_node("Cast", ["chosen"], ["wide"], to=TensorProto.DOUBLE),
             helper.make_node("Cast", ["chosen"], ["half"], to=TensorProto.FLOAT16),
             helper.make_node("Cast", ["count"], ["byte"], to=TensorProto.UINT8)]
    shape = ["n", 8]
    return make_model(nodes, [info("x", shape), info("count", shape, TensorProto.INT64),
                              info("mask", shape, TensorProto.BOOL)],
                      [info("chosen", shape), info("square", shape, TensorProto.INT64),
                       info("inverse", shape, TensorProto.BOOL), info("wide", shape, TensorProto.DOUBLE),
                       info("half", shape, TensorProto.FLOAT16), info("byte", shape, TensorProto.UINT8)])


def mixed_feeds(rows, seed=0):
    rng = np.random.default_rng(seed)
    return {"x": rng.standard_normal((rows, 8)).astype(np.float32),
            "count": rng.integers(0, 100, (rows, 8)).astype(np.int64), "mask": rng.integers(0, 2, (rows, 8)).astype(bool)}


def expected(model, feeds, names=None):
    return ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"]).run(names, feeds)


def rows(count, seed=0, width=WIDTH):
    return np.random.default_rng(seed).standard_normal((count, width)).astype(np.float32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return penstock.compile(perceptron(), tmp_path_factory.mktemp("model") / "m.penstock", stages=2)


@pytest.fixture(scope="module")
def mixed_folder(tmp_path_factory):
    return penstock.compile(mixed(), tmp_path_factory.mktemp("mixed") / "m.penstock", stages=2)


@pytest.fixture
def session(folder):
    with penstock.Session(folder) as opened:
        yield opened


# ---- Numbers --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 2, 5])
def test_equal_to_onnx_runtime(session, count):
    """One folder serves every batch."""
    feeds = {"x": rows(count, seed=count)}
    found, = session.run(None, feeds)
    assert found.dtype == np.float32 and found.shape == (count, WIDTH)
    assert np.std(found) > 0.1
    np.testing.assert_allclose(found, expected(perceptron(), feeds)[0], rtol=1e-5, atol=1e-6)


def test_types(mixed_folder):
    """Each type arrives and leaves as itself."""
    feeds = mixed_feeds(3)
    with penstock.Session(mixed_folder) as session:
        assert [i.type for i in session.get_inputs()] == ["tensor(float)", "tensor(int64)", "tensor(bool)"]
        found = session.run(None, feeds)
    for ours, theirs in zip(found, expected(mixed(), feeds), strict=True):
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours, theirs)


def test_bfloat16(tmp_path):
    """A type that NumPy does not know comes and goes as ml_dtypes has it."""
    ml_dtypes = pytest.importorskip("ml_dtypes")
    model = make_model([helper.make_node("Cast", ["x"], ["y"], to=TensorProto.FLOAT),
                        helper.make_node("Cast", ["y"], ["z"], to=TensorProto.BFLOAT16)],
                       [info("x", [4], TensorProto.BFLOAT16)], [info("y", [4]), info("z", [4], TensorProto.BFLOAT16)])
    x = np.array([0.5, -1, 3.140625, 1e30], ml_dtypes.bfloat16)
    with penstock.Session(penstock.compile(model, tmp_path / "m.penstock")) as session:
        y, z = session.run(None, {"x": x})
    assert y.dtype == np.float32 and z.dtype == x.dtype
    np.testing.assert_array_equal(y, x.astype(np.float32))
    np.testing.assert_array_equal(z, x)


def test_scalar(tmp_path):
    """A tensor without axes, as a NumPy number."""
    model = make_model([helper.make_node("Add", ["x", "s"], ["y"])], [info("x", ["n", 4]), info("s", [])],
                       [info("y", ["n", 4])])
    with penstock.Session(penstock.compile(model, tmp_path / "m.penstock")) as session:
        x = rows(2, width=4)
        y, = session.run(None, {"x": x, "s": np.float32(2)})
        np.testing.assert_array_equal(y, x + np.float32(2))


def test_chosen_outputs(mixed_folder):
    """Outputs come in the order asked for; others are left out."""
    feeds = mixed_feeds(2)
    with penstock.Session(mixed_folder) as session:
        found = session.run(["inverse", "chosen"], feeds)
        assert session.run([], feeds) == []
        with pytest.raises(penstock.InvalidArgument, match="the model has no output 'nothing'; expected 'chosen', "):
            session.run(["nothing"], feeds)
    assert len(found) == 2
    np.testing.assert_array_equal(found[0], ~feeds["mask"])
    np.testing.assert_array_equal(found[1], expected(mixed(), feeds, ["chosen"])[0])


def test_arrays_that_are_no_plain_rows(session):
    """Strided, transposed, Fortran-ordered and read-only arrays, and lists of rows, are taken as they are."""
    x = rows(4)
    want, = session.run(None, {"x": x})
    wide = np.empty((8, 2 * WIDTH), np.float32)
    wide[::2, ::2] = x
    locked = x.copy()
    locked.flags.writeable = False
    for same in (wide[::2, ::2], np.ascontiguousarray(x.T).T, np.asfortranarray(x), locked, [row for row in x]):
        np.testing.assert_array_equal(session.run(None, {"x": same})[0], want)


def test_outputs_outlive_the_session(folder):
    """An output is the caller's: it stays, and can be written."""
    x = rows(2)
    with penstock.Session(folder) as session:
        found, = session.run(None, {"x": x})
    gc.collect()
    np.testing.assert_allclose(found, expected(perceptron(), {"x": x})[0], rtol=1e-5, atol=1e-6)
    found[:] = 0


# ---- Requests in flight ---------------------------------------------------------------------------------------------


def test_hundred_in_flight(session):
    """Requests of several shapes at once; each future has the answer to its own."""
    feeds = [{"x": rows(1 + k % 3, seed=k)} for k in range(100)]
    futures = [session.submit(None, feed) for feed in feeds]
    runtime = ort.InferenceSession(perceptron().SerializeToString(), providers=["CPUExecutionProvider"])
    for feed, future in zip(feeds, futures):
        np.testing.assert_allclose(future.result(timeout=60)[0], runtime.run(None, feed)[0], rtol=1e-5, atol=1e-6)


def test_inputs_are_kept(session):
    """The caller may forget an array that is in flight."""
    futures = [session.submit(None, {"x": np.full((1, WIDTH), k / 64, np.float32)}) for k in range(64)]
    gc.collect()
    for k, future in enumerate(futures):
        want, = session.run(None, {"x": np.full((1, WIDTH), k / 64, np.float32)})
        np.testing.assert_array_equal(future.result(timeout=60)[0], want)


def test_inputs_are_let_go(folder):
    """Arrays do not pile up in a session that keeps running."""
    class Marked(np.ndarray):
        alive = 0

        def __del__(self):
            Marked.alive -= 1

    with penstock.Session(folder) as session:
        for _ in range(50):
            Marked.alive += 1
            array = np.ndarray.__new__(Marked, (1, WIDTH), np.float32)
            array[:] = 0.5
            session.run(None, {"x": array})
            del array
    gc.collect()
    assert Marked.alive <= 0    # views of it count too, so it may well be less


def test_many_threads(session):
    """run() from several threads at once."""
    def work(seed):
        x = rows(2, seed=seed)
        return x, session.run(None, {"x": x})[0]

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for x, found in pool.map(work, range(40)):
            np.testing.assert_allclose(found, expected(perceptron(), {"x": x})[0], rtol=1e-5, atol=1e-6)


def test_waiting_releases_the_interpreter(session):
    """While one thread waits for a stage that stands still, others run."""
    pid = session.stage_figures()[0]["pid"]
    os.kill(pid, signal.SIGSTOP)
    results = []
    waiter = threading.Thread(target=lambda: results.append(session.run(None, {"x": rows(1)})))
    waiter.start()
    future = session.submit(None, {"x": rows(1)})
    time.sleep(0.3)
    assert not results and not future.done()
    os.kill(pid, signal.SIGCONT)    # only if this thread runs can the others go on
    waiter.join(60)
    np.testing.assert_array_equal(results[0][0], future.result(timeout=60)[0])


def test_run_async(session):
    """In the manner of ONNX Runtime: a callback with outputs, the caller's data, and an error's text."""
    done, calls = threading.Event(), []

    def callback(*arguments):
        calls.append(arguments)
        done.set()

    session.run_async(None, {"x": rows(1)}, callback, "mine")
    assert done.wait(60)
    (outputs, data, error), = calls
    assert data == "mine" and error == ""
    np.testing.assert_array_equal(outputs[0], session.run(None, {"x": rows(1)})[0])


def test_roles_keep_running(session):
    """Calls share the processes that the session started."""
    before = [stage["pid"] for stage in session.stage_figures()]
    for _ in range(3):
        session.run(None, {"x": rows(1)})
    # A stage counts a microbatch when it is done with it, which may be after its result has arrived.
    assert wait_until(lambda: all(stage["microbatches"] == 3 for stage in session.stage_figures()))
    stages = session.stage_figures()
    assert [stage["pid"] for stage in stages] == before and len(set(before)) == 2
    assert all(stage["busy_ms"] > 0 for stage in stages)
    assert all(channel["bytes"] > 0 and channel["bytes_copied"] == 0 for channel in session.channel_figures())


# ---- The model's signature ------------------------------------------------------------------------------------------


def test_signature(session):
    arg, = session.get_inputs()
    assert (arg.name, arg.shape, arg.type) == ("x", ["batch", WIDTH], "tensor(float)")
    arg, = session.get_outputs()
    assert (arg.name, arg.shape, arg.type) == ("y", ["batch", WIDTH], "tensor(float)")


WRONG = {
    "missing": ({}, "input 'x' is missing"),
    "extra": ({"x": rows(1), "z": rows(1)}, "the model has no input 'z'; expected 'x'"),
    "type": ({"x": rows(1).astype(np.float64)}, "input 'x' has type f64, expected f32"),
    "extent": ({"x": rows(1)[:, :5]}, "input 'x' has shape 1x5, expected batchx64"),
    "axes": ({"x": rows(1)[0]}, "input 'x' has shape 64, expected batchx64"),
    "text": ({"x": np.array([["a"]])}, "input 'x' has type <U1, expected one of f32, "),
    "objects": ({"x": np.array([[None]])}, "input 'x' has type object, expected one of f32, "),
    "big-endian": ({"x": rows(1).astype(">f4")}, "input 'x' has type >f4, expected one of f32, "),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_input(session, name):
    """A wrong input is an exception that says what was expected, and harms no other request."""
    feeds, words = WRONG[name]
    with pytest.raises(penstock.InvalidArgument, match=words) as caught:
        session.run(None, feeds)
    assert isinstance(caught.value, ValueError) and "\n" not in str(caught.value)
    with pytest.raises(penstock.InvalidArgument, match=words):
        session.submit(None, feeds)
    assert session.run(None, {"x": rows(1)})[0].shape == (1, WIDTH)


# ---- The end of a session -------------------------------------------------------------------------------------------


def is_running(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):    # gone before it was opened, or while it was read
        return False


def wait_until(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    return condition()


def test_close(folder):
    """Requests in flight end; no process stays; later calls are errors; closing twice is none."""
    session = penstock.Session(folder)
    pids = [stage["pid"] for stage in session.stage_figures()]
    futures = [session.submit(None, {"x": rows(1)}) for _ in range(20)]
    session.close()
    session.close()
    assert all(future.result(timeout=0)[0].shape == (1, WIDTH) for future in futures)
    assert wait_until(lambda: not any(map(is_running, pids)))
    with pytest.raises(penstock.Error, match="the session is closed"):
        session.run(None, {"x": rows(1)})
    with pytest.raises(penstock.Error, match="the session is closed"):
        session.submit(None, {"x": rows(1)})


def test_forgotten_session(folder):
    """A session that nobody holds any more takes its processes with it."""
    session = penstock.Session(folder)
    session.submit(None, {"x": rows(1)}).result(timeout=60)
    pids = [stage["pid"] for stage in session.stage_figures()]
    del session
    gc.collect()
    assert wait_until(lambda: not any(map(is_running, pids)))


def test_interpreter_ends_with_an_open_session(folder):
    """A program that forgets to close ends all the same, says nothing, and leaves no process."""
    program = ("import numpy, penstock, sys\n"
               f"session = penstock.Session({folder!r})\n"
               "futures = [session.submit(None, {'x': numpy.zeros((1, 64), numpy.float32)}) for _ in range(50)]\n"
               "print(*(stage['pid'] for stage in session.stage_figures()))\n")
    done = subprocess.run([sys.executable, "-c", program], text=True, capture_output=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    pids = list(map(int, done.stdout.split()))
    assert len(pids) == 2 and wait_until(lambda: not any(map(is_running, pids)))


def test_killed_stage(folder):
    """All that wait are told which stage was lost; so is everyone who comes later."""
    session = penstock.Session(folder, timeout=20)
    pids = [stage["pid"] for stage in session.stage_figures()]
    os.kill(pids[1], signal.SIGSTOP)
    futures = [session.submit(None, {"x": rows(1)}) for _ in range(10)]
    os.kill(pids[1], signal.SIGKILL)
    for future in futures:
        with pytest.raises(penstock.Error, match="stage"):
            future.result(timeout=60)
    with pytest.raises(penstock.Error) as caught:
        session.run(None, {"x": rows(1)})
    assert not isinstance(caught.value, penstock.InvalidArgument)
    with pytest.raises(penstock.Error):
        session.close()
    assert wait_until(lambda: not any(map(is_running, pids)))


def test_trace(folder, tmp_path):
    """The timeline of a session is what penstock.timeline reads."""
    from penstock import timeline
    with penstock.Session(folder, trace_events=1000) as session:
        for future in [session.submit(None, {"x": rows(1)}) for _ in range(5)]:
            future.result(timeout=60)
    session.write_trace(tmp_path / "trace.json")
    spans = timeline.read_trace(tmp_path / "trace.json").runs
    assert {span.stage for span in spans} == {0, 1} and len(spans) == 10


@pytest.mark.parametrize("name, words", [("nowhere", "plan.json"), ("empty", "plan.json")])
def test_no_folder(tmp_path, name, words):
    (tmp_path / "empty").mkdir()
    with pytest.raises(penstock.InvalidArgument, match=words):
        penstock.Session(tmp_path / name)


# ---- compile --------------------------------------------------------------------------------------------------------


def test_compile_a_file(tmp_path):
    """The folder lies beside the model and has one executable per stage."""
    onnx.save(perceptron(), tmp_path / "m.onnx")
    folder = penstock.compile(tmp_path / "m.onnx", stages=3, dim={"batch": 2})
    assert folder == str(tmp_path / "m.penstock")
    assert all((tmp_path / "m.penstock" / f"stage-{k}").is_file() for k in range(3))
    with penstock.Session(folder) as session:
        assert session.get_inputs()[0].shape == [2, WIDTH]


def test_options_as_values(tmp_path):
    """Shapes as tuples, ranges, lists of cuts."""
    folder = penstock.compile(perceptron(), tmp_path / "a", stages=2, cut=["t0"], dim={"batch": range(1, 5)}, state=None)
    with penstock.Session(folder) as session:
        assert session.run(None, {"x": rows(4)})[0].shape == (4, WIDTH)
    folder = penstock.compile(perceptron(), tmp_path / "b", shape={"x": (3, WIDTH)})
    with penstock.Session(folder) as session:
        assert session.get_inputs()[0].shape == [3, WIDTH]


def test_compile_errors(tmp_path):
    """The command line's message, and no folder."""
    def refused(model, words, **options):
        with pytest.raises(penstock.InvalidArgument, match=words) as caught:
            penstock.compile(model, tmp_path / "out", **options)
        assert not str(caught.value).startswith("error") and not (tmp_path / "out").exists()

    refused(tmp_path / "no.onnx", "no.onnx")
    refused(perceptron(), "40 stages were asked for", stages=40)
    refused(perceptron(), "wished", wished=1)
    refused(perceptron(), "--balance", balance="luck")
    (tmp_path / "broken.onnx").write_bytes(b"\x08\x07 this is no model")
    refused(tmp_path / "broken.onnx", "broken.onnx")
    strange = make_model([helper.make_node("Strange", ["x"], ["y"], domain="nobody")], [info("x", [1])], [info("y", [1])])
    refused(strange, "Strange")
    with pytest.raises(penstock.InvalidArgument, match="expected output=FOLDER"):
        penstock.compile(perceptron())


def test_no_tool(tmp_path, monkeypatch):
    """An installation without the executable is not the caller's fault, and says so."""
    monkeypatch.setenv("PENSTOCK_TOOL", str(tmp_path / "penstock"))
    with pytest.raises(penstock.Error, match="penstock") as caught:
        penstock.compile("m.onnx")
    assert not isinstance(caught.value, penstock.InvalidArgument)
