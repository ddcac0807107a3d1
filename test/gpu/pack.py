#!/usr/bin/env python3
"""Pack what a machine with a GPU needs to prove the CUDA target, without network and without a compiler.

usage: pack.py [--build FOLDER] [--arch CHIPS] [--stages 1,2] [MODEL]...

Writes FOLDER/gpu: run.py, timeline.py, peers.py, report.py, and pack.tar.xz with the cases of all kernels and kernels to be timed
(without MODEL) and folders of whole models, requests, and what ONNX Runtime makes of them. Weights of
models that are not trained are made from seeds on both machines, so that the pack holds what is trained and what the
compiler has derived. A model that does not compile is left out with a line that says why; exit status 1 then.
"""
# Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
import argparse
import dataclasses
import functools
import hashlib
import json
import lzma
import os
import pathlib
import shutil
import subprocess
import sys
import tarfile
import tempfile

import numpy as np
import onnx
from onnx import numpy_helper

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "e2e"))
import compare
import models
import narrow
import run
import runner

MAX_REQUESTS = 6
MIN_SEEDED = 4096
KERNELS_TIMEOUT_S = 3600
LIMIT_MIB = 64
# Of the networks of the onnx package; of the others the compiler derives as many weights as there are.
SMALL_LIGHT = ("light-squeezenet", "light-shufflenet")
WITH_FOUR_STAGES = ("minilm", "mobilenet_v2")


# What is measured beside PyTorch: {name: (model, rows, in bfloat16)}.
MEASURED = {f"{name}-{dtype}-{rows}": (name, rows, dtype == "bf16") for dtype in ("f32", "bf16") for rows in (1, 32)
            for name in ("resnet50", "vit_b_16", "bert_base", "gpt2") if (name, rows) != ("gpt2", 32)}
# The share of the reference's norm by which a model in bfloat16, of 8 bits, may differ from the one in f32.
NARROW_ERROR = 0.02


def measured_model(name):
    """A model of MEASURED, of fixed shapes. (gpt2 gives 26 MB per row: 32 rows would measure copies.)"""
    base, rows, is_narrow = MEASURED[name]
    if base in models.TEXT:
        requests = functools.partial(models.sentences, base, ((rows, 128), (rows, 128)))
    else:
        requests = functools.partial(models.photos, "image", (rows, rows))
    flags = [flag for key, array in requests()[0][1].items() for flag in ("--shape", f"{key}={'x'.join(map(str, array.shape))}")]
    return dataclasses.replace(models.MODELS[f"{base}_dyn"], name=name, requests=requests, flags=tuple(flags), stages=(1, 2)), is_narrow


def is_trained(name):
    return name.startswith(("ocr-", "voice-")) or name.endswith("-shipped")


def seed_weights(source, target):
    """The model with its large floats drawn anew, of the same mean and deviation; {bytes' digest: recipe}."""
    proto, recipes = onnx.load(str(source)), {}
    for tensor in proto.graph.initializer:
        array = numpy_helper.to_array(tensor)
        if array.dtype not in (np.float32, np.float16) or array.size < MIN_SEEDED:
            continue
        recipe = {"seed": int.from_bytes(hashlib.sha256(tensor.name.encode()).digest()[:6], "little"), "count": int(array.size),
                  "mean": float(array.mean(dtype=np.float64)), "deviation": float(array.std(dtype=np.float64)),
                  "dtype": array.dtype.name}
        data = run.weights_of(recipe)
        name = tensor.name
        tensor.CopyFrom(onnx.TensorProto(name=name, dims=tensor.dims, data_type=tensor.data_type, raw_data=data))
        forms = [recipe] + [recipe | {"dtype": "bfloat16"}] * (array.dtype == np.float32)
        if array.ndim in (3, 4):
            forms += [form | {"turned": list(array.shape)} for form in forms]
        for form in forms:
            recipes.setdefault(hashlib.sha256(run.weights_of(form)).digest(), form)
    onnx.save(proto, str(target))
    return recipes


def requests_of(model):
    """[{name: array}], each on its own: what a model feeds back is what ONNX Runtime gave, and its outputs."""
    if not model.feedback:
        return [feeds for _, feeds in model.requests()][:MAX_REQUESTS]
    reference = compare.Reference(model.path(), {name: np.array(value, np.int64) for name, value in model.bind})
    state, found = {}, []
    for _, feeds in model.requests()[:MAX_REQUESTS]:
        found.append({**feeds, **state})
        outputs = runner.reference_step(reference, 0, found[-1])
        state = {into: outputs[out] for out, into in model.feedback}
    return found


def keep_expected(model, where, least_error):
    """Writes requests and the reference's outputs; what the index says of them. `least_error`: allowed, as a share of the norm."""
    requests = requests_of(model)
    plain = dataclasses.replace(model, requests=lambda: [(str(i), feeds) for i, feeds in enumerate(requests)], feedback=())
    expected = runner.Expected(plain)
    kept, allowed = {}, {}
    for index, feeds in enumerate(requests):
        np.savez(where / f"in{index}.npz", **feeds)
        for name in expected.names:
            one, other = expected.optimised[index][name], expected.unoptimised[index][name]
            kept[f"{index}/{name}"] = run.compared(one)
            verdict = compare.compare(name, run.compared(one), run.compared(one), run.compared(other))
            allowed[f"{index}/{name}"] = {"shape": list(one.shape), "norm": max(verdict.allowed, least_error * float(np.linalg.norm(run.compared(one))))}
    np.savez(where / "expected.npz", **kept)
    return {"requests": len(requests), "outputs": expected.names, "allowed": allowed}


class Tensors:
    """The bytes of weights that are carried, each once."""

    def __init__(self):
        self.parts, self.at, self.size = [], {}, 0

    def add(self, data):
        digest = hashlib.sha256(data).digest()
        if digest not in self.at:
            self.at[digest] = self.size
            self.parts.append(data)
            self.size += len(data)
        return self.at[digest]


def take_weights(folder, recipes, tensors):
    """Removes the weights files of a folder; how each is made again."""
    taken = []
    for stage in json.loads((folder / "plan.json").read_text())["stages"]:
        if not stage.get("weights"):
            continue
        path, parts = folder / stage["weights"], []
        data = path.read_bytes()
        for tensor in stage["weight_tensors"]:
            content = data[tensor["offset"]:tensor["offset"] + tensor["bytes"]]
            recipe = recipes.get(hashlib.sha256(content).digest())
            parts.append({"offset": tensor["offset"], **(recipe or {"at": tensors.add(content), "bytes": len(content)})})
        taken.append({"folder": folder.name, "file": stage["weights"], "bytes": len(data), "parts": parts})
        path.unlink()
    return taken


def compile_folder(arch):
    """What makes a folder: make(model file, folder, flags...)."""
    def make(path, folder, *flags):
        runner.penstock("compile", path, "-o", folder, *flags, "--target", "cuda", "--arch", arch, "--quiet",
                        timeout_s=runner.COMPILE_TIMEOUT_S)
    return make


def variants(count):
    """[(folder, flags)]: a number of stages, by what carries the messages of several."""
    if count == 1:
        return [("1.penstock", ("--stages", 1))]
    return [(f"{count}.penstock", ("--stages", count, "--all-in-one")),
            (f"{count}-nccl.penstock", ("--stages", count, "--transport", "nccl"))]


def pack_model(model, stages, make, where, is_narrow=False):
    """The model's row of the index; its folder is `where`/NAME. `make`: as compile_folder() gives."""
    here = where / model.name
    here.mkdir()
    recipes = {}
    if not is_trained(model.name):
        seeded = where.parent / f"{model.name}.onnx"
        recipes = seed_weights(model.path(), seeded)
        model = dataclasses.replace(model, path=lambda: seeded)
    row = {"name": model.name, **keep_expected(model, here, NARROW_ERROR if is_narrow else 0.0)}
    if is_narrow:
        narrow.convert(seeded, seeded)
    tensors, weights, folders = Tensors(), [], []
    for name, flags in (variant for count in stages if count in model.stages for variant in variants(count)):
        folder = here / name
        make(model.path(), folder, *flags, *model.flags)
        shutil.rmtree(folder / "starters")
        weights += take_weights(folder, recipes, tensors)
        folders.append(folder.name)
    (here / "tensors").write_bytes(b"".join(tensors.parts))
    if recipes:
        model.path().unlink()
    return row | {"folders": folders, "weights": weights, "carried": tensors.size}


def default_names():
    names = [name for name, model in models.MODELS.items() if model.tier != "accept"]
    return [name for name in names if not name.startswith("light-") or name in SMALL_LIGHT] + list(MEASURED)


def pack_kernels(build, folder, *flags):
    """A folder with kernels and the program that runs or times them (test/gpu/GpuCases.cpp); what it says of them."""
    done = subprocess.run([build / "test/unit/gpu_cases", folder, *flags], capture_output=True, text=True, timeout=KERNELS_TIMEOUT_S)
    if done.returncode != 0:
        raise runner.Failure(f"gpu_cases: exit status {done.returncode}\n" + "\n".join(done.stdout.splitlines()[-15:]))
    return done.stdout.splitlines()[-1]


def write_archive(where, target):
    """One archive, in which equal files are links, and like files lie side by side."""
    seen = {}
    files = sorted((path for path in where.rglob("*") if path.is_file()), key=lambda path: (path.name, str(path)))
    for path in files:
        first = seen.setdefault(hashlib.sha256(path.read_bytes()).digest(), path)
        if first is not path:
            path.unlink()
            os.link(first, path)
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 4, "dict_size": 64 << 20}]
    with lzma.open(target, "w", filters=filters) as packed, tarfile.open(fileobj=packed, mode="w") as archive:
        for path in files:
            archive.add(path, path.relative_to(where))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, default=models.BUILD)
    parser.add_argument("--arch", default="sm_80,sm_90")
    parser.add_argument("--stages", default="1,2", help="of every model; some have four as well")
    parser.add_argument("models", nargs="*", metavar="MODEL")
    options = parser.parse_args()
    unknown = set(options.models) - set(models.MODELS) - set(MEASURED)
    if unknown:
        parser.error(f"unknown model {', '.join(sorted(unknown))}; known: {', '.join((*models.MODELS, *MEASURED))}")
    names = options.models or default_names()
    out = options.build / "gpu"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    stages, failed = [int(text) for text in options.stages.split(",")], False
    with tempfile.TemporaryDirectory(prefix="penstock-gpu-") as scratch:
        where, rows = pathlib.Path(scratch) / "pack", []
        where.mkdir()
        if not options.models:
            for name, flag in (("kernels", "--gtest_brief=1"), ("bench", "--bench")):
                words = pack_kernels(options.build, where / name, "--arch", options.arch, flag)
                print(f"packed {name}: {words}", flush=True)
        for name in names:
            try:
                model, is_narrow = measured_model(name) if name in MEASURED else (models.MODELS[name], False)
                counts = stages + [4] * (name in WITH_FOUR_STAGES and not options.models)
                rows.append(pack_model(model, counts, compile_folder(options.arch), where, is_narrow))
                print(f"packed {name}: {rows[-1]['carried'] / 2 ** 20:.1f} MiB of weights carried", flush=True)
            except (models.NotHere, runner.Failure) as error:
                shutil.rmtree(where / name)
                print(f"{'missing' if isinstance(error, models.NotHere) else 'fail'} {name}: {error}", flush=True)
                failed |= isinstance(error, runner.Failure)
        (where / "index.json").write_text(json.dumps(rows))
        write_archive(where, out / "pack.tar.xz")
    for script in ("run.py", "timeline.py", "peers.py", "report.py"):
        shutil.copy(HERE / script, out / script)
    size = sum(path.stat().st_size for path in out.iterdir()) / 2 ** 20
    print(f"{out}: {size:.1f} MiB; run {out / 'run.py'} on a machine with a GPU")
    if size > LIMIT_MIB:
        print(f"error: more than {LIMIT_MIB} MiB; name fewer models", file=sys.stderr)
        failed = True
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
