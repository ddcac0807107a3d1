//===- ElementMove.cpp - Rearranging known elements -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#include "ElementMove.h"
#include "ElementFold.h"

namespace penstock::onnximport {

static const Elements *getSmallElements(NodeContext &n, RankedTensorType result) {
  RankedTensorType type = n.getType(0);
  return type && isShapeArithmetic(result) ? n.getElements(0) : nullptr;
}

bool reshapeElements(NodeContext &n, ArrayRef<AffineExpr> extents) {
  RankedTensorType type = nn::getTensorType(extents, n.getElementType(0));
  const Elements *elements = getSmallElements(n, type);
  if (!elements || type.getNumElements() != static_cast<int64_t>(elements->size()))
    return false;
  return succeeded(n.setOutput(0, type, *elements));
}

int64_t linearize(ArrayRef<int64_t> coordinates, ArrayRef<int64_t> shape) {
  int64_t position = 0;
  for (auto [coordinate, extent] : llvm::zip(coordinates, shape))
    position = position * extent + coordinate;
  return position;
}

bool moveElements(NodeContext &n, int index, ArrayRef<AffineExpr> extents,
                  llvm::function_ref<int64_t(ArrayRef<int64_t>)> position) {
  RankedTensorType type = nn::getTensorType(extents, n.getElementType(0));
  const Elements *elements = getSmallElements(n, type);
  if (!elements)
    return false;
  Elements results;
  Ints coordinates(type.getRank(), 0);
  for (int64_t i = 0, e = type.getNumElements(); i < e; ++i) {
    int64_t rest = i;
    for (int64_t axis = type.getRank() - 1; axis >= 0; --axis) {
      coordinates[axis] = rest % type.getDimSize(axis);
      rest /= type.getDimSize(axis);
    }
    int64_t from = position(coordinates);
    if (from < 0 || from >= static_cast<int64_t>(elements->size()))
      return false;
    results.push_back((*elements)[from]);
  }
  return succeeded(n.setOutput(index, type, std::move(results)));
}

} // namespace penstock::onnximport
