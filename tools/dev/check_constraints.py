#!/usr/bin/env python3
"""Every numbered constraint of an operation is checked somewhere and has a test that violates it.

A description says `* (C2) ...` under `def Pipe_SendOp : Pipe_Op<"send", ...>`; then a comment `send_c2` stands in lib/ (or
in the .td, where a trait or a type holds it), and a case `send_c2` in test/Dialect/.
"""
# Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
import re

import sources

OPERATION = re.compile(r'^def \w+ : (\w+)<"(\w+)"')
CLASS = re.compile(r"^class (\w+)<string mnemonic")
CONSTRAINT = re.compile(r"^\s*\* \(C(\d+)\)")
CLAUSE = re.compile(r"\b([a-z]\w*_c\d+)\b")


def constraints_of(lines):
    """[(line number, clause)] of one TableGen file."""
    derived = {}    # class of TableGen -> operations made from it, which have its constraints
    for match in filter(None, map(OPERATION.match, lines)):
        derived.setdefault(match.group(1), []).append(match.group(2))
    found, operations = [], []
    for number, line in enumerate(lines, 1):
        if match := OPERATION.match(line):
            operations = [match.group(2)]
        elif match := CLASS.match(line):
            operations = derived.get(match.group(1), [])
        elif match := CONSTRAINT.match(line):
            found += [(number, f"{operation}_c{match.group(1)}") for operation in operations]
    return found


def clauses_in(root, under, suffixes, only=""):
    clauses = set()
    for path in sources.files(root, under=under, suffixes=suffixes):
        if str(path).startswith(only):
            clauses.update(clause for line in sources.read_lines(root, path) for clause in CLAUSE.findall(line))
    return clauses


def check(root):
    checked = clauses_in(root, ("lib", "include"), (".cpp", ".h", ".td"))
    tested = clauses_in(root, ("test",), (".mlir",), "test/Dialect/")
    findings = []
    for path in sources.files(root, under=("include",), suffixes=(".td",)):
        for number, clause in constraints_of(sources.read_lines(root, path)):
            if clause not in checked:
                findings.append(f"{path}:{number}: no code names {clause}; expected a comment where it is checked")
            if clause not in tested:
                findings.append(f"{path}:{number}: no test names {clause}; expected a case that violates it")
    return findings


if __name__ == "__main__":
    sources.main(check)
