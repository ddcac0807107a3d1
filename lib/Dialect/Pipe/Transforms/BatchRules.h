//===- BatchRules.h - How each op treats the rows of a batch ---*- C++ -*-===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_LIB_DIALECT_PIPE_TRANSFORMS_BATCHRULES_H
#define PENSTOCK_LIB_DIALECT_PIPE_TRANSFORMS_BATCHRULES_H

#include "penstock/Dialect/Pipe/Transforms/BatchAnalysis.h"

namespace penstock::pipe {

/// Where the rows of the first results of an op without regions lie, given those of its operands; nothing if it mixes
/// rows, or is not known to keep them apart. All results have them alike unless the op says otherwise.
std::optional<llvm::SmallVector<Carry>> applyBatchRule(mlir::Operation *op, llvm::ArrayRef<Carry> operands,
                                                       mlir::AffineExpr batch);

/// True if the extent of the batch occurs in the type.
bool mentionsBatch(mlir::Type type, mlir::AffineExpr batch);

} // namespace penstock::pipe

#endif // PENSTOCK_LIB_DIALECT_PIPE_TRANSFORMS_BATCHRULES_H
