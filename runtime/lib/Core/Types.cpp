//===- Types.cpp - Element types and small helpers ---------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "penstock/rt/Types.h"

#include "penstock/rt/Status.h"

#include <cmath>
#include <cstring>
#include <ctime>

namespace penstock {
namespace rt {

namespace {
struct DtypeRow {
  int32_t dtype;
  const char *name;
  int64_t numBytes;
};
} // namespace

static constexpr DtypeRow kDtypes[] = {{RT_F32, "f32", 4},   {RT_U8, "u8", 1},   {RT_I8, "i8", 1},   {RT_U16, "u16", 2},
                                       {RT_I16, "i16", 2},   {RT_I32, "i32", 4}, {RT_I64, "i64", 8}, {RT_F16, "f16", 2},
                                       {RT_BOOL, "bool", 1}, {RT_F64, "f64", 8}, {RT_U32, "u32", 4}, {RT_U64, "u64", 8},
                                       {RT_BF16, "bf16", 2}};

const char *dtypeName(int32_t dtype) {
  for (const DtypeRow &row : kDtypes)
    if (row.dtype == dtype)
      return row.name;
  return nullptr;
}

int64_t dtypeBytes(int32_t dtype) {
  for (const DtypeRow &row : kDtypes)
    if (row.dtype == dtype)
      return row.numBytes;
  return 0;
}

bool dtypeFromName(const std::string &name, int32_t &dtype) {
  for (const DtypeRow &row : kDtypes) {
    if (name != row.name)
      continue;
    dtype = row.dtype;
    return true;
  }
  return false;
}

bool tensorBytes(int32_t dtype, const int64_t *dims, size_t numDims, int64_t &numBytes) {
  int64_t product = dtypeBytes(dtype);
  bool empty = false;
  for (size_t i = 0; i < numDims; ++i) {
    if (dims[i] < 0)
      return false;
    empty |= dims[i] == 0;
    // The other extents of an empty tensor count too: an absurd one is refused although the product would be zero.
    if (__builtin_mul_overflow(product, dims[i] == 0 ? 1 : dims[i], &product))
      return false;
  }
  numBytes = empty ? 0 : product;
  return true;
}

std::string dimsToString(const int64_t *dims, size_t numDims) {
  if (numDims == 0)
    return "scalar";
  std::string text;
  for (size_t i = 0; i < numDims; ++i) {
    if (i)
      text += 'x';
    text += dims[i] < 0 ? std::string("?") : std::to_string(dims[i]);
  }
  return text;
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

template <typename T> static T loadAs(const void *at) {
  T value;
  std::memcpy(&value, at, sizeof(value));
  return value;
}

double elementValue(int32_t dtype, const void *element) {
  switch (dtype) {
  case RT_F32:
    return double(loadAs<float>(element));
  case RT_F64:
    return loadAs<double>(element);
  case RT_F16:
    return double(halfToFloat(loadAs<uint16_t>(element)));
  case RT_BF16:
    return double(bfloatToFloat(loadAs<uint16_t>(element)));
  case RT_I8:
    return loadAs<int8_t>(element);
  case RT_U8:
  case RT_BOOL:
    return loadAs<uint8_t>(element);
  case RT_I16:
    return loadAs<int16_t>(element);
  case RT_U16:
    return loadAs<uint16_t>(element);
  case RT_I32:
    return loadAs<int32_t>(element);
  case RT_U32:
    return loadAs<uint32_t>(element);
  case RT_I64:
    return double(loadAs<int64_t>(element));
  default:
    return double(loadAs<uint64_t>(element));
  }
}

std::string elementToString(int32_t dtype, const void *element) {
  switch (dtype) {
  case RT_F32:
    return format("%.9g (0x%08x)", elementValue(dtype, element), loadAs<uint32_t>(element));
  case RT_F64:
    return format("%.17g (0x%016llx)", elementValue(dtype, element), (unsigned long long)loadAs<uint64_t>(element));
  case RT_F16:
  case RT_BF16:
    return format("%.5g (0x%04x)", elementValue(dtype, element), loadAs<uint16_t>(element));
  case RT_I64:
    return std::to_string(loadAs<int64_t>(element));
  case RT_U64:
    return std::to_string(loadAs<uint64_t>(element));
  default:
    return format("%.0f", elementValue(dtype, element));
  }
}

std::string placeToString(int64_t index, const int64_t *dims, size_t numDims) {
  std::string text;
  for (size_t i = numDims; i-- > 0;) {
    int64_t extent = dims[i] > 0 ? dims[i] : 1;
    text = std::to_string(index % extent) + (text.empty() ? "" : ",") + text;
    index /= extent;
  }
  return "[" + text + "]";
}

int64_t nowNs() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<int64_t>(now.tv_sec) * 1000000000 + now.tv_nsec;
}

int64_t deadlineAfter(int64_t spanNs) { return spanNs <= 0 ? kNever : nowNs() + spanNs; }

} // namespace rt
} // namespace penstock
