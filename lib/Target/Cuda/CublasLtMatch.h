//===- CublasLtMatch.h - Kernels as cuBLASLt sees them -------- -*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// One product of matrices, of which 16-bit factors may have a result of f32; then a factor, a bias, another summand of
// the result's shape, and an activation, as far as cuBLASLt's epilogue does them: relu, and GELU in its tanh form.
// Anything else is left to generated code.
//
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_LIB_TARGET_CUDA_CUBLASLTMATCH_H
#define PENSTOCK_LIB_TARGET_CUDA_CUBLASLTMATCH_H

#include "LibraryEnd.h"
#include "cublaslt/CudaProduct.h"

#include <optional>

namespace penstock::cuda {

/// A kernel as a descriptor. Its buffers are the kernel's inputs, its result, then the workspace.
struct CublasLtKernel {
  rt_cuda_product_desc desc = {};
  llvm::SmallVector<mlir::AffineExpr> extents; ///< RT_CUDA_PRODUCT_NUM_EXTENTS, over the kernel's symbols
};

/// The descriptor of a kernel's body, if it has one, without the kernel's name. `allowsTf32`: factors of type f32 may
/// be rounded.
std::optional<CublasLtKernel> matchCublasLt(mlir::Block &body, bool allowsTf32);

LibraryEnd findCublasLtEnd(mlir::Block &body);

/// Whether a factor is an input of its kernel as far as the library goes: seen in another shape, or with the last two
/// axes swapped.
bool isReadByCublasLt(mlir::Value factor);

} // namespace penstock::cuda

#endif // PENSTOCK_LIB_TARGET_CUDA_CUBLASLTMATCH_H
