"""What the plug-ins ask NVIDIA's libraries for is there under its name, where these are installed; the plug-ins are linked with
none of them."""
# Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
import pathlib
import re
import subprocess

import models
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
RUNTIME = ROOT / "runtime"
CUDA = pathlib.Path("/usr/local/cuda")
# The driver itself comes with a device; the toolkit has a library of its names to link with.
LIBRARIES = {"cuda": ("devices/cuda/CudaCalls.def", "stubs/libcuda.so"),
             "cublaslt": ("devices/cuda/cublaslt/CublasLtCalls.def", "libcublasLt.so.13"),
             "cudnn": ("devices/cuda/cudnn/CudnnCalls.def", "libcudnn.so.9"),
             "nccl": ("transports/nccl/NcclCalls.def", "libnccl.so.2")}


def asked_for(path):
    return re.findall(r"^PENSTOCK_\w+_CALL\(\w+,\s*(\w+),", path.read_text(), re.MULTILINE)


def exported(library):
    lines = subprocess.run(["readelf", "--dyn-syms", "--wide", library], text=True, capture_output=True, check=True).stdout
    rows = [line.split() for line in lines.splitlines() if " UND " not in line]
    return {row[7].split("@")[0] for row in rows if len(row) > 7}


@pytest.mark.parametrize("name", LIBRARIES)
def test_symbols(name):
    table, file = LIBRARIES[name]
    names = asked_for(RUNTIME / table)
    assert len(names) > 8 and len(set(names)) == len(names)
    found = [CUDA / folder / file for folder in ("lib64", "lib") if (CUDA / folder / file).exists()]
    if not found:
        pytest.skip(f"no {file} in {CUDA}")
    assert [symbol for symbol in names if symbol not in exported(found[0])] == []


@pytest.mark.parametrize("plugin", ["cuda", "nccl"])
def test_plugins_need_no_library_of_nvidia(plugin):
    path = models.BUILD / f"lib/penstock/libpenstock-{plugin}.so"
    dynamic = subprocess.run(["readelf", "-d", path], text=True, capture_output=True, check=True).stdout
    needed = re.findall(r"\(NEEDED\).*\[(.*)\]", dynamic)
    assert needed and all(re.match(r"lib(stdc\+\+|m|gcc_s|c|dl|pthread)\.so|ld-linux", name) for name in needed)
