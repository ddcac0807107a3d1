//===- Quantization.h - To and from quantized integers ---------*- C++ -*-===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_LIB_IMPORT_ONNX_OPS_QUANTIZATION_H
#define PENSTOCK_LIB_IMPORT_ONNX_OPS_QUANTIZATION_H

#include "../NodeContext.h"

namespace penstock::onnximport {

/// round(x / scale) + zero point, within the range of `to`. The division is done in the element type of `scale`; a null
/// zero point is 0. Scale and zero point broadcast to the input.
Value quantize(NodeContext &n, Value input, Value scale, Value zeroPoint, Type to);

/// x - zero point in i32.
Value subtractZeroPoint(NodeContext &n, Value input, Value zeroPoint);

/// (x - zero point) * scale, in the element type of `scale`.
Value dequantize(NodeContext &n, Value input, Value scale, Value zeroPoint);

} // namespace penstock::onnximport

#endif
