#!/usr/bin/env python3
"""The tests that docs/Reliability.md names exist, and every row of its tables names one.

A test is named as `FILE::NAME`: a Python function, or Suite.case of GoogleTest.
"""
# Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
import pathlib
import re

import sources

DOCUMENT = "docs/Reliability.md"
NAMED = re.compile(r"`([\w./-]+\.(?:py|cpp))::([\w.]+)`")
RULE = re.compile(r"^\|[\s:|-]+\|$")


def is_defined(text, suffix, name):
    if suffix == ".py":
        return re.search(rf"^def {re.escape(name)}\(", text, re.MULTILINE) is not None
    suite, _, case = name.partition(".")
    return re.search(rf"^TEST(?:_F|_P)?\({re.escape(suite)}, {re.escape(case)}\)", text, re.MULTILINE) is not None


def fault_of(root, file, name):
    """Why there is no such test, or None."""
    path = pathlib.Path(root) / file
    if not path.exists():
        return f"'{file}' does not exist"
    return None if is_defined(path.read_text(), path.suffix, name) else f"'{file}' has no test '{name}'"


def check(root):
    path = pathlib.Path(root) / DOCUMENT
    if not path.exists():
        return [f"{DOCUMENT}:1: missing"]
    findings, in_table, num_rows = [], False, 0
    for number, line in enumerate(path.read_text().splitlines(), 1):
        named = NAMED.findall(line)
        faults = [fault_of(root, file, name) for file, name in named]
        findings += [f"{DOCUMENT}:{number}: {fault}" for fault in faults if fault]
        is_row = in_table and line.startswith("|") and not RULE.match(line)
        in_table = line.startswith("|") and (in_table or RULE.match(line) is not None)
        num_rows += is_row
        if is_row and not named:
            findings.append(f"{DOCUMENT}:{number}: a row without a test; expected `FILE::NAME`")
    return findings if num_rows else findings + [f"{DOCUMENT}:1: no table of faults"]


if __name__ == "__main__":
    sources.main(check)
