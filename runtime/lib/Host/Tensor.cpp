//===- Tensor.cpp - Named tensors outside a pipeline -------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "penstock/rt/Tensor.h"

#include <cmath>
#include <cstring>

namespace penstock {
namespace rt {

Status Tensor::make(int32_t dtype, std::vector<int64_t> dims, Tensor &tensor) {
  int64_t numBytes;
  if (!tensorBytes(dtype, dims.data(), dims.size(), numBytes))
    return fail(Code::kInvalid, "a tensor of shape %s is too large", dimsToString(dims).c_str());
  void *memory = nullptr;
  // One byte at least: an empty tensor has an address too.
  if (posix_memalign(&memory, RT_ALIGNMENT, size_t(numBytes) + 1) != 0)
    return fail(Code::kSystem, "no memory for a tensor of shape %s, %lld bytes", dimsToString(dims).c_str(),
                (long long)numBytes);
  tensor.dtype = dtype;
  tensor.dims = std::move(dims);
  tensor.numBytes = numBytes;
  tensor.data = std::shared_ptr<char>(static_cast<char *>(memory), std::free);
  return Status();
}

TensorViewMap viewsOf(const TensorMap &tensors) {
  TensorViewMap views;
  for (const auto &entry : tensors)
    views[entry.first] = entry.second.view();
  return views;
}

static float halfToFloat(uint16_t half) {
  uint32_t exponent = (half >> 10) & 31, mantissa = half & 1023;
  float value = exponent == 31 ? (mantissa ? NAN : INFINITY)
                : exponent     ? std::ldexp(float(mantissa + 1024), int(exponent) - 25)
                               : std::ldexp(float(mantissa), -24);
  return half & 0x8000 ? -value : value;
}

static float bfloatToFloat(uint16_t value) {
  uint32_t bits = uint32_t(value) << 16;
  float result;
  std::memcpy(&result, &bits, sizeof(result));
  return result;
}

template <typename T> static double loadAs(const char *at) {
  T value;
  std::memcpy(&value, at, sizeof(value));
  return static_cast<double>(value);
}

static double elementAt(const Tensor &tensor, int64_t index) {
  const char *at = tensor.data.get() + index * dtypeBytes(tensor.dtype);
  switch (tensor.dtype) {
  case RT_F32:
    return loadAs<float>(at);
  case RT_F64:
    return loadAs<double>(at);
  case RT_F16:
    return halfToFloat(uint16_t(loadAs<uint16_t>(at)));
  case RT_BF16:
    return bfloatToFloat(uint16_t(loadAs<uint16_t>(at)));
  case RT_I8:
    return loadAs<int8_t>(at);
  case RT_U8:
  case RT_BOOL:
    return loadAs<uint8_t>(at);
  case RT_I16:
    return loadAs<int16_t>(at);
  case RT_U16:
    return loadAs<uint16_t>(at);
  case RT_I32:
    return loadAs<int32_t>(at);
  case RT_U32:
    return loadAs<uint32_t>(at);
  case RT_I64:
    return loadAs<int64_t>(at);
  default:
    return loadAs<uint64_t>(at);
  }
}

std::string summarize(const Tensor &tensor) {
  std::string head = std::string(dtypeName(tensor.dtype)) + " " + dimsToString(tensor.dims);
  int64_t count = tensor.numBytes / dtypeBytes(tensor.dtype);
  if (count == 0)
    return head + " empty";
  double least = INFINITY, most = -INFINITY, sum = 0;
  bool hasNan = false;
  for (int64_t i = 0; i < count; ++i) {
    double value = elementAt(tensor, i);
    hasNan |= std::isnan(value);
    least = value < least ? value : least;
    most = value > most ? value : most;
    sum += value;
  }
  if (hasNan)
    return head + " has NaN";
  return head + format(" min %.6g mean %.6g max %.6g", least, sum / double(count), most);
}

} // namespace rt
} // namespace penstock
