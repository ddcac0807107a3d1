//===- Constants.h - Known elements as attributes --------------*- C++ -*-===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_LIB_IMPORT_ONNX_CONSTANTS_H
#define PENSTOCK_LIB_IMPORT_ONNX_CONSTANTS_H

#include "OnnxValue.h"

namespace penstock::onnximport {

/// The elements, rounded to the element type; null if one of them is not constant.
DenseElementsAttr toDense(RankedTensorType type, const Elements &elements);

} // namespace penstock::onnximport

#endif
