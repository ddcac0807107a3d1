#!/usr/bin/env python3
"""clang-format over every C and C++ file, then the check scripts; --fix lets clang-format rewrite the files."""
# Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
import argparse
import pathlib
import subprocess
import sys

import sources
from run_tests import CHECKS


def clang_format(fix):
    paths = [str(path) for path in sources.files(suffixes=(".cpp", ".h", ".c"))]
    if not paths:
        return True
    mode = ["-i"] if fix else ["--dry-run", "--Werror"]
    return subprocess.run(["clang-format-19", *mode, *paths], cwd=sources.ROOT).returncode == 0


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fix", action="store_true")
    options = parser.parse_args()
    bad = [] if clang_format(options.fix) else ["clang-format"]
    folder = pathlib.Path(__file__).parent
    bad += [check for check in CHECKS if subprocess.run([sys.executable, folder / f"{check}.py"]).returncode]
    print(f"lint: {', '.join(bad)} failed" if bad else "lint: clean")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
