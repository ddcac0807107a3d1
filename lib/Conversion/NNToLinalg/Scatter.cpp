//===- Scatter.cpp - Ops that write where other values say -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
// What must happen in one order is one loop over a flat index, for devices inside of one over what does not meet;
// everything else stays linalg.
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

/// A copy of `input` with `updates` at `where`, one after the other. Updates that differ on `freeAxes` never meet:
/// devices that distribute loops themselves get a loop over these around the one over the rest.
static Value scatter(Emitter &e, Location loc, Value input, RankedTensorType type, Value updates,
                     RankedTensorType updateType, ArrayRef<int64_t> freeAxes, ScatterKind kind,
                     llvm::function_ref<SmallVector<Value>(ArrayRef<Value>)> where) {
  Value copy = e.elementwise(loc, type, {{input, type}}, [](OpBuilder &, Location, ValueRange in) { return in[0]; });
  auto update = [&](ArrayRef<Value> at, Value result) -> Value {
    SmallVector<Value> target = where(at);
    Value next = e.b.create<tensor::ExtractOp>(loc, updates, at);
    Value old = e.b.create<tensor::ExtractOp>(loc, result, target);
    return e.b.create<tensor::InsertOp>(loc, combine(e.b, loc, kind, old, next, isUnsigned(type)), result, target);
  };
  SmallVector<AffineExpr> extents = getExtents(updateType);
  if (e.style == LoopStyle::Rows || freeAxes.empty())
    return loop(e, loc, e.index(loc, getNumElements(updateType)), copy, [&](Value flat, ValueRange carried) {
      return SmallVector<Value>{update(e.delinearize(loc, flat, extents), carried[0])};
    })[0];
  SmallVector<AffineExpr> outer(extents.size(), e.constantExpr(1)), inner(extents);
  for (int64_t axis : freeAxes)
    std::swap(outer[axis], inner[axis]);
  auto countOf = [&](ArrayRef<AffineExpr> space) {
    return e.index(loc, getNumElements(getTensorType(space, updateType.getElementType())));
  };
  Value numInner = countOf(inner);
  SmallVector<Value> results = loop(e, loc, countOf(outer), copy, [&](Value free, ValueRange carried) {
    SmallVector<Value> place = e.delinearize(loc, free, outer);
    return loop(e, loc, numInner, carried, [&](Value bound, ValueRange current) {
      SmallVector<Value> at = e.delinearize(loc, bound, inner);
      for (int64_t axis : freeAxes)
        at[axis] = place[axis];
      return SmallVector<Value>{update(at, current[0])};
    });
  });
  results[0].getDefiningOp()->setAttr(kParallelLoopAttr, e.b.getUnitAttr());
  return results[0];
}

static LogicalResult emitScatterElements(Emitter &e, ScatterElementsOp op) {
  Location loc = op.getLoc();
  RankedTensorType type = Emitter::typeOf(op.getInput());
  Value extent = e.index(loc, getExtent(type, op.getAxis())), indices = e.get(op.getIndices());
  SmallVector<int64_t> freeAxes;
  for (int64_t axis = 0; axis < type.getRank(); ++axis)
    if (axis != static_cast<int64_t>(op.getAxis()))
      freeAxes.push_back(axis);
  e.set(op.getResult(), scatter(e, loc, e.get(op.getInput()), type, e.get(op.getUpdates()),
                                Emitter::typeOf(op.getUpdates()), freeAxes, op.getKind(), [&](ArrayRef<Value> at) {
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
  RankedTensorType updateType = Emitter::typeOf(op.getUpdates());
  SmallVector<int64_t> freeAxes = llvm::to_vector(llvm::seq<int64_t>(numTupleDims, updateType.getRank()));
  e.set(op.getResult(), scatter(e, loc, e.get(op.getInput()), type, e.get(op.getUpdates()), updateType, freeAxes,
                                op.getKind(), [&](ArrayRef<Value> at) {
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
