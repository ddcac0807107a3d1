//===- InferReduction.cpp - Result types of reductions and normalizations -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#include "penstock/Dialect/NN/IR/NNOps.h"

using namespace penstock::nn;

static RankedTensorType tensorType(Value value) { return cast<RankedTensorType>(value.getType()); }

static LogicalResult checkAxis(std::optional<Location> loc, int64_t axis, RankedTensorType type) {
  if (axis < 0 || axis >= type.getRank())
    return emitOptionalError(loc, "axis is ", axis, "; expected one of the ", type.getRank(), " axes of ", type);
  return success();
}

static SmallVector<AffineExpr> reduceExtents(RankedTensorType input, ArrayRef<int64_t> axes, bool keepDims) {
  SmallVector<AffineExpr> extents;
  for (auto [i, extent] : llvm::enumerate(getExtents(input))) {
    if (!llvm::is_contained(axes, static_cast<int64_t>(i)))
      extents.push_back(extent);
    else if (keepDims)
      extents.push_back(getAffineConstantExpr(1, input.getContext()));
  }
  return extents;
}

LogicalResult ReduceOp::inferReturnTypes(MLIRContext *, std::optional<Location> loc, Adaptor adaptor,
                                         SmallVectorImpl<Type> &results) {
  RankedTensorType input = tensorType(adaptor.getInput());
  int64_t previous = -1;
  for (int64_t axis : adaptor.getAxes()) {
    if (axis <= previous || axis >= input.getRank())
      return emitOptionalError(loc, "axes must be distinct axes of ", input, ", ascending"); // reduce_c1
    previous = axis;
  }
  results.push_back(
      getTensorType(reduceExtents(input, adaptor.getAxes(), adaptor.getKeepDims()), input.getElementType()));
  return success();
}

LogicalResult ArgReduceOp::inferReturnTypes(MLIRContext *context, std::optional<Location> loc, Adaptor adaptor,
                                            SmallVectorImpl<Type> &results) {
  RankedTensorType input = tensorType(adaptor.getInput());
  if (failed(checkAxis(loc, adaptor.getAxis(), input))) // arg_reduce_c1
    return failure();
  if (adaptor.getKind() != ReduceKind::max && adaptor.getKind() != ReduceKind::min)
    return emitOptionalError(loc, "kind must be max or min"); // arg_reduce_c1
  SmallVector<AffineExpr> extents =
      reduceExtents(input, static_cast<int64_t>(adaptor.getAxis()), adaptor.getKeepDims());
  results.push_back(getTensorType(extents, IntegerType::get(context, 64)));
  return success();
}

/// An op along one axis whose result has the type of its input.
static LogicalResult inferAxisOp(std::optional<Location> loc, Value input, int64_t axis,
                                 SmallVectorImpl<Type> &results) {
  results.push_back(input.getType());
  return checkAxis(loc, axis, tensorType(input));
}

LogicalResult SoftmaxOp::inferReturnTypes(MLIRContext *, std::optional<Location> loc, Adaptor adaptor,
                                          SmallVectorImpl<Type> &results) {
  return inferAxisOp(loc, adaptor.getInput(), adaptor.getAxis(), results); // softmax_c1
}

LogicalResult LogSoftmaxOp::inferReturnTypes(MLIRContext *, std::optional<Location> loc, Adaptor adaptor,
                                             SmallVectorImpl<Type> &results) {
  return inferAxisOp(loc, adaptor.getInput(), adaptor.getAxis(), results); // log_softmax_c1
}

LogicalResult CumSumOp::inferReturnTypes(MLIRContext *, std::optional<Location> loc, Adaptor adaptor,
                                         SmallVectorImpl<Type> &results) {
  return inferAxisOp(loc, adaptor.getInput(), adaptor.getAxis(), results); // cumsum_c1
}

LogicalResult LayerNormOp::inferReturnTypes(MLIRContext *, std::optional<Location> loc, Adaptor adaptor,
                                            SmallVectorImpl<Type> &results) {
  RankedTensorType input = tensorType(adaptor.getInput());
  for (Value factor : adaptor.getOperands().drop_front()) {
    std::optional<SmallVector<AffineExpr>> joined = broadcastExtents(getExtents(input), getExtents(tensorType(factor)));
    if (!joined || joined->size() != static_cast<size_t>(input.getRank()))
      return emitOptionalError(loc, "scale or bias ", factor.getType(), " does not broadcast to ",
                               input); // layer_norm_c1
  }
  return inferAxisOp(loc, adaptor.getInput(), adaptor.getAxis(), results);
}

LogicalResult BatchNormOp::inferReturnTypes(MLIRContext *, std::optional<Location> loc, Adaptor adaptor,
                                            SmallVectorImpl<Type> &results) {
  RankedTensorType input = tensorType(adaptor.getInput());
  if (input.getRank() < 2)
    return emitOptionalError(loc, "input has ", input.getRank(), " axes; expected at least two"); // batch_norm_c1
  AffineExpr channels = getExtent(input, 1);
  for (Value factor : adaptor.getOperands().drop_front()) {
    RankedTensorType type = tensorType(factor);
    if (type.getRank() != 1 || !mayBeEqual(getExtent(type, 0), channels))
      return emitOptionalError(loc, "scale, bias, mean or variance has type ", type, "; expected ",
                               formatExtents(channels), " elements"); // batch_norm_c2
  }
  results.push_back(input);
  return success();
}
