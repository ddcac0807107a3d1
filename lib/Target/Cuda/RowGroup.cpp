//===- RowGroup.cpp - Which neighbours work row by row ----------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "RowGroup.h"
#include "penstock/Dialect/NN/IR/Extents.h"

#include "mlir/Analysis/SliceAnalysis.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

#include <deque>

namespace penstock::cuda {

/// Shorter rows are left to one thread each.
static constexpr int64_t kShortRow = 32;

std::optional<SmallVector<AffineExpr>> getLoopExtents(linalg::GenericOp op, kernels::ExtentFinder &finder) {
  SmallVector<AffineExpr> extents(op.getNumLoops());
  for (OpOperand &operand : op->getOpOperands())
    for (auto [axis, expr] : llvm::enumerate(op.getMatchingIndexingMap(&operand).getResults()))
      if (auto dim = dyn_cast<AffineDimExpr>(expr); dim && !extents[dim.getPosition()])
        if (AffineExpr extent = finder.extentOf(operand.get(), axis))
          extents[dim.getPosition()] = nn::simplifyExtent(extent);
  if (llvm::is_contained(extents, AffineExpr()))
    return std::nullopt;
  return extents;
}

bool readsElsewhere(linalg::GenericOp op) {
  return op.getBody()
      ->walk(
          [](Operation *inner) { return isMemoryEffectFree(inner) ? WalkResult::advance() : WalkResult::interrupt(); })
      .wasInterrupted();
}

Operation *findCombiner(linalg::GenericOp op) {
  SmallVector<Operation *, 1> combiners;
  if (op.getNumDpsInits() != 1 || !matchReduction(op.getRegionOutputArgs(), 0, combiners) || combiners.size() != 1)
    return nullptr;
  unsigned bits = combiners[0]->getResult(0).getType().getIntOrFloatBitWidth();
  return (bits == 32 || bits == 64) && arith::getNeutralElement(combiners[0]) ? combiners[0] : nullptr;
}

namespace {

bool isOne(AffineExpr extent) { return nn::getConstant(extent) == 1; }

/// Where an operand of an op lies relative to the group's rows.
enum class Place { Row, Element, Other };

class GroupFinder {
public:
  GroupFinder(ArrayRef<linalg::GenericOp> ops, kernels::ExtentFinder &finder) : ops(ops), finder(finder) {}

  std::optional<RowGroup> find(size_t i, size_t &first) {
    if (!setSpace(ops[i]))
      return std::nullopt;
    std::optional<RowOp> reduction = match(ops[i]);
    if (!reduction || !accept(*reduction))
      return std::nullopt;
    std::deque<RowOp> taken{*reduction};
    first = i;
    while (first > 0 && tryTake(first - 1, taken, /*front=*/true))
      --first;
    for (size_t next = i + 1; next < ops.size() && tryTake(next, taken, /*front=*/false);)
      ++next;
    group.ops.assign(taken.begin(), taken.end());
    return group;
  }

private:
  bool tryTake(size_t i, std::deque<RowOp> &taken, bool front) {
    std::optional<RowOp> op = match(ops[i]);
    if (!op || !accept(*op))
      return false;
    front ? taken.push_front(*op) : taken.push_back(*op);
    return true;
  }

  /// A reduction whose last loops are all that is reduced, of an operand that has every loop as an axis.
  bool setSpace(linalg::GenericOp op) {
    std::optional<SmallVector<AffineExpr>> extents = getLoopExtents(op, finder);
    size_t numReductions = op.getNumReductionLoops();
    if (!extents || numReductions == 0 || op.getNumDpsInits() != 1 || op.getNumDpsInputs() != 1 || readsElsewhere(op) ||
        !op.getMatchingIndexingMap(op.getDpsInputOperand(0)).isIdentity())
      return false;
    size_t numRows = extents->size() - numReductions;
    for (auto [i, iterator] : llvm::enumerate(op.getIteratorTypesArray()))
      if ((iterator == utils::IteratorType::reduction) != (i >= numRows))
        return false;
    group.space.rows.assign(extents->begin(), extents->begin() + numRows);
    group.space.along.assign(extents->begin() + numRows, extents->end());
    std::optional<int64_t> length = nn::getConstant(product(op.getContext(), group.space.along));
    return !length || *length >= kShortRow;
  }

  std::optional<RowOp> match(linalg::GenericOp op) {
    std::optional<SmallVector<AffineExpr>> extents = getLoopExtents(op, finder);
    if (!extents || readsElsewhere(op))
      return std::nullopt;
    size_t numRows = group.space.rows.size(), numAxes = numRows + group.space.along.size();
    SmallVector<AffineExpr> all(group.space.rows);
    llvm::append_range(all, group.space.along);
    bool reduces = op.getNumReductionLoops() > 0;
    if (std::optional<SmallVector<int64_t>> axes = align(*extents, all, numAxes)) {
      if (!reduces)
        return RowOp{op, RowRole::Elements, *axes};
      for (auto [axis, iterator] : llvm::zip(*axes, op.getIteratorTypesArray()))
        if (axis >= 0 && (iterator == utils::IteratorType::reduction) != (axis >= static_cast<int64_t>(numRows)))
          return std::nullopt;
      return findCombiner(op) ? std::optional(RowOp{op, RowRole::Reduce, *axes}) : std::nullopt;
    }
    if (std::optional<SmallVector<int64_t>> axes = align(*extents, all, numRows); axes && !reduces)
      return RowOp{op, RowRole::Numbers, *axes};
    return std::nullopt;
  }

  /// Loops onto the first `count` axes of the space, in order; those of extent 1 may be missing on either side.
  static std::optional<SmallVector<int64_t>> align(ArrayRef<AffineExpr> loops, ArrayRef<AffineExpr> space,
                                                   size_t count) {
    SmallVector<int64_t> axes;
    size_t next = 0;
    for (AffineExpr loop : loops) {
      if (isOne(loop)) {
        axes.push_back(-1);
        continue;
      }
      while (next < count && isOne(space[next]))
        ++next;
      if (next == count || space[next] != loop)
        return std::nullopt;
      axes.push_back(next++);
    }
    while (next < count && isOne(space[next]))
      ++next;
    return next == count ? std::optional(axes) : std::nullopt;
  }

  /// Takes the op in if every buffer that the group writes is read and written row by row, or element by element.
  bool accept(RowOp row) {
    DenseMap<Value, Place> places = known;
    DenseMap<Value, bool> writes = written;
    for (OpOperand &operand : row.op->getOpOperands()) {
      if (!isa<MemRefType>(operand.get().getType()))
        continue;
      Value base = getBase(operand.get());
      Place place = placeOf(row, operand);
      if (row.op.isDpsInit(&operand)) {
        writes[base] = true;
        bool fits = place == (row.role == RowRole::Elements ? Place::Element : Place::Row);
        if (!fits)
          return false;
      }
      auto [it, isNew] = places.try_emplace(base, place);
      if (!isNew && it->second != place)
        it->second = Place::Other;
    }
    for (auto [base, isWritten] : writes)
      if (isWritten && places.lookup(base) == Place::Other)
        return false;
    known = std::move(places);
    written = std::move(writes);
    return true;
  }

  /// Steps of the axes of a row-major buffer.
  SmallVector<AffineExpr> stridesOf(ArrayRef<AffineExpr> extents, MLIRContext *context) {
    SmallVector<AffineExpr> strides(extents.size());
    AffineExpr stride = getAffineConstantExpr(1, context);
    for (size_t i = extents.size(); i-- > 0;) {
      strides[i] = stride;
      stride = nn::simplifyExtent(stride * extents[i]);
    }
    return strides;
  }

  /// Nothing but other shapes between the buffer and its base.
  static bool isWhole(Value memref) {
    if (!cast<MemRefType>(memref.getType()).getLayout().isIdentity())
      return false;
    for (Value base = getBase(memref); memref != base; memref = memref.getDefiningOp()->getOperand(0))
      if (!isa<memref::ExpandShapeOp, memref::CollapseShapeOp, memref::CastOp>(memref.getDefiningOp()))
        return false;
    return true;
  }

  Place placeOf(RowOp row, OpOperand &operand) {
    MLIRContext *context = row.op.getContext();
    AffineMap map = row.op.getMatchingIndexingMap(&operand);
    if (!isWhole(operand.get()))
      return Place::Other;
    SmallVector<AffineExpr> extents;
    for (int64_t i = 0; i < map.getNumResults(); ++i) {
      extents.push_back(finder.extentOf(operand.get(), i));
      if (!extents.back())
        return Place::Other;
    }
    SmallVector<AffineExpr> steps(row.axes.size(), getAffineConstantExpr(0, context));
    for (auto [expr, stride] : llvm::zip(map.getResults(), stridesOf(extents, context))) {
      if (auto dim = dyn_cast<AffineDimExpr>(expr))
        steps[dim.getPosition()] = nn::simplifyExtent(steps[dim.getPosition()] + stride);
      else if (!isa<AffineConstantExpr>(expr) || cast<AffineConstantExpr>(expr).getValue() != 0)
        return Place::Other;
    }
    if (hasSteps(row, steps, /*numAxes=*/group.space.rows.size()))
      return Place::Row;
    return hasSteps(row, steps, group.space.rows.size() + group.space.along.size()) ? Place::Element : Place::Other;
  }

  /// The loops step as a row-major buffer of the first `numAxes` axes of the space would have it.
  bool hasSteps(RowOp row, ArrayRef<AffineExpr> steps, size_t numAxes) {
    SmallVector<AffineExpr> extents(group.space.rows);
    if (numAxes > extents.size())
      llvm::append_range(extents, group.space.along);
    SmallVector<AffineExpr> strides = stridesOf(extents, row.op.getContext());
    SmallVector<bool> isSeen(numAxes);
    for (auto [axis, step] : llvm::zip(row.axes, steps)) {
      if (axis < 0)
        continue;
      bool isInside = axis < static_cast<int64_t>(numAxes);
      if (isInside ? step != strides[axis] : nn::getConstant(step) != 0)
        return false;
      if (isInside)
        isSeen[axis] = true;
    }
    for (size_t axis = 0; axis < numAxes; ++axis)
      if (!isSeen[axis] && !isOne(extents[axis]))
        return false;
    return true;
  }

  ArrayRef<linalg::GenericOp> ops;
  kernels::ExtentFinder &finder;
  RowGroup group;
  DenseMap<Value, Place> known;
  DenseMap<Value, bool> written;
};

} // namespace

std::optional<RowGroup> findRowGroup(ArrayRef<linalg::GenericOp> ops, size_t i, kernels::ExtentFinder &finder,
                                     size_t &first) {
  return GroupFinder(ops, finder).find(i, first);
}

} // namespace penstock::cuda
