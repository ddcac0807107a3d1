#!/usr/bin/env python3
"""PyTorch on the models that ./dev gpu packs to be measured: milliseconds per batch.

usage: peers.py [--compile NAME,...] [--json FILE] [NAME]...          (names as in the pack: bert_base-bf16-1)

eager: as it is written, the input from pinned memory and the result on the host, as Penstock has them. graph: the same in a CUDA
graph, on the device alone. compiled: torch.compile in its mode `reduce-overhead`, with the transfers; it takes half a minute each.
needs: torch, torchvision, transformers, and a GPU
"""
# Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
import argparse
import json
import pathlib
import time
import warnings

import torch
import torchvision
import transformers

NAMES = [f"{model}-{dtype}-{rows}" for model in ("resnet50", "vit_b_16", "bert_base", "gpt2") for dtype in ("f32", "bf16")
         for rows in (1, 32) if (model, rows) != ("gpt2", 32)]
DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16}
NUM_RUNS, NUM_FIRST = 20, 4


def make_model(name, dtype):
    """The module, with one argument and one result."""
    if name in ("resnet50", "vit_b_16"):
        module = getattr(torchvision.models, name)(weights=None)
        return module.eval().to("cuda", dtype)
    if name == "bert_base":
        module = transformers.BertModel(transformers.BertConfig())
    else:
        module = transformers.GPT2LMHeadModel(transformers.GPT2Config(use_cache=False))
    return FirstResult(module.eval().to("cuda", dtype))


class FirstResult(torch.nn.Module):
    """A model of tokens without the names of its results."""

    def __init__(self, module):
        super().__init__()
        self.module = module

    def forward(self, ids):
        return self.module(input_ids=ids)[0]


def make_input(name, rows, dtype):
    if name in ("resnet50", "vit_b_16"):
        return torch.randn(rows, 3, 224, 224, dtype=dtype).pin_memory()
    return torch.randint(0, 30000, (rows, 128)).pin_memory()


def milliseconds(call):
    """The median of some runs, each awaited."""
    for _ in range(NUM_FIRST):
        call()
    torch.cuda.synchronize()
    times = []
    for _ in range(NUM_RUNS):
        begin = time.perf_counter()
        call()
        torch.cuda.synchronize()
        times.append(time.perf_counter() - begin)
    return sorted(times)[NUM_RUNS // 2] * 1e3


def graph_milliseconds(model, x):
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        for _ in range(3):
            model(x)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        model(x)
    return milliseconds(graph.replay)


def measure(name, with_compile):
    model_name, dtype, rows = name.rsplit("-", 2)
    model, x = make_model(model_name, DTYPES[dtype]), make_input(model_name, int(rows), DTYPES[dtype])
    row = {"eager": milliseconds(lambda: model(x.cuda(non_blocking=True)).cpu()), "graph": graph_milliseconds(model, x.cuda())}
    if with_compile:
        compiled = torch.compile(model, mode="reduce-overhead")
        row["compiled"] = milliseconds(lambda: compiled(x.cuda(non_blocking=True)).cpu())
        torch._dynamo.reset()
    return row


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--compile", default="", metavar="NAME,...")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE")
    parser.add_argument("names", nargs="*", metavar="NAME")
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    torch.set_grad_enabled(False)
    rows = {}
    for name in options.names or NAMES:
        rows[name] = measure(name, name in options.compile.split(","))
        print(name, " ".join(f"{key} {value:.3f}" for key, value in rows[name].items()), flush=True)
        if options.json:
            options.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
