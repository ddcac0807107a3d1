//===- Views.cpp - Values seen through movements -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#include "Views.h"

namespace penstock::linalg_lowering {
using nn::getConstant;
using nn::getExtents;

static RankedTensorType typeOf(Value value) { return cast<RankedTensorType>(value.getType()); }

View View::of(RankedTensorType type) {
  View view{getAffineConstantExpr(0, type.getContext()), getExtents(type), {}};
  AffineExpr stride = getAffineConstantExpr(1, type.getContext());
  view.strides.resize(view.extents.size());
  for (size_t i = view.extents.size(); i-- > 0;) {
    view.strides[i] = stride;
    stride = nn::simplifyExtent(stride * view.extents[i]);
  }
  return view;
}

View View::transposed(ArrayRef<int64_t> perm) const {
  View result{offset, {}, {}};
  for (int64_t axis : perm) {
    result.extents.push_back(extents[axis]);
    result.strides.push_back(strides[axis]);
  }
  return result;
}

View View::sliced(nn::SliceOp op) const {
  View result{offset, getExtents(typeOf(op.getResult())), {}};
  for (auto [stride, start, step] : llvm::zip(strides, op.getStarts().getExprs(), op.getSteps())) {
    result.offset = nn::simplifyExtent(result.offset + start * stride);
    result.strides.push_back(nn::simplifyExtent(stride * step));
  }
  return result;
}

namespace {

/// A product as a constant and other factors.
struct Product {
  explicit Product(AffineExpr expr) { add(expr); }
  void add(AffineExpr expr) {
    if (std::optional<int64_t> number = getConstant(expr)) {
      constant *= *number;
    } else if (expr.getKind() == AffineExprKind::Mul) {
      add(cast<AffineBinaryOpExpr>(expr).getLHS());
      add(cast<AffineBinaryOpExpr>(expr).getRHS());
    } else {
      factors.push_back(expr);
    }
  }
  /// Every factor of `other` is one of this.
  bool isMultipleOf(Product other) const {
    SmallVector<AffineExpr> left = factors;
    for (AffineExpr factor : other.factors) {
      auto found = llvm::find(left, factor);
      if (found == left.end())
        return false;
      left.erase(found);
    }
    return other.constant != 0 && constant % other.constant == 0;
  }
  bool equals(const Product &other) const { return isMultipleOf(other) && other.isMultipleOf(*this); }

  int64_t constant = 1;
  SmallVector<AffineExpr> factors;
};

/// Axes of extent 1 say nothing about where elements lie.
SmallVector<size_t> findLongAxes(ArrayRef<AffineExpr> extents) {
  SmallVector<size_t> axes;
  for (auto [i, extent] : llvm::enumerate(extents))
    if (getConstant(extent) != 1)
      axes.push_back(i);
  return axes;
}

} // namespace

std::optional<View> View::reshaped(ArrayRef<AffineExpr> to) const {
  AffineExpr one = getAffineConstantExpr(1, offset.getContext());
  View result{offset, SmallVector<AffineExpr>(to), SmallVector<AffineExpr>(to.size(), one)};
  SmallVector<size_t> from = findLongAxes(extents), into = findLongAxes(to);
  size_t i = 0, j = 0;
  while (i < from.size() && j < into.size()) {
    // The shortest group of axes on both sides that holds equally many elements.
    size_t firstFrom = i, firstInto = j;
    AffineExpr before = extents[from[i++]], after = to[into[j++]];
    while (!Product(before).equals(Product(after))) {
      if (Product(after).isMultipleOf(Product(before)) && i < from.size())
        before = before * extents[from[i++]];
      else if (Product(before).isMultipleOf(Product(after)) && j < into.size())
        after = after * to[into[j++]];
      else
        return std::nullopt;
    }
    for (size_t axis = firstFrom; axis + 1 < i; ++axis) {
      AffineExpr expected = extents[from[axis + 1]] * strides[from[axis + 1]];
      if (!Product(strides[from[axis]]).equals(Product(expected)))
        return std::nullopt;
    }
    AffineExpr stride = strides[from[i - 1]];
    for (size_t axis = j; axis-- > firstInto;) {
      result.strides[into[axis]] = stride;
      stride = nn::simplifyExtent(stride * to[into[axis]]);
    }
  }
  return i == from.size() && j == into.size() ? std::optional(result) : std::nullopt;
}

std::optional<std::pair<Value, View>> seeThrough(Value value) {
  Operation *op = value.getDefiningOp();
  if (!isa_and_nonnull<nn::TransposeOp, nn::SliceOp, nn::ReshapeOp>(op))
    return std::pair(value, View::of(typeOf(value)));
  auto inner = seeThrough(op->getOperand(0));
  if (!inner)
    return std::nullopt;
  if (auto transpose = dyn_cast<nn::TransposeOp>(op))
    return std::pair(inner->first, inner->second.transposed(transpose.getPerm()));
  if (auto slice = dyn_cast<nn::SliceOp>(op))
    return std::pair(inner->first, inner->second.sliced(slice));
  std::optional<View> view = inner->second.reshaped(getExtents(typeOf(value)));
  if (!view)
    return std::nullopt;
  return std::pair(inner->first, *view);
}

/// How the operand of a transpose or reshape lies, given how its result does.
static std::optional<View> undo(Operation *op, const View &result) {
  if (auto transpose = dyn_cast<nn::TransposeOp>(op)) {
    SmallVector<int64_t> inverse(transpose.getPerm().size());
    for (auto [i, axis] : llvm::enumerate(transpose.getPerm()))
      inverse[axis] = i;
    return result.transposed(inverse);
  }
  return result.reshaped(getExtents(typeOf(op->getOperand(0))));
}

std::pair<Value, View> seeAhead(Value value) {
  SmallVector<Operation *> chain;
  Value last = value;
  std::pair<Value, View> best(value, View::of(typeOf(value)));
  while (last.hasOneUse() && isa<nn::TransposeOp, nn::ReshapeOp>(*last.user_begin())) {
    chain.push_back(*last.user_begin());
    last = chain.back()->getResult(0);
    std::optional<View> view = View::of(typeOf(last));
    for (Operation *op : llvm::reverse(chain))
      if (view)
        view = undo(op, *view);
    if (view)
      best = {last, *view};
  }
  return best;
}

} // namespace penstock::linalg_lowering
