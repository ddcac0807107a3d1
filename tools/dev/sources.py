#!/usr/bin/env python3
"""The project's own files, and how a check script reports: one `path:line: message` per finding, exit status 1 if any.
"""
# Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
SKIPPED_FOLDERS = {"build", "__pycache__"}


def files(root=ROOT, under=(), suffixes=()):
    """Paths relative to root, sorted: what git tracks or would track; without git, every file outside build folders."""
    root = pathlib.Path(root)
    listed = _git_files(root) if (root / ".git").exists() else None
    if listed is None:
        listed = _walk(root)
    kept = [pathlib.PurePosixPath(path) for path in sorted(set(listed))]
    if under:
        kept = [path for path in kept if path.parts[0] in under]
    if suffixes:
        kept = [path for path in kept if path.suffix in suffixes or path.name in suffixes]
    return [path for path in kept if (root / path).is_file()]


def _git_files(root):
    command = ["git", "-C", str(root), "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None    # no git here, or a clone that belongs to somebody else
    return [path for path in done.stdout.decode().split("\0") if path]


def _walk(root):
    for folder, names, found in os.walk(root):
        names[:] = [name for name in names if name not in SKIPPED_FOLDERS and not name.startswith((".git", "build-"))]
        for name in found:
            yield pathlib.Path(folder, name).relative_to(root).as_posix()


def read_lines(root, path):
    """The lines of a text file; an empty list for a binary one."""
    data = (pathlib.Path(root) / path).read_bytes()
    return [] if b"\0" in data[:4096] else data.decode(errors="replace").split("\n")


def report(findings, warnings=()):
    for line in warnings:
        print(f"warning: {line}")
    for line in findings:
        print(line)
    return 1 if findings else 0


def main(check):
    """Runs check(root) -> findings, or (findings, warnings), for the folder in argv[1] (default: this project)."""
    root = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT
    found = check(root)
    sys.exit(report(*found) if isinstance(found, tuple) else report(found))
