//===- Types.cpp - Element types and small helpers ---------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "penstock/rt/Types.h"

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

int64_t nowNs() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<int64_t>(now.tv_sec) * 1000000000 + now.tv_nsec;
}

int64_t deadlineAfter(int64_t spanNs) { return spanNs <= 0 ? kNever : nowNs() + spanNs; }

} // namespace rt
} // namespace penstock
