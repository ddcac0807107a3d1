//===- CublasLt.cpp - libcublasLt.so.13 of the machine that is not there -===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What is used of it so far.
//
//===----------------------------------------------------------------------===//
#include <cstddef>

extern "C" size_t cublasLtGetVersion() { return 130100; }
