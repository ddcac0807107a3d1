//===- CublasLtTable.h - The kernels that cuBLASLt does ------- -*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Which kernels go to cuBLASLt, and the small objects that call it (CudaProduct.h). The library is not asked when a
// model is compiled: without a device it says nothing.
//
// Threads: constant after creation.
//
//===----------------------------------------------------------------------===//

#ifndef PENSTOCK_TARGET_CUDA_CUBLASLTTABLE_H
#define PENSTOCK_TARGET_CUDA_CUBLASLTTABLE_H

#include "penstock/Kernels/KernelCompiler.h"

namespace penstock::cuda {

/// `allowsTf32`: factors of type f32 may be rounded to 10 bits of fraction.
std::unique_ptr<kernels::LibraryTable> createCublasLtTable(bool allowsTf32);

} // namespace penstock::cuda

#endif // PENSTOCK_TARGET_CUDA_CUBLASLTTABLE_H
