//===- Movement.cpp - Ops that move elements by fixed rules -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#include "Emitter.h"

namespace penstock::linalg_lowering {
using namespace nn;

static LogicalResult emitTranspose(Emitter &e, TransposeOp op) {
  RankedTensorType type = Emitter::typeOf(op.getResult());
  SmallVector<AffineExpr> source(type.getRank());
  for (auto [i, axis] : llvm::enumerate(op.getPerm()))
    source[axis] = e.b.getAffineDimExpr(i);
  AffineMap maps[] = {AffineMap::get(type.getRank(), 0, source, e.b.getContext()),
                      e.b.getMultiDimIdentityMap(type.getRank())};
  SmallVector<utils::IteratorType> iterators(type.getRank(), utils::IteratorType::parallel);
  e.set(op.getResult(), e.generic(op.getLoc(), e.get(op.getInput()), e.empty(op.getLoc(), type), maps, iterators,
                                  [](OpBuilder &, Location, ValueRange in) { return in[0]; }));
  return success();
}

static LogicalResult emitReshape(Emitter &e, ReshapeOp op) {
  e.set(op.getResult(),
        e.reshape(op.getLoc(), e.get(op.getInput()), Emitter::typeOf(op.getInput()), Emitter::typeOf(op.getResult())));
  return success();
}

static LogicalResult emitBroadcastTo(Emitter &e, BroadcastToOp op) {
  e.set(op.getResult(), e.elementwise(op.getLoc(), Emitter::typeOf(op.getResult()),
                                      {{e.get(op.getInput()), Emitter::typeOf(op.getInput())}},
                                      [](OpBuilder &, Location, ValueRange in) { return in[0]; }));
  return success();
}

static LogicalResult emitSlice(Emitter &e, SliceOp op) {
  Location loc = op.getLoc();
  RankedTensorType type = Emitter::typeOf(op.getResult());
  ArrayRef<AffineExpr> starts = op.getStarts().getExprs();
  Value input = e.get(op.getInput());
  if (llvm::all_of(op.getSteps(), [](int64_t step) { return step > 0; })) {
    SmallVector<OpFoldResult> offsets, strides;
    for (auto [start, step] : llvm::zip(starts, op.getSteps())) {
      offsets.push_back(e.extent(loc, simplifyExtent(start)));
      strides.push_back(e.b.getIndexAttr(step));
    }
    e.set(op.getResult(), e.b.create<tensor::ExtractSliceOp>(loc, Emitter::storageType(type), input, offsets,
                                                             e.extents(loc, type), strides));
    return success();
  }
  SmallVector<Value> first;
  for (AffineExpr start : starts)
    first.push_back(e.index(loc, simplifyExtent(start)));
  e.set(op.getResult(), e.generate(loc, type, [&](OpBuilder &b, Location inner, ValueRange indices) -> Value {
    SmallVector<Value> source;
    for (auto [i, index] : llvm::enumerate(indices)) {
      Value step = b.create<arith::ConstantIndexOp>(inner, op.getSteps()[i]);
      source.push_back(b.create<arith::AddIOp>(inner, first[i], b.create<arith::MulIOp>(inner, index, step)));
    }
    return b.create<tensor::ExtractOp>(inner, input, source);
  }));
  return success();
}

static LogicalResult emitConcat(Emitter &e, ConcatOp op) {
  Location loc = op.getLoc();
  RankedTensorType type = Emitter::typeOf(op.getResult());
  Value result = e.empty(loc, type);
  AffineExpr position = e.constantExpr(0);
  SmallVector<OpFoldResult> strides(type.getRank(), e.b.getIndexAttr(1));
  for (Value input : op.getInputs()) {
    RankedTensorType inputType = Emitter::typeOf(input);
    SmallVector<OpFoldResult> offsets(type.getRank(), e.b.getIndexAttr(0));
    offsets[op.getAxis()] = e.extent(loc, simplifyExtent(position));
    result = e.b.create<tensor::InsertSliceOp>(loc, e.get(input), result, offsets, e.extents(loc, inputType), strides);
    position = position + getExtent(inputType, op.getAxis());
  }
  e.set(op.getResult(), result);
  return success();
}

/// The index in [0, extent) that a position outside stands for.
static Value foldBack(OpBuilder &b, Location loc, PadMode mode, Value position, Value extent) {
  auto c = [&](int64_t value) -> Value { return b.create<arith::ConstantIndexOp>(loc, value); };
  Value last = b.create<arith::SubIOp>(loc, extent, c(1));
  auto modulo = [&](Value x, Value m) -> Value {
    Value rest = b.create<arith::RemSIOp>(loc, x, m);
    Value negative = b.create<arith::CmpIOp>(loc, arith::CmpIPredicate::slt, rest, c(0));
    return b.create<arith::SelectOp>(loc, negative, b.create<arith::AddIOp>(loc, rest, m), rest);
  };
  if (mode == PadMode::edge)
    return b.create<arith::MinSIOp>(loc, b.create<arith::MaxSIOp>(loc, position, c(0)), last);
  if (mode == PadMode::wrap)
    return modulo(position, extent);
  // Reflection has the period 2 * (extent - 1); an extent of 1 has no reflection but itself.
  Value period = b.create<arith::MaxSIOp>(loc, b.create<arith::MulIOp>(loc, last, c(2)), c(1));
  Value inside = modulo(position, period);
  return b.create<arith::MinSIOp>(loc, inside, b.create<arith::SubIOp>(loc, period, inside));
}

static LogicalResult emitPad(Emitter &e, PadOp op) {
  Location loc = op.getLoc();
  RankedTensorType inType = Emitter::typeOf(op.getInput()), type = Emitter::typeOf(op.getResult());
  ArrayRef<AffineExpr> low = op.getLow().getExprs();
  Value input = e.get(op.getInput());
  if (op.getMode() == PadMode::constant) {
    Type element = getStorageType(type.getElementType());
    Value scalar = op.getValue() ? Value(e.b.create<tensor::ExtractOp>(loc, e.get(op.getValue()), ValueRange()))
                                 : ScalarBuilder{e.b, loc}.constant(element, 0);
    RankedTensorType made;
    e.set(op.getResult(), e.padded(loc, input, inType, low, op.getHigh().getExprs(), scalar, made));
    return success();
  }
  SmallVector<Value> lows, extents;
  for (auto [i, expr] : llvm::enumerate(getExtents(inType))) {
    lows.push_back(e.index(loc, simplifyExtent(low[i])));
    extents.push_back(e.index(loc, expr));
  }
  e.set(op.getResult(), e.generate(loc, type, [&](OpBuilder &b, Location inner, ValueRange indices) -> Value {
    SmallVector<Value> source;
    for (auto [i, index] : llvm::enumerate(indices))
      source.push_back(foldBack(b, inner, op.getMode(), b.create<arith::SubIOp>(inner, index, lows[i]), extents[i]));
    return b.create<tensor::ExtractOp>(inner, input, source);
  }));
  return success();
}

LogicalResult emitMovement(Emitter &e, Operation *op) {
  return llvm::TypeSwitch<Operation *, LogicalResult>(op)
      .Case([&](TransposeOp op) { return emitTranspose(e, op); })
      .Case([&](ReshapeOp op) { return emitReshape(e, op); })
      .Case([&](BroadcastToOp op) { return emitBroadcastTo(e, op); })
      .Case([&](SliceOp op) { return emitSlice(e, op); })
      .Case([&](ConcatOp op) { return emitConcat(e, op); })
      .Case([&](PadOp op) { return emitPad(e, op); });
}

} // namespace penstock::linalg_lowering
