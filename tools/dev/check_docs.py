#!/usr/bin/env python3
"""What documents point at is there, and every document can be reached.

Findings: a relative link whose file or heading does not exist, a source file that is named (`lib/X/Y.cpp`) and does not exist, a
document under docs that no links lead to from README.md, a decision that docs/README.md does not list, a line of README.md that
is wider than 120 columns.
"""
# Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
import os
import pathlib
import re

import sources

README = "README.md"
LIST = pathlib.PurePosixPath("docs/README.md")
DECISIONS = pathlib.PurePosixPath("docs/decisions")
MAX_COLUMNS = 120
LINK = re.compile(r"\]\(([^()\s]+)\)")
CODE = re.compile(r"`[^`]*`")
NAMED = re.compile(r"`((?:docs|include|lib|runtime|tools|test|bench|examples|python)/[\w./-]+\.(?:cpp|h|td|def|py|sh|txt|md|mlir))`")


def prose(text):
    """(number, line) of the lines outside code blocks: fenced ones, and those that are indented by four after a blank line."""
    fenced = indented = False
    before = ""
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("```"):
            fenced = not fenced
        elif not fenced:
            indented = line.startswith("    ") and (indented or not before.strip())
            if not indented:
                yield number, line
        before = line


def anchors(text):
    """The names by which headings can be linked to, as GitHub makes them."""
    headings = [line.lstrip("#").strip() for _, line in prose(text) if re.match(r"#{1,6} ", line)]
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links(text):
    """(line, target) of each relative link."""
    for number, line in prose(text):
        for target in LINK.findall(CODE.sub("`", line)):
            if not re.match(r"[a-z]+:", target):
                yield number, target


def resolved(path, target):
    """(path in the tree, heading) that `target` means in the document `path`."""
    file, _, heading = target.partition("#")
    return (os.path.normpath(path.parent / file) if file else str(path)), heading


def check_links(root, texts):
    findings = []
    for path, text in texts.items():
        for number, target in links(text):
            file, heading = resolved(path, target)
            if not (root / file).exists():
                findings.append(f"{path}:{number}: links to '{target}', which does not exist")
            elif heading and file.endswith(".md") and heading not in anchors((root / file).read_text()):
                findings.append(f"{path}:{number}: links to '{target}', but '{file}' has no such heading")
    return findings


def check_named(root, texts):
    """Files that are named; docs about the runtime may leave out its folder."""
    return [f"{path}:{number}: names '{name}', which does not exist" for path, text in texts.items()
            for number, line in prose(text) for name in NAMED.findall(line)
            if not (root / name).exists() and not (root / "runtime" / name).exists()]


def check_reached(texts):
    """A document that nobody who begins with README.md can come to is a finding."""
    reached, ahead = set(), [README]
    while ahead:
        name = ahead.pop()
        path = pathlib.PurePosixPath(name)
        if name not in reached and path in texts:
            reached.add(name)
            ahead += [resolved(path, target)[0] for _, target in links(texts[path])]
    return [f"{path}:1: no links lead here from {README}; docs/README.md is the list" for path in texts
            if path.parts[0] == "docs" and str(path) not in reached]


def check_decisions(texts):
    listed = {resolved(LIST, target)[0] for _, target in links(texts.get(LIST, ""))}
    return [f"{path}:1: {LIST} does not list this decision" for path in texts
            if path.parent == DECISIONS and str(path) not in listed]


def check(root):
    root = pathlib.Path(root)
    texts = {path: (root / path).read_text() for path in sources.files(root, suffixes=(".md",))}
    wide = [f"{README}:{number}: {len(line)} columns; expected at most {MAX_COLUMNS}"
            for number, line in enumerate(texts.get(pathlib.PurePosixPath(README), "").splitlines(), 1)
            if len(line) > MAX_COLUMNS]
    return check_links(root, texts) + check_named(root, texts) + check_reached(texts) + check_decisions(texts) + wide


if __name__ == "__main__":
    sources.main(check)
