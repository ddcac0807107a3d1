//===- Ranking.cpp - The first elements in an order -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
// A heap of the k elements that are kept, the last one at its root: O(n log k), and no storage but the results.
//===----------------------------------------------------------------------===//
#include "Buffers.h"

#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"

namespace penstock::linalg_lowering {
using namespace nn;

namespace {

/// An element: its value, and where it stood on the axis.
struct Ranked {
  Value value, position;
};

class Ranker : BufferEmitter {
public:
  Ranker(Emitter &e, TopKOp op, Type element)
      : BufferEmitter(e, op.getLoc(), element), op(op), inType(Emitter::typeOf(op.getInput())) {}

  void emit();

private:
  void rankRow(ArrayRef<Value> row, Value count, Value wanted);
  void siftDown(Value from, Value size);

  // Elements of the row at hand.
  SmallVector<Value> at(Value place) {
    SmallVector<Value> indices(base);
    indices[op.getAxis()] = place;
    return indices;
  }
  Ranked get(Value place) {
    SmallVector<Value> indices = at(place);
    return {b.create<memref::LoadOp>(loc, values, indices), b.create<memref::LoadOp>(loc, positions, indices)};
  }
  void put(Ranked element, Value place) {
    SmallVector<Value> indices = at(place);
    b.create<memref::StoreOp>(loc, element.value, values, indices);
    b.create<memref::StoreOp>(loc, element.position, positions, indices);
  }
  Ranked read(Value place) {
    return {b.create<memref::LoadOp>(loc, input, at(place)), b.create<arith::IndexCastOp>(loc, b.getI64Type(), place)};
  }
  void swap(Value left, Value right) {
    Ranked first = get(left), second = get(right);
    put(second, left);
    put(first, right);
  }
  /// By value, then by place.
  Value isBefore(Ranked left, Ranked right);

  // Numbers.
  Value isBelow(Value lhs, Value rhs) { return b.create<arith::CmpIOp>(loc, arith::CmpIPredicate::slt, lhs, rhs); }
  Value plus(Value lhs, Value rhs) { return b.create<arith::AddIOp>(loc, lhs, rhs); }
  Value minus(Value lhs, Value rhs) { return b.create<arith::SubIOp>(loc, lhs, rhs); }
  Value both(Value lhs, Value rhs) { return b.create<arith::AndIOp>(loc, lhs, rhs); }
  void when(Value condition, function_ref<void()> body);
  /// What `body` gives where the condition holds, else false.
  Value flagWhen(Value condition, function_ref<Value()> body);

  TopKOp op;
  RankedTensorType inType;
  Type stored; ///< of the values
  Value input, values, positions;
  SmallVector<Value> base;
};

} // namespace

void Ranker::when(Value condition, function_ref<void()> body) {
  auto branch = b.create<scf::IfOp>(loc, condition, /*withElseRegion=*/false);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(branch.thenBlock());
  body();
}

Value Ranker::flagWhen(Value condition, function_ref<Value()> body) {
  auto branch = b.create<scf::IfOp>(loc, b.getI1Type(), condition, /*withElseRegion=*/true);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(branch.thenBlock());
  b.create<scf::YieldOp>(loc, body());
  b.setInsertionPointToStart(branch.elseBlock());
  b.create<scf::YieldOp>(loc, Value(b.create<arith::ConstantOp>(loc, b.getBoolAttr(false))));
  return branch.getResult(0);
}

Value Ranker::isBefore(Ranked left, Ranked right) {
  ScalarBuilder s{b, loc};
  bool noSign = isUnsigned(inType);
  CompareKind better = op.getLargest() ? CompareKind::gt : CompareKind::lt;
  Value first = s.compare(better, left.value, right.value, noSign);
  Value same = s.compare(CompareKind::eq, left.value, right.value, noSign);
  return b.create<arith::OrIOp>(loc, first, both(same, isBelow(left.position, right.position)));
}

/// Below a place that is in order but for its own element, which sinks until no child comes after it.
void Ranker::siftDown(Value from, Value size) {
  Type type = b.getIndexType();
  auto sink = b.create<scf::WhileOp>(loc, TypeRange{type, type}, ValueRange{from});
  OpBuilder::InsertionGuard guard(b);
  Block *before = b.createBlock(&sink.getBefore(), {}, type, loc);
  Value parent = before->getArgument(0), left = plus(plus(parent, parent), index(1)), right = plus(left, index(1));
  Value takesRight = flagWhen(isBelow(right, size), [&] { return isBefore(get(left), get(right)); });
  Value child = b.create<arith::SelectOp>(loc, takesRight, right, left);
  Value sinks = flagWhen(isBelow(left, size), [&] { return isBefore(get(parent), get(child)); });
  b.create<scf::ConditionOp>(loc, sinks, ValueRange{parent, child});
  Block *after = b.createBlock(&sink.getAfter(), {}, {type, type}, {loc, loc});
  swap(after->getArgument(0), after->getArgument(1));
  b.create<scf::YieldOp>(loc, after->getArgument(1));
}

void Ranker::rankRow(ArrayRef<Value> row, Value count, Value wanted) {
  base.assign(row.begin(), row.end());
  Value zero = index(0), one = index(1), numKept = b.create<arith::MinSIOp>(loc, wanted, count);
  loop(zero, numKept, 1, [&](Value place) { put(read(place), place); });
  ScalarBuilder s{b, loc};
  Ranked none{s.constant(stored, 0), s.integer(b.getI64Type(), -1)};
  loop(numKept, wanted, 1, [&](Value place) { put(none, place); });
  Value half = b.create<arith::DivUIOp>(loc, numKept, index(2));
  loop(zero, half, 1, [&](Value i) { siftDown(minus(minus(half, one), i), numKept); });
  when(isBelow(zero, numKept), [&] {
    loop(numKept, count, 1, [&](Value place) {
      Ranked next = read(place);
      when(isBefore(next, get(zero)), [&] {
        put(next, zero);
        siftDown(zero, numKept);
      });
    });
  });
  // The last one goes to the end, again and again.
  loop(zero, numKept, 1, [&](Value i) {
    Value end = minus(minus(numKept, one), i);
    swap(zero, end);
    siftDown(zero, end);
  });
}

void Ranker::emit() {
  RankedTensorType type = Emitter::typeOf(op.getValues()), wideType = inType;
  Value tensor = e.widen(loc, e.get(op.getInput()), wideType);
  stored = getStorageType(wideType.getElementType());
  input = b.create<bufferization::ToMemrefOp>(loc, MemRefType::get(wideType.getShape(), stored), tensor,
                                              /*read_only=*/b.getUnitAttr());
  SmallVector<AffineExpr> extents = getExtents(type), rows = getExtents(inType);
  values = allocate(stored, extents);
  positions = allocate(b.getI64Type(), extents);
  Value count = e.index(loc, rows[op.getAxis()]), wanted = e.index(loc, extents[op.getAxis()]);
  rows[op.getAxis()] = e.constantExpr(1);
  Value numRows = e.index(loc, getNumElements(getTensorType(rows, inType.getElementType())));
  scf::ForOp ranking =
      loop(index(0), numRows, 1, [&](Value row) { rankRow(e.delinearize(loc, row, rows), count, wanted); });
  if (e.style == LoopStyle::Tensors)
    ranking->setAttr(kParallelLoopAttr, b.getUnitAttr());
  RankedTensorType wideValues = getTensorType(extents, wideType.getElementType());
  Value found = b.create<bufferization::ToTensorOp>(loc, values, /*restrict=*/true);
  e.set(op.getValues(), e.narrow(loc, found, wideValues, type));
  e.set(op.getIndices(), b.create<bufferization::ToTensorOp>(loc, positions, /*restrict=*/true));
}

LogicalResult emitRanking(Emitter &e, TopKOp op) {
  Type element = Emitter::typeOf(op.getInput()).getElementType();
  Ranker(e, op, getStorageType(element)).emit();
  return success();
}

} // namespace penstock::linalg_lowering
