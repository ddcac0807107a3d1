//===- InferElementwise.cpp - Result types of elementwise ops -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#include "penstock/Dialect/NN/IR/NNOps.h"

using namespace penstock::nn;

static RankedTensorType tensorType(Value value) { return cast<RankedTensorType>(value.getType()); }

/// The broadcast type of the operands with this element type.
static LogicalResult inferBroadcast(std::optional<Location> loc, ValueRange operands, Type elementType,
                                    SmallVectorImpl<Type> &results) {
  SmallVector<AffineExpr> extents;
  for (Value operand : operands) {
    SmallVector<AffineExpr> other = getExtents(tensorType(operand));
    std::optional<SmallVector<AffineExpr>> joined = broadcastExtents(extents, other);
    if (!joined)
      return emitOptionalError(loc, "shapes ", formatExtents(extents), " and ", formatExtents(other),
                               " do not broadcast");
    extents = *joined;
  }
  results.push_back(getTensorType(extents, elementType));
  return success();
}

LogicalResult UnaryOp::inferReturnTypes(MLIRContext *context, std::optional<Location> loc, Adaptor adaptor,
                                        SmallVectorImpl<Type> &results) {
  RankedTensorType input = tensorType(adaptor.getInput());
  bool toBool = adaptor.getKind() == UnaryKind::is_nan || adaptor.getKind() == UnaryKind::is_inf;
  results.push_back(toBool ? getTensorType(getExtents(input), IntegerType::get(context, 1)) : input);
  return success();
}

LogicalResult BinaryOp::inferReturnTypes(MLIRContext *, std::optional<Location> loc, Adaptor adaptor,
                                         SmallVectorImpl<Type> &results) {
  Type lhs = tensorType(adaptor.getLhs()).getElementType(), rhs = tensorType(adaptor.getRhs()).getElementType();
  if (lhs != rhs && adaptor.getKind() != BinaryKind::pow)
    return emitOptionalError(loc, "operands have element types ", lhs, " and ", rhs,
                             "; expected the same");               // binary_c1
  return inferBroadcast(loc, adaptor.getOperands(), lhs, results); // binary_c2
}

LogicalResult CompareOp::inferReturnTypes(MLIRContext *context, std::optional<Location> loc, Adaptor adaptor,
                                          SmallVectorImpl<Type> &results) {
  Type lhs = tensorType(adaptor.getLhs()).getElementType(), rhs = tensorType(adaptor.getRhs()).getElementType();
  if (lhs != rhs)
    return emitOptionalError(loc, "operands have element types ", lhs, " and ", rhs,
                             "; expected the same");                                        // compare_c1
  return inferBroadcast(loc, adaptor.getOperands(), IntegerType::get(context, 1), results); // compare_c2
}

LogicalResult SelectOp::inferReturnTypes(MLIRContext *, std::optional<Location> loc, Adaptor adaptor,
                                         SmallVectorImpl<Type> &results) {
  Type condition = tensorType(adaptor.getCondition()).getElementType();
  Type lhs = tensorType(adaptor.getLhs()).getElementType(), rhs = tensorType(adaptor.getRhs()).getElementType();
  if (!condition.isInteger(1))
    return emitOptionalError(loc, "condition has element type ", condition, "; expected i1"); // select_c1
  if (lhs != rhs)
    return emitOptionalError(loc, "values have element types ", lhs, " and ", rhs, "; expected the same"); // select_c2
  return inferBroadcast(loc, adaptor.getOperands(), lhs, results);                                         // select_c3
}

LogicalResult CastOp::inferReturnTypes(MLIRContext *, std::optional<Location>, Adaptor adaptor,
                                       SmallVectorImpl<Type> &results) {
  results.push_back(getTensorType(getExtents(tensorType(adaptor.getInput())), adaptor.getTo()));
  return success();
}

LogicalResult BitcastOp::inferReturnTypes(MLIRContext *, std::optional<Location> loc, Adaptor adaptor,
                                          SmallVectorImpl<Type> &results) {
  RankedTensorType input = tensorType(adaptor.getInput());
  Type from = input.getElementType(), to = adaptor.getTo();
  if (!from.isIntOrFloat() || !to.isIntOrFloat() || from.getIntOrFloatBitWidth() != to.getIntOrFloatBitWidth())
    return emitOptionalError(loc, "element types ", from, " and ", to,
                             " differ in their number of bits; expected the same"); // bitcast_c1
  results.push_back(getTensorType(getExtents(input), to));
  return success();
}
