//===- EmitLoops.cpp - One op on buffers as one function --------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "EmitLoops.h"
#include "RowGroup.h"
#include "penstock/Dialect/NN/IR/Extents.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"

namespace penstock::cuda {

/// What one access of a thread moves at most.
static constexpr int64_t kVectorBytes = 16;
/// Fewer elements are better off with a thread each.
static constexpr int64_t kManyElements = 1 << 16;

//===----------------------------------------------------------------------===//
// A thread per element
//===----------------------------------------------------------------------===//

LoopOrder::LoopOrder(linalg::GenericOp op) {
  SmallVector<utils::IteratorType> iterators = op.getIteratorTypesArray();
  for (AffineExpr expr : op.getMatchingIndexingMap(op.getDpsInitOperand(0)).getResults())
    if (auto dim = dyn_cast<AffineDimExpr>(expr))
      parallel.push_back(dim.getPosition());
  SmallVector<int64_t> missing;
  for (int64_t i = 0; i < static_cast<int64_t>(iterators.size()); ++i) {
    if (iterators[i] == utils::IteratorType::reduction)
      reductions.push_back(i);
    else if (!llvm::is_contained(parallel, i))
      missing.push_back(i);
  }
  parallel.insert(parallel.begin(), missing.begin(), missing.end());
}

SmallVector<AffineExpr> extentsOf(ArrayRef<int64_t> axes, ArrayRef<AffineExpr> extents) {
  return llvm::map_to_vector(axes, [&](int64_t axis) { return extents[axis]; });
}

void place(DeviceFunction &f, Value flat, ArrayRef<int64_t> axes, ArrayRef<AffineExpr> space,
           MutableArrayRef<Value> position) {
  for (auto [axis, number] : llvm::zip(axes, f.delinearize(flat, space)))
    position[axis] = number;
}

/// Loops over the reductions from `depth` on; gives what they carry.
static SmallVector<Value> emitReductions(DeviceFunction &f, linalg::GenericOp op, ArrayRef<AffineExpr> extents,
                                         ArrayRef<int64_t> reductions, MutableArrayRef<Value> position,
                                         ValueRange carried) {
  if (reductions.empty()) {
    SmallVector<Value> given(op.getNumDpsInputs());
    llvm::append_range(given, carried);
    return f.compute(op, position, given);
  }
  int64_t axis = reductions.front();
  return f.loop(f.index(0), f.index(extents[axis]), f.index(1), carried, [&](Value i, ValueRange current) {
    position[axis] = i;
    return emitReductions(f, op, extents, reductions.drop_front(), position, current);
  });
}

/// Do all operands lie element by element alike, without gaps?
static bool isFlat(linalg::GenericOp op) {
  if (op.getNumLoops() < 2 || op.hasIndexSemantics())
    return false;
  return llvm::all_of(op->getOpOperands(), [&](OpOperand &operand) {
    auto type = dyn_cast<MemRefType>(operand.get().getType());
    return !type || (op.getMatchingIndexingMap(&operand).isIdentity() && type.getLayout().isIdentity());
  });
}

/// The same work on buffers of one axis.
static linalg::GenericOp flatten(linalg::GenericOp op) {
  OpBuilder b(op);
  SmallVector<Value> operands;
  SmallVector<AffineMap> maps;
  ReassociationIndices all = llvm::to_vector(llvm::seq<int64_t>(0, op.getNumLoops()));
  for (OpOperand &operand : op->getOpOperands()) {
    bool isBuffer = isa<MemRefType>(operand.get().getType());
    operands.push_back(
        isBuffer ? b.create<memref::CollapseShapeOp>(op.getLoc(), operand.get(), ArrayRef<ReassociationIndices>{all})
                 : operand.get());
    maps.push_back(isBuffer ? b.getMultiDimIdentityMap(1) : AffineMap::get(1, 0, op.getContext()));
  }
  ArrayRef<Value> values = operands;
  auto flat = b.create<linalg::GenericOp>(op.getLoc(), TypeRange(), values.take_front(op.getNumDpsInputs()),
                                          values.drop_front(op.getNumDpsInputs()), maps,
                                          SmallVector<utils::IteratorType>{utils::IteratorType::parallel});
  flat.getRegion().takeBody(op.getRegion());
  op->erase();
  return flat;
}

SmallVector<Value> makeElement(DeviceFunction &f, linalg::GenericOp op, ArrayRef<AffineExpr> extents,
                               const LoopOrder &order, MutableArrayRef<Value> position) {
  SmallVector<Value> carried;
  for (OpOperand &init : op.getDpsInitsMutable())
    carried.push_back(order.reductions.empty() ? Value() : f.load(init, position));
  return emitReductions(f, op, extents, order.reductions, position, carried);
}

/// Does the operand stay where it is as the axis moves, or step to the next element in memory?
static bool runsAlong(AffineMap map, Value operand, int64_t axis) {
  auto type = dyn_cast<MemRefType>(operand.getType());
  if (!type || !map.isFunctionOfDim(axis))
    return true;
  SmallVector<int64_t> strides;
  int64_t offset;
  if (failed(getStridesAndOffset(type, strides, offset)) || strides.back() != 1)
    return false;
  return map.getResults().back() == getAffineDimExpr(axis, map.getContext()) &&
         llvm::none_of(map.getResults().drop_back(), [&](AffineExpr expr) { return expr.isFunctionOfDim(axis); });
}

int64_t findWidth(linalg::GenericOp op, AffineExpr innermostExtent, int64_t innermost) {
  int64_t most = 1;
  for (OpOperand &operand : op->getOpOperands()) {
    if (!runsAlong(op.getMatchingIndexingMap(&operand), operand.get(), innermost))
      return 1;
    if (auto type = dyn_cast<MemRefType>(operand.get().getType()))
      most = std::max(most, nn::getElementBytes(type.getElementType()));
  }
  int64_t width = std::clamp<int64_t>(kVectorBytes / most, 1, kMostWidth);
  return innermostExtent.isMultipleOf(width) ? width : 1;
}

/// The `width` elements from that of the vector at `position` on. All are read before one is written, so that the
/// accesses of a thread become one.
static void emitVector(DeviceFunction &f, linalg::GenericOp op, ArrayRef<AffineExpr> extents, const LoopOrder &order,
                       MutableArrayRef<Value> position, int64_t width) {
  SmallVector<SmallVector<Value>> positions, results;
  Value first = width > 1 ? f.multiply(position[order.parallel.back()], f.index(width)) : Value();
  for (int64_t i = 0; i < width; ++i) {
    if (first)
      position[order.parallel.back()] = f.add(first, f.index(i));
    positions.emplace_back(position.begin(), position.end());
    results.push_back(makeElement(f, op, extents, order, positions.back()));
  }
  for (auto [at, values] : llvm::zip(positions, results))
    f.store(values, op, at);
}

void emitElements(linalg::GenericOp op, ArrayRef<AffineExpr> given, func::FuncOp host, gpu::GPUModuleOp device) {
  SmallVector<AffineExpr> extents(given);
  if (isFlat(op)) {
    extents = {product(op.getContext(), given)};
    op = flatten(op);
  }
  LoopOrder order(op);
  DeviceFunction f(host, device, op, {kThreads, 1, 1});
  SmallVector<AffineExpr> space = extentsOf(order.parallel, extents);
  int64_t width = 1;
  if (order.reductions.empty() && !space.empty() &&
      nn::getConstant(product(op.getContext(), space)).value_or(kManyElements) >= kManyElements)
    width = findWidth(op, space.back(), order.parallel.back());
  if (width > 1)
    space.back() = nn::simplifyExtent(space.back().floorDiv(width));
  AffineExpr count = product(op.getContext(), space);
  Value flat = f.threadNumber();
  f.when(f.isBelow(flat, f.index(count)), [&] {
    SmallVector<Value> position(extents.size());
    place(f, flat, order.parallel, space, position);
    emitVector(f, op, extents, order, position, width);
  });
  f.finish(ceilDiv(count, kThreads));
  op->erase();
}

//===----------------------------------------------------------------------===//
// Transposes
//===----------------------------------------------------------------------===//

/// A tile has kTile x kTile elements, kTile x kTileThreads threads, and a column that nobody uses: so the elements of a
/// column lie in different banks.
static constexpr int32_t kTile = 32, kTileThreads = 8;

OpOperand *findTransposed(linalg::GenericOp op, ArrayRef<AffineExpr> extents) {
  if (op.getNumReductionLoops() > 0 || op.getNumLoops() < 2 || op.getNumDpsInits() != 1 || readsElsewhere(op) ||
      !op.getMatchingIndexingMap(op.getDpsInitOperand(0)).isIdentity())
    return nullptr;
  auto isLong = [&](AffineExpr extent) { return nn::getConstant(extent).value_or(kTile) >= kTile / 2; };
  for (OpOperand *input : op.getDpsInputOperands()) {
    AffineMap map = op.getMatchingIndexingMap(input);
    if (!isa<MemRefType>(input->get().getType()) || !map.isPermutation())
      continue;
    int64_t inner = cast<AffineDimExpr>(map.getResults().back()).getPosition(), last = op.getNumLoops() - 1;
    if (inner != last && isLong(extents[inner]) && isLong(extents[last]))
      return input;
  }
  return nullptr;
}

namespace {

class TransposeEmitter {
public:
  TransposeEmitter(linalg::GenericOp op, OpOperand &operand, ArrayRef<AffineExpr> extents, func::FuncOp host,
                   gpu::GPUModuleOp device)
      : op(op), operand(operand), extents(extents), context(op.getContext()),
        f(host, device, op, {kTile, kTileThreads, 1}, makeTileType()), last(extents.size() - 1) {
    inner = cast<AffineDimExpr>(op.getMatchingIndexingMap(&operand).getResults().back()).getPosition();
  }

  void run() {
    // Blocks: the axes that are neither, then tiles along the two.
    SmallVector<AffineExpr> space;
    for (int64_t axis = 0; axis < last; ++axis)
      if (axis != inner)
        space.push_back(extents[axis]);
    space.append({ceilDiv(extents[inner], kTile), ceilDiv(extents[last], kTile)});
    SmallVector<Value> number = f.delinearize(f.blockNumber(), space);
    size_t next = 0;
    position.resize(extents.size());
    for (int64_t axis = 0; axis < last; ++axis)
      if (axis != inner)
        position[axis] = number[next++];
    Value x = f.thread(gpu::Dimension::x), y = f.thread(gpu::Dimension::y), tile = f.getShared(0);
    Value firstInner = f.multiply(number[next], f.index(kTile)),
          firstLast = f.multiply(number[next + 1], f.index(kTile));
    overTile(f.add(firstInner, x), firstLast, y, /*isInnerFixed=*/true, [&](Value row) {
      f.b.create<memref::StoreOp>(f.loc, f.load(operand, position), tile, ValueRange{row, x});
    });
    f.b.create<gpu::BarrierOp>(f.loc);
    overTile(f.add(firstLast, x), firstInner, y, /*isInnerFixed=*/false, [&](Value row) {
      SmallVector<Value> given(op->getNumOperands());
      given[operand.getOperandNumber()] = f.b.create<memref::LoadOp>(f.loc, tile, ValueRange{x, row});
      f.store(f.compute(op, position, given)[0], *op.getDpsInitOperand(0), position);
    });
    f.finish(product(context, space));
    op->erase();
  }

private:
  MemRefType makeTileType() {
    auto space = gpu::AddressSpaceAttr::get(context, gpu::AddressSpace::Workgroup);
    return MemRefType::get({kTile, kTile + 1}, cast<MemRefType>(operand.get().getType()).getElementType(),
                           MemRefLayoutAttrInterface(), space);
  }

  /// The rows of a tile that a thread has; `fixed` is its place along one axis, the rows go along the other from
  /// `first`.
  void overTile(Value fixed, Value first, Value start, bool isInnerFixed, function_ref<void(Value)> body) {
    int64_t fixedAxis = isInnerFixed ? inner : last, movingAxis = isInnerFixed ? last : inner;
    f.loop(start, f.index(kTile), f.index(kTileThreads), {}, [&](Value row, ValueRange) {
      position[fixedAxis] = fixed;
      position[movingAxis] = f.add(first, row);
      Value inside = f.b.create<arith::AndIOp>(f.loc, f.isBelow(fixed, f.index(extents[fixedAxis])),
                                               f.isBelow(position[movingAxis], f.index(extents[movingAxis])));
      f.when(inside, [&] { body(row); });
      return SmallVector<Value>();
    });
  }

  linalg::GenericOp op;
  OpOperand &operand;
  SmallVector<AffineExpr> extents;
  MLIRContext *context;
  DeviceFunction f;
  int64_t inner = 0, last;
  SmallVector<Value> position;
};

} // namespace

void emitTransposed(linalg::GenericOp op, OpOperand &operand, ArrayRef<AffineExpr> extents, func::FuncOp host,
                    gpu::GPUModuleOp device) {
  TransposeEmitter(op, operand, extents, host, device).run();
}

} // namespace penstock::cuda
