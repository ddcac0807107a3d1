"""What comes from others is not trusted: small files that ask for endless work, files nested without end, links and
names that somebody else has put there, other users of the machine."""
# Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
import os
import pathlib
import shutil
import socket
import stat
import subprocess
import tempfile
import threading
import time

import models
import numpy as np
import onnx
import onnx.parser
import pytest
import tiny
from test_bad_input import check_refused, penstock, refuse_model

NOBODY = 65534
NEEDS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="becoming another user needs root")

# ---- models that grow -----------------------------------------------------------------------------------------------


def test_functions_without_end(tmp_path):
    """Forty functions, each of which calls the next one twice: a million millions of nodes in a few kilobytes."""
    text = """<ir_version: 8, opset_import: ["" : 18, "local" : 1]>
        g (float[4] x) => (float[4] y) { y = local.f0(x) }"""
    for k in range(40):
        inner = f"local.f{k + 1}" if k < 39 else "Sin"
        text += f"""<domain: "local", opset_import: ["" : 18, "local" : 1]> f{k} (x) => (y) {{ h = {inner}(x)
            y = {inner}(h) }}"""
    refuse_model(tmp_path, onnx.parser.parse_model(text), "the model expands to more than")


def shape_arithmetic(lines, result):
    """A model that reshapes x to what the lines make of the extents n and m, and back."""
    body = "\n".join(["s = Shape(x)", "n = Slice(s, zero, one)", "m = Slice(s, one, two)", *lines])
    return onnx.parser.parse_model(f"""<ir_version: 8, opset_import: ["" : 18]>
        g (float[a, b] x) => (float[c] y)
        <int64[1] zero = {{0}}, int64[1] one = {{1}}, int64[1] two = {{2}}, int64[1] three = {{3}}> {{ {body}
        z = ConstantOfShape({result})
        y = Sin(z) }}""")


def test_extents_that_are_squared(tmp_path):
    """Thirty squares of a sum of two extents have more terms than any memory holds."""
    lines = ["v0 = Add(n, m)"] + [f"v{k + 1} = Mul(v{k}, v{k})" for k in range(30)]
    refuse_model(tmp_path, shape_arithmetic(lines, "v30"))


def test_extents_that_are_divided(tmp_path):
    """Every quotient is of two parts, each of which is a quotient."""
    lines = ["v0 = Add(n, m)"]
    for k in range(60):
        lines += [f"p{k} = Div(v{k}, three)", f"q{k} = Mul(p{k}, n)", f"r{k} = Div(v{k}, two)", f"v{k + 1} = Add(q{k}, r{k})"]
    refuse_model(tmp_path, shape_arithmetic(lines, "v60"))


def test_extents_of_many_nodes(tmp_path):
    """A chain of twenty thousand quotients is no deep expression either."""
    lines = ["v0 = Add(n, m)"]
    for k in range(20000):
        lines += [f"p{k} = Mul(v{k}, three)", f"v{k + 1} = Div(p{k}, two)"]
    refuse_model(tmp_path, shape_arithmetic(lines, "v20000"))


def test_a_long_chain(tmp_path):
    """Ten thousand nodes in a row are no reason to give up."""
    nodes = [f"v{k + 1} = {'Sin' if k % 2 else 'Exp'}(v{k})" for k in range(9999)]
    text = "\n".join(["v0 = Sin(x)", *nodes, "y = MatMul(v9999, w)"])
    model = onnx.parser.parse_model(f"""<ir_version: 8, opset_import: ["" : 18]>
        g (float[4, 64] x, float[64, 64] w) => (float[4, 64] y) {{ {text} }}""")
    done = penstock("plan", tiny.save(model, tmp_path / "long.onnx"), "--stages", "1")
    assert done.returncode == 0, done.stderr


# ---- files that are nested ------------------------------------------------------------------------------------------

DEEP = "[" * 1_000_000 + "]" * 1_000_000


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    return tiny.save(tiny.perceptron(), tmp_path_factory.mktemp("good") / "tiny.onnx")


@pytest.fixture(scope="module")
def folder(good, tmp_path_factory):
    path = tmp_path_factory.mktemp("folder") / "tiny.penstock"
    done = penstock("compile", good, "-o", path, "--stages", "2")
    assert done.returncode == 0, done.stderr
    return path


@pytest.mark.parametrize("flag, text", [
    ("--plan", DEEP), ("--plan", '{"stages": [{"kernels": [' + DEEP + "]}]}"), ("--costs", '{"schema": ' + DEEP + "}"),
    ("--costs", '{"throughput_per_second": 1, "stages": ' + DEEP + "}"), ("--cluster", "a = " + DEEP)],
    ids=["plan", "kernel", "profile", "times", "cluster"])
def test_nested_settings(good, tmp_path, flag, text):
    (tmp_path / "settings").write_text(text)
    check_refused(penstock("compile", good, "-o", tmp_path / "out", flag, tmp_path / "settings"), "settings")


def test_nested_plan_of_a_folder(folder, tmp_path):
    """What the runtime does not read does not matter to it; no tool falls over it."""
    copy = tmp_path / "deep.penstock"
    shutil.copytree(folder, copy)
    plan = (copy / "plan.json").read_text()
    (copy / "plan.json").write_text(plan.rstrip()[:-1] + ', "more": ' + DEEP + "}")
    for command in (["inspect", copy], ["inspect", copy, "--json"], ["run", copy, "--random"]):
        done = penstock(*command)
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("text", ['{"stages": ["x"]}', '{"stages": [{"name": 1}], "channels": 3}', "[]"])
def test_inspect_of_a_damaged_plan(folder, tmp_path, text):
    copy = tmp_path / "bad.penstock"
    shutil.copytree(folder, copy)
    (copy / "plan.json").write_text(text)
    check_refused(penstock("inspect", copy), "plan.json")


@pytest.mark.parametrize("name", ["plan.json", "tiny.onnx", "stage-1.weights"])
def test_pipes_are_not_waited_for(folder, tmp_path, name):
    place = tmp_path / "piped"
    shutil.copytree(folder, place)
    (place / name).unlink(missing_ok=True)
    os.mkfifo(place / name)
    if name == "plan.json":
        check_refused(penstock("run", place, "--random"), "plan.json")
    elif name == "tiny.onnx":
        check_refused(penstock("plan", place / name), "is not a regular file")
    else:
        check_refused(penstock("run", place, "--random"), f"the weights file '{place / name}' is not a regular file")


# ---- external data --------------------------------------------------------------------------------------------------


@pytest.fixture
def cached(tmp_path):
    """A model as Hugging Face's tools keep it: names are links to files that are called after their contents."""
    hub = tmp_path / "hub" / "models--somebody--model"
    blobs, snapshot = hub / "blobs", hub / "snapshots" / "0123abcd" / "onnx"
    blobs.mkdir(parents=True)
    snapshot.mkdir(parents=True)
    tiny.save(tiny.perceptron(), tmp_path / "model.onnx", save_as_external_data=True, location="model.onnx_data",
              size_threshold=0)
    for name, blob in (("model.onnx", "11aa"), ("model.onnx_data", "22bb")):
        (tmp_path / name).rename(blobs / blob)
        (snapshot / name).symlink_to(pathlib.Path("../../../blobs") / blob)
    return snapshot / "model.onnx", blobs


def test_a_cache_of_links(cached, tmp_path):
    model, blobs = cached
    done = penstock("compile", model, "-o", tmp_path / "out")
    check_refused(done, "model.onnx_data", "outside the model's folder", "--external-data-dir")
    assert not (tmp_path / "out").exists()
    done = penstock("compile", model, "-o", tmp_path / "out", "--external-data-dir", blobs)
    assert done.returncode == 0, done.stderr
    done = penstock("run", tmp_path / "out", "--random")
    assert done.returncode == 0, done.stderr


def test_a_link_that_leaves_the_allowed_folders(cached, tmp_path):
    """Another folder that is allowed does not allow what lies elsewhere."""
    model, blobs = cached
    (tmp_path / "other").mkdir()
    (blobs / "22bb").rename(tmp_path / "elsewhere")
    (blobs / "22bb").symlink_to(tmp_path / "elsewhere")
    done = penstock("compile", model, "-o", tmp_path / "out", "--external-data-dir", blobs, "--external-data-dir",
                    tmp_path / "other")
    check_refused(done, "is a link to", "elsewhere", "--external-data-dir")


# ---- files that are written -----------------------------------------------------------------------------------------


def modes(place):
    return {path.relative_to(place): stat.S_IMODE(path.lstat().st_mode) for path in [place, *place.rglob("*")]}


def as_umask(mask, *arguments, **options):
    command = [str(models.BUILD / "bin/penstock"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, preexec_fn=lambda: os.umask(mask), **options)


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o000])
def test_permissions(good, tmp_path, mask):
    """What is written has what the umask allows, and nothing more; only programs can be executed."""
    out = tmp_path / "w"
    out.mkdir()
    commands = (["compile", good, "-o", out / "m.penstock", "--stages", "2"],
                ["run", out / "m.penstock", "--random", "--output-dir", out / "results", "--trace", out / "t.json",
                 "--record", out / "r.rec"],
                ["plan", good, "--stages", "2", "--html", out / "p.html", "--write-onnx", out / "n.onnx"])
    for command in commands:
        done = as_umask(mask, *command)
        assert done.returncode == 0, done.stderr
    programs = ("launch", "stage-0", "stage-1")
    for path, mode in modes(out).items():
        if path == pathlib.Path("."):
            continue
        isProgram = (out / path).is_dir() or path.name in programs or ".so" in path.name
        allowed = (0o777 if isProgram else 0o666) & ~mask
        assert mode & ~allowed == 0 and mode & 0o600 == 0o600, f"{path}: {mode:o}, expected at most {allowed:o}"


def test_links_are_not_followed(folder, good, tmp_path):
    """Somebody has put links to another file where results are written: they are replaced, the other file stays."""
    victim, out = tmp_path / "victim", tmp_path / "out"
    victim.write_text("precious")
    out.mkdir()
    targets = [out / name for name in ("y.npy", "y.npy.new", "y.npy.partial", "y.npy.new.partial", "r.rec",
                                       "r.rec.partial", "p.html", "n.onnx", "n.onnx.tmp")]
    for target in targets:
        target.symlink_to(victim)
    done = penstock("run", folder, "--random", "--output-dir", out, "--record", out / "r.rec")
    assert done.returncode == 0, done.stderr
    done = penstock("plan", good, "--stages", "2", "--html", out / "p.html", "--write-onnx", out / "n.onnx")
    assert done.returncode == 0, done.stderr
    assert victim.read_text() == "precious"
    for name in ("y.npy", "r.rec", "p.html", "n.onnx"):
        assert not (out / name).is_symlink()
    assert np.load(out / "y.npy").shape[1] == tiny.WIDTH


def test_hard_links_are_not_written_through(folder, tmp_path):
    victim, out = tmp_path / "victim", tmp_path / "out"
    victim.write_text("precious")
    out.mkdir()
    for name in ("y.npy", "y.npy.new", "y.npy.partial", "y.npy.new.partial", "r.rec", "r.rec.partial"):
        os.link(victim, out / name)
    done = penstock("run", folder, "--random", "--output-dir", out, "--record", out / "r.rec")
    assert done.returncode == 0, done.stderr
    assert victim.read_text() == "precious"


class Watcher:
    """Every name that appears in a folder, with its mode when first seen."""

    def __init__(self, place):
        self.place, self.seen, self.stopped = place, {}, False
        self.thread = threading.Thread(target=self.watch)

    def watch(self):
        while not self.stopped:
            for path in self.place.iterdir():
                try:
                    self.seen.setdefault(path.name, stat.S_IMODE(path.lstat().st_mode))
                except FileNotFoundError:
                    pass
            time.sleep(0.002)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopped = True
        self.thread.join()


def test_nothing_in_the_folder_for_temporary_files(good, tmp_path):
    """Compiling and running leave it alone; calibrating has a folder there that nobody else can look into."""
    shared = tmp_path / "shared"
    shared.mkdir()
    env = dict(os.environ, TMPDIR=str(shared), XDG_CACHE_HOME=str(tmp_path / "cache"))
    with Watcher(shared) as watcher:
        for command in (["compile", good, "-o", tmp_path / "m", "--profile"], ["run", tmp_path / "m", "--random"]):
            done = as_umask(0, *command, env=env)
            assert done.returncode == 0, done.stderr
    assert watcher.seen == {}
    with Watcher(shared) as watcher:
        done = as_umask(0, "doctor", "--calibrate", good, env=env)
        assert done.returncode == 0, done.stderr
    assert len(watcher.seen) == 1
    (name, mode), = watcher.seen.items()
    assert name.startswith("penstock-") and mode == 0o700, watcher.seen
    assert list(shared.iterdir()) == []


# ---- other users ----------------------------------------------------------------------------------------------------

STRANGER = """
import os, socket, sys
os.setgroups([])
os.setresgid(*[{nobody}] * 3)
os.setresuid(*[{nobody}] * 3)
stranger = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
stranger.settimeout(10)
stranger.connect("\\0" + sys.argv[1])
try:
    stranger.send(b"\\1" + b"\\0" * 200)
    print(len(stranger.recv(4096)))
except (BrokenPipeError, ConnectionResetError):
    print(0)
""".format(nobody=NOBODY)


def listening_names():
    return [line.split("@", 1)[1] for line in pathlib.Path("/proc/net/unix").read_text().splitlines() if "@penstock-" in line]


@NEEDS_ROOT
def test_another_user_is_sent_away(folder):
    """Names of local endpoints are no secret; whoever is not the same user gets no word, and the run does not notice."""
    before = set(listening_names())
    run = subprocess.Popen([str(models.BUILD / "bin/penstock"), "bench", str(folder), "--seconds", "2", "--warmup", "0.1"],
                           stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        names, deadline = set(), time.monotonic() + 30
        while not names and time.monotonic() < deadline and run.poll() is None:
            names = set(listening_names()) - before
            time.sleep(0.01)
        assert names, run.communicate()[1]
        for name in names:
            done = subprocess.run(["python3", "-c", STRANGER, name], capture_output=True, text=True, timeout=30)
            assert done.stdout.strip() == "0", done.stdout + done.stderr
        errors = run.communicate(timeout=60)[1]
        assert run.returncode == 0, errors
    finally:
        run.kill()


@NEEDS_ROOT
def test_a_host_of_another_user_is_not_joined(folder):
    """A stage that somebody starts against an endpoint of another user leaves, before it has said who it is."""
    name = f"penstock-test-{os.getpid()}"
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind("\0" + name)
    listener.listen(1)
    listener.settimeout(20)
    env = dict(os.environ, PENSTOCK_HOST=name, PENSTOCK_HOST_PID=str(os.getpid()))
    place = pathlib.Path(tempfile.mkdtemp(prefix="penstock-test-"))
    shutil.copytree(folder, place, dirs_exist_ok=True)
    try:
        place.chmod(0o755)
        stage = subprocess.Popen([str(place / "stage-0")], env=env, stderr=subprocess.PIPE, text=True, user=NOBODY,
                                 group=NOBODY, extra_groups=[])
        connection, _ = listener.accept()
        connection.settimeout(20)
        try:
            said = connection.recv(4096)
        except ConnectionResetError:
            said = b""
        assert said == b""
        errors = stage.communicate(timeout=20)[1]
        assert stage.returncode == 1 and "belongs to user 0" in errors, errors
    finally:
        listener.close()
        shutil.rmtree(place)
