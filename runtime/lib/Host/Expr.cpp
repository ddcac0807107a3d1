//===- Expr.cpp - Extents as expressions over symbols ------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "penstock/rt/Plan.h"

#include <algorithm>

namespace penstock {
namespace rt {

static int64_t floorDivide(int64_t a, int64_t b) {
  int64_t quotient = a / b;
  return quotient - (a % b != 0 && (a < 0) != (b < 0));
}

bool Expr::evaluate(const std::vector<int64_t> &symbols, int64_t &result) const {
  if (kind == kNumber) {
    result = value;
    return true;
  }
  if (kind == kSymbol) {
    if (value < 0 || size_t(value) >= symbols.size())
      return false;
    result = symbols[size_t(value)];
    return true;
  }
  int64_t a, b;
  if (!left->evaluate(symbols, a) || !right->evaluate(symbols, b))
    return false;
  bool divides = kind == kFloorDiv || kind == kCeilDiv || kind == kMod;
  if (divides && (b == 0 || (b == -1 && a == INT64_MIN)))
    return false;
  switch (kind) {
  case kAdd:
    return !__builtin_add_overflow(a, b, &result);
  case kSub:
    return !__builtin_sub_overflow(a, b, &result);
  case kMul:
    return !__builtin_mul_overflow(a, b, &result);
  case kFloorDiv:
    result = floorDivide(a, b);
    return true;
  case kCeilDiv:
    result = a == INT64_MIN ? floorDivide(a, b) + (a % b != 0) : -floorDivide(-a, b);
    return true;
  case kMod:
    result = a - floorDivide(a, b) * b;
    return true;
  case kMin:
    result = std::min(a, b);
    return true;
  default:
    result = std::max(a, b);
    return true;
  }
}

std::string Expr::toString(const std::vector<std::string> &names) const {
  static constexpr const char *kWords[] = {"",           "",          " + ",   " - ",   " * ",
                                           " floordiv ", " ceildiv ", " mod ", " min ", " max "};
  if (kind == kNumber)
    return std::to_string(value);
  if (kind == kSymbol)
    return value >= 0 && size_t(value) < names.size() ? names[size_t(value)] : "?";
  return "(" + left->toString(names) + kWords[kind] + right->toString(names) + ")";
}

} // namespace rt
} // namespace penstock
