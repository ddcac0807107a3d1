#!/usr/bin/env bash
#===- build_onnx.sh - build ONNX's C++ library from its pinned sdist -------------------------------------------===#
#
# Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# usage: build_onnx.sh BUILD_FOLDER VENV
#
# Installs ONNX (headers, static libraries, ONNXConfig.cmake) into BUILD_FOLDER/third_party/onnx. The sdist comes from the
# package registry through pip, which checks its hash against requirements-onnx-sdist.txt. The result is kept under
# ${PENSTOCK_CACHE:-$HOME/.cache/penstock} so that a second clone need not build it again; a cache that cannot be written
# is only a message. Exit status: 0 installed, 1 the download, the build or the install failed.
#===----------------------------------------------------------------------===#
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
build=$1 venv=$2
prefix=$build/third_party/onnx work=$build/third_party/onnx-build
cache_root=${PENSTOCK_CACHE:-${HOME:-/nonexistent}/.cache/penstock}

# Everything that decides the result is in the key: the pinned source, this script, the compiler and protobuf.
key() {
  { cat "$here/requirements-onnx-sdist.txt" "${BASH_SOURCE[0]}"; clang++-19 --version | head -1; protoc --version; uname -m; } |
    sha256sum | cut -c1-16
}

fetch() {
  "$venv/bin/pip" download --quiet --disable-pip-version-check --no-deps --no-build-isolation --no-binary :all: \
    --require-hashes -r "$here/requirements-onnx-sdist.txt" -d "$work"
  tar -xzf "$work"/onnx-*.tar.gz -C "$work"
}

compile() {
  local launcher=()
  command -v ccache >/dev/null && launcher=(-DCMAKE_C_COMPILER_LAUNCHER=ccache -DCMAKE_CXX_COMPILER_LAUNCHER=ccache)
  "$venv/bin/cmake" -S "$work"/onnx-*/ -B "$work/build" -G Ninja -DCMAKE_BUILD_TYPE=Release \
    -DCMAKE_C_COMPILER=clang-19 -DCMAKE_CXX_COMPILER=clang++-19 -DCMAKE_CXX_STANDARD=17 "${launcher[@]}" \
    -DCMAKE_POSITION_INDEPENDENT_CODE=ON -DCMAKE_INSTALL_PREFIX="$prefix.new" -DPython3_EXECUTABLE="$venv/bin/python" \
    -DONNX_USE_PROTOBUF_SHARED_LIBS=ON -DONNX_BUILD_PYTHON=OFF -DONNX_BUILD_TESTS=OFF
  "$venv/bin/cmake" --build "$work/build" --parallel "$(nproc)"
  "$venv/bin/cmake" --install "$work/build"
}

install_from() { # FOLDER: becomes the installed library, exchanged at once
  rm -rf "$prefix"
  mv "$1" "$prefix"
  echo "$stamp" >"$prefix/.stamp"
}

stamp=$(key)
[ "$(cat "$prefix/.stamp" 2>/dev/null)" = "$stamp" ] && exit 0
mkdir -p "$build/third_party"
rm -rf "$prefix.new"
cached=$cache_root/onnx-$stamp.tar
if [ -f "$cached" ] && mkdir -p "$prefix.new" && tar -xf "$cached" -C "$prefix.new"; then
  echo "onnx: taken from $cached"
  install_from "$prefix.new"
  exit 0
fi
rm -rf "$work" "$prefix.new"
mkdir -p "$work"
log=$build/third_party/onnx-build.log
echo "onnx: building the C++ library (about 2 minutes on 2 cores; log in $log)"
if ! { fetch && compile; } >"$log" 2>&1; then
  tail -30 "$log" >&2
  echo "error: building ONNX's C++ library failed; the whole log is in $log" >&2
  exit 1
fi
install_from "$prefix.new"
if mkdir -p "$cache_root" 2>/dev/null && tar -cf "$cached.$$" -C "$prefix" . 2>/dev/null; then
  mv "$cached.$$" "$cached"
else
  rm -f "$cached.$$" 2>/dev/null || true
  echo "onnx: $cache_root cannot be written; the next clone builds it again"
fi
rm -rf "$work"
