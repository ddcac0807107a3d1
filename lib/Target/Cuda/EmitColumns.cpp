//===- EmitColumns.cpp - Reductions across rows -------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Sums of columns: the threads of a warp read neighbouring columns, so that reads run along memory, and the warps of a
// block share the rows. Their sums meet in shared memory, in the order of warps.
//
//===----------------------------------------------------------------------===//

#include "EmitLoops.h"
#include "RowGroup.h"
#include "penstock/Dialect/NN/IR/Extents.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"

namespace penstock::cuda {

/// Columns and warps of a block.
static constexpr int32_t kColumns = 32, kWarps = 16;
/// Shorter columns have a thread each, and so have many columns.
static constexpr int64_t kShortColumn = 64, kManyColumns = 1 << 16;

bool reducesColumns(linalg::GenericOp op, ArrayRef<AffineExpr> extents) {
  if (op.getNumReductionLoops() == 0 || op.getNumDpsInputs() != 1 || readsElsewhere(op) || !findCombiner(op))
    return false;
  LoopOrder order(op);
  AffineMap map = op.getMatchingIndexingMap(op.getDpsInputOperand(0));
  if (order.parallel.empty() || map.getNumResults() == 0 ||
      map.getResults().back() != getAffineDimExpr(order.parallel.back(), op.getContext()))
    return false;
  SmallVector<AffineExpr> results = extentsOf(order.parallel, extents), reduced = extentsOf(order.reductions, extents);
  return nn::getConstant(product(op.getContext(), results)).value_or(1) < kManyColumns &&
         nn::getConstant(product(op.getContext(), reduced)).value_or(kShortColumn) >= kShortColumn;
}

namespace {

class ColumnEmitter {
public:
  ColumnEmitter(linalg::GenericOp op, ArrayRef<AffineExpr> extents, func::FuncOp host, gpu::GPUModuleOp device)
      : op(op), combiner(findCombiner(op)), context(op.getContext()), extents(extents), order(op),
        f(host, device, op, {kColumns, kWarps, 1}, makeSharedType()) {}

  void run() {
    SmallVector<AffineExpr> space = extentsOf(order.parallel, extents);
    AffineExpr count = product(context, space);
    Value x = f.thread(gpu::Dimension::x), y = f.thread(gpu::Dimension::y);
    Value column = f.add(f.multiply(f.blockNumber(), f.index(kColumns)), x), numColumns = f.index(count);
    // Threads beside the last column read it too: all of a block must meet.
    Value last = f.b.create<arith::SubIOp>(f.loc, numColumns, f.index(1));
    position.resize(extents.size());
    place(f, f.b.create<arith::MinSIOp>(f.loc, column, last), order.parallel, space, position);
    Value sum = sumRows(y);
    f.b.create<memref::StoreOp>(f.loc, sum, f.getShared(0), ValueRange{y, x});
    f.b.create<gpu::BarrierOp>(f.loc);
    Value writes = f.b.create<arith::AndIOp>(f.loc, f.isEqual(y, f.index(0)), f.isBelow(column, numColumns));
    f.when(writes, [&] {
      OpOperand &init = *op.getDpsInitOperand(0);
      Value total = f.load(init, position);
      for (int64_t warp = 0; warp < kWarps; ++warp)
        total =
            f.combine(combiner, total, f.b.create<memref::LoadOp>(f.loc, f.getShared(0), ValueRange{f.index(warp), x}));
      f.store(total, init, position);
    });
    f.finish(ceilDiv(count, kColumns));
    op->erase();
  }

private:
  MemRefType makeSharedType() {
    auto space = gpu::AddressSpaceAttr::get(context, gpu::AddressSpace::Workgroup);
    return MemRefType::get({kWarps, kColumns}, combiner->getResult(0).getType(), MemRefLayoutAttrInterface(), space);
  }

  /// Every kWarps-th element of the column, from `first` on.
  Value sumRows(Value first) {
    Value neutral = f.b.create<arith::ConstantOp>(f.loc, *arith::getNeutralElement(combiner));
    SmallVector<AffineExpr> space = extentsOf(order.reductions, extents);
    Value numRows = f.index(product(context, space));
    return f.loop(first, numRows, f.index(kWarps), neutral, [&](Value row, ValueRange carried) {
      place(f, row, order.reductions, space, position);
      SmallVector<Value> given(op->getNumOperands());
      given[op.getDpsInitOperand(0)->getOperandNumber()] = carried[0];
      return f.compute(op, position, given);
    })[0];
  }

  linalg::GenericOp op;
  Operation *combiner;
  MLIRContext *context;
  SmallVector<AffineExpr> extents;
  LoopOrder order;
  DeviceFunction f;
  SmallVector<Value> position;
};

} // namespace

void emitColumns(linalg::GenericOp op, ArrayRef<AffineExpr> extents, func::FuncOp host, gpu::GPUModuleOp device) {
  ColumnEmitter(op, extents, host, device).run();
}

} // namespace penstock::cuda
