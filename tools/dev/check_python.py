#!/usr/bin/env python3
"""What Python would not say by itself: a module without a docstring, an import that nothing uses."""
# Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
import ast

import sources


def imports(tree):
    """{name: line} of what a module imports, at any depth."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            found |= {(alias.asname or alias.name).split(".")[0]: node.lineno for alias in node.names}
    return found


def check_file(path, text):
    """`__init__.py` imports for others."""
    tree = ast.parse(text)
    findings = [] if ast.get_docstring(tree) or not tree.body else [f"{path}:1: a module without a docstring"]
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    if path.name != "__init__.py":
        findings += [f"{path}:{line}: imports '{name}', which nothing uses" for name, line in imports(tree).items()
                     if name not in used]
    return findings


def check(root):
    return [finding for path in sources.files(root, suffixes=(".py",))
            for finding in check_file(path, "\n".join(sources.read_lines(root, path)))]


if __name__ == "__main__":
    sources.main(check)
