#!/usr/bin/env python3
"""Files over 600 lines are findings; functions over 80 lines are warnings, listed but not failing.
"""
# Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
import ast
import re

import sources

MAX_FILE_LINES = 600
MAX_FUNCTION_LINES = 80
SUFFIXES = (".cpp", ".h", ".td", ".py", ".sh", ".cmake", "CMakeLists.txt", "dev")


def long_functions_cpp(lines):
    """(line, number of lines) of bodies that start with a line ending in `{` and end at the brace of that indentation."""
    start, found = None, []
    for number, line in enumerate(lines, 1):
        opens = re.match(r"^(?:  )?[A-Za-z~].*\)[^;=]*\{$", line)
        if opens and not re.match(r"^\s*(?:namespace|class|struct|enum|extern|union)\b", line):
            start = (number, len(line) - len(line.lstrip()))
        elif start and re.match(r"^ {%d}\}" % start[1], line):
            if number - start[0] > MAX_FUNCTION_LINES:
                found.append((start[0], number - start[0]))
            start = None
    return found


def long_functions_python(lines):
    tree = ast.parse("\n".join(lines))
    return [(node.lineno, node.end_lineno - node.lineno) for node in ast.walk(tree)
            if isinstance(node, ast.FunctionDef) and node.end_lineno - node.lineno > MAX_FUNCTION_LINES]


def check(root):
    findings, warnings = [], []
    for path in sources.files(root, suffixes=SUFFIXES):
        lines = sources.read_lines(root, path)
        if len(lines) > MAX_FILE_LINES + 1:
            findings.append(f"{path}:{len(lines)}: {len(lines)} lines; expected at most {MAX_FILE_LINES}")
        long = []
        if path.suffix in (".cpp", ".h"):
            long = long_functions_cpp(lines)
        elif path.suffix == ".py":
            long = long_functions_python(lines)
        warnings += [f"{path}:{line}: a function of {length} lines; {MAX_FUNCTION_LINES} are a lot"
                     for line, length in long]
    return findings, warnings


if __name__ == "__main__":
    sources.main(check)
