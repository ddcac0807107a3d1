//===- Windows.h - Attributes of sliding windows ---------------*- C++ -*-===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Strides, dilations and pads of convolutions and pooling, with ONNX's defaults and `auto_pad` resolved.
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_LIB_IMPORT_ONNX_OPS_WINDOWS_H
#define PENSTOCK_LIB_IMPORT_ONNX_OPS_WINDOWS_H

#include "../NodeContext.h"

namespace penstock::onnximport {

struct Window {
  Ints kernel, strides, dilations;
  Ints pads; ///< low of every spatial axis, then high
  /// Pads that depend on unknown extents: added to the input beforehand. Empty where `pads` says it all.
  Extents lowExtents, highExtents;

  size_t getNumSpatial() const { return kernel.size(); }
  int64_t getSpan(size_t axis) const { return dilations[axis] * (kernel[axis] - 1) + 1; }
};

/// The window of a node over an input with these extents; the kernel from `kernel_shape` if `kernel` is empty.
FailureOr<Window> getWindow(NodeContext &n, ArrayRef<AffineExpr> input, Ints kernel);

/// `input` with the window's symbolic pads added, of elements `value`; afterwards the window's own pads are zero.
Value applySymbolicPads(NodeContext &n, Window &window, Value input, double value);

/// Pooling as the node's attributes say; the window has no symbolic pads left.
Value makePool(NodeContext &n, nn::PoolKind kind, Value input, const Window &window);

} // namespace penstock::onnximport

#endif
