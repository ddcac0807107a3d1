//===- HostCode.h - Images that are code of the host -------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// An image may be a shared library of the host, which the compiler of the tests makes of a kernel's device functions
// (test/unit/Cuda/HostImages.h): its threads are played by the GPU machine of test/unit/Cuda. What a launch touches is
// known when it has been played.
//
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_TEST_STANDIN_HOSTCODE_H
#define PENSTOCK_TEST_STANDIN_HOSTCODE_H

#include "Standin.h"

namespace standin {

/// Is the image a library of the host?
bool isHostCode(const void *image);
/// Loads it. Null: it cannot be, which is a fault.
void *loadHostCode(const void *image);
void dropHostCode(void *code);
/// False: the library has no such function.
bool findHostKernel(void *code, const std::string &name, KernelModel &kernel);

} // namespace standin

#endif // PENSTOCK_TEST_STANDIN_HOSTCODE_H
