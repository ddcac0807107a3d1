//===- MakeKernel.h - Ops become a kernel ----------------------*- C++ -*-===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_DIALECT_NN_TRANSFORMS_MAKEKERNEL_H
#define PENSTOCK_DIALECT_NN_TRANSFORMS_MAKEKERNEL_H

#include "penstock/Dialect/NN/IR/NNOps.h"

namespace penstock::nn {

/// A kernel with copies of `shared` and of `ops`, in their order, which yields what `values` of them are. Where they
/// use `used[i]` it reads its input `inputs[i]`. The ONNX tensors that `ops` make are listed as the kernel's; `shared`
/// are constants and the like, which others have copies of too.
KernelOp makeKernel(OpBuilder &builder, Location loc, StringRef name, ArrayRef<Operation *> shared,
                    ArrayRef<Operation *> ops, ValueRange used, ValueRange inputs, ValueRange values);

} // namespace penstock::nn

#endif // PENSTOCK_DIALECT_NN_TRANSFORMS_MAKEKERNEL_H
