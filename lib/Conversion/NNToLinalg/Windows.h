//===- Windows.h - Loops of convolutions and pooling -----------*- C++ -*-===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
// The innermost loop is the one that is contiguous in the result: the last spatial axis, or the channels where they
// come last. It is never the sum's, so that it vectorizes without changing the order of the sum.
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_LIB_CONVERSION_NNTOLINALG_WINDOWS_H
#define PENSTOCK_LIB_CONVERSION_NNTOLINALG_WINDOWS_H

#include "Emitter.h"

namespace penstock::linalg_lowering {

/// Loops, added from the outermost inwards; an axis of the result or of the window gets its dimension with its loop.
class WindowLoops {
public:
  explicit WindowLoops(OpBuilder &b) : b(b) {}

  SmallVector<AffineExpr> positions, windows; ///< one per spatial axis

  AffineExpr add(utils::IteratorType iterator) {
    iterators.push_back(iterator);
    return b.getAffineDimExpr(iterators.size() - 1);
  }
  void addPositions(int64_t count) {
    for (int64_t i = 0; i < count; ++i)
      positions.push_back(add(utils::IteratorType::parallel));
  }
  void addWindow(int64_t numSpatial) {
    for (int64_t i = 0; i < numSpatial; ++i)
      windows.push_back(add(utils::IteratorType::reduction));
  }

  ArrayRef<utils::IteratorType> getIterators() const { return iterators; }
  AffineMap map(ArrayRef<AffineExpr> exprs) const { return AffineMap::get(iterators.size(), 0, exprs, b.getContext()); }
  /// position * stride + window * dilation per axis.
  SmallVector<AffineExpr> getTaps(ArrayRef<int64_t> strides, ArrayRef<int64_t> dilations) const {
    SmallVector<AffineExpr> taps;
    for (auto [i, position] : llvm::enumerate(positions))
      taps.push_back(position * strides[i] + windows[i] * dilations[i]);
    return taps;
  }

private:
  OpBuilder &b;
  SmallVector<utils::IteratorType> iterators;
};

/// The exprs of an image: batch, then channels and spatial axes in the order of the layout.
inline SmallVector<AffineExpr> imageExprs(AffineExpr batch, ArrayRef<AffineExpr> channels, ArrayRef<AffineExpr> spatial,
                                          bool channelsLast) {
  SmallVector<AffineExpr> exprs{batch};
  exprs.append(channelsLast ? spatial.begin() : channels.begin(), channelsLast ? spatial.end() : channels.end());
  exprs.append(channelsLast ? channels.begin() : spatial.begin(), channelsLast ? channels.end() : spatial.end());
  return exprs;
}

} // namespace penstock::linalg_lowering

#endif // PENSTOCK_LIB_CONVERSION_NNTOLINALG_WINDOWS_H
