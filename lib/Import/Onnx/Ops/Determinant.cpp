//===- Determinant.cpp - Determinants -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Gaussian elimination, unrolled: every step takes the row of the largest element in the first column out of the matrix
// and clears that column of what is left.
//===----------------------------------------------------------------------===//
#include "../NodeContext.h"
#include "Families.h"
#include "penstock/Import/Onnx/OperatorRegistry.h"

namespace penstock::onnximport {
namespace {

using nn::CompareKind;
using nn::ReduceKind;
using nn::UnaryKind;

constexpr int64_t kMaxOrder = 64; ///< about twenty ops for each

/// One step on matrices of `order` rows and columns, [batch, order, order]: the pivot, with the sign of the exchange of
/// rows, is multiplied to `determinant`, [batch, 1, 1]; gives the matrices that are left.
Value eliminate(NodeContext &n, Value matrices, int64_t order, Value &determinant) {
  Type type = n.elementOf(matrices), i64 = n.builder().getI64Type();
  AffineExpr batch = n.extentsOf(matrices)[0], one = n.cst(1), rest = n.cst(order - 1);
  Value magnitude = n.unary(UnaryKind::abs, n.sliceAxis(matrices, 2, n.cst(0), one));
  Value row =
      n.make<nn::ArgReduceOp>(magnitude, {n.attr("kind", nn::ReduceKindAttr::get(n.getContext(), ReduceKind::max)),
                                          n.integer("axis", 1), n.unit("keep_dims")});
  if (!row)
    return {};
  Value pivotRow =
      n.make<nn::GatherElementsOp>({matrices, n.broadcastTo(row, {batch, one, n.cst(order)})}, n.integer("axis", 1));
  Value pivot = n.sliceAxis(pivotRow, 2, n.cst(0), one);
  Value isFirst = n.compare(CompareKind::eq, row, n.scalar(0, i64));
  determinant = n.mul(determinant, n.select(isFirst, pivot, n.unary(UnaryKind::neg, pivot)));
  // The first row goes where the pivot's was.
  Value position = n.iota(RankedTensorType::get({1, order - 1, 1}, i64), 1, /*start=*/1);
  Value left = n.select(n.compare(CompareKind::eq, position, row), n.sliceAxis(matrices, 1, n.cst(0), one),
                        n.sliceAxis(matrices, 1, one, rest));
  // A pivot of zero means a column of zeros: there is nothing to clear.
  Value zero = n.scalar(0, type);
  Value divisor = n.select(n.compare(CompareKind::eq, pivot, zero), n.scalar(1, type), pivot);
  Value factor = n.div(n.sliceAxis(left, 2, n.cst(0), one), divisor);
  return n.sub(n.sliceAxis(left, 2, one, rest), n.mul(factor, n.sliceAxis(pivotRow, 2, one, rest)));
}

LogicalResult convertDet(NodeContext &n) {
  Value input = n.getInput(0);
  if (!input)
    return failure();
  Extents extents = n.extentsOf(input);
  size_t numDims = extents.size();
  std::optional<int64_t> order = numDims < 2 ? std::nullopt : nn::getConstant(extents[numDims - 1]);
  if (!order || n.algebra().equal(extents[numDims - 2], extents[numDims - 1]) != true || *order > kMaxOrder)
    return n.emitError() << "input has type " << n.typeOf(input) << "; expected square matrices of at most "
                         << kMaxOrder << " rows";
  Extents outer(extents.begin(), extents.end() - 2);
  Type type = n.elementOf(input), real = type.isF64() ? type : Type(Float32Type::get(n.getContext()));
  AffineExpr batch = n.algebra().product(outer);
  Value matrices = n.reshape(n.cast_(input, real), {batch, extents[numDims - 2], extents[numDims - 1]});
  Value determinant = n.broadcastTo(n.scalar(1, real), {batch, n.cst(1), n.cst(1)});
  for (int64_t left = *order; left > 1 && matrices; --left)
    matrices = eliminate(n, matrices, left, determinant);
  if (*order > 0)
    determinant = n.mul(determinant, matrices);
  return n.setOutput(0, n.cast_(n.reshape(determinant, outer), type));
}

} // namespace

void registerDeterminantOperators(OperatorRegistry &r) { r.add("Det", 11, convertDet); }

} // namespace penstock::onnximport
