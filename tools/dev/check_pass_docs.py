#!/usr/bin/env python3
"""The examples in the documentation of passes are true.

    check_pass_docs.py PENSTOCK_OPT [--flag-of-it]... PASSES_TD...

Each pass's description has a block "Before:" and a block "After:" (or "After (with `options`): ..."). The first is run
through the pass; the lines of the second must appear in the result, in order. A line "..." stands for any lines, "..." in
a line for any text. Names of values and runs of spaces do not count.
"""
# Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
import re
import subprocess
import sys

PASS = re.compile(r'^def \w+ : Pass<"([\w-]+)"', re.MULTILINE)
BLOCK = r"```mlir\n(.*?)```"


def normalize(line):
    return re.sub(r"\s+", " ", re.sub(r"%[\w.$-]+(#\d+)?", "%", line)).strip()


def check(opt, flag, body):
    example = re.search(r"Before:\s*" + BLOCK + r"\s*After([^\n]*)\s*" + BLOCK, body, re.DOTALL)
    if not example:
        return [f"{flag}: the description has no example (Before:, After:)"]
    before, note, after = example.groups()
    options = re.search(r"\(with `([^`]*)`\)", note)
    command = [*opt, f"--{flag}" + (f"={options.group(1)}" if options else "")]
    run = subprocess.run(command, input=before, capture_output=True, text=True)
    if run.returncode != 0:
        return [f"{flag}: the example fails: {run.stderr.splitlines()[0] if run.stderr else run.returncode}"]
    lines = iter([normalize(line) for line in run.stdout.splitlines()])
    for line in after.splitlines():
        wanted = normalize(line)
        pattern = re.compile(".*".join(re.escape(part) for part in wanted.split("...")))
        if wanted and wanted != "..." and not any(pattern.fullmatch(line) for line in lines):
            return [f"{flag}: this line of the example is not in the result, or not in this place: {line.strip()}"]
    return []


def main():
    opt = [sys.argv[1]] + [argument for argument in sys.argv[2:] if argument.startswith("--")]
    files = [argument for argument in sys.argv[2:] if not argument.startswith("--")]
    errors, count = [], 0
    for name in files:
        text = open(name, encoding="utf-8").read()
        starts = list(PASS.finditer(text))
        for start, end in zip(starts, starts[1:] + [None]):
            errors += check(opt, start.group(1), text[start.end() : end.start() if end else len(text)])
            count += 1
    for error in errors:
        print(f"error: {error}", file=sys.stderr)
    print(f"{count} examples, {len(errors)} wrong")
    return 1 if errors or count == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
