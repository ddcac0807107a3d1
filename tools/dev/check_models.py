#!/usr/bin/env python3
"""No special cases: no name of a model in the compiler or the runtime (lib/, include/, runtime/, tools/penstock*).
"""
# Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
import re

import sources

NAMES = re.compile(r"pp[-_]?ocr|rapid_?ocr|silero|mini_?lm|resnet|mobilenet|efficientnet|vit_b|\bvit\b|bert(?![a-z])|gpt"
                   r"|llama|alexnet|densenet|inception|shufflenet|squeezenet|\bvgg|zfnet", re.IGNORECASE)
UNDER = ("lib", "include", "runtime", "tools")


def check(root):
    findings = []
    for path in sources.files(root, under=UNDER):
        if path.parts[:2] == ("tools", "dev"):
            continue
        for number, line in enumerate(sources.read_lines(root, path), 1):
            match = NAMES.search(line)
            if match:
                findings.append(f"{path}:{number}: '{match.group()}' names a model; no code may know one")
    return findings


if __name__ == "__main__":
    sources.main(check)
