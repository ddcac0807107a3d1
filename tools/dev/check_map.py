#!/usr/bin/env python3
"""The architecture as the documents tell it is the one in the tree.

Findings: a path in README's folder map that does not exist, a folder that the map leaves out, a phase that stands in
Driver/Phases.def or in README's phase table but not in both (in the same order), an include against the direction of
dependencies.
"""
# Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
import pathlib
import re

import sources

MAP = re.compile(r"<!-- map -->\n```[a-z]*\n(.*?)```", re.DOTALL)
PHASES = re.compile(r"<!-- phases -->\n(.*?)<!-- /phases -->", re.DOTALL)
PHASE_ROW = re.compile(r"^\| *`?(\w+)`? *\|", re.MULTILINE)
PHASE_DEF = re.compile(r"^PHASE\(\s*(\w+),\s*\"?(\w+)\"?\s*,", re.MULTILINE)
INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]')

# Folders whose every subfolder that holds files must stand in the map.
MAPPED = ("", "lib", "runtime", "runtime/transports", "runtime/devices", "tools", "lib/Dialect", "lib/Conversion",
          "lib/Target", "test")

# Part of the compiler -> parts it may include. None: everything.
PLAIN = ("Partition", "Schedule", "Place")
DIALECTS = ("Dialect/NN", "Dialect/Pipe", "Dialect/Rt")
ALLOWED = {
    "Partition": (), "Schedule": (), "Place": (), "Support": (),
    "Dialect/NN": ("Support",),
    "Dialect/Pipe": ("Support", "Dialect/NN", *PLAIN),
    "Dialect/Rt": ("Support",),
    "Import": ("Support", "Dialect/NN"),
    "Conversion": ("Support", *DIALECTS, *PLAIN),
    "Kernels": ("Support", *DIALECTS, *PLAIN, "Conversion", "Target"),
    "Target": ("Support", *DIALECTS, *PLAIN, "Conversion", "Kernels"),
    "Link": ("Support", *DIALECTS, "Conversion", "Kernels", "Target", *PLAIN),
    "Driver": None,
}
FOREIGN = ("mlir", "mlir-c", "llvm", "llvm-c", "lld", "clang", "onnx")


def part_of(relative):
    """'Dialect/NN/IR/Ops.h' -> 'Dialect/NN'; 'Link/Weights.h' -> 'Link'."""
    parts = relative.split("/")
    return "/".join(parts[:2]) if parts[0] == "Dialect" else parts[0]


def owner_of(path):
    """The part a source file belongs to: a key of ALLOWED, 'runtime', or None (tools, tests)."""
    parts = path.parts
    if parts[0] == "runtime":
        return "runtime"
    if parts[0] == "lib":
        return part_of("/".join(parts[1:]))
    if parts[:2] == ("include", "penstock"):
        return part_of("/".join(parts[2:]))
    return None


def include_fault(owner, header):
    """Why `owner` may not include `header`, or None."""
    top = header.split("/")[0]
    if top in FOREIGN and (owner in PLAIN or owner == "runtime"):
        return f"{owner} is built without LLVM, MLIR and ONNX"
    if top != "penstock":
        return None
    part = part_of(header[len("penstock/"):])
    if owner == "runtime":
        return None if part in ("rt", "Place", "Schedule") else "the runtime knows only itself, Place and Schedule"
    if part == "rt":
        return None if owner in ("Driver", "Conversion", "Dialect/Rt", "Link", "Target") else \
            f"{owner} does not know the runtime"
    if owner not in ALLOWED:
        return f"'{owner}' has no entry in check_map.py's table of dependencies"
    allowed = ALLOWED[owner]
    if allowed is None or part == owner or part in allowed:
        return None
    return f"{owner} may include only {', '.join((owner, *allowed))}"


def check_includes(root):
    findings = []
    for path in sources.files(root, under=("lib", "include", "runtime"), suffixes=(".h", ".cpp", ".c", ".def")):
        owner = owner_of(path)
        for number, line in enumerate(sources.read_lines(root, path), 1):
            match = INCLUDE.match(line)
            fault = owner and match and include_fault(owner, match.group(1))
            if fault:
                findings.append(f"{path}:{number}: includes '{match.group(1)}': {fault}")
    return findings


def map_paths(text):
    """Paths of the folder map: indentation gives the parent, the first word the name; `{a,b}` stands for two."""
    stack, found = [], []
    for line in text.splitlines():
        if not line.strip():
            continue
        indent, name = len(line) - len(line.lstrip()), line.split()[0]
        while stack and stack[-1][0] >= indent:
            stack.pop()
        parent = stack[-1][1] if stack else ""
        braces = re.fullmatch(r"(.*)\{(.*)\}(.*)", name)
        names = [braces.group(1) + n + braces.group(3) for n in braces.group(2).split(",")] if braces else [name]
        found += [parent + n for n in names]
        stack.append((indent, parent + names[0]))
    return found


def check_folder_map(root, readme):
    match = MAP.search(readme)
    if not match:
        return ["README.md:1: no folder map (a fenced block after <!-- map -->)"]
    named = [path.rstrip("/") for path in map_paths(match.group(1))]
    findings = [f"README.md:1: the folder map names '{path}', which does not exist" for path in named
                if not (pathlib.Path(root) / path).exists()]
    holding = {"/".join(path.parts[:depth]) for path in sources.files(root) for depth in range(1, len(path.parts))}
    for folder in sorted(holding):
        parent, _, name = folder.rpartition("/")
        if parent in MAPPED and not name.startswith(".") and name not in ("include", "lib") or \
                folder in ("lib", "include"):
            if folder not in named:
                findings.append(f"README.md:1: the folder map leaves out '{folder}'")
    return findings


def check_phases(root, readme):
    definition = pathlib.Path(root) / "include/penstock/Driver/Phases.def"
    if not definition.exists():
        return ["include/penstock/Driver/Phases.def:1: missing; README's phases cannot be checked"]
    defined = [name for _, name in PHASE_DEF.findall(definition.read_text())]
    match = PHASES.search(readme)
    told = [name for name in PHASE_ROW.findall(match.group(1)) if name not in ("phase",)] if match else []
    if not defined:
        return [f"{definition.relative_to(root)}:1: no PHASE(id, name, ...) line found"]
    if told != defined:
        return [f"README.md:1: the phase table says {' '.join(told)}; Phases.def says {' '.join(defined)}"]
    return []


def check(root):
    readme_path = pathlib.Path(root) / "README.md"
    readme = readme_path.read_text() if readme_path.exists() else ""
    return check_folder_map(root, readme) + check_phases(root, readme) + check_includes(root)


if __name__ == "__main__":
    sources.main(check)
