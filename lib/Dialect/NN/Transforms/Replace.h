//===- Replace.h - An op in the place of others ----------------*- C++ -*-===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_LIB_DIALECT_NN_TRANSFORMS_REPLACE_H
#define PENSTOCK_LIB_DIALECT_NN_TRANSFORMS_REPLACE_H

#include "penstock/Dialect/NN/Transforms/Passes.h"

#include "mlir/IR/PatternMatch.h"

namespace penstock::nn {

/// Replaces `op`, which has one result, by an op `name` of the same type, at its place in the model too.
inline void replaceWith(PatternRewriter &rewriter, Operation *op, StringRef name, ValueRange operands,
                        ArrayRef<NamedAttribute> attributes) {
  OperationState state(op->getLoc(), name, operands, op->getResultTypes(), attributes);
  Operation *made = rewriter.create(state);
  takePlace(op, made);
  rewriter.replaceOp(op, made);
}

} // namespace penstock::nn

#endif // PENSTOCK_LIB_DIALECT_NN_TRANSFORMS_REPLACE_H
