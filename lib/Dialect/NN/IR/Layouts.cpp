//===- Layouts.cpp - Orders of the axes of images -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#include "penstock/Dialect/NN/IR/Layouts.h"

#include "llvm/ADT/STLExtras.h"

using namespace penstock::nn;

SmallVector<int64_t> penstock::nn::getToChannelsLast(int64_t rank) {
  SmallVector<int64_t> perm{0};
  for (int64_t axis = 2; axis < rank; ++axis)
    perm.push_back(axis);
  perm.push_back(1);
  return perm;
}

SmallVector<int64_t> penstock::nn::getFromChannelsLast(int64_t rank) {
  SmallVector<int64_t> perm{0, rank - 1};
  for (int64_t axis = 1; axis < rank - 1; ++axis)
    perm.push_back(axis);
  return perm;
}

bool penstock::nn::isToChannelsLast(ArrayRef<int64_t> perm) {
  return perm.size() >= 3 && perm == ArrayRef<int64_t>(getToChannelsLast(perm.size()));
}

bool penstock::nn::isFromChannelsLast(ArrayRef<int64_t> perm) {
  return perm.size() >= 3 && perm == ArrayRef<int64_t>(getFromChannelsLast(perm.size()));
}

SmallVector<AffineExpr> penstock::nn::getRowMajorExtents(RankedTensorType type, bool channelsLast) {
  SmallVector<AffineExpr> extents = getExtents(type);
  return channelsLast ? permute<AffineExpr>(extents, getFromChannelsLast(extents.size())) : extents;
}

RankedTensorType penstock::nn::getImageType(ArrayRef<AffineExpr> rowMajorExtents, Type elementType, bool channelsLast) {
  if (!channelsLast)
    return getTensorType(rowMajorExtents, elementType);
  return getTensorType(permute(rowMajorExtents, getToChannelsLast(rowMajorExtents.size())), elementType);
}
