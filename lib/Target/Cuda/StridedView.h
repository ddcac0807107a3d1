//===- StridedView.h - Tensors where they lie ---------------- -*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_LIB_TARGET_CUDA_STRIDEDVIEW_H
#define PENSTOCK_LIB_TARGET_CUDA_STRIDEDVIEW_H

#include "penstock/Dialect/NN/IR/NNOps.h"

#include <optional>

namespace penstock::cuda {

/// Where the elements of a tensor lie in memory that is another's, as strides say it. An axis may stand for several of
/// that memory, and then has no stride of its own; what a later reshape makes of it may have one.
class StridedView {
public:
  /// As memory of its own: row-major and dense.
  explicit StridedView(mlir::RankedTensorType type);

  // The view becomes that of what an op makes of the tensor. False: no strides say where that lies.
  void transpose(llvm::ArrayRef<int64_t> perm);
  bool reshape(llvm::ArrayRef<mlir::AffineExpr> extents);
  bool slice(nn::SliceOp op);
  /// Of a reshape, transpose or slice; others have none.
  bool apply(mlir::Operation *op);
  /// From the view of what a reshape or transpose makes to that of its operand.
  bool applyInverse(mlir::Operation *op);

  mlir::AffineExpr getOffset() const { return offset; }
  /// From one element to the next along an axis; null if there is none. Of an axis of one element: 0.
  mlir::AffineExpr getStride(int64_t axis) const;

private:
  struct Factor {
    mlir::AffineExpr extent, stride;
  };
  /// Outermost first; none for an extent of 1.
  using Axis = llvm::SmallVector<Factor, 2>;
  /// Moves the innermost `extent` elements of `from` to the front of `to`.
  bool move(llvm::SmallVectorImpl<Factor> &from, mlir::AffineExpr extent, Axis &to);

  llvm::SmallVector<Axis> axes;
  mlir::AffineExpr offset;
};

} // namespace penstock::cuda

#endif // PENSTOCK_LIB_TARGET_CUDA_STRIDEDVIEW_H
