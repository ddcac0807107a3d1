//===- LibraryEnd.h - How much of a kernel a library does ----- -*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_LIB_TARGET_CUDA_LIBRARYEND_H
#define PENSTOCK_LIB_TARGET_CUDA_LIBRARYEND_H

#include "penstock/Dialect/NN/IR/NNOps.h"

#include "llvm/ADT/SetVector.h"

namespace penstock::cuda {

/// The value of a body up to which a library could make it, once some of its constants have memory of their own.
struct LibraryEnd {
  mlir::Value value; ///< null: the body holds nothing that is the library's
  llvm::SetVector<nn::ConstantOp> constants;
};

} // namespace penstock::cuda

#endif // PENSTOCK_LIB_TARGET_CUDA_LIBRARYEND_H
