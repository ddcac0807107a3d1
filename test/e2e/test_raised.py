"""How many of an exporter's decompositions are recognized in each whole model, and how many transposes are left as
kernels of their own. A pattern that is no longer found costs speed and nothing else, so only a count shows it."""
# Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
import re

import models
import pytest
import runner

PATTERNS = {
    "attention": r"nn\.attention ",
    "layer_norm": r"nn\.layer_norm ",
    "gelu": r"nn\.unary +gelu ",
    "gelu_tanh": r"nn\.unary +gelu_tanh ",
    "silu": r"nn\.unary +silu ",
    "hard_swish": r"nn\.unary +hard_swish ",
    "softmax": r"nn\.softmax ",
    "batch_norm": r"nn\.batch_norm ",
}

# Per model: what is in the graph after normalization. What is not named must not be there.
TABLE = {
    "ocr-recognizer": {"attention": 2, "layer_norm": 5, "hard_swish": 28, "softmax": 1},
    "ocr-recognizer-static": {"attention": 2, "layer_norm": 5, "hard_swish": 28, "softmax": 1},
    "ocr-detector": {"hard_swish": 24},
    "ocr-classifier": {"hard_swish": 18, "softmax": 1},
    "resnet50": {},
    "mobilenet_v2": {},
    "efficientnet_b0": {"silu": 49},
    "vit_b_16": {"attention": 12, "layer_norm": 25, "gelu": 12},
    "bert_base": {"attention": 12, "layer_norm": 25, "gelu": 12},
    "gpt2": {"attention": 12, "layer_norm": 25, "gelu_tanh": 12},
    "llama_small": {"attention": 8, "layer_norm": 17, "silu": 8},
    "minilm": {"attention": 6, "layer_norm": 13, "gelu": 6},
}
TABLE.update({f"{name}_dyn": counts for name, counts in list(TABLE.items()) if models.MODELS[name].tier == "torch"})

# Kernels that do nothing but transpose, after fusion: rows and batch change places in front of the attention of one
# exporter, which is nothing at a batch of 1. The recognizer turns its channels-last image into a sequence as it lies.
TRANSPOSES = {"ocr-recognizer": 0, "vit_b_16": 0, "vit_b_16_dyn": 12, "bert_base": 0, "bert_base_dyn": 0, "gpt2": 0,
              "gpt2_dyn": 0, "llama_small": 0, "llama_small_dyn": 0, "minilm": 0, "minilm_dyn": 0}


@pytest.fixture(scope="module")
def dumps(tmp_path_factory):
    """{phase: text} of a model, compiled up to fusion."""
    made = {}

    def dump(name):
        if name not in made:
            model = models.MODELS[name]
            try:
                path = model.path()
            except models.NotHere as reason:
                pytest.skip(str(reason))
            folder = tmp_path_factory.mktemp(name)
            runner.penstock("compile", path, *model.flags, "--compile-to", "fuse", "--dump-phases", folder, "-o",
                            folder / "out")
            made[name] = {phase: next(folder.glob(f"*.{phase}.mlir")).read_text() for phase in ("normalize", "fuse")}
        return made[name]

    return dump


@pytest.mark.parametrize("name", TABLE)
def test_raised_patterns(name, dumps):
    text = dumps(name)["normalize"]
    found = {pattern: len(re.findall(regex, text)) for pattern, regex in PATTERNS.items()}
    assert {pattern: count for pattern, count in found.items() if count} == TABLE[name]


def kernels(text):
    """The names of the operations of each kernel."""
    for body in re.findall(r"nn\.kernel \"[^\n]*\{\n(.*?)nn\.yield", text, re.S):
        yield re.findall(r"= nn\.([a-z_]+) ", body)


@pytest.mark.parametrize("name", TRANSPOSES)
def test_transposes_that_are_left(name, dumps):
    ops = [set(names) - {"reshape", "constant"} for names in kernels(dumps(name)["fuse"])]
    assert ops, "no kernels in the dump"
    assert sum(names == {"transpose"} for names in ops) == TRANSPOSES[name]
