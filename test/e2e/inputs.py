"""Inputs of a model's own kind: drawn pictures and text, a waveform, sentences. All from fixed seeds."""
# Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
import pathlib

import numpy as np
from PIL import Image, ImageDraw, ImageFont

FONTS = ("/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf",)
SENTENCES = (
    "the stages pass their activations to each other through explicit sends and receives",
    "a penstock is the pipe that feeds a turbine",
    "it starts as one channel and branches to the machines that do the work",
    "throughput rises with the number of stages while one request takes as long as before",
    "every send has its receive and no stage waits in a circle",
)


def font(num_pixels):
    for path in FONTS:
        if pathlib.Path(path).exists():
            return ImageFont.truetype(path, num_pixels)
    return ImageFont.load_default(num_pixels)


def text_line(text, height=48, margin=8):
    """A picture (height, width, 3) of black text on white, as wide as the text needs."""
    face = font(int(height * 0.7))
    left, top, right, bottom = face.getbbox(text)
    picture = Image.new("RGB", (right - left + 2 * margin, height), "white")
    ImageDraw.Draw(picture).text((margin - left, (height - bottom - top) // 2), text, font=face, fill="black")
    return np.asarray(picture)


def resize(picture, height, width):
    """Bilinear at half-pixel centres without antialiasing, as OpenCV's cv2.resize does by default."""
    def taps(num_out, num_in):
        at = np.clip((np.arange(num_out) + 0.5) * num_in / num_out - 0.5, 0, num_in - 1)
        low = np.floor(at).astype(int)
        return low, np.minimum(low + 1, num_in - 1), at - low

    y0, y1, fy = taps(height, picture.shape[0])
    x0, x1, fx = taps(width, picture.shape[1])
    values = picture.astype(np.float64)
    rows = values[y0] * (1 - fy)[:, None, None] + values[y1] * fy[:, None, None]
    return np.rint(rows[:, x0] * (1 - fx)[None, :, None] + rows[:, x1] * fx[None, :, None]).astype(np.uint8)


def recognizer_input(picture, width=None, height=48):
    """(1, 3, height, width): scaled to the height, padded with zeros to `width`, values in -1..1, as PP-OCR prepares a line.

    Without a width: that of the line, at least 320 / 48 of the height.
    """
    ratio = picture.shape[1] / picture.shape[0]
    width = width or int(height * max(320 / 48, ratio))
    scaled = resize(picture, height, min(width, int(np.ceil(height * ratio))))
    padded = np.zeros((1, 3, height, width), np.float32)
    padded[0, :, :, :scaled.shape[1]] = (scaled.astype(np.float32).transpose(2, 0, 1) / 255 - 0.5) / 0.5
    return padded


def page(height, width, seed=0):
    """A picture with lines of text at random places, for a text detector: (1, 3, height, width) in -1..1."""
    rng = np.random.default_rng(seed)
    picture = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(picture)
    for index, y in enumerate(range(16, height - 40, 56)):
        words = SENTENCES[(index + seed) % len(SENTENCES)].split()
        draw.text((int(rng.integers(8, 40)), y), " ".join(words[:5]), font=font(int(rng.integers(16, 30))),
                  fill=tuple(int(v) for v in rng.integers(0, 120, 3)))
    return (np.asarray(picture, np.float32).transpose(2, 0, 1)[None] / 255 - 0.5) / 0.5


def photo(batch=1, size=224, seed=0):
    """Pictures with gradients, discs and text, normalised as ImageNet's networks expect: (batch, 3, size, size)."""
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(batch):
        across, down = np.meshgrid(np.linspace(0, 1, size), np.linspace(0, 1, size))
        base = np.stack([across * rng.uniform(), down * rng.uniform(), (across + down) / 2 * rng.uniform()], -1) * 255
        picture = Image.fromarray(base.astype(np.uint8))
        draw = ImageDraw.Draw(picture)
        for _ in range(12):
            x, y, r = rng.integers(0, size, 2).tolist() + [int(rng.integers(8, 48))]
            draw.ellipse([x - r, y - r, x + r, y + r], fill=tuple(int(v) for v in rng.integers(0, 255, 3)))
        draw.text((20, size // 2), "penstock", font=font(28), fill="white")
        rows.append((np.asarray(picture, np.float32) / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225])
    return np.stack(rows).transpose(0, 3, 1, 2).astype(np.float32)


def waveform(num_samples, rate=16000, seed=0):
    """Bursts of a voiced sound (harmonics with vibrato and formants) between silence and noise, in -1..1."""
    rng = np.random.default_rng(seed)
    time = np.arange(num_samples) / rate
    pitch = 120 + 20 * np.sin(2 * np.pi * 0.7 * time + seed) + 5 * np.sin(2 * np.pi * 5 * time)
    phase = 2 * np.pi * np.cumsum(pitch) / rate
    formants = lambda f: sum(np.exp(-((f - c) / w) ** 2) for c, w in ((600, 200), (1200, 300), (2500, 500)))
    voice = sum(formants(120 * k) * np.sin(k * phase) for k in range(1, 30))
    envelope = np.clip(np.sin(2 * np.pi * 0.9 * time + 0.3 * seed) * 3, 0, 1)
    sound = 0.25 * envelope * voice / np.abs(voice).max() * 2 + 0.01 * rng.standard_normal(num_samples)
    return sound.astype(np.float32)


def token_ids(batch, length, vocabulary, seed=0):
    """(batch, length) int64 and its mask: sentences, one id per word by a fixed hash; shorter rows are padded."""
    ids, mask = np.zeros((batch, length), np.int64), np.zeros((batch, length), np.int64)
    for row in range(batch):
        words = " ".join(SENTENCES[(row + k + seed) % len(SENTENCES)] for k in range(len(SENTENCES))).split() * (1 + length // 40)
        used = length if row == 0 else max(1, length - 3 * row)
        ids[row, :used] = [sum(ord(c) * 31 ** i for i, c in enumerate(w)) * 7919 % (vocabulary - 100) + 50 for w in words[:used]]
        mask[row, :used] = 1
    return ids, mask
