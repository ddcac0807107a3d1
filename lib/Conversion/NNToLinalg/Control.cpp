//===- Control.cpp - Control flow inside a kernel -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#include "Emitter.h"

#include "mlir/Dialect/SCF/IR/SCF.h"

namespace penstock::linalg_lowering {
using namespace nn;

/// Lowers the ops of a branch at the end of `block` and yields what it yields.
static LogicalResult emitBranch(Emitter &e, Region &region, Block *block) {
  OpBuilder::InsertionGuard guard(e.b);
  e.b.setInsertionPointToEnd(block);
  for (Operation &op : region.front().without_terminator())
    if (failed(e.emit(&op)))
      return failure();
  SmallVector<Value> yielded;
  for (Value value : region.front().getTerminator()->getOperands())
    yielded.push_back(e.get(value));
  e.b.create<scf::YieldOp>(region.getLoc(), yielded);
  return success();
}

LogicalResult emitIf(Emitter &e, IfOp op) {
  Location loc = op.getLoc();
  RankedTensorType conditionType = Emitter::typeOf(op.getCondition());
  SmallVector<Value> zeros(conditionType.getRank(), e.index(loc, e.constantExpr(0)));
  Value condition = e.b.create<tensor::ExtractOp>(loc, e.get(op.getCondition()), zeros);
  SmallVector<Type> types;
  for (Value result : op.getResults())
    types.push_back(Emitter::storageType(Emitter::typeOf(result)));
  auto made = e.b.create<scf::IfOp>(loc, types, condition, /*addThenBlock=*/true, /*addElseBlock=*/true);
  if (failed(emitBranch(e, op.getThenRegion(), made.thenBlock())) ||
      failed(emitBranch(e, op.getElseRegion(), made.elseBlock())))
    return failure();
  for (auto [result, value] : llvm::zip(op.getResults(), made.getResults()))
    e.set(result, value);
  return success();
}

} // namespace penstock::linalg_lowering
