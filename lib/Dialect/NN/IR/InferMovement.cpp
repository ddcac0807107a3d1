//===- InferMovement.cpp - Result types of ops that move elements -===//
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

static LogicalResult checkIndices(std::optional<Location> loc, RankedTensorType indices) {
  if (!indices.getElementType().isInteger(32) && !indices.getElementType().isInteger(64))
    return emitOptionalError(loc, "indices have element type ", indices.getElementType(), "; expected i32 or i64");
  return success();
}

LogicalResult TransposeOp::inferReturnTypes(MLIRContext *, std::optional<Location> loc, Adaptor adaptor,
                                            SmallVectorImpl<Type> &results) {
  RankedTensorType input = tensorType(adaptor.getInput());
  SmallVector<AffineExpr> in = getExtents(input), extents;
  SmallVector<bool> seen(in.size(), false);
  for (int64_t axis : adaptor.getPerm()) {
    if (axis < 0 || axis >= input.getRank() || seen[axis])
      return emitOptionalError(loc, "perm is not a permutation of the ", input.getRank(), " axes"); // transpose_c1
    seen[axis] = true;
    extents.push_back(in[axis]);
  }
  if (extents.size() != in.size())
    return emitOptionalError(loc, "perm has ", extents.size(), " entries for ", in.size(), " axes"); // transpose_c1
  results.push_back(getTensorType(extents, input.getElementType()));
  return success();
}

LogicalResult ConcatOp::inferReturnTypes(MLIRContext *, std::optional<Location> loc, Adaptor adaptor,
                                         SmallVectorImpl<Type> &results) {
  if (adaptor.getInputs().empty())
    return emitOptionalError(loc, "has no inputs; expected at least one"); // concat_c1
  RankedTensorType first = tensorType(adaptor.getInputs().front());
  int64_t axis = adaptor.getAxis();
  if (failed(checkAxis(loc, axis, first))) // concat_c2
    return failure();
  SmallVector<AffineExpr> extents = getExtents(first);
  for (Value input : adaptor.getInputs().drop_front()) {
    RankedTensorType type = tensorType(input);
    if (type.getRank() != first.getRank() || type.getElementType() != first.getElementType())
      return emitOptionalError(loc, "inputs have types ", first, " and ", type,
                               "; expected one element type and number of axes"); // concat_c1
    for (auto [i, extent] : llvm::enumerate(getExtents(type))) {
      if (static_cast<int64_t>(i) == axis)
        extents[i] = extents[i] + extent;
      else if (!mayBeEqual(extents[i], extent))
        return emitOptionalError(loc, "inputs have types ", first, " and ", type, ", which differ on axis ", i,
                                 " besides axis ", axis); // concat_c2
      else if (getConstant(extent))
        extents[i] = extent;
    }
  }
  results.push_back(getTensorType(extents, first.getElementType()));
  return success();
}

LogicalResult PadOp::inferReturnTypes(MLIRContext *, std::optional<Location> loc, Adaptor adaptor,
                                      SmallVectorImpl<Type> &results) {
  RankedTensorType input = tensorType(adaptor.getInput());
  ArrayRef<AffineExpr> low = adaptor.getLow().getExprs(), high = adaptor.getHigh().getExprs();
  if (static_cast<int64_t>(low.size()) != input.getRank() || static_cast<int64_t>(high.size()) != input.getRank())
    return emitOptionalError(loc, "has ", low.size(), " low and ", high.size(), " high pads for ", input.getRank(),
                             " axes"); // pad_c1
  if (adaptor.getValue()) {
    RankedTensorType value = tensorType(adaptor.getValue());
    if (value.getRank() != 0 || value.getElementType() != input.getElementType())
      return emitOptionalError(loc, "value has type ", value, "; expected a scalar of ",
                               input.getElementType()); // pad_c2
  }
  SmallVector<AffineExpr> extents = getExtents(input);
  for (auto [i, extent] : llvm::enumerate(extents))
    extent = extent + low[i] + high[i];
  results.push_back(getTensorType(extents, input.getElementType()));
  return success();
}

LogicalResult GatherOp::inferReturnTypes(MLIRContext *, std::optional<Location> loc, Adaptor adaptor,
                                         SmallVectorImpl<Type> &results) {
  RankedTensorType input = tensorType(adaptor.getInput()), indices = tensorType(adaptor.getIndices());
  int64_t axis = adaptor.getAxis();
  if (failed(checkIndices(loc, indices)) || failed(checkAxis(loc, axis, input))) // gather_c1, gather_c2
    return failure();
  SmallVector<AffineExpr> in = getExtents(input), extents(in.begin(), in.begin() + axis);
  llvm::append_range(extents, getExtents(indices));
  extents.append(in.begin() + axis + 1, in.end());
  results.push_back(getTensorType(extents, input.getElementType()));
  return success();
}

LogicalResult GatherElementsOp::inferReturnTypes(MLIRContext *, std::optional<Location> loc, Adaptor adaptor,
                                                 SmallVectorImpl<Type> &results) {
  RankedTensorType input = tensorType(adaptor.getInput()), indices = tensorType(adaptor.getIndices());
  if (failed(checkIndices(loc, indices)) || failed(checkAxis(loc, adaptor.getAxis(), input)))
    return failure();
  if (indices.getRank() != input.getRank())
    return emitOptionalError(loc, "indices have ", indices.getRank(), " axes; expected ", input.getRank());
  results.push_back(getTensorType(getExtents(indices), input.getElementType()));
  return success();
}

/// Extents of one tuple's slice and of all tuples; the last extent of `indices` is the length of a tuple.
static LogicalResult inferND(std::optional<Location> loc, RankedTensorType input, RankedTensorType indices,
                             int64_t batchDims, SmallVectorImpl<AffineExpr> &extents) {
  if (failed(checkIndices(loc, indices)))
    return failure();
  SmallVector<AffineExpr> in = getExtents(input), index = getExtents(indices);
  std::optional<int64_t> tuple = index.empty() ? std::nullopt : getConstant(index.back());
  if (!tuple || *tuple < 1 || batchDims < 0 || batchDims >= indices.getRank() || batchDims + *tuple > input.getRank())
    return emitOptionalError(loc, "indices ", formatExtents(index), " do not address input ", formatExtents(in),
                             " with ", batchDims, " batch axes"); // gather_nd_c1
  extents.assign(index.begin(), index.end() - 1);
  extents.append(in.begin() + batchDims + *tuple, in.end());
  return success();
}

LogicalResult GatherNDOp::inferReturnTypes(MLIRContext *, std::optional<Location> loc, Adaptor adaptor,
                                           SmallVectorImpl<Type> &results) {
  RankedTensorType input = tensorType(adaptor.getInput());
  SmallVector<AffineExpr> extents;
  if (failed(inferND(loc, input, tensorType(adaptor.getIndices()), adaptor.getBatchDims(), extents)))
    return failure();
  results.push_back(getTensorType(extents, input.getElementType()));
  return success();
}

LogicalResult ScatterElementsOp::inferReturnTypes(MLIRContext *, std::optional<Location> loc, Adaptor adaptor,
                                                  SmallVectorImpl<Type> &results) {
  RankedTensorType input = tensorType(adaptor.getInput()), indices = tensorType(adaptor.getIndices());
  RankedTensorType updates = tensorType(adaptor.getUpdates());
  if (failed(checkIndices(loc, indices)) || failed(checkAxis(loc, adaptor.getAxis(), input)))
    return failure();
  if (indices.getRank() != input.getRank() || updates.getRank() != input.getRank() ||
      updates.getElementType() != input.getElementType())
    return emitOptionalError(loc, "input ", input, ", indices ", indices, " and updates ", updates,
                             " do not fit together");
  results.push_back(input);
  return success();
}

LogicalResult ScatterNDOp::inferReturnTypes(MLIRContext *, std::optional<Location> loc, Adaptor adaptor,
                                            SmallVectorImpl<Type> &results) {
  RankedTensorType input = tensorType(adaptor.getInput()), updates = tensorType(adaptor.getUpdates());
  SmallVector<AffineExpr> extents;
  if (failed(inferND(loc, input, tensorType(adaptor.getIndices()), 0, extents)))
    return failure();
  if (updates.getRank() != static_cast<int64_t>(extents.size()) || updates.getElementType() != input.getElementType())
    return emitOptionalError(loc, "updates have type ", updates, "; expected ",
                             getTensorType(extents, input.getElementType()));
  results.push_back(input);
  return success();
}
