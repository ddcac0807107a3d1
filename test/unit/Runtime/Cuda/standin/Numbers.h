//===- Numbers.h - Floats of a device on the host -----------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_TEST_STANDIN_NUMBERS_H
#define PENSTOCK_TEST_STANDIN_NUMBERS_H

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace standin {

enum class Float : uint8_t { kF32, kF16, kBF16 };

inline size_t bytesOf(Float type) { return type == Float::kF32 ? 4 : 2; }

inline float load(const char *data, Float type) {
  float number = 0;
  uint16_t bits = 0;
  if (type == Float::kF32) {
    std::memcpy(&number, data, sizeof(number));
  } else if (type == Float::kBF16) {
    std::memcpy(&bits, data, sizeof(bits));
    uint32_t wide = uint32_t(bits) << 16;
    std::memcpy(&number, &wide, sizeof(number));
  } else {
    _Float16 half;
    std::memcpy(&half, data, sizeof(half));
    number = float(half);
  }
  return number;
}

inline void store(char *data, Float type, double value) {
  auto number = float(value);
  if (type == Float::kF32) {
    std::memcpy(data, &number, sizeof(number));
  } else if (type == Float::kBF16) {
    uint32_t wide = 0;
    std::memcpy(&wide, &number, sizeof(wide));
    if (!std::isnan(number))
      wide += 0x7fff + (wide >> 16 & 1);
    auto bits = uint16_t(wide >> 16);
    std::memcpy(data, &bits, sizeof(bits));
  } else {
    auto half = _Float16(number);
    std::memcpy(data, &half, sizeof(half));
  }
}

/// To 10 bits of fraction, as TF32 does.
inline float roundToTf32(float value) {
  uint32_t bits = 0;
  std::memcpy(&bits, &value, sizeof(bits));
  bits = (bits + 0x1000) & ~uint32_t(0x1fff);
  std::memcpy(&value, &bits, sizeof(bits));
  return value;
}

} // namespace standin

#endif // PENSTOCK_TEST_STANDIN_NUMBERS_H
