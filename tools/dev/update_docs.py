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

import generated_docs

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "test/e2e"))
import tiny    # noqa: E402  the document's model is one of the tests'

DOCUMENT = pathlib.PurePosixPath("docs/Architecture.md")
BLOCK = re.compile(r"(<!-- dump: (\w+) -->\n).*?(<!-- /dump -->)", re.DOTALL)
HASH = re.compile(r"\b(k_)?([0-9a-f]{32})\b")


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


def without_plan(text):
    """The module's `pipe.plan = {...}` as `pipe.plan = {}`: it is shown once, where it is made."""
    start = text.find("pipe.plan = {")
    if start < 0:
        return text
    end, depth = start + len("pipe.plan = "), 0
    while True:
        depth += {"{": 1, "}": -1}.get(text[end], 0)
        end += 1
        if depth == 0:
            return text[:start] + "pipe.plan = {}" + text[end:]


def with_short_hashes(text, names):
    """Hashes of kernels as k_A, k_B, ... in order of appearance over all phases."""
    return HASH.sub(lambda match: names.setdefault(match.group(2), f"k_{chr(ord('A') + len(names))}"), text)


def filled(document, phases):
    names = {}
    shown = {phase: with_short_hashes(without_locations(text), names) for phase, text in phases.items()}

    def fill(match):
        if match.group(2) not in shown:
            raise SystemExit(f"error: no dump of phase '{match.group(2)}'; there are {', '.join(shown)}")
        text = shown[match.group(2)] if match.group(2) == "assign" else without_plan(shown[match.group(2)])
        return f"{match.group(1)}```mlir\n{text.strip()}\n```\n{match.group(3)}"

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
