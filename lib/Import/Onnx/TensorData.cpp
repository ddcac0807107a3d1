//===- TensorData.cpp - Tensor protos to types and attributes -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#include "TensorData.h"
#include "ModelFile.h"
#include "mlir/IR/Builders.h"
#include "penstock/Dialect/NN/IR/Extents.h"
#include "llvm/Support/MathExtras.h"
#include <cstring>

namespace penstock::onnximport {

using onnx::TensorProto;

std::string getDataTypeName(int32_t dataType) {
  if (!TensorProto::DataType_IsValid(dataType))
    return "number " + std::to_string(dataType);
  return StringRef(TensorProto::DataType_Name(static_cast<TensorProto::DataType>(dataType))).lower();
}

Type getElementType(MLIRContext *context, int32_t dataType, std::string &error) {
  Builder b(context);
  auto integer = [&](unsigned width, bool isUnsigned = false) -> Type {
    return IntegerType::get(context, width, isUnsigned ? IntegerType::Unsigned : IntegerType::Signless);
  };
  switch (dataType) {
  case TensorProto::FLOAT:
    return b.getF32Type();
  case TensorProto::DOUBLE:
    return b.getF64Type();
  case TensorProto::FLOAT16:
    return b.getF16Type();
  case TensorProto::BFLOAT16:
    return b.getBF16Type();
  case TensorProto::FLOAT8E4M3FN:
    return b.getFloat8E4M3FNType();
  case TensorProto::FLOAT8E4M3FNUZ:
    return b.getFloat8E4M3FNUZType();
  case TensorProto::FLOAT8E5M2:
    return b.getFloat8E5M2Type();
  case TensorProto::FLOAT8E5M2FNUZ:
    return b.getFloat8E5M2FNUZType();
  case TensorProto::BOOL:
    return integer(1);
  case TensorProto::INT2:
    return integer(2);
  case TensorProto::UINT2:
    return integer(2, true);
  case TensorProto::INT4:
    return integer(4);
  case TensorProto::UINT4:
    return integer(4, true);
  case TensorProto::INT8:
    return integer(8);
  case TensorProto::UINT8:
    return integer(8, true);
  case TensorProto::INT16:
    return integer(16);
  case TensorProto::UINT16:
    return integer(16, true);
  case TensorProto::INT32:
    return integer(32);
  case TensorProto::UINT32:
    return integer(32, true);
  case TensorProto::INT64:
    return integer(64);
  case TensorProto::UINT64:
    return integer(64, true);
  default:
    error = "has element type " + getDataTypeName(dataType) + ", which is not supported";
    return {};
  }
}

int32_t getDataType(Type type) {
  if (auto integer = dyn_cast<IntegerType>(type)) {
    bool isUnsigned = integer.isUnsigned();
    switch (integer.getWidth()) {
    case 1:
      return TensorProto::BOOL;
    case 2:
      return isUnsigned ? TensorProto::UINT2 : TensorProto::INT2;
    case 4:
      return isUnsigned ? TensorProto::UINT4 : TensorProto::INT4;
    case 8:
      return isUnsigned ? TensorProto::UINT8 : TensorProto::INT8;
    case 16:
      return isUnsigned ? TensorProto::UINT16 : TensorProto::INT16;
    case 32:
      return isUnsigned ? TensorProto::UINT32 : TensorProto::INT32;
    case 64:
      return isUnsigned ? TensorProto::UINT64 : TensorProto::INT64;
    default:
      return TensorProto::UNDEFINED;
    }
  }
  if (type.isF32())
    return TensorProto::FLOAT;
  if (type.isF64())
    return TensorProto::DOUBLE;
  if (type.isF16())
    return TensorProto::FLOAT16;
  if (type.isBF16())
    return TensorProto::BFLOAT16;
  if (type.isFloat8E4M3FN())
    return TensorProto::FLOAT8E4M3FN;
  if (type.isFloat8E4M3FNUZ())
    return TensorProto::FLOAT8E4M3FNUZ;
  if (type.isFloat8E5M2())
    return TensorProto::FLOAT8E5M2;
  if (type.isFloat8E5M2FNUZ())
    return TensorProto::FLOAT8E5M2FNUZ;
  return TensorProto::UNDEFINED;
}

/// Elements of two or four bits share bytes in a file.
static bool isPacked(Type elementType) {
  unsigned width = elementType.getIntOrFloatBitWidth();
  return width == 2 || width == 4;
}

std::optional<int64_t> getStoredBytes(Type elementType, int64_t numElements) {
  unsigned width = elementType.getIntOrFloatBitWidth();
  if (isPacked(elementType))
    return numElements / (8 / width) + (numElements % (8 / width) != 0);
  int64_t bytes;
  if (llvm::MulOverflow<int64_t>(numElements, std::max(1u, width / 8), bytes))
    return std::nullopt;
  return bytes;
}

std::optional<int64_t> checkShape(ArrayRef<int64_t> shape, Type elementType) {
  int64_t numElements = 1;
  for (int64_t extent : shape)
    if (extent < 0 || (extent != 0 && llvm::MulOverflow(numElements, extent, numElements)))
      return std::nullopt;
  // Room for sizes in bits and for sums of a few tensors.
  std::optional<int64_t> numBytes = getStoredBytes(elementType, numElements);
  if (!numBytes || *numBytes > (int64_t(1) << 56))
    return std::nullopt;
  return llvm::is_contained(shape, 0) ? 0 : numElements;
}

DenseElementsAttr getDenseElements(RankedTensorType type, StringRef bytes) {
  unsigned width = type.getElementTypeBitWidth();
  if (width == 1) {
    SmallVector<bool> values;
    for (char byte : bytes)
      values.push_back(byte != 0);
    return DenseElementsAttr::get(type, values);
  }
  if (isPacked(type.getElementType())) {
    std::vector<char> values;
    int64_t perByte = 8 / width;
    for (int64_t i = 0, e = type.getNumElements(); i < e; ++i)
      values.push_back((bytes[i / perByte] >> (i % perByte * width)) & ((1 << width) - 1));
    return DenseElementsAttr::getFromRawBuffer(type, values);
  }
  return DenseElementsAttr::getFromRawBuffer(type, ArrayRef<char>(bytes.data(), bytes.size()));
}

/// The bytes of a tensor whose data lie in one of the typed fields, which hold small types widened.
static LogicalResult packTypedData(const TensorProto &tensor, Type elementType, std::string &bytes,
                                   std::string &error) {
  auto pack = [&](const auto &values, unsigned width) {
    for (auto value : values) {
      uint64_t bits = 0;
      std::memcpy(&bits, &value, sizeof(value));
      for (unsigned i = 0; i < width; ++i)
        bytes.push_back(static_cast<char>(bits >> (8 * i)));
    }
  };
  unsigned width = std::max(1u, elementType.getIntOrFloatBitWidth() / 8);
  switch (tensor.data_type()) {
  case TensorProto::FLOAT:
    pack(tensor.float_data(), 4);
    break;
  case TensorProto::DOUBLE:
    pack(tensor.double_data(), 8);
    break;
  case TensorProto::INT64:
    pack(tensor.int64_data(), 8);
    break;
  case TensorProto::UINT64:
  case TensorProto::UINT32:
    pack(tensor.uint64_data(), width);
    break;
  default:
    pack(tensor.int32_data(), width);
    break;
  }
  return success();
}

/// True for equal elements. Stops at the first difference, so that it reads few pages.
static bool isUniform(StringRef bytes, Type elementType) {
  size_t width = nn::getElementBytes(elementType);
  return !isPacked(elementType) && bytes.size() >= width &&
         std::memcmp(bytes.data(), bytes.data() + width, bytes.size() - width) == 0;
}

static LogicalResult fail(std::string &error, const Twine &what) {
  error = what.str();
  return failure();
}

LogicalResult readTensor(MLIRContext *context, ModelFile &file, const TensorProto &tensor, OnnxValue &value,
                         std::string &error) {
  Type elementType = getElementType(context, tensor.data_type(), error);
  if (!elementType)
    return failure();
  SmallVector<int64_t> shape(tensor.dims().begin(), tensor.dims().end());
  std::optional<int64_t> numElements = checkShape(shape, elementType);
  if (!numElements)
    return fail(error, "has dimensions that no memory can hold");
  value.type = RankedTensorType::get(shape, elementType);
  int64_t numBytes = *getStoredBytes(elementType, *numElements);
  std::string packed;
  StringRef bytes;
  if (tensor.data_location() == TensorProto::EXTERNAL) {
    FailureOr<TensorRange> range = file.locate(tensor, numBytes, error);
    if (failed(range))
      return failure();
    FailureOr<StringRef> mapped = file.read(*range, error);
    if (failed(mapped))
      return failure();
    bytes = *mapped;
    // Types narrower than a byte are stored packed, so they cannot be ranges.
    if (isUniform(bytes, elementType)) {
      value.constant = getDenseElements(value.type, bytes.take_front(nn::getElementBytes(elementType)));
      return success();
    }
    if (numBytes > kMaxInlineBytes && !isPacked(elementType)) {
      value.range = std::make_shared<TensorRange>(std::move(*range));
      return success();
    }
  } else if (tensor.has_raw_data()) {
    bytes = tensor.raw_data();
  } else {
    if (failed(packTypedData(tensor, elementType, packed, error)))
      return failure();
    bytes = packed;
  }
  if (static_cast<int64_t>(bytes.size()) != numBytes)
    return fail(error, "has " + Twine(bytes.size()) + " bytes of data; expected " + Twine(numBytes));
  value.constant = getDenseElements(value.type, bytes);
  return success();
}

} // namespace penstock::onnximport
