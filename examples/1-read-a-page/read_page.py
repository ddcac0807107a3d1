#!/usr/bin/env python3
"""Read a page: a text detector finds the lines, a text recognizer reads them; both are pipelines of two stages.

usage: read_page.py [--output-dir DIR] [--stages N]

Draws a page, finds the boxes of its lines with the PP-OCRv4 detector, sends all lines to the recognizer at once, each with
its own width, and writes page.png: the page with its boxes, and beside each what was read. Exit status 1 if a line was
not found.
"""
# Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
import argparse
import importlib.util
import pathlib
import sys

import numpy as np
import onnx
import penstock
from PIL import Image, ImageDraw, ImageFont

LINES = ("a penstock feeds a turbine", "one channel, many stages", "every send has its receive", "same bits, any cut")
SIZE = (640, 320)    # of the page, width and height: multiples of the detector's 32
THRESHOLD = 0.3      # of the detector's probability that a pixel is text
HEIGHT = 48          # of a line as the recognizer takes it


def model(name):
    package = importlib.util.find_spec("rapidocr_onnxruntime").submodule_search_locations[0]
    return pathlib.Path(package) / "models" / f"{name}.onnx"


def draw_page():
    page = Image.new("RGB", SIZE, "white")
    for index, text in enumerate(LINES):
        ImageDraw.Draw(page).text((24 + 12 * index, 20 + 74 * index), text, font=ImageFont.load_default(26), fill="black")
    return page


def to_input(picture):
    """(1, 3, height, width), values in -1..1, as both models take pictures."""
    return (np.asarray(picture, np.float32).transpose(2, 0, 1)[None] / 255 - 0.5) / 0.5


def spans(is_text):
    """[begin, end) of each run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], is_text.astype(int), [0]])))
    return list(zip(edges[::2], edges[1::2]))


def find_boxes(probability, margin=12):
    """(left, top, right, bottom) of each line: rows of text one below the other, as wide as their text."""
    boxes = []
    for top, bottom in spans((probability > THRESHOLD).any(axis=1)):
        columns = np.flatnonzero((probability[top:bottom] > THRESHOLD).any(axis=0))
        boxes.append((max(0, columns[0] - margin), max(0, top - margin), min(SIZE[0], columns[-1] + margin),
                      min(SIZE[1], bottom + margin)))
    return boxes


def line_input(page, box):
    line = page.crop(box)
    return to_input(line.resize((max(1, round(line.width * HEIGHT / line.height)), HEIGHT), Image.BILINEAR))


def read(probabilities, alphabet):
    """The best character of each step, without repetitions and blanks."""
    best = probabilities.argmax(-1)
    return "".join(alphabet[c] for i, c in enumerate(best) if c != 0 and (i == 0 or best[i - 1] != c))


def draw_result(page, boxes, texts):
    picture = Image.new("RGB", (2 * SIZE[0], SIZE[1]), "white")
    picture.paste(page)
    draw = ImageDraw.Draw(picture)
    for box, text in zip(boxes, texts):
        draw.rectangle([int(v) for v in box], outline=(200, 60, 30), width=2)
        draw.text((SIZE[0] + 24, int(box[1])), text, font=ImageFont.load_default(26), fill=(30, 80, 160))
    return picture


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output-dir", type=pathlib.Path, default=pathlib.Path("results"))
    parser.add_argument("--stages", type=int, default=2)
    options = parser.parse_args()
    options.output_dir.mkdir(parents=True, exist_ok=True)
    detector, recognizer = model("ch_PP-OCRv4_det_infer"), model("ch_PP-OCRv4_rec_infer")
    folders = [penstock.compile(path, options.output_dir / f"{path.stem}.penstock", stages=options.stages)
               for path in (detector, recognizer)]
    characters = next(entry.value for entry in onnx.load(recognizer).metadata_props if entry.key == "character")
    alphabet = ["", *characters.splitlines(), " "]

    page = draw_page()
    with penstock.Session(folders[0]) as session:
        probability, = session.run(None, {"x": to_input(page)})
    boxes = find_boxes(probability[0, 0])
    with penstock.Session(folders[1]) as session:
        futures = [session.submit(None, {"x": line_input(page, box)}) for box in boxes]    # all in flight at once
        texts = [read(future.result()[0][0], alphabet) for future in futures]
    for text in texts:
        print(text)
    draw_result(page, boxes, texts).save(options.output_dir / "page.png")
    found = {text.replace(" ", "") for text in texts}
    missing = [line for line in LINES if line.replace(" ", "") not in found]
    for line in missing:
        print(f"error: '{line}' was not read", file=sys.stderr)
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
