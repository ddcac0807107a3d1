//===- Selection.cpp - Ops that choose by the data -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
// Loops in one fixed order over buffers, with what is found so far in memory.
//===----------------------------------------------------------------------===//
#include "Buffers.h"

#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"

namespace penstock::linalg_lowering {
using namespace nn;

namespace {

class Selector : BufferEmitter {
public:
  Selector(Emitter &e, Location loc, Type element) : BufferEmitter(e, loc, element) {}

  void emit(PositionsOp op);
  void emit(NonMaxSuppressionOp op);

private:
  /// A box by its lowest and highest corner.
  struct Box {
    Value low[2], high[2];
  };

  // Memory.
  Value cell(int64_t initial);
  Value getCell(Value memref) { return b.create<arith::IndexCastOp>(loc, b.getIndexType(), get(memref)); }
  void putCell(Value number, Value memref) { put(toI64(number), memref); }
  Value get(Value memref, ValueRange indices = {}) { return b.create<memref::LoadOp>(loc, memref, indices); }
  void put(Value value, Value memref, ValueRange indices = {}) {
    b.create<memref::StoreOp>(loc, value, memref, indices);
  }
  Value scalarOf(Value tensor) { return b.create<tensor::ExtractOp>(loc, e.get(tensor), ValueRange()); }

  // Numbers.
  Value both(Value lhs, Value rhs) { return b.create<arith::AndIOp>(loc, lhs, rhs); }
  Value isBelow(Value lhs, Value rhs) { return b.create<arith::CmpIOp>(loc, arith::CmpIPredicate::slt, lhs, rhs); }
  Value isAbove(Value lhs, Value rhs) { return b.create<arith::CmpFOp>(loc, arith::CmpFPredicate::OGT, lhs, rhs); }
  Value flag(bool value) { return b.create<arith::ConstantOp>(loc, b.getBoolAttr(value)); }
  Value toI64(Value number) { return b.create<arith::IndexCastOp>(loc, b.getI64Type(), number); }
  Value plusOne(Value number) { return b.create<arith::AddIOp>(loc, number, index(1)); }
  void when(Value condition, function_ref<void()> body);

  // Boxes.
  Box loadBox(Value boxes, Value batch, Value position, bool isCentered);
  Value areaOf(const Box &box);
  Value overlaps(const Box &lhs, const Box &rhs, Value threshold);
};

} // namespace

/// A position or a number of elements that loops change.
Value Selector::cell(int64_t initial) {
  Value memref = allocate(b.getI64Type(), {});
  putCell(index(initial), memref);
  return memref;
}

void Selector::when(Value condition, function_ref<void()> body) {
  auto op = b.create<scf::IfOp>(loc, condition, /*withElseRegion=*/false);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(op.thenBlock());
  body();
}

void Selector::emit(PositionsOp op) {
  Value mask = read(op.getMask()), result = open(op.getResult());
  Value room = e.index(loc, getExtent(Emitter::typeOf(op.getResult()), 0)), next = cell(0);
  loop(index(0), e.index(loc, getExtent(Emitter::typeOf(op.getMask()), 0)), 1, [&](Value i) {
    Value at = getCell(next);
    when(both(get(mask, i), isBelow(at, room)), [&] {
      put(toI64(i), result, at);
      putCell(plusOne(at), next);
    });
  });
  close(op.getResult(), result);
}

Selector::Box Selector::loadBox(Value boxes, Value batch, Value position, bool isCentered) {
  Value part[4];
  for (int64_t i = 0; i < 4; ++i)
    part[i] = get(boxes, {batch, position, index(i)});
  Box box;
  for (int i = 0; i < 2; ++i) {
    if (isCentered) {
      Value half = b.create<arith::DivFOp>(loc, part[i + 2], constant(2));
      box.low[i] = b.create<arith::SubFOp>(loc, part[i], half);
      box.high[i] = b.create<arith::AddFOp>(loc, part[i], half);
    } else {
      box.low[i] = b.create<arith::MinimumFOp>(loc, part[i], part[i + 2]);
      box.high[i] = b.create<arith::MaximumFOp>(loc, part[i], part[i + 2]);
    }
  }
  return box;
}

Value Selector::areaOf(const Box &box) {
  return b.create<arith::MulFOp>(loc, b.create<arith::SubFOp>(loc, box.high[0], box.low[0]),
                                 b.create<arith::SubFOp>(loc, box.high[1], box.low[1]));
}

Value Selector::overlaps(const Box &lhs, const Box &rhs, Value threshold) {
  Box common;
  Value result = flag(true), zero = constant(0);
  for (int i = 0; i < 2; ++i) {
    common.low[i] = b.create<arith::MaximumFOp>(loc, lhs.low[i], rhs.low[i]);
    common.high[i] = b.create<arith::MinimumFOp>(loc, lhs.high[i], rhs.high[i]);
    result = both(result, isAbove(common.high[i], common.low[i]));
  }
  Value area = areaOf(common), left = areaOf(lhs), right = areaOf(rhs);
  Value all = b.create<arith::SubFOp>(loc, b.create<arith::AddFOp>(loc, left, right), area);
  for (Value number : {left, right, all})
    result = both(result, isAbove(number, zero));
  return both(result, isAbove(b.create<arith::DivFOp>(loc, area, all), threshold));
}

/// For each class: again and again the best box that is left, and out with those that overlap it.
void Selector::emit(NonMaxSuppressionOp op) {
  RankedTensorType scoreType = Emitter::typeOf(op.getScores()), rowType = Emitter::typeOf(op.getSelected());
  AffineExpr numBoxes = getExtent(scoreType, 2);
  Value boxes = read(op.getBoxes()), scores = read(op.getScores()), count = e.index(loc, numBoxes);
  Value iou = scalarOf(op.getIouThreshold()), threshold = scalarOf(op.getScoreThreshold());
  Value limit = b.create<arith::IndexCastOp>(loc, b.getIndexType(), scalarOf(op.getLimit()));
  Value rows = allocate(b.getI64Type(), getExtents(rowType)), isLeft = allocate(b.getI1Type(), numBoxes);
  Value none = index(-1), taken = cell(0), best = cell(0), room = e.index(loc, getExtent(rowType, 0));
  loop(index(0), room, 1, [&](Value row) {
    for (int64_t i = 0; i < 3; ++i)
      put(ScalarBuilder{b, loc}.integer(b.getI64Type(), 0), rows, {row, index(i)});
  });
  auto takeBest = [&](Value batch, Value cls) {
    putCell(none, best);
    loop(index(0), count, 1, [&](Value i) {
      Value known = getCell(best), other = b.create<arith::MaxSIOp>(loc, known, index(0));
      Value isBetter = isAbove(get(scores, {batch, cls, i}), get(scores, {batch, cls, other}));
      Value isFirst = isBelow(known, index(0));
      when(both(get(isLeft, i), b.create<arith::OrIOp>(loc, isFirst, isBetter)), [&] { putCell(i, best); });
    });
    Value chosen = getCell(best), row = getCell(taken);
    when(both(isBelow(none, chosen), isBelow(row, room)), [&] {
      Value columns[] = {batch, cls, chosen};
      for (auto [i, number] : llvm::enumerate(columns))
        put(toI64(number), rows, {row, index(i)});
      putCell(plusOne(row), taken);
      put(flag(false), isLeft, chosen);
      Box box = loadBox(boxes, batch, chosen, op.getCenterPointBox());
      loop(index(0), count, 1, [&](Value i) {
        when(get(isLeft, i), [&] {
          Value isOut = overlaps(box, loadBox(boxes, batch, i, op.getCenterPointBox()), iou);
          when(isOut, [&] { put(flag(false), isLeft, i); });
        });
      });
    });
  };
  loop(index(0), e.index(loc, getExtent(scoreType, 0)), 1, [&](Value batch) {
    loop(index(0), e.index(loc, getExtent(scoreType, 1)), 1, [&](Value cls) {
      loop(index(0), count, 1, [&](Value i) { put(isAbove(get(scores, {batch, cls, i}), threshold), isLeft, i); });
      putCell(index(0), best);
      // Once nothing is left there is nothing to look for.
      loop(index(0), b.create<arith::MinSIOp>(loc, limit, count), 1,
           [&](Value) { when(isBelow(none, getCell(best)), [&] { takeBest(batch, cls); }); });
    });
  });
  e.set(op.getSelected(), b.create<bufferization::ToTensorOp>(loc, rows, /*restrict=*/true));
  e.set(op.getCount(), b.create<bufferization::ToTensorOp>(loc, taken, /*restrict=*/true));
}

LogicalResult emitSelection(Emitter &e, Operation *op) {
  return llvm::TypeSwitch<Operation *, LogicalResult>(op)
      .Case([&](PositionsOp op) {
        Selector(e, op.getLoc(), e.b.getI64Type()).emit(op);
        return success();
      })
      .Case([&](NonMaxSuppressionOp op) {
        Selector(e, op.getLoc(), e.b.getF32Type()).emit(op);
        return success();
      })
      .Case([&](DefineExtentOp op) {
        e.set(op.getResult(), e.get(op.getValue()));
        return success();
      });
}

} // namespace penstock::linalg_lowering
