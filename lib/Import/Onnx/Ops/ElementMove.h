//===- ElementMove.h - Rearranging known elements --------------*- C++ -*-===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Movement of shape arithmetic at import: the result's elements are elements of the inputs.
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_LIB_IMPORT_ONNX_OPS_ELEMENTMOVE_H
#define PENSTOCK_LIB_IMPORT_ONNX_OPS_ELEMENTMOVE_H

#include "../NodeContext.h"
#include "llvm/ADT/STLFunctionalExtras.h"

namespace penstock::onnximport {

/// If input 0 is known: output 0 has its elements, in order, and these extents.
bool reshapeElements(NodeContext &n, ArrayRef<AffineExpr> extents);

/// If input 0 is known: element `i` of output `index` is the element of input 0 at `position(coordinates of i)`.
bool moveElements(NodeContext &n, int index, ArrayRef<AffineExpr> extents,
                  llvm::function_ref<int64_t(ArrayRef<int64_t>)> position);

/// Row-major position of coordinates in a static shape.
int64_t linearize(ArrayRef<int64_t> coordinates, ArrayRef<int64_t> shape);

} // namespace penstock::onnximport

#endif
