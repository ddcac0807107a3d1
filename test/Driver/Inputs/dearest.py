"""Makes one kernel the dearest in what `penstock bench --json` wrote: dearest.py IN OUT NAME. It gets 90 ms, the others 30
in all, so that where a pipeline is cut best does not depend on the machine."""
# Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
import json
import sys

source, target, name = sys.argv[1:]
report = json.load(open(source))
kernels = [kernel for stage in report["stages"] for kernel in stage["kernels"]]
assert name in [kernel["name"] for kernel in kernels] and all(kernel["ms"] > 0 for kernel in kernels), kernels
for kernel in kernels:
    kernel["ms"] = 90 if kernel["name"] == name else 30 / (len(kernels) - 1)
json.dump(report, open(target, "w"))
