#!/usr/bin/env python3
"""Lit tests that could not fail: directives FileCheck ignores, SSA numbers, and files too long to read.

Findings: a comment that looks like a directive but is none (CHECK-LABLE:, CHEKC:), a directive without its colon,
`%0`-style SSA names in a directive (they change with every pass), a file without a RUN line or over 400 lines.
"""
# Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
import re

import sources

MAX_LINES = 400
SUFFIXES = {"", "NEXT", "SAME", "NOT", "DAG", "LABEL", "EMPTY"}
LIT_WORDS = {"RUN", "REQUIRES", "UNSUPPORTED", "XFAIL", "DEFINE", "REDEFINE", "COM", "END", "ALLOW_RETRIES", "NOTE",
             "ONNX"}    # a line of the model that test/Import/Inputs/from_text.py makes of the test
PREFIX = re.compile(r"--?check-prefix(?:es)?[= ]([\w,-]+)")
DIRECTIVE = re.compile(r"^\s*(?://|#|;)\s*([A-Z][A-Z0-9_]*(?:-[A-Z0-9_]+)*)(\{[A-Z,]+\})?\s*:")
SSA_NUMBER = re.compile(r"%\d+")


def prefixes_of(text):
    found = {prefix for match in PREFIX.finditer(text) for prefix in match.group(1).split(",") if prefix}
    return found | {"CHECK"}


def is_directive(word, prefixes):
    """True for PREFIX, PREFIX-NEXT, PREFIX-COUNT-3 and so on."""
    for prefix in prefixes:
        if word == prefix:
            return True
        if word.startswith(prefix + "-"):
            rest = word[len(prefix) + 1:]
            if rest in SUFFIXES or re.fullmatch(r"COUNT-\d+", rest):
                return True
    return False


def check_file(path, lines):
    text = "\n".join(lines)
    prefixes = prefixes_of(text)
    missing_colon = re.compile(r"^\s*(?://|#|;)\s*(?:" + "|".join(map(re.escape, sorted(prefixes))) +
                               r")(?:-(?:NEXT|SAME|NOT|DAG|LABEL))?\s+[^\s:]")
    findings = []
    if "RUN:" not in text:
        findings.append(f"{path}:1: no RUN line; lit would not run this file")
    if len(lines) > MAX_LINES + 1:
        findings.append(f"{path}:{len(lines)}: {len(lines)} lines; expected at most {MAX_LINES}")
    for number, line in enumerate(lines, 1):
        match = DIRECTIVE.match(line)
        if match and is_directive(match.group(1), prefixes):
            if SSA_NUMBER.search(line):
                findings.append(f"{path}:{number}: SSA number in a directive; expected a captured name such as %[[A:.*]]")
        elif match and match.group(1) not in LIT_WORDS:
            findings.append(f"{path}:{number}: '{match.group(1)}:' is no directive of FileCheck or lit")
        elif missing_colon.match(line):
            findings.append(f"{path}:{number}: directive without a colon; FileCheck ignores it")
    return findings


def check(root):
    findings = []
    for path in sources.files(root, under=("test",), suffixes=(".mlir", ".test")):
        if "Inputs" not in path.parts:
            findings += check_file(path, sources.read_lines(root, path))
    return findings


if __name__ == "__main__":
    sources.main(check)
