//===- Nvrtc.cpp - libnvrtc.so.13 of the machine that is not there -*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// It is asked for its version, and compiles nothing: the cuDNN that is not there has no need of it.
//
//===----------------------------------------------------------------------===//
#pragma GCC visibility push(default)
extern "C" int nvrtcVersion(int *major, int *minor) {
  *major = 13, *minor = 0;
  return 0;
}
#pragma GCC visibility pop
