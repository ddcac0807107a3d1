"""Where each whole model comes from, the inputs of its kind, and the shapes it runs at.

A model is in one tier: `ci` (runs in ./dev test), `accept` (only in ./dev accept: not there yet, or long) or `torch`
(only in ./dev accept, exported by tools/dev/export_models.py).
"""
# Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
import dataclasses
import functools
import importlib.util
import os
import pathlib
import sys
from typing import Callable, Optional

import numpy as np

import inputs

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("PENSTOCK_BUILD", ROOT / "build"))
sys.path.insert(0, str(ROOT / "tools/dev"))
# Of this tree and its build. ROOT alone may be as short as `/penstock`, which other paths contain.
PATHS = [str(path).encode() for path in (BUILD, *(path for path in ROOT.iterdir() if path.is_dir()))]


@dataclasses.dataclass(frozen=True)
class Model:
    """requests() gives [(what, {name: array})], all run from the same executables; bind holds inputs made constants.

    rows: the static batch when requests may hold a multiple of it (microbatches); fixed: the output is the same for
    every input, so that only structure and bits are checked. feedback: {output: input} fed back over `chunks()`.
    """
    name: str
    path: Callable[[], pathlib.Path]
    requests: Callable[[], list]
    flags: tuple = ()
    stages: tuple = (1, 2, 3, 4)
    tier: str = "ci"
    rows: Optional[int] = None
    fixed: bool = False
    bind: tuple = ()
    feedback: tuple = ()


class NotHere(Exception):
    """The model cannot be had in this environment; the text says why."""


def package_file(package, relative):
    spec = importlib.util.find_spec(package)
    if spec is None:
        raise NotHere(f"the Python package {package} is not installed")
    path = pathlib.Path(spec.submodule_search_locations[0]) / relative
    if not path.exists():
        raise NotHere(f"{path} does not exist")
    return path


# ---- text detector, recognizer, classifier --------------------------------------------------------------------------


def ocr(name):
    return lambda: package_file("rapidocr_onnxruntime", f"models/{name}.onnx")


def line(text, width):
    return inputs.recognizer_input(inputs.text_line(text), width)


def detector_requests():
    return [(f"{h}x{w} page {seed}", {"x": inputs.page(h, w, seed)}) for h, w, seed in
            ((320, 320, 0), (320, 320, 1), (480, 640, 0), (480, 640, 1))]


def recognizer_requests():
    return [(f"width {width}: {text}", {"x": line(text, width)}) for width, text in
            ((320, "Penstock 2 stages"), (320, "native executables"), (480, "every send has its receive"),
             (480, "the same bits whatever the cut"))]


def classifier_requests():
    upright = line("Penstock", 192)
    turned = inputs.recognizer_input(inputs.text_line("Penstock")[::-1, ::-1], 192)
    return [("upright", {"x": upright}), ("upside down", {"x": turned})]


def classifier_batches():
    rows = [line(text, 192) for text in ("Penstock", "stage", "turbine", "channel", "slot")]
    return classifier_requests() + [(f"batch {n}", {"x": np.concatenate(rows[:n])}) for n in (3, 5)]


OCR_MODELS = [
    Model("ocr-classifier-static", ocr("ch_ppocr_mobile_v2.0_cls_infer"), classifier_requests,
          flags=("--shape", "x=1x3x48x192")),
    Model("ocr-classifier", ocr("ch_ppocr_mobile_v2.0_cls_infer"), classifier_batches),
    Model("ocr-recognizer-static", ocr("ch_PP-OCRv4_rec_infer"), lambda: recognizer_requests()[:2],
          flags=("--shape", "x=1x3x48x320")),
    Model("ocr-recognizer", ocr("ch_PP-OCRv4_rec_infer"), recognizer_requests),
    Model("ocr-detector-static", ocr("ch_PP-OCRv4_det_infer"), lambda: detector_requests()[:2],
          flags=("--shape", "x=1x3x320x320")),
    Model("ocr-detector", ocr("ch_PP-OCRv4_det_infer"), detector_requests),
]

# ---- voice activity -------------------------------------------------------------------------------------------------

NUM_CHUNKS = 100


def voice(name):
    return lambda: package_file("silero_vad", f"data/{name}.onnx")


def chunks(seed, with_rate=False, num_chunks=NUM_CHUNKS):
    """One request per chunk of 512 samples with the 64 before it; the state starts at zero and is fed back."""
    sound = np.concatenate([np.zeros(64, np.float32), inputs.waveform(512 * num_chunks, seed=seed)])
    requests = []
    for index in range(num_chunks):
        feeds = {"input": sound[None, 512 * index:512 * index + 576]}
        if index == 0:
            feeds["state"] = np.zeros((2, 1, 128), np.float32)
        if with_rate:
            feeds["sr"] = np.array(16000, np.int64)
        requests.append((f"chunk {index}", feeds))
    return requests


def sequences():
    """The sequence form takes many chunks at once; two requests of different length."""
    requests = []
    for seed, length in ((0, 50), (1, 30)):
        sound = np.concatenate([np.zeros(64, np.float32), inputs.waveform(512 * length, seed=seed)])
        rows = np.stack([sound[512 * i:512 * i + 576] for i in range(length)])
        state = {name: np.zeros((1, 1, 128), np.float32) for name in ("h", "c")}
        requests.append((f"{length} chunks", {"input": rows, **state}))
    return requests


STATE = (("stateN", "state"),)
BOUND = ("--bind", "sr=16000", "--shape", "input=1x576", "--shape", "state=2x1x128")
VOICE_MODELS = [
    Model("voice-if", voice("silero_vad"), lambda: chunks(0, True), stages=(1,), feedback=STATE),
    Model("voice-if-bound", voice("silero_vad"), lambda: chunks(0), flags=BOUND, bind=(("sr", 16000),), feedback=STATE),
    Model("voice-op18", voice("silero_vad_op18_ifless"), lambda: chunks(0, True), stages=(1,), feedback=STATE),
    Model("voice-op18-bound", voice("silero_vad_op18_ifless"), lambda: chunks(0), flags=BOUND, bind=(("sr", 16000),),
          feedback=STATE),
    Model("voice-op15", voice("silero_vad_16k_op15"), lambda: chunks(0, True), feedback=STATE),
    Model("voice-half", voice("silero_vad_half"), lambda: chunks(0), feedback=STATE),
    Model("voice-plain", voice("silero_vad_openvino_16k"), lambda: chunks(0), feedback=STATE),
    Model("voice-sequence", voice("silero_vad_16k_sequence"), sequences),
]

# ---- nine classifiers of the onnx package ---------------------------------------------------------------------------

LIGHT = {"bvlc_alexnet": "data_0", "densenet121": "data_0", "inception_v1": "data_0", "inception_v2": "data_0",
         "resnet50": "gpu_0/data_0", "shufflenet": "gpu_0/data_0", "squeezenet": "data_0", "vgg19": "data_0",
         "zfnet512": "gpu_0/data_0"}


# As shipped only the small ones run in ./dev test; refilled all do.
LIGHT_TIER = {"squeezenet": "ci", "shufflenet": "ci", "inception_v1": "ci"}


def shipped_light(name):
    return lambda: package_file("onnx", f"backend/test/data/light/light_{name}.onnx")


@functools.lru_cache(maxsize=None)
def refilled_light(name):
    import refill_light_models
    target = BUILD / "models" / f"light_{name}.onnx"
    if not target.exists():
        refill_light_models.write(shipped_light(name)(), target)
    return target


def photos(input_name, batches=(1, 1)):
    return [(f"batch {batch}, photo {seed}", {input_name: inputs.photo(batch, seed=seed)})
            for seed, batch in enumerate(batches)]


LIGHT_MODELS = [
    Model(f"light-{name}", functools.partial(refilled_light, name), functools.partial(photos, feed, (1, 1, 3)), rows=1)
    for name, feed in LIGHT.items()
] + [
    Model(f"light-{name}-shipped", shipped_light(name), functools.partial(photos, feed), fixed=True,
          tier=LIGHT_TIER.get(name, "accept"))
    for name, feed in LIGHT.items()
]

# ---- models exported with torch -------------------------------------------------------------------------------------

VISION = ("resnet50", "mobilenet_v2", "efficientnet_b0", "vit_b_16")
TEXT = {"bert_base": (30000, True), "gpt2": (50000, False), "llama_small": (8000, False), "minilm": (20000, True)}


def exported(name):
    def path():
        target = BUILD / "models" / f"{name}.onnx"
        if not target.exists():
            raise NotHere(f"{target.name} is not exported; tools/dev/export_models.py does it, in an environment with torch")
        return target
    return path


def sentences(name, shapes):
    vocabulary, has_mask = TEXT[name]
    requests = []
    for seed, (batch, length) in enumerate(shapes):
        ids, mask = inputs.token_ids(batch, length, vocabulary, seed)
        feeds = {"input_ids": ids, "attention_mask": mask} if has_mask else {"input_ids": ids}
        requests.append((f"batch {batch}, {length} tokens", feeds))
    return requests


def static_length(name):
    return 32 if name == "minilm" else 128


DYNAMIC_SHAPES = ((1, 17), (3, 17), (5, 17), (1, 128), (3, 128), (5, 128))
TORCH_MODELS = [
    Model(name, exported(name), functools.partial(photos, "image", (1, 1, 3)), rows=1, tier="torch") for name in VISION
] + [
    Model(f"{name}_dyn", exported(f"{name}_dyn"), functools.partial(photos, "image", (1, 3, 5)), tier="torch")
    for name in VISION
] + [
    Model(name, exported(name), functools.partial(sentences, name, [(b, static_length(name)) for b in (1, 1, 3)]), rows=1,
          tier="torch") for name in TEXT
] + [
    Model(f"{name}_dyn", exported(f"{name}_dyn"), functools.partial(sentences, name, DYNAMIC_SHAPES), tier="torch")
    for name in TEXT
]

MODELS = {model.name: model for model in OCR_MODELS + VOICE_MODELS + LIGHT_MODELS + TORCH_MODELS}
