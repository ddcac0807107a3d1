"""usage: penstock compile ... --json | kernels.py CONDITION: holds the condition for the counts of kernels?"""
# Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
import json
import sys

found = json.load(sys.stdin)["kernels"]
if not eval(sys.argv[1], {}, found):
    sys.exit(f"{found} are not {sys.argv[1]}")
