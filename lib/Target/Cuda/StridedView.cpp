//===- StridedView.cpp - Tensors where they lie -------------- -*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "StridedView.h"
#include "penstock/Dialect/NN/IR/Extents.h"

#include "mlir/Dialect/Utils/IndexingUtils.h"

namespace penstock::cuda {
using namespace mlir;
using namespace nn;

namespace {

/// An extent as a product.
struct Product {
  int64_t coefficient = 1;
  SmallVector<AffineExpr> parts; ///< that are not products or constants

  explicit Product(AffineExpr expr) { add(expr); }
  AffineExpr get(MLIRContext *context) const {
    AffineExpr expr = getAffineConstantExpr(coefficient, context);
    for (AffineExpr part : parts)
      expr = part * expr;
    return simplifyExtent(expr);
  }

private:
  void add(AffineExpr expr) {
    auto binary = dyn_cast<AffineBinaryOpExpr>(expr);
    if (std::optional<int64_t> constant = getConstant(expr)) {
      coefficient *= *constant;
    } else if (binary && binary.getKind() == AffineExprKind::Mul) {
      add(binary.getLHS());
      add(binary.getRHS());
    } else {
      parts.push_back(expr);
    }
  }
};

} // namespace

/// The quotient; null if it is not exact whatever the symbols are.
static AffineExpr divide(AffineExpr extent, AffineExpr by) {
  Product left(extent), divisor(by);
  for (AffineExpr part : divisor.parts) {
    auto *found = llvm::find(left.parts, part);
    if (found == left.parts.end())
      return AffineExpr();
    left.parts.erase(found);
  }
  if (divisor.coefficient <= 0)
    return AffineExpr();
  AffineExpr rest = left.get(extent.getContext());
  if (left.coefficient % divisor.coefficient != 0)
    return rest.isMultipleOf(divisor.coefficient) ? simplifyExtent(rest.floorDiv(divisor.coefficient)) : AffineExpr();
  left.coefficient /= divisor.coefficient;
  return left.get(extent.getContext());
}

static bool isOne(AffineExpr extent) { return getConstant(extent) == 1; }

StridedView::StridedView(RankedTensorType type)
    : axes(type.getRank()), offset(getAffineConstantExpr(0, type.getContext())) {
  AffineExpr stride = getAffineConstantExpr(1, type.getContext());
  SmallVector<AffineExpr> extents = getExtents(type);
  for (int64_t i = type.getRank() - 1; i >= 0; --i) {
    if (!isOne(extents[i]))
      axes[i].push_back({extents[i], stride});
    stride = extents[i] && stride ? simplifyExtent(stride * extents[i]) : AffineExpr();
  }
}

void StridedView::transpose(ArrayRef<int64_t> perm) {
  axes = llvm::map_to_vector(perm, [&](int64_t axis) { return axes[axis]; });
}

bool StridedView::move(SmallVectorImpl<Factor> &from, AffineExpr extent, Axis &to) {
  while (!isOne(extent)) {
    if (from.empty() || !from.back().extent || !from.back().stride || !extent)
      return false;
    Factor inner = from.pop_back_val();
    if (AffineExpr rest = divide(extent, inner.extent)) {
      to.insert(to.begin(), inner);
      extent = rest;
      continue;
    }
    AffineExpr outside = divide(inner.extent, extent);
    if (!outside)
      return false;
    to.insert(to.begin(), {extent, inner.stride});
    from.push_back({outside, simplifyExtent(inner.stride * extent)});
    return true;
  }
  return true;
}

bool StridedView::reshape(ArrayRef<AffineExpr> extents) {
  SmallVector<Factor> left;
  for (const Axis &axis : axes)
    left.append(axis.begin(), axis.end());
  SmallVector<Axis> made(extents.size());
  for (int64_t i = extents.size() - 1; i >= 0; --i)
    if (!move(left, extents[i], made[i]))
      return false;
  axes = std::move(made);
  return left.empty();
}

bool StridedView::slice(SliceOp op) {
  SmallVector<AffineExpr> from = getExtents(op.getInput().getType()), to = getExtents(op.getType());
  for (auto [i, start, step] : llvm::enumerate(op.getStarts().getExprs(), op.getSteps())) {
    if (from[i] == to[i] && getConstant(start) == 0 && step == 1)
      continue;
    AffineExpr stride = getStride(i);
    if (!stride || step < 1 || !to[i])
      return false;
    offset = simplifyExtent(offset + start * stride);
    axes[i].clear();
    if (!isOne(to[i]))
      axes[i].push_back({to[i], simplifyExtent(stride * step)});
  }
  return true;
}

bool StridedView::apply(Operation *op) {
  if (auto transposed = dyn_cast<TransposeOp>(op)) {
    transpose(transposed.getPerm());
    return true;
  }
  if (auto reshaped = dyn_cast<ReshapeOp>(op))
    return reshape(getExtents(reshaped.getType()));
  auto part = dyn_cast<SliceOp>(op);
  return part && slice(part);
}

bool StridedView::applyInverse(Operation *op) {
  if (auto transposed = dyn_cast<TransposeOp>(op)) {
    transpose(invertPermutationVector(transposed.getPerm()));
    return true;
  }
  auto reshaped = dyn_cast<ReshapeOp>(op);
  return reshaped && reshape(getExtents(reshaped.getInput().getType()));
}

AffineExpr StridedView::getStride(int64_t axis) const {
  const Axis &factors = axes[axis];
  if (factors.empty())
    return getAffineConstantExpr(0, offset.getContext());
  for (size_t i = 0; i + 1 < factors.size(); ++i)
    if (factors[i].stride != simplifyExtent(factors[i + 1].stride * factors[i + 1].extent))
      return AffineExpr();
  return factors.back().stride;
}

} // namespace penstock::cuda
