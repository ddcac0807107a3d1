//===- Scatter.cpp - Ops that write where other values say, and selections -===//
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

/// The indices of the flat-th element, row-major.
static SmallVector<Value> delinearize(Emitter &e, Location loc, Value flat, ArrayRef<AffineExpr> extents) {
  SmallVector<Value> indices(extents.size());
  for (int64_t i = extents.size() - 1; i >= 0; --i) {
    Value extent = e.index(loc, extents[i]);
    indices[i] = e.b.create<arith::RemUIOp>(loc, flat, extent);
    flat = e.b.create<arith::DivUIOp>(loc, flat, extent);
  }
  return indices;
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
                SmallVector<Value> at = delinearize(e, loc, flat, getExtents(updateType)), target = where(at);
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

/// Finds, of the elements that come after the last one found, the one that comes first: by value, then by index. No
/// storage but the results, and O(n * k).
static LogicalResult emitTopK(Emitter &e, TopKOp op) {
  Location loc = op.getLoc();
  OpBuilder &b = e.b;
  RankedTensorType inType = Emitter::typeOf(op.getInput()), type = Emitter::typeOf(op.getValues());
  RankedTensorType indexType = Emitter::typeOf(op.getIndices()), wideType = inType;
  bool noSign = isUnsigned(inType);
  Value x = e.widen(loc, e.get(op.getInput()), wideType);
  Type element = getStorageType(wideType.getElementType());
  int64_t axis = op.getAxis();
  SmallVector<AffineExpr> rows = getExtents(inType);
  AffineExpr length = rows[axis], k = getExtent(type, axis);
  rows[axis] = e.constantExpr(1);
  Value numRows = e.index(loc, getNumElements(getTensorType(rows, inType.getElementType())));
  Value count = e.index(loc, length), numKept = e.index(loc, k);
  CompareKind better = op.getLargest() ? CompareKind::gt : CompareKind::lt;
  ScalarBuilder s{b, loc};
  Value minusOne = b.create<arith::ConstantIndexOp>(loc, -1);
  RankedTensorType wideValues = getTensorType(getExtents(type), wideType.getElementType());

  // (value, index) comes before (other, otherIndex).
  auto before = [&](Value value, Value index, Value other, Value otherIndex) -> Value {
    Value first = s.compare(better, value, other, noSign), same = s.compare(CompareKind::eq, value, other, noSign);
    Value lower = b.create<arith::CmpIOp>(loc, arith::CmpIPredicate::slt, index, otherIndex);
    return b.create<arith::OrIOp>(loc, first, b.create<arith::AndIOp>(loc, same, lower));
  };
  auto isNone = [&](Value index) -> Value {
    return b.create<arith::CmpIOp>(loc, arith::CmpIPredicate::slt, index, b.create<arith::ConstantIndexOp>(loc, 0));
  };
  Value init[] = {e.empty(loc, wideValues), e.empty(loc, indexType)};
  SmallVector<Value> results = loop(e, loc, numRows, init, [&](Value row, ValueRange outer) -> SmallVector<Value> {
    SmallVector<Value> base = delinearize(e, loc, row, rows);
    Value start[] = {outer[0], outer[1], s.constant(element, 0), minusOne};
    SmallVector<Value> filled = loop(e, loc, numKept, start, [&](Value j, ValueRange kept) -> SmallVector<Value> {
      Value none[] = {s.constant(element, 0), minusOne};
      SmallVector<Value> best = loop(e, loc, count, none, [&](Value i, ValueRange found) -> SmallVector<Value> {
        SmallVector<Value> at = base;
        at[axis] = i;
        Value value = b.create<tensor::ExtractOp>(loc, x, at);
        Value left = b.create<arith::OrIOp>(loc, isNone(kept[3]), before(kept[2], kept[3], value, i));
        Value wins = b.create<arith::OrIOp>(loc, isNone(found[1]), before(value, i, found[0], found[1]));
        Value take = b.create<arith::AndIOp>(loc, left, wins);
        return {b.create<arith::SelectOp>(loc, take, value, found[0]),
                b.create<arith::SelectOp>(loc, take, i, found[1])};
      });
      SmallVector<Value> at = base;
      at[axis] = j;
      Value values = b.create<tensor::InsertOp>(loc, best[0], kept[0], at);
      Value position = b.create<arith::IndexCastOp>(loc, b.getI64Type(), best[1]);
      Value indices = b.create<tensor::InsertOp>(loc, position, kept[1], at);
      return {values, indices, best[0], best[1]};
    });
    return {filled[0], filled[1]};
  });
  e.set(op.getValues(), e.narrow(loc, results[0], wideValues, type));
  e.set(op.getIndices(), results[1]);
  return success();
}

LogicalResult emitScatter(Emitter &e, Operation *op) {
  return llvm::TypeSwitch<Operation *, LogicalResult>(op)
      .Case([&](ScatterElementsOp op) { return emitScatterElements(e, op); })
      .Case([&](ScatterNDOp op) { return emitScatterND(e, op); })
      .Case([&](TopKOp op) { return emitTopK(e, op); });
}

} // namespace penstock::linalg_lowering
