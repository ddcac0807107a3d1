//===- Entries.h - What the stand-in of the driver has to define -*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Declares what CudaCalls.def lists, so that a definition of another type does not compile.
//
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_TEST_STANDIN_ENTRIES_H
#define PENSTOCK_TEST_STANDIN_ENTRIES_H

#include "CudaApi.h"

using namespace penstock::rt::cuda;
template <typename Type> using Declared = Type;

#pragma GCC visibility push(default)
extern "C" {
#define PENSTOCK_CUDA_CALL(member, symbol, ...) Declared<__VA_ARGS__> symbol;
#include "CudaCalls.def"
#undef PENSTOCK_CUDA_CALL
}
#pragma GCC visibility pop

#endif // PENSTOCK_TEST_STANDIN_ENTRIES_H
