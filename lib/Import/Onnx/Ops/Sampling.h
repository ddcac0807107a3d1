//===- Sampling.h - Reading images at computed positions -------*- C++ -*-===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What operators have in common that read an image at positions between its elements: along each axis a position has
// neighbours, whole positions with a weight.
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_LIB_IMPORT_ONNX_OPS_SAMPLING_H
#define PENSTOCK_LIB_IMPORT_ONNX_OPS_SAMPLING_H

#include "../NodeContext.h"

namespace penstock::onnximport {

/// Along one axis: a whole position, as a float, and its weight; without a weight it counts as it is.
struct Neighbour {
  Value position, weight;
};

/// The base of their converters. Positions and weights have the element type `real`.
class ImageSampler {
protected:
  explicit ImageSampler(NodeContext &n) : n(n) {}

  Value number(double value) { return n.scalar(value, real); }
  /// The extent of a spatial axis, as a float.
  Value extent(int64_t axis) {
    Value whole = n.extentTensor(extents[2 + axis], RankedTensorType::get({}, n.builder().getI64Type()));
    return n.cast_(whole, real);
  }
  Value clamp(Value value, Value low, Value high) {
    return n.binary(nn::BinaryKind::minimum, n.binary(nn::BinaryKind::maximum, value, low), high);
  }
  /// [batch, channels, space...] to [batch, space..., channels].
  Value toChannelsLast(Value image) {
    Ints perm{0};
    for (int64_t axis = 2; axis < n.typeOf(image).getRank(); ++axis)
      perm.push_back(axis);
    perm.push_back(1);
    return n.transpose(image, perm);
  }

  NodeContext &n;
  Type real;
  Extents extents; ///< of the image as the node has it
};

} // namespace penstock::onnximport

#endif
