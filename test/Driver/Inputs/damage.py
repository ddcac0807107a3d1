"""usage: damage.py FOLDER: changes one byte of every kernel in a cache."""
# Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
import pathlib
import sys

for path in pathlib.Path(sys.argv[1]).glob("llvmcache-*"):
    contents = bytearray(path.read_bytes())
    contents[100] ^= 1
    path.write_bytes(contents)
