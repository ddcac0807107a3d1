//===- Types.h - Element types and small helpers -----------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The element types of Abi.h with their names in plan.json, elements as words, a borrowed range, and the clock. No
// state.
//
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_RT_TYPES_H
#define PENSTOCK_RT_TYPES_H

#include "penstock/rt/Abi.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace penstock {
namespace rt {

/// A borrowed, contiguous range.
template <typename T> struct Span {
  T *data = nullptr;
  size_t count = 0;

  T *begin() const { return data; }
  T *end() const { return data + count; }
  T &operator[](size_t index) const { return data[index]; }
};

/// "f32", "i64", "bool", ...; null for a number that is no rt_dtype.
const char *dtypeName(int32_t dtype);
/// Bytes per element; 0 for a number that is no rt_dtype.
int64_t dtypeBytes(int32_t dtype);
/// Inverse of dtypeName; false when there is no such type.
bool dtypeFromName(const std::string &name, int32_t &dtype);

/// Product of the extents times the element's bytes. False on a negative extent or on overflow.
bool tensorBytes(int32_t dtype, const int64_t *dims, size_t numDims, int64_t &numBytes);
/// "1x3x224x224", "scalar" when there are none; a negative extent prints as ?.
std::string dimsToString(const int64_t *dims, size_t numDims);
inline std::string dimsToString(const std::vector<int64_t> &dims) { return dimsToString(dims.data(), dims.size()); }

/// One element as a number; 64-bit integers are rounded.
double elementValue(int32_t dtype, const void *element);
/// "0.5 (0x3f000000)" for a float, since bits may differ where numbers do not; "17" for integers and bool.
std::string elementToString(int32_t dtype, const void *element);
/// "[1,0,3]": the place of an element, counted in row-major order.
std::string placeToString(int64_t index, const int64_t *dims, size_t numDims);

/// Nanoseconds on the steady clock, which all processes of one host share.
int64_t nowNs();
/// A deadline that never comes.
constexpr int64_t kNever = INT64_MAX;
/// deadline = now + span, kNever when span is 0 or less.
int64_t deadlineAfter(int64_t spanNs);

} // namespace rt
} // namespace penstock

#endif // PENSTOCK_RT_TYPES_H
