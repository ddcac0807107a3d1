//===- Indexed.cpp - Ops that read where other values say -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#include "Emitter.h"

namespace penstock::linalg_lowering {
using namespace nn;

static LogicalResult emitGather(Emitter &e, GatherOp op) {
  Location loc = op.getLoc();
  RankedTensorType type = Emitter::typeOf(op.getResult()), inType = Emitter::typeOf(op.getInput());
  int64_t axis = op.getAxis(), numIndexDims = Emitter::typeOf(op.getIndices()).getRank();
  Value extent = e.index(loc, getExtent(inType, axis)), input = e.get(op.getInput()), indices = e.get(op.getIndices());
  e.set(op.getResult(), e.generate(loc, type, [&](OpBuilder &b, Location inner, ValueRange at) -> Value {
    SmallVector<Value> which(at.begin() + axis, at.begin() + axis + numIndexDims);
    Value raw = b.create<tensor::ExtractOp>(inner, indices, which);
    SmallVector<Value> source(at.begin(), at.begin() + axis);
    source.push_back(toPosition(b, inner, raw, extent));
    source.append(at.begin() + axis + numIndexDims, at.end());
    return b.create<tensor::ExtractOp>(inner, input, source);
  }));
  return success();
}

static LogicalResult emitGatherElements(Emitter &e, GatherElementsOp op) {
  Location loc = op.getLoc();
  RankedTensorType type = Emitter::typeOf(op.getResult()), inType = Emitter::typeOf(op.getInput());
  Value extent = e.index(loc, getExtent(inType, op.getAxis())), input = e.get(op.getInput());
  Value indices = e.get(op.getIndices());
  e.set(op.getResult(), e.generate(loc, type, [&](OpBuilder &b, Location inner, ValueRange at) -> Value {
    SmallVector<Value> source(at.begin(), at.end());
    source[op.getAxis()] = toPosition(b, inner, b.create<tensor::ExtractOp>(inner, indices, at), extent);
    return b.create<tensor::ExtractOp>(inner, input, source);
  }));
  return success();
}

static LogicalResult emitGatherND(Emitter &e, GatherNDOp op) {
  Location loc = op.getLoc();
  RankedTensorType type = Emitter::typeOf(op.getResult()), inType = Emitter::typeOf(op.getInput());
  RankedTensorType indexType = Emitter::typeOf(op.getIndices());
  int64_t batchDims = op.getBatchDims(), tuple = indexType.getShape().back(), numTupleDims = indexType.getRank() - 1;
  SmallVector<Value> extents;
  for (AffineExpr expr : getExtents(inType))
    extents.push_back(e.index(loc, expr));
  Value input = e.get(op.getInput()), indices = e.get(op.getIndices());
  e.set(op.getResult(), e.generate(loc, type, [&](OpBuilder &b, Location inner, ValueRange at) -> Value {
    SmallVector<Value> source(at.begin(), at.begin() + batchDims);
    for (int64_t i = 0; i < tuple; ++i) {
      SmallVector<Value> which(at.begin(), at.begin() + numTupleDims);
      which.push_back(b.create<arith::ConstantIndexOp>(inner, i));
      Value raw = b.create<tensor::ExtractOp>(inner, indices, which);
      source.push_back(toPosition(b, inner, raw, extents[batchDims + i]));
    }
    source.append(at.begin() + numTupleDims, at.end());
    return b.create<tensor::ExtractOp>(inner, input, source);
  }));
  return success();
}

LogicalResult emitIndexed(Emitter &e, Operation *op) {
  return llvm::TypeSwitch<Operation *, LogicalResult>(op)
      .Case([&](GatherOp op) { return emitGather(e, op); })
      .Case([&](GatherElementsOp op) { return emitGatherElements(e, op); })
      .Case([&](GatherNDOp op) { return emitGatherND(e, op); });
}

} // namespace penstock::linalg_lowering
