//===- CutKernel.h - Where kernels end ------------------------ -*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_LIB_TARGET_CUDA_CUTKERNEL_H
#define PENSTOCK_LIB_TARGET_CUDA_CUTKERNEL_H

#include "penstock/Dialect/NN/IR/NNOps.h"

#include <string>

namespace penstock::cuda {

/// A value of a kernel's body that a kernel of its own shall make.
struct Cut {
  mlir::Value value; ///< of an op of the body
  std::string name;  ///< of the new kernel
};

/// Replaces the kernel by one for each cut and one, of the old name, for the rest, which makes at least one of the
/// kernel's results. A later cut may use earlier ones; ops that several parts need are in each of them. The new
/// kernels, in this order.
llvm::SmallVector<nn::KernelOp> cutKernel(nn::KernelOp kernel, llvm::ArrayRef<Cut> cuts);

/// Moves a kernel that only casts and reshapes into the one kernel that reads it, so that what is wider there is never
/// in memory. False: it does more, others read it too, or `mayRead` says no to its reader.
bool joinCasts(nn::KernelOp kernel, llvm::function_ref<bool(nn::KernelOp reader)> mayRead);

} // namespace penstock::cuda

#endif // PENSTOCK_LIB_TARGET_CUDA_CUTKERNEL_H
