//===- KernelShapes.h - At which extents kernels run -----------*- C++ -*-===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_DIALECT_PIPE_TRANSFORMS_KERNELSHAPES_H
#define PENSTOCK_DIALECT_PIPE_TRANSFORMS_KERNELSHAPES_H

#include "penstock/Dialect/NN/IR/NNOps.h"

namespace penstock::pipe {

/// Writes down, for each kernel with symbols, the values that they have in its calls: `kernel.typical` (the largest
/// ones), and `kernel.lower` and `kernel.upper` over all calls unless one of them is free.
void setKernelShapes(mlir::ModuleOp module);

} // namespace penstock::pipe

#endif // PENSTOCK_DIALECT_PIPE_TRANSFORMS_KERNELSHAPES_H
