//===- CudnnTable.h - The kernels that cuDNN does ------------- -*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Which kernels go to cuDNN, and the small objects that call it (CudaConvolution.h). The library is not asked when a
// model is compiled: what is taken is what its engines do on every chip.
//
// Threads: constant after creation.
//
//===----------------------------------------------------------------------===//

#ifndef PENSTOCK_TARGET_CUDA_CUDNNTABLE_H
#define PENSTOCK_TARGET_CUDA_CUDNNTABLE_H

#include "penstock/Kernels/KernelCompiler.h"

namespace penstock::cuda {

/// `allowsTf32`: factors of type f32 may be rounded to 10 bits of fraction.
std::unique_ptr<kernels::LibraryTable> createCudnnTable(bool allowsTf32);

} // namespace penstock::cuda

#endif // PENSTOCK_TARGET_CUDA_CUDNNTABLE_H
