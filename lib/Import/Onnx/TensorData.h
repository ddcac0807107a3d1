//===- TensorData.h - Tensor protos to types and attributes ----*- C++ -*-===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Element types, shapes and data of ONNX tensors. ONNX's signed integers are signless here, unsigned ones are `ui8` and
// so on, bool is i1. Errors are texts that begin with a verb ("has ...").
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_LIB_IMPORT_ONNX_TENSORDATA_H
#define PENSTOCK_LIB_IMPORT_ONNX_TENSORDATA_H

#include "OnnxValue.h"
#include "mlir/Support/LLVM.h"
#include "onnx/onnx_pb.h"

namespace penstock::onnximport {

class ModelFile;

/// The element type, or null and an error.
Type getElementType(MLIRContext *context, int32_t dataType, std::string &error);
/// The inverse; UNDEFINED where ONNX has none.
int32_t getDataType(Type elementType);
/// "float16" and the like, for messages.
std::string getDataTypeName(int32_t dataType);

/// Bytes of `numElements` elements as ONNX stores them; nothing on overflow.
std::optional<int64_t> getStoredBytes(Type elementType, int64_t numElements);
/// Number of elements; nothing if an extent is negative or the product of extents and element bytes overflows.
std::optional<int64_t> checkShape(ArrayRef<int64_t> shape, Type elementType);

/// A constant from row-major little-endian bytes as ONNX stores them.
DenseElementsAttr getDenseElements(RankedTensorType type, StringRef bytes);

/// Put a tensor's type and data into `value`: a constant if it is small, of one value, or not stored as plain bytes;
/// else a range of a file.
LogicalResult readTensor(MLIRContext *context, ModelFile &file, const onnx::TensorProto &tensor, OnnxValue &value,
                         std::string &error);

} // namespace penstock::onnximport

#endif
