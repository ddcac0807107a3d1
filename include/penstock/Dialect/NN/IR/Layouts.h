//===- Layouts.h - Orders of the axes of images ----------------*- C++ -*-===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
// An image is N x channels x spatial (row-major) or N x spatial x channels (channels-last). Both are ordinary tensors;
// an op of the family of `nn.conv` says with `channels_last` which one it reads and makes. Ranks are at least three.
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_DIALECT_NN_IR_LAYOUTS_H
#define PENSTOCK_DIALECT_NN_IR_LAYOUTS_H

#include "penstock/Dialect/NN/IR/Extents.h"

namespace penstock::nn {

/// The axis of the channels, and the first of the spatial ones.
inline int64_t getChannelAxis(bool channelsLast, int64_t rank) { return channelsLast ? rank - 1 : 1; }
inline int64_t getSpatialAxis(bool channelsLast) { return channelsLast ? 1 : 2; }

/// The order of axes that a transpose from row-major to channels-last has: 0, 2, .., rank - 1, 1.
SmallVector<int64_t> getToChannelsLast(int64_t rank);
/// The inverse: 0, rank - 1, 1, ..
SmallVector<int64_t> getFromChannelsLast(int64_t rank);
bool isToChannelsLast(ArrayRef<int64_t> perm);
bool isFromChannelsLast(ArrayRef<int64_t> perm);

/// `values[perm[i]]`.
template <typename T> SmallVector<T> permute(ArrayRef<T> values, ArrayRef<int64_t> perm) {
  SmallVector<T> result;
  for (int64_t axis : perm)
    result.push_back(values[axis]);
  return result;
}

/// The extents of an image as N, channels, spatial.
SmallVector<AffineExpr> getRowMajorExtents(RankedTensorType type, bool channelsLast);
/// The type of an image with extents N, channels, spatial.
RankedTensorType getImageType(ArrayRef<AffineExpr> rowMajorExtents, Type elementType, bool channelsLast);

} // namespace penstock::nn

#endif // PENSTOCK_DIALECT_NN_IR_LAYOUTS_H
