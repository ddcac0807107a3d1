//===- LayoutGraph.h - Which images come channels-last ---------*- C++ -*-===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
// An op can turn if it has a form whose images are channels-last: convolutions and pooling by their attribute, others
// because they do the same along other axes. Units of costs: bytes that are read or written.
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_LIB_DIALECT_NN_TRANSFORMS_LAYOUTGRAPH_H
#define PENSTOCK_LIB_DIALECT_NN_TRANSFORMS_LAYOUTGRAPH_H

#include "penstock/Dialect/NN/IR/NNOps.h"

#include "llvm/ADT/DenseSet.h"

namespace penstock::nn {

inline RankedTensorType typeOf(Value value) { return cast<RankedTensorType>(value.getType()); }

/// Has `op` a form for channels-last images?
bool canTurn(Operation *op);
/// Is the result an image that turns with the op? False for a reduction that drops axes.
bool turnsResult(Operation *op);
/// Operands that turn with the op, all of at least three axes.
SmallVector<OpOperand *> getImages(Operation *op);
/// Does an operand of an elementwise op with fewer axes than the result mean channels, or nothing but one number?
bool isPerChannel(RankedTensorType type, int64_t resultRank);

/// The ops of `block` that are to turn, so that the bytes moved between layouts are least; of several such sets the
/// smallest. `typical`: values of the symbols.
llvm::DenseSet<Operation *> chooseChannelsLast(Block &block, ArrayRef<int64_t> typical);

} // namespace penstock::nn

#endif // PENSTOCK_LIB_DIALECT_NN_TRANSFORMS_LAYOUTGRAPH_H
