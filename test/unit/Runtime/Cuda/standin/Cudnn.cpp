//===- Cudnn.cpp - libcudnn.so.9 of the machine that is not there -*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What is used of it so far.
//
//===----------------------------------------------------------------------===//
#include <cstddef>

extern "C" size_t cudnnGetVersion() { return 91900; }
