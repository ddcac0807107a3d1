//===- Matchers.h - Recognizing exporters' decompositions ------*- C++ -*-===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_LIB_DIALECT_NN_TRANSFORMS_MATCHERS_H
#define PENSTOCK_LIB_DIALECT_NN_TRANSFORMS_MATCHERS_H

#include "penstock/Dialect/NN/IR/NNOps.h"

#include <cmath>
#include <optional>
#include <utility>

namespace penstock::nn {

/// True if `value` is that number up to the rounding of single precision.
inline bool isUniform(Value value, double number) {
  std::optional<double> found = getUniform(value);
  return found && std::abs(*found - number) <= 1e-6 * std::max(1.0, std::abs(number));
}

inline BinaryOp getBinary(Value value, BinaryKind kind) {
  auto op = value.getDefiningOp<BinaryOp>();
  return op && op.getKind() == kind ? op : BinaryOp();
}

inline UnaryOp getUnary(Value value, UnaryKind kind) {
  auto op = value.getDefiningOp<UnaryOp>();
  return op && op.getKind() == kind ? op : UnaryOp();
}

/// The other operand of a commutative op on `number`; null if there is none.
inline Value getOtherThan(Value value, BinaryKind kind, double number) {
  BinaryOp op = getBinary(value, kind);
  if (!op)
    return {};
  if (isUniform(op.getRhs(), number))
    return op.getLhs();
  return isUniform(op.getLhs(), number) ? Value(op.getRhs()) : Value();
}

/// The other operand of a commutative op on `known`; null if there is none.
inline Value getOtherThan(Value value, BinaryKind kind, Value known) {
  BinaryOp op = getBinary(value, kind);
  if (!op)
    return {};
  if (op.getRhs() == known)
    return op.getLhs();
  return op.getLhs() == known ? Value(op.getRhs()) : Value();
}

} // namespace penstock::nn

#endif // PENSTOCK_LIB_DIALECT_NN_TRANSFORMS_MATCHERS_H
