//===- Scatter.cpp - Ops that write where other values say -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
// What must happen in one order is one loop over a flat index; everything else stays linalg.
//===----------------------------------------------------------------------===//
#include "Emitter.h"

#include "mlir/Dialect/SCF/IR/SCF.h"

namespace penstock::linalg_lowering {
using namespace nn;

/// A loop from 0 to `count` that carries values.
static SmallVector<Value> loop(Emitter &e, Location loc, Value count, ValueRange init,
                               llvm::function_ref<SmallVector<Value>(Value, ValueRange)> body) {
  OpBuilder &b = e.b;
  Value zero = b.create<arith::ConstantIndexOp>(loc, 0), one = b.create<arith::ConstantIndexOp>(loc, 1);
  auto forOp = b.create<scf::ForOp>(loc, zero, count, one, init);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(forOp.getBody());
  SmallVector<Value> next = body(forOp.getInductionVar(), forOp.getRegionIterArgs());
  if (!next.empty())
    b.create<scf::YieldOp>(loc, next);
  return SmallVector<Value>(forOp.getResults());
}

/// What a scatter puts in place of `old`.
static Value combine(OpBuilder &b, Location loc, ScatterKind kind, Value old, Value update, bool noSign) {
  if (kind == ScatterKind::replace)
    return update;
  static constexpr BinaryKind kinds[] = {BinaryKind::add, BinaryKind::add, BinaryKind::mul, BinaryKind::minimum,
                                         BinaryKind::maximum};
  Type element = old.getType();
  bool half = isa<Float16Type, BFloat16Type>(element);
  auto widen = [&](Value x) -> Value { return half ? Value(b.create<arith::ExtFOp>(loc, b.getF32Type(), x)) : x; };
  Value result = ScalarBuilder{b, loc}.binary(kinds[static_cast<int>(kind)], widen(old), widen(update), noSign);
  return half ? Value(b.create<arith::TruncFOp>(loc, element, result)) : result;
}

/// Applies every element of `updates` in order; `where` gives its place in the result.
static Value scatter(Emitter &e, Location loc, Value input, RankedTensorType type, Value updates,
                     RankedTensorType updateType, ScatterKind kind,
                     llvm::function_ref<SmallVector<Value>(ArrayRef<Value>)> where) {
  Value copy = e.elementwise(loc, type, {{input, type}}, [](OpBuilder &, Location, ValueRange in) { return in[0]; });
  Value count = e.index(loc, getNumElements(updateType));
  return loop(e, loc, count, copy,
              [&](Value flat, ValueRange carried) -> SmallVector<Value> {
                SmallVector<Value> at = e.delinearize(loc, flat, getExtents(updateType)), target = where(at);
                Value update = e.b.create<tensor::ExtractOp>(loc, updates, at);
                Value old = e.b.create<tensor::ExtractOp>(loc, carried[0], target);
                Value made = combine(e.b, loc, kind, old, update, isUnsigned(type));
                return {e.b.create<tensor::InsertOp>(loc, made, carried[0], target)};
              })
      .front();
}

static LogicalResult emitScatterElements(Emitter &e, ScatterElementsOp op) {
  Location loc = op.getLoc();
  RankedTensorType type = Emitter::typeOf(op.getInput());
  Value extent = e.index(loc, getExtent(type, op.getAxis())), indices = e.get(op.getIndices());
  e.set(op.getResult(), scatter(e, loc, e.get(op.getInput()), type, e.get(op.getUpdates()),
                                Emitter::typeOf(op.getUpdates()), op.getKind(), [&](ArrayRef<Value> at) {
                                  SmallVector<Value> target(at);
                                  Value raw = e.b.create<tensor::ExtractOp>(loc, indices, at);
                                  target[op.getAxis()] = toPosition(e.b, loc, raw, extent);
                                  return target;
                                }));
  return success();
}

static LogicalResult emitScatterND(Emitter &e, ScatterNDOp op) {
  Location loc = op.getLoc();
  RankedTensorType type = Emitter::typeOf(op.getInput()), indexType = Emitter::typeOf(op.getIndices());
  int64_t tuple = indexType.getShape().back(), numTupleDims = indexType.getRank() - 1;
  Value indices = e.get(op.getIndices());
  e.set(op.getResult(), scatter(e, loc, e.get(op.getInput()), type, e.get(op.getUpdates()),
                                Emitter::typeOf(op.getUpdates()), op.getKind(), [&](ArrayRef<Value> at) {
                                  SmallVector<Value> target;
                                  for (int64_t i = 0; i < tuple; ++i) {
                                    SmallVector<Value> which(at.take_front(numTupleDims));
                                    which.push_back(e.b.create<arith::ConstantIndexOp>(loc, i));
                                    Value raw = e.b.create<tensor::ExtractOp>(loc, indices, which);
                                    target.push_back(toPosition(e.b, loc, raw, e.index(loc, getExtent(type, i))));
                                  }
                                  llvm::append_range(target, at.drop_front(numTupleDims));
                                  return target;
                                }));
  return success();
}

LogicalResult emitScatter(Emitter &e, Operation *op) {
  return llvm::TypeSwitch<Operation *, LogicalResult>(op)
      .Case([&](ScatterElementsOp op) { return emitScatterElements(e, op); })
      .Case([&](ScatterNDOp op) { return emitScatterND(e, op); });
}

} // namespace penstock::linalg_lowering
