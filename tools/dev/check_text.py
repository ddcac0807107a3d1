#!/usr/bin/env python3
"""What no file may contain: tabs, trailing blanks, an open end without an issue number, a path of one machine, a registry's
host name; and what every source file must: the licence line.
"""
# Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
import re

import sources

SPDX = "SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception"
LICENSED = (".cpp", ".h", ".td", ".py", ".sh", "dev")
BINARY = (".png", ".onnx", ".pb", ".npy", ".npz")
# Patterns are written so that they do not match themselves.
FORBIDDEN = (
    (re.compile(r"\t"), "a tab"),
    (re.compile(r"[ ]+$"), "blanks at the end of the line"),
    (re.compile(r"\bT[O]DO\b(?!\(#\w+\))|\bFIX[M]E\b|\bXX[X]\b"), "an open end without an issue; expected TODO(#123)"),
    (re.compile(r"(?<![\w.$}])/(?:[w]ork|[r]oot|[h]ome/\w+|[f]arm|[t]mp/bash_jobs|[t]mp/pb)(?:/|\b)"),
     "a path of one machine"),
    (re.compile(r"\b(?:[p]ypi\.org|[p]ythonhosted\.org|[d]eb\.debian\.org|[r]egistry\.npmjs|[c]rates\.io|[p]roxy\.golang)"),
     "the host of a package registry"),
)


def check_file(path, lines):
    findings = []
    for number, line in enumerate(lines, 1):
        for pattern, what in FORBIDDEN:
            if pattern.search(line):
                findings.append(f"{path}:{number}: {what}: {line.strip()[:100]}")
    is_source = (path.suffix in LICENSED or path.name in LICENSED) and "Inputs" not in path.parts
    if is_source and lines and not any(SPDX in line for line in lines[:30]):
        findings.append(f"{path}:1: no licence line; expected '{SPDX}' near the top")
    if lines and lines[-1]:
        findings.append(f"{path}:{len(lines)}: no newline at the end of the file")
    return findings


def check(root):
    findings = []
    for path in sources.files(root):
        if path.suffix not in BINARY and path.parts[:3] != ("test", "fuzz", "corpus"):
            findings += check_file(path, sources.read_lines(root, path))
    return findings


if __name__ == "__main__":
    sources.main(check)
