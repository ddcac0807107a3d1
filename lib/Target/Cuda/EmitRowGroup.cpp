//===- EmitRowGroup.cpp - A group of row ops as one function ----*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A row of at most kWarpRow elements belongs to a warp, and a block has several of them; a longer one to a block. Each
// thread takes every n-th element, or every n-th vector of elements. A reduction joins the threads of a warp with
// shuffles, each with the one 16, 8, 4, 2 and 1 lanes away, then the warps of a block through shared memory, each
// reduction through words of its own: one barrier is enough.
//
//===----------------------------------------------------------------------===//

#include "EmitLoops.h"
#include "RowGroup.h"
#include "penstock/Dialect/NN/IR/Extents.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Interfaces/ViewLikeInterface.h"

namespace penstock::cuda {

static constexpr int64_t kWarp = 32, kWarpRow = 1024, kLongRow = 8192;

/// Threads of a row, rows of a block.
static BlockShape chooseBlock(const RowGroup &group, MLIRContext *context) {
  std::optional<int64_t> length = nn::getConstant(product(context, group.space.along));
  if (!length)
    return {128, 1, 1};
  if (*length <= kWarpRow)
    return {kWarp, 4, 1};
  return {*length <= kLongRow ? 256 : 512, 1, 1};
}

/// Elements that a thread takes at once: a vector, if all ops can and every thread of the row gets one.
static int64_t chooseWidth(const RowGroup &group, const BlockShape &block, MLIRContext *context) {
  int64_t last = group.space.rows.size() + group.space.along.size() - 1, width = kMostWidth;
  for (RowOp op : group.ops) {
    if (op.role == RowRole::Numbers)
      continue;
    auto loop = llvm::find(op.axes, last);
    if (loop == op.axes.end())
      return 1;
    width = std::min(width, findWidth(op.op, group.space.along.back(), loop - op.axes.begin()));
  }
  std::optional<int64_t> length = nn::getConstant(product(context, group.space.along));
  return length && *length < block[0] * width ? 1 : width;
}

namespace {

class GroupEmitter {
public:
  GroupEmitter(const RowGroup &group, func::FuncOp host, gpu::GPUModuleOp device)
      : group(group), context(host.getContext()), block(chooseBlock(group, context)),
        width(chooseWidth(group, block, context)), f(host, device, group.ops.back().op, block, listShared()), b(f.b),
        loc(f.loc) {}

  void run() {
    lane = f.thread(gpu::Dimension::x);
    Value row = f.blockNumber();
    if (block[1] > 1)
      row = f.add(f.multiply(row, f.index(block[1])), f.thread(gpu::Dimension::y));
    AffineExpr numRows = product(context, group.space.rows);
    auto body = [&] {
      position = f.delinearize(row, group.space.rows);
      for (RowOp op : group.ops)
        emit(op);
    };
    // All lanes of a warp have one row, so that shuffles are of one mind; a block with barriers has one row.
    block[1] > 1 ? f.when(f.isBelow(row, f.index(numRows)), body) : body();
    f.finish(ceilDiv(numRows, block[1]));
    for (RowOp op : llvm::reverse(group.ops))
      op.op->erase();
  }

private:
  int64_t numWarps() const { return block[0] / kWarp; }

  /// Words for the sums of warps, of each reduction its own.
  SmallVector<MemRefType> listShared() {
    SmallVector<MemRefType> types;
    auto space = gpu::AddressSpaceAttr::get(context, gpu::AddressSpace::Workgroup);
    if (numWarps() > 1)
      for (RowOp op : group.ops)
        if (op.role == RowRole::Reduce)
          types.push_back(MemRefType::get({numWarps()}, findCombiner(op.op)->getResult(0).getType(),
                                          MemRefLayoutAttrInterface(), space));
    return types;
  }

  void emit(RowOp op) {
    if (op.role == RowRole::Reduce)
      return emitReduction(op);
    if (op.role == RowRole::Numbers) {
      for (auto [init, value] : llvm::zip(op.op.getDpsInitsMutable(), compute(op, {})))
        setNumber(op, init, value);
      return;
    }
    overRow({}, [&](ArrayRef<Position> vector, ValueRange) {
      SmallVector<SmallVector<Value>> results;
      for (const Position &along : vector)
        results.push_back(compute(op, along));
      for (auto [along, values] : llvm::zip(vector, results))
        f.store(values, op.op, positionOf(op, along));
      return SmallVector<Value>();
    });
  }

  using Position = SmallVector<Value>; ///< along the row

  /// `body(positions of a vector, carried)` for this thread's vectors.
  SmallVector<Value> overRow(ValueRange carried,
                             function_ref<SmallVector<Value>(ArrayRef<Position>, ValueRange)> body) {
    Value length = f.index(product(context, group.space.along));
    Value first = width > 1 ? f.multiply(lane, f.index(width)) : lane;
    return f.loop(first, length, f.index(block[0] * width), carried, [&](Value flat, ValueRange current) {
      Position along = f.delinearize(flat, group.space.along);
      SmallVector<Position> vector{along};
      for (int64_t i = 1; i < width; ++i) {
        vector.push_back(along);
        vector.back().back() = f.add(along.back(), f.index(i));
      }
      return body(vector, current);
    });
  }

  SmallVector<Value> positionOf(RowOp op, ValueRange along) {
    SmallVector<Value> result;
    int64_t numRows = group.space.rows.size();
    for (int64_t axis : op.axes)
      result.push_back(axis < 0 ? f.index(0) : axis < numRows ? position[axis] : along[axis - numRows]);
    return result;
  }

  /// Numbers of rows that the group has made are in registers.
  SmallVector<Value> compute(RowOp op, ValueRange along, Value partial = {}) {
    SmallVector<Value> given(op.op->getNumOperands());
    for (OpOperand &operand : op.op->getOpOperands())
      if (isa<MemRefType>(operand.get().getType()))
        given[operand.getOperandNumber()] = numbers.lookup(getBase(operand.get()));
    if (partial)
      given[op.op.getDpsInitOperand(0)->getOperandNumber()] = partial;
    return f.compute(op.op, positionOf(op, along), given);
  }

  void emitReduction(RowOp op) {
    Operation *combiner = findCombiner(op.op);
    OpOperand &init = *op.op.getDpsInitOperand(0);
    Value known = numbers.lookup(getBase(init.get()));
    Value start = known ? known : f.load(init, positionOf(op, zeros()));
    Value neutral = b.create<arith::ConstantOp>(loc, *arith::getNeutralElement(combiner));
    Value sum = overRow(neutral, [&](ArrayRef<Position> vector, ValueRange carried) {
      Value partial = carried[0];
      for (const Position &along : vector)
        partial = compute(op, along, partial)[0];
      return SmallVector<Value>{partial};
    })[0];
    sum = joinWarp(sum, combiner);
    if (numWarps() > 1)
      sum = joinWarps(sum, neutral, combiner);
    setNumber(op, init, f.combine(combiner, start, sum));
  }

  SmallVector<Value> zeros() { return SmallVector<Value>(group.space.along.size(), f.index(0)); }

  Value joinWarp(Value value, Operation *combiner) {
    Value width = b.create<arith::ConstantOp>(loc, b.getI32IntegerAttr(kWarp));
    for (int32_t distance = kWarp / 2; distance > 0; distance /= 2) {
      Value offset = b.create<arith::ConstantOp>(loc, b.getI32IntegerAttr(distance));
      auto other = b.create<gpu::ShuffleOp>(loc, value, offset, width, gpu::ShuffleMode::XOR);
      value = f.combine(combiner, value, other.getShuffleResult());
    }
    return value;
  }

  Value joinWarps(Value value, Value neutral, Operation *combiner) {
    Value words = f.getShared(numShared++), warp = f.index(kWarp), zero = f.index(0);
    Value inWarp = b.create<arith::RemUIOp>(loc, lane, warp);
    Value first = b.create<arith::CmpIOp>(loc, arith::CmpIPredicate::eq, inWarp, zero);
    f.when(first,
           [&] { b.create<memref::StoreOp>(loc, value, words, Value(b.create<arith::DivUIOp>(loc, lane, warp))); });
    b.create<gpu::BarrierOp>(loc);
    Value count = f.index(numWarps()), isThere = f.isBelow(inWarp, count);
    Value place = b.create<arith::SelectOp>(loc, isThere, inWarp, zero);
    Value word = b.create<memref::LoadOp>(loc, words, place);
    return joinWarp(b.create<arith::SelectOp>(loc, isThere, word, neutral), combiner);
  }

  /// A number of the row: kept, and written by one thread if anybody else reads it.
  void setNumber(RowOp op, OpOperand &init, Value value) {
    Value base = getBase(init.get());
    numbers[base] = value;
    if (!isNeededElsewhere(base))
      return;
    Value first = b.create<arith::CmpIOp>(loc, arith::CmpIPredicate::eq, lane, f.index(0));
    f.when(first, [&] { f.store(value, init, positionOf(op, zeros())); });
  }

  bool isNeededElsewhere(Value base) {
    if (!base.getDefiningOp<memref::ViewOp>())
      return true;
    SmallVector<Value> views{base};
    while (!views.empty())
      for (Operation *user : views.pop_back_val().getUsers()) {
        if (llvm::any_of(group.ops, [&](RowOp op) { return op.op.getOperation() == user; }) || isa<memref::DimOp>(user))
          continue;
        if (user->getNumResults() != 1 || !isa<ViewLikeOpInterface>(user))
          return true;
        views.push_back(user->getResult(0));
      }
    return false;
  }

  const RowGroup &group;
  MLIRContext *context;
  BlockShape block;
  int64_t width;
  DeviceFunction f;
  OpBuilder &b;
  Location loc;
  Value lane;
  SmallVector<Value> position;    ///< of the row
  DenseMap<Value, Value> numbers; ///< by buffer
  int64_t numShared = 0;
};

} // namespace

void emitRowGroup(const RowGroup &group, func::FuncOp host, gpu::GPUModuleOp device) {
  GroupEmitter(group, host, device).run();
}

} // namespace penstock::cuda
