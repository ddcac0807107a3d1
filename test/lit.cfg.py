"""How lit runs the tests here: .mlir files for dialects, passes and conversions, .test files for the tools.

Set by lit.site.cfg.py: config.penstock_bin, config.llvm_bin, config.penstock_python, config.penstock_build.
`--param roundtrip=1` runs every penstock-opt with --verify-roundtrip.
"""
# Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
import os
import pathlib
import platform

import lit.formats

config.name = "penstock-roundtrip" if lit_config.params.get("roundtrip") else "penstock"
config.test_format = lit.formats.ShTest(execute_external=False)
config.suffixes = [".mlir", ".test"]
config.excludes = ["Inputs", "unit", "e2e", "fuzz"]
config.test_source_root = str(pathlib.Path(__file__).parent)
config.test_exec_root = os.path.join(config.penstock_build, "test", "lit-" + config.name)

config.environment["PATH"] = os.pathsep.join([config.penstock_bin, config.llvm_bin, os.environ.get("PATH", "")])
config.environment["PENSTOCK_BUILD"] = config.penstock_build
# No calibration of this machine has a say in what tests expect.
config.environment["XDG_CACHE_HOME"] = os.path.join(config.test_exec_root, "cache")
for name in ("HOME", "TMPDIR", "PENSTOCK_CACHE", "PENSTOCK_CUDA"):
    if name in os.environ:
        config.environment[name] = os.environ[name]

if lit_config.params.get("roundtrip"):
    config.substitutions.append((r"\bpenstock-opt\b", "penstock-opt --verify-roundtrip"))
config.substitutions.append(("%python", config.penstock_python))

config.available_features.add(platform.machine())
for tool in ("penstock", "penstock-opt", "penstock-lsp-server"):
    if os.path.exists(os.path.join(config.penstock_bin, tool)):
        config.available_features.add(tool)
standin = os.path.join(config.penstock_build, "test", "unit", "standin")
if os.path.exists(os.path.join(standin, "libcuda.so.1")):
    config.available_features.add("standin")
config.substitutions.append(("%standin", standin))
cuda = os.environ.get("PENSTOCK_CUDA") or os.path.join(config.penstock_build, "cuda/nvidia/cu13")
if os.access(os.path.join(cuda, "bin/ptxas"), os.X_OK):
    config.available_features.add("ptxas")
if os.geteuid() == 0:
    config.available_features.add("root")
cpu_flags = pathlib.Path("/proc/cpuinfo").read_text() if os.path.exists("/proc/cpuinfo") else ""
for feature in ("avx2", "avx512f"):
    if feature in cpu_flags:
        config.available_features.add(feature)
