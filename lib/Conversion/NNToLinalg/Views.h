//===- Views.h - Values seen through movements -----------------*- C++ -*-===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
// A chain of transposes, slices and reshapes of a buffer is often the buffer itself with other extents, strides and an
// offset, all of them expressions over the symbols. Elements, never bytes.
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_LIB_CONVERSION_NNTOLINALG_VIEWS_H
#define PENSTOCK_LIB_CONVERSION_NNTOLINALG_VIEWS_H

#include "penstock/Dialect/NN/IR/NNOps.h"

#include <optional>

namespace penstock::linalg_lowering {
using namespace mlir;

/// Element [i, j, ..] lies at offset + i * strides[0] + j * strides[1] + .. of a buffer.
struct View {
  AffineExpr offset;
  SmallVector<AffineExpr> extents, strides;

  /// All of a row-major tensor.
  static View of(RankedTensorType type);
  View transposed(ArrayRef<int64_t> perm) const;
  View sliced(nn::SliceOp op) const;
  /// The same elements in another shape; nothing if they do not lie regularly, or if that cannot be told.
  std::optional<View> reshaped(ArrayRef<AffineExpr> to) const;
};

/// The value that `value` shows parts of, and how; the value itself if no movement makes it.
std::optional<std::pair<Value, View>> seeThrough(Value value);

/// The value that is nothing but `value` in other shapes and orders of axes, as far as only one op uses each; and how
/// `value` lies in it.
std::pair<Value, View> seeAhead(Value value);

} // namespace penstock::linalg_lowering

#endif // PENSTOCK_LIB_CONVERSION_NNTOLINALG_VIEWS_H
