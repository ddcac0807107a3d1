"""Writes a model from ONNX's textual form: from_text.py TEXT OUT.onnx. Of TEXT only lines that begin with `// ONNX: ` count."""
# Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
import sys

import onnx

PREFIX = "// ONNX: "

with open(sys.argv[1], encoding="utf-8") as text:
    lines = [line[len(PREFIX):] for line in text if line.startswith(PREFIX)]
onnx.save(onnx.parser.parse_model("".join(lines)), sys.argv[2])
