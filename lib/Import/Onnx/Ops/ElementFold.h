//===- ElementFold.h - Elementwise arithmetic on known elements -*- C++ -*-===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Shape arithmetic at import. A fold gives nothing where the exact result is not an expression; the operator is then an
// op. Integer results stay within their type, float results are rounded to it.
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_LIB_IMPORT_ONNX_OPS_ELEMENTFOLD_H
#define PENSTOCK_LIB_IMPORT_ONNX_OPS_ELEMENTFOLD_H

#include "../NodeContext.h"
#include "llvm/ADT/STLFunctionalExtras.h"

namespace penstock::onnximport {

/// Floats are folded in tensors up to this size only: more is data, whose folding belongs to a later phase.
constexpr int64_t kMaxFoldedFloats = 64;

/// Small enough to be folded: what comes out stays a constant of the module.
bool isShapeArithmetic(RankedTensorType type);

using MaybeElement = std::optional<Element>;

MaybeElement foldUnary(NodeContext &n, nn::UnaryKind kind, const Element &input, Type type);
MaybeElement foldBinary(NodeContext &n, nn::BinaryKind kind, const Element &lhs, const Element &rhs, Type type);
MaybeElement foldCompare(NodeContext &n, nn::CompareKind kind, const Element &lhs, const Element &rhs, Type type);
MaybeElement foldCast(NodeContext &n, const Element &input, Type from, Type to);

/// Applies `fold` to every tuple of elements of the inputs, broadcast. True, with output 0 set, if all are known and
/// every fold gave a result.
bool foldElementwise(NodeContext &n, int numInputs, Type resultType,
                     llvm::function_ref<MaybeElement(ArrayRef<Element>)> fold);

} // namespace penstock::onnximport

#endif
