//===- BatchAnalysis.h - Which axis carries the batch ----------*- C++ -*-===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
// A request may be cut into microbatches only where it is proved that rows never meet: every op, from the inputs on,
// keeps the rows of the batch apart, along one axis of each value. An axis may hold more than the batch (after a
// reshape), as outer x batch x inner. Values without rows (weights, constants, inputs that have none) go whole to every
// microbatch.
//
// The batch is a symbol of the module, or, where the model is static, the leading extent of its inputs. A static batch
// of one row cannot mix rows: it is enough that every input and output has that row on its leading axis.
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_DIALECT_PIPE_TRANSFORMS_BATCHANALYSIS_H
#define PENSTOCK_DIALECT_PIPE_TRANSFORMS_BATCHANALYSIS_H

#include "penstock/Dialect/NN/IR/NNOps.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace penstock::pipe {

/// Values that are the numbers of rows. They may only choose a row of another value: the row itself.
enum class RowNumbers : uint8_t {
  None,
  All,   ///< every element is the number of its row
  First, ///< so is the first element along the last axis
};

/// Where the rows of a value lie.
struct Carry {
  int64_t axis = -1; ///< -1: the value has no rows
  mlir::AffineExpr outer, inner;
  RowNumbers numbers = RowNumbers::None;

  bool hasRows() const { return axis >= 0; }
  bool operator==(const Carry &other) const {
    return axis == other.axis && outer == other.outer && inner == other.inner && numbers == other.numbers;
  }
};

/// What was proved, or why not.
struct BatchProof {
  bool isProved = false;
  mlir::AffineExpr batch;                ///< a symbol, or the static extent; null if there is no candidate
  llvm::SmallVector<int64_t> inputAxes;  ///< batch axis of each input, -1: goes whole to each microbatch
  llvm::SmallVector<int64_t> outputAxes; ///< batch axis of each output, -1: the same for every microbatch
  std::string reason;                    ///< not proved: what mixes rows
  mlir::Operation *mixing = nullptr;     ///< not proved: where, if it is an op
};

/// Analyzes `@main`, before or after fusion. `batchSymbol` names the symbol; empty: the leading extent that inputs and
/// outputs share.
BatchProof proveBatch(mlir::func::FuncOp entry, llvm::StringRef batchSymbol = {});

} // namespace penstock::pipe

#endif // PENSTOCK_DIALECT_PIPE_TRANSFORMS_BATCHANALYSIS_H
