#!/usr/bin/env python3
"""The demo: a trained text recognizer becomes two executables that read a picture together.

usage: demo.py --build FOLDER [--stages N] [--text TEXT]

Takes the PP-OCRv4 recognizer out of the Python package rapidocr-onnxruntime, draws a picture with TEXT, compiles the
model, runs it, prints the text that was read, the stage table and the throughput, and leaves picture.png, trace.json and
timeline.png in FOLDER/demo. While the recognizer cannot be compiled, the classifier of the same package, which tells
whether a line is upside down, is shown instead, and the output says so. Exit status 1 if what was read is wrong.
"""
# Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
import argparse
import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import onnx
from PIL import Image

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "test/e2e"))
import inputs    # noqa: E402  how pictures are drawn and prepared
import models    # noqa: E402  where the models come from

NUM_REQUESTS = 24
BENCH_SECONDS = 3


class CommandFailed(Exception):
    """Exit status and stderr of a command that failed."""


class Demo:
    def __init__(self, build, stages):
        self.build, self.stages = build, stages
        self.out = build / "demo"
        self.out.mkdir(parents=True, exist_ok=True)

    def penstock(self, *arguments):
        command = [str(self.build / "bin/penstock"), *map(str, arguments)]
        shown = [word.replace(f"{ROOT}/", "") for word in command]
        print("$ " + " ".join(shown), flush=True)
        done = subprocess.run(command, text=True, capture_output=True, stdin=subprocess.DEVNULL)
        if done.returncode != 0:
            raise CommandFailed(f"exit status {done.returncode}: {done.stderr.strip()}")
        return done.stdout

    def run(self, model, name, tensor):
        """Compile for a shape, run once per request, and return the first output; prints the compiler's stage table."""
        folder, results = self.out / f"{name}.penstock", self.out / "results"
        np.save(self.out / "input.npy", tensor)
        shape = "x".join(map(str, tensor.shape))
        print(self.penstock("compile", model, "-o", folder, "--stages", self.stages, "--shape", f"x={shape}"), end="")
        self.penstock("run", folder, "--input", f"x={self.out / 'input.npy'}", "--output-dir", results,
                      "--repeat", NUM_REQUESTS, "--trace", self.out / "trace.json")
        return folder, np.load(next(iter(sorted(results.rglob("*.npy")))))

    def throughput(self, folder):
        figures = json.loads(self.penstock("bench", folder, "--seconds", BENCH_SECONDS, "--json"))
        print(f"throughput: {figures['throughput_per_second']:.1f} requests per second")
        for index, stage in enumerate(figures["stages"]):
            print(f"  stage {index}: busy {stage['busy_ms']:.2f} ms, waits {stage['wait_ms']:.2f} ms per request")

    def timeline(self):
        """The measured timeline: fill, steady part, drain."""
        picture = self.out / "timeline.png"
        path = os.pathsep.join([str(self.build / "python"), str(ROOT / "python")])
        subprocess.run([sys.executable, "-m", "penstock.timeline", self.out / "trace.json", "-o", picture], check=True,
                       env=dict(os.environ, PYTHONPATH=path))
        print(f"timeline: {os.path.relpath(picture)}")


def characters(model):
    """The recognizer's alphabet: a blank, the lines of its metadata, a space."""
    for entry in onnx.load(model).metadata_props:
        if entry.key == "character":
            return ["", *entry.value.splitlines(), " "]
    raise CommandFailed(f"{model.name} has no character list in its metadata")


def decode(probabilities, alphabet):
    """CTC: the best character of each step, repetitions and blanks dropped; and the mean probability of those kept."""
    best = probabilities.argmax(-1)
    kept = [i for i, c in enumerate(best) if c != 0 and (i == 0 or best[i - 1] != c)]
    return "".join(alphabet[best[i]] for i in kept), float(np.mean([probabilities[i, best[i]] for i in kept] or [0]))


def show_recognizer(demo, picture, text):
    model = models.ocr("ch_PP-OCRv4_rec_infer")()
    folder, output = demo.run(model, "recognizer", inputs.recognizer_input(picture))
    found, confidence = decode(output[0], characters(model))
    print(f"read: '{found}' (confidence {confidence:.2f})")
    return folder, found.replace(" ", "") == text.replace(" ", "")


def show_classifier(demo, picture):
    model = models.ocr("ch_ppocr_mobile_v2.0_cls_infer")()
    folder, output = demo.run(model, "classifier", inputs.recognizer_input(picture[::-1, ::-1], 192))
    print(f"the line is {('upright', 'upside down')[int(output[0].argmax())]} (probability {output[0].max():.2f}); "
          "it was drawn upside down")
    return folder, int(output[0].argmax()) == 1


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, required=True)
    parser.add_argument("--stages", type=int, default=2)
    parser.add_argument("--text", default="Penstock reads this in 2 stages")
    options = parser.parse_args()
    demo = Demo(options.build.resolve(), options.stages)
    picture = inputs.text_line(options.text)
    Image.fromarray(picture).save(demo.out / "picture.png")
    print(f"drawn: '{options.text}' in {os.path.relpath(demo.out / 'picture.png')}")
    try:
        try:
            folder, is_right = show_recognizer(demo, picture, options.text)
        except CommandFailed as error:
            print(f"the recognizer does not run yet ({error}); showing the classifier of the same package instead")
            folder, is_right = show_classifier(demo, picture)
        demo.throughput(folder)
        demo.timeline()
    except CommandFailed as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if not is_right:
        print("error: what was read is not what was drawn", file=sys.stderr)
    return 0 if is_right else 1


if __name__ == "__main__":
    sys.exit(main())
