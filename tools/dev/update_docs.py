#!/usr/bin/env python3
"""Write what documents take from the code: the dumps in docs/Architecture.md, and docs/generated.

usage: update_docs.py --build FOLDER [--check]

Architecture.md's model is compiled, and every block `<!-- dump: PHASE -->` is filled anew; docs/generated comes from
TableGen and the importer's registry. With --check nothing is written; exit status 1 and the first differences when a
document is not what the code says.
"""
# Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
import argparse
import difflib
import pathlib
import re
import subprocess
import sys
import tempfile
import textwrap

import generated_docs

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "test/e2e"))
import tiny    # noqa: E402  the document's model is one of the tests'

DOCUMENT = pathlib.PurePosixPath("docs/Architecture.md")
BLOCK = re.compile(r"(<!-- dump: (\w+) -->\n).*?(<!-- /dump -->)", re.DOTALL)
HASH = re.compile(r"\b(k_)?([0-9a-f]{32})\b")
PLAN = "pipe.plan = {"
ROWS = "tensor<?x64xf32, #nn.extents<[s0]>>"
MIN_REPEATED = 3
MAX_COLUMNS = 120
KEPT_BLANK = "\0"


def dumps(build):
    """{phase: text} of the document's model."""
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        tiny.save(tiny.perceptron(num_layers=3), scratch / "tiny.onnx")
        command = [build / "bin/penstock", "compile", "tiny.onnx", "-o", "tiny.mlir", "--stages", "2", "--arch", "x86-64-v3",
                   "--dump-phases", "dumps", "--compile-to", "emit"]
        done = subprocess.run([str(word) for word in command], text=True, capture_output=True, cwd=scratch)
        if done.returncode != 0:
            raise SystemExit(f"error: {done.stderr.strip()}")
        return {path.name.split(".")[2]: path.read_text() for path in sorted((scratch / "dumps").glob("*.mlir"))}


def without_locations(text):
    """A dump without `loc(...)` and the lines that define locations."""
    lines = [line for line in text.splitlines() if not re.match(r"#loc\d* = ", line)]
    return "\n".join(re.sub(r" loc\((?:#loc\d*|unknown|\"[^\"]*\")\)", "", line) for line in lines)


def with_plan(text, shown):
    """The module's `pipe.plan = {...}` as `shown` gives it back."""
    start = text.find(PLAN)
    if start < 0:
        return text
    begin = end = start + len(PLAN)
    depth = 1
    while depth:
        depth += {"{": 1, "}": -1}.get(text[end], 0)
        end += 1
    return text[:begin] + shown(text[begin:end - 1]) + text[end - 1:]


def spread(plan):
    """A line for each of the plan's attributes, and for each element of its lists of attributes."""
    lines, depth = "\n    ", 0
    for character in plan:
        depth += {"{": 1, "[": 1, "}": -1, "]": -1, "<": 1, ">": -1}.get(character, 0)
        if character == " " and lines.endswith(",") and depth == 0:
            lines += "\n    "
        elif character == " " and lines.endswith("},") and depth == 1:
            lines += "\n      "
        else:
            lines += character
    return lines


def with_short_hashes(text, names):
    """Hashes of kernels as k_A, k_B, ... in order of appearance over all phases."""
    return HASH.sub(lambda match: names.setdefault(match.group(2), f"k_{chr(ord('A') + len(names))}"), text)


def without_repetition(lines, before):
    """`lines`, with one line instead of each longer run of lines that stands in the dump before too."""
    kept = []
    for tag, _, _, begin, end in difflib.SequenceMatcher(None, before, lines, autojunk=False).get_opcodes():
        if tag == "equal" and end - begin >= MIN_REPEATED:
            indent = " " * min(len(line) - len(line.lstrip()) for line in lines[begin:end])
            kept.append(f"{indent}// ... {end - begin} lines as before")
        else:
            kept += lines[begin:end]
    return kept


def wrapped(line):
    """A long line broken at blanks outside of texts, which the parser of MLIR takes as well."""
    indent = " " * (len(line) - len(line.lstrip()))
    joined = re.sub(r'"[^"]*"', lambda text: text.group().replace(" ", KEPT_BLANK), line)
    broken = textwrap.wrap(joined, MAX_COLUMNS, subsequent_indent=indent + "    ", break_long_words=False,
                           break_on_hyphens=False)
    return "\n".join(broken).replace(KEPT_BLANK, " ")


def filled(document, phases):
    """The document with its blocks filled; each shows what is not in the dump before it."""
    names, blocks, before = {}, {}, []
    for phase, text in phases.items():
        text = with_short_hashes(without_locations(text), names).replace(ROWS, "!rows")
        text = with_plan(text, spread if phase == "assign" else lambda plan: "")
        lines = (text if before else f"!rows = {ROWS}\n{text}").strip().splitlines()
        blocks[phase] = "\n".join(wrapped(line) for line in without_repetition(lines, before))
        before = lines

    def fill(match):
        if match.group(2) not in blocks:
            raise SystemExit(f"error: no dump of phase '{match.group(2)}'; there are {', '.join(blocks)}")
        return f"{match.group(1)}```mlir\n{blocks[match.group(2)]}\n```\n{match.group(3)}"

    return BLOCK.sub(fill, document)


def update(path, text, only_check):
    """Writes the document, or says where it differs; False if it does."""
    before = (ROOT / path).read_text() if (ROOT / path).exists() else ""
    if not only_check:
        (ROOT / path).parent.mkdir(exist_ok=True)
        (ROOT / path).write_text(text)
        return True
    for line in list(difflib.unified_diff(before.splitlines(), text.splitlines(), str(path), "now", n=1, lineterm=""))[:20]:
        print(line)
    return before == text


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, required=True)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    build = options.build.resolve()
    texts = {DOCUMENT: filled((ROOT / DOCUMENT).read_text(), dumps(build))} | generated_docs.documents(build)
    wrong = [path for path, text in texts.items() if not update(path, text, options.check)]
    for path in wrong:
        print(f"error: {path} is not what the code says; run tools/dev/update_docs.py --build build")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
