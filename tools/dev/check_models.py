#!/usr/bin/env python3
"""No special cases: no name of a model in the compiler or the runtime (lib/, include/, runtime/, tools/penstock*), and no
operator's name in the runtime but for the glue of kernel libraries (oneDNN, cuBLASLt, cuDNN) and the tests.
"""
# Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
import re

import sources

NAMES = re.compile(r"pp[-_]?ocr|rapid_?ocr|silero|mini_?lm|resnet|mobilenet|efficientnet|vit_b|\bvit\b|bert(?![a-z])|gpt"
                   r"|llama|alexnet|densenet|inception|shufflenet|squeezenet|\bvgg|zfnet", re.IGNORECASE)
OPERATORS = re.compile(r"mat_?mul|\bconv(olution)?(?![a-z])|softmax|gelu|relu|attention|lstm|\bgru\b|pooling|layer_?norm|einsum", re.IGNORECASE)
GLUE = ("runtime/devices/cpu/onednn", "runtime/devices/cuda/cublaslt", "runtime/devices/cuda/cudnn", "runtime/cts")
# Files of the glue may be listed elsewhere.
GLUE_FILE = re.compile(r"devices/(cpu/onednn|cuda/cublaslt|cuda/cudnn)/\S+")
UNDER = ("lib", "include", "runtime", "tools")


def is_runtime(path):
    return path.parts[0] == "runtime" and not str(path).startswith(GLUE)


def check(root):
    findings = []
    for path in sources.files(root, under=UNDER):
        if path.parts[:2] == ("tools", "dev"):
            continue
        for number, line in enumerate(sources.read_lines(root, path), 1):
            match = NAMES.search(line)
            if match:
                findings.append(f"{path}:{number}: '{match.group()}' names a model; no code may know one")
            operator = OPERATORS.search(GLUE_FILE.sub("", line)) if is_runtime(path) else None
            if operator:
                findings.append(f"{path}:{number}: '{operator.group()}' names an operator; the runtime may know none")
    return findings


if __name__ == "__main__":
    sources.main(check)
