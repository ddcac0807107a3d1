//===- Extents.h - Symbolic extents of tensors -----------------*- C++ -*-===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
// The extents of a tensor type as expressions over the symbols of the module. A static extent is a constant expression;
// a dynamic one is listed in the `#nn.extents` encoding of the type. An extent is a number of elements, never negative.
// Expressions have symbols only, no dimensions, and may be semi-affine (s0 * s1). All functions are pure and
// thread-safe as far as the MLIRContext is.
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_DIALECT_NN_IR_EXTENTS_H
#define PENSTOCK_DIALECT_NN_IR_EXTENTS_H

#include "mlir/IR/AffineExpr.h"
#include "mlir/IR/BuiltinTypes.h"
#include "llvm/ADT/SmallVector.h"
#include <optional>

namespace penstock::nn {
using namespace mlir;

/// One expression per axis. Axes without a known expression (a dynamic axis of a type without encoding) are null.
SmallVector<AffineExpr> getExtents(RankedTensorType type);

/// The extent of one axis.
AffineExpr getExtent(RankedTensorType type, int64_t axis);

/// The type with these extents; constant expressions become static extents.
RankedTensorType getTensorType(ArrayRef<AffineExpr> extents, Type elementType);

/// The simplest form we know; equal extents should become identical expressions.
AffineExpr simplifyExtent(AffineExpr expr);

/// The value if the expression is a constant.
std::optional<int64_t> getConstant(AffineExpr expr);

/// Number of elements; 1 for a scalar. Null if an extent is null.
AffineExpr getNumElements(RankedTensorType type);

/// Bytes of one element in memory: i1 takes one byte.
int64_t getElementBytes(Type elementType);

/// Bytes of a tensor in memory, row-major.
AffineExpr getNumBytes(RankedTensorType type);

/// The value of an expression; nothing if a symbol has no value or a division by zero or an overflow occurs.
std::optional<int64_t> evaluate(AffineExpr expr, ArrayRef<int64_t> symbolValues);

/// One past the highest symbol of the expression.
unsigned getNumSymbols(AffineExpr expr);

/// The type with every symbol i replaced by replacements[i].
RankedTensorType replaceSymbols(RankedTensorType type, ArrayRef<AffineExpr> replacements);

/// Extents of a broadcast, aligned from the last axis; nothing if two constants do not fit. Where two unequal
/// expressions meet, the more static or else the first one is taken (see `nn.constraint`).
std::optional<SmallVector<AffineExpr>> broadcastExtents(ArrayRef<AffineExpr> lhs, ArrayRef<AffineExpr> rhs);

/// True if the two could be equal: not both constant, or the same.
bool mayBeEqual(AffineExpr lhs, AffineExpr rhs);

/// Text for messages: "4x?x(s0 * 2)".
std::string formatExtents(ArrayRef<AffineExpr> extents);

/// The same text with names[i] in place of symbol i, where there is one.
std::string formatExtents(ArrayRef<AffineExpr> extents, ArrayRef<std::string> names);

} // namespace penstock::nn

#endif // PENSTOCK_DIALECT_NN_IR_EXTENTS_H
