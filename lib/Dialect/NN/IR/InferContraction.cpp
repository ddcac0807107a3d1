//===- InferContraction.cpp - Result types of products, convolutions, pooling -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#include "penstock/Dialect/NN/IR/Layouts.h"
#include "penstock/Dialect/NN/IR/NNOps.h"

using namespace penstock::nn;

static RankedTensorType tensorType(Value value) { return cast<RankedTensorType>(value.getType()); }

LogicalResult MatmulOp::inferReturnTypes(MLIRContext *, std::optional<Location> loc, Adaptor adaptor,
                                         SmallVectorImpl<Type> &results) {
  RankedTensorType lhs = tensorType(adaptor.getLhs()), rhs = tensorType(adaptor.getRhs());
  if (lhs.getRank() < 2 || rhs.getRank() < 2)
    return emitOptionalError(loc, "operands have ", lhs.getRank(), " and ", rhs.getRank(),
                             " axes; expected at least two"); // matmul_c1
  if (lhs.getElementType() != rhs.getElementType())
    return emitOptionalError(loc, "operands have element types ", lhs.getElementType(), " and ", rhs.getElementType(),
                             "; expected the same"); // matmul_c2
  SmallVector<AffineExpr> left = getExtents(lhs), right = getExtents(rhs);
  if (adaptor.getTransposeLhs())
    std::swap(left.back(), left[left.size() - 2]);
  if (adaptor.getTransposeRhs())
    std::swap(right.back(), right[right.size() - 2]);
  if (!mayBeEqual(left.back(), right[right.size() - 2]))
    return emitOptionalError(loc, "contracted extents are ", formatExtents(left.back()), " and ",
                             formatExtents(right[right.size() - 2]), "; expected the same"); // matmul_c3
  AffineExpr rows = left[left.size() - 2], columns = right.back();
  std::optional<SmallVector<AffineExpr>> batch =
      broadcastExtents(ArrayRef(left).drop_back(2), ArrayRef(right).drop_back(2));
  if (!batch)
    return emitOptionalError(loc, "leading axes of shapes ", formatExtents(left), " and ", formatExtents(right),
                             " do not broadcast"); // matmul_c4
  batch->append({rows, columns});
  results.push_back(getTensorType(*batch, lhs.getElementType()));
  return success();
}

/// Heads of the query are a known multiple of those of key and value, or the same.
static bool isGroupOf(AffineExpr heads, AffineExpr group) {
  std::optional<int64_t> all = getConstant(heads), each = getConstant(group);
  return heads == group || (all && each && *each > 0 && *all % *each == 0);
}

LogicalResult AttentionOp::inferReturnTypes(MLIRContext *, std::optional<Location> loc, Adaptor adaptor,
                                            SmallVectorImpl<Type> &results) {
  RankedTensorType query = tensorType(adaptor.getQuery()), key = tensorType(adaptor.getKey()),
                   value = tensorType(adaptor.getValue());
  int64_t numDims = query.getRank();
  if (numDims < 2 || key.getRank() != numDims || value.getRank() != numDims)
    return emitOptionalError(loc, "query, key and value have ", numDims, ", ", key.getRank(), " and ", value.getRank(),
                             " axes; expected equally many, at least two"); // attention_c1
  Type element = query.getElementType();
  if (!isa<FloatType>(element) || key.getElementType() != element || value.getElementType() != element)
    return emitOptionalError(loc, "query, key and value have element types ", element, ", ", key.getElementType(),
                             " and ", value.getElementType(),
                             "; expected one floating-point type"); // attention_c1
  SmallVector<AffineExpr> q = getExtents(query), k = getExtents(key), v = getExtents(value);
  if (!mayBeEqual(q[numDims - 1], k[numDims - 1]) || !mayBeEqual(k[numDims - 2], v[numDims - 2]))
    return emitOptionalError(loc, "query ", formatExtents(q), ", key ", formatExtents(k), " and value ",
                             formatExtents(v), " do not fit together"); // attention_c2
  for (int64_t i = 0; i < numDims - 2; ++i) {
    bool isHeads = i == numDims - 3;
    if (!mayBeEqual(k[i], v[i]) || (isHeads ? !isGroupOf(q[i], k[i]) : !mayBeEqual(q[i], k[i])))
      return emitOptionalError(loc, "axis ", i, " has extents ", formatExtents(q[i]), ", ", formatExtents(k[i]),
                               " and ", formatExtents(v[i]),
                               isHeads ? "; expected a multiple of the heads of key and value"
                                       : "; expected the same"); // attention_c3
  }
  SmallVector<AffineExpr> scores(q);
  scores.back() = k[numDims - 2];
  if (Value mask = adaptor.getMask()) {
    RankedTensorType type = tensorType(mask);
    std::optional<SmallVector<AffineExpr>> joined = broadcastExtents(scores, getExtents(type));
    if (!joined || *joined != scores || (type.getElementType() != element && !type.getElementType().isInteger(1)))
      return emitOptionalError(loc, "mask ", type, " does not broadcast to ", formatExtents(scores), " of ", element,
                               " or i1"); // attention_c4
  }
  q.back() = v.back();
  results.push_back(getTensorType(q, element));
  return success();
}

/// Attributes that every window op has one or two of per spatial axis.
static LogicalResult checkWindow(std::optional<Location> loc, size_t numSpatial, ArrayRef<int64_t> strides,
                                 ArrayRef<int64_t> dilations, ArrayRef<int64_t> pads) {
  auto positive = [](int64_t value) { return value > 0; };
  if (strides.size() != numSpatial || dilations.size() != numSpatial || pads.size() != 2 * numSpatial)
    return emitOptionalError(loc, "has ", strides.size(), " strides, ", dilations.size(), " dilations and ",
                             pads.size(), " pads for ", numSpatial, " spatial axes");
  if (!llvm::all_of(strides, positive) || !llvm::all_of(dilations, positive))
    return emitOptionalError(loc, "strides and dilations must be positive");
  return success();
}

/// floor or ceil of (in + pads - window) / stride, plus 1.
static AffineExpr windowExtent(AffineExpr in, int64_t kernel, int64_t stride, int64_t dilation, int64_t low,
                               int64_t high, bool ceilMode) {
  AffineExpr span = in + (low + high - (dilation * (kernel - 1) + 1));
  if (!ceilMode)
    return span.floorDiv(stride) + 1;
  AffineExpr extent = span.ceilDiv(stride) + 1;
  // A last window that would begin in the high pad is dropped; known only for constants, and equal to `floor` there.
  std::optional<int64_t> constantIn = getConstant(in), constantExtent = getConstant(simplifyExtent(extent));
  if (constantIn && constantExtent && (*constantExtent - 1) * stride >= *constantIn + low)
    return extent - 1;
  return extent;
}

LogicalResult ConvOp::inferReturnTypes(MLIRContext *, std::optional<Location> loc, Adaptor adaptor,
                                       SmallVectorImpl<Type> &results) {
  RankedTensorType input = tensorType(adaptor.getInput()), filter = tensorType(adaptor.getFilter());
  if (input.getRank() < 3 || input.getRank() != filter.getRank())
    return emitOptionalError(loc, "input has ", input.getRank(), " axes and filter ", filter.getRank(),
                             "; expected the same number, at least three"); // conv_c1
  size_t numSpatial = input.getRank() - 2;
  ArrayRef<int64_t> strides = adaptor.getStrides(), dilations = adaptor.getDilations(), pads = adaptor.getPads();
  if (failed(checkWindow(loc, numSpatial, strides, dilations, pads))) // conv_c2
    return failure();
  SmallVector<AffineExpr> in = getRowMajorExtents(input, adaptor.getChannelsLast()), kernel = getExtents(filter);
  int64_t group = adaptor.getGroup();
  std::optional<int64_t> outputs = getConstant(kernel[0]), slice = getConstant(kernel[1]);
  if (!outputs || !slice || group <= 0 || *outputs % group != 0 || !mayBeEqual(in[1], kernel[1] * group))
    return emitOptionalError(loc, "input ", formatExtents(getExtents(input)), ", filter ", formatExtents(kernel),
                             " and group ", group,
                             " do not fit together"); // conv_c3
  if (adaptor.getBias() && (tensorType(adaptor.getBias()).getRank() != 1 ||
                            !mayBeEqual(getExtent(tensorType(adaptor.getBias()), 0), kernel[0])))
    return emitOptionalError(loc, "bias has shape ", formatExtents(getExtents(tensorType(adaptor.getBias()))),
                             "; expected ", *outputs, " elements"); // conv_c4
  SmallVector<AffineExpr> extents{in[0], kernel[0]};
  for (size_t i = 0; i < numSpatial; ++i) {
    std::optional<int64_t> window = getConstant(kernel[2 + i]);
    if (!window || *window < 1)
      return emitOptionalError(loc, "filter ", formatExtents(kernel), " has no constant spatial extents");
    extents.push_back(
        windowExtent(in[2 + i], *window, strides[i], dilations[i], pads[i], pads[numSpatial + i], /*ceilMode=*/false));
    std::optional<int64_t> extent = getConstant(simplifyExtent(extents.back()));
    if (extent && *extent < 1)
      return emitOptionalError(loc, "kernel does not fit into the padded input on spatial axis ", i); // conv_c5
  }
  results.push_back(getImageType(extents, input.getElementType(), adaptor.getChannelsLast()));
  return success();
}

LogicalResult ConvTransposeOp::inferReturnTypes(MLIRContext *, std::optional<Location> loc, Adaptor adaptor,
                                                SmallVectorImpl<Type> &results) {
  RankedTensorType input = tensorType(adaptor.getInput()), filter = tensorType(adaptor.getFilter());
  if (input.getRank() < 3 || input.getRank() != filter.getRank())
    return emitOptionalError(loc, "input has ", input.getRank(), " axes and filter ", filter.getRank(),
                             "; expected the same number, at least three");
  size_t numSpatial = input.getRank() - 2;
  ArrayRef<int64_t> strides = adaptor.getStrides(), dilations = adaptor.getDilations(), pads = adaptor.getPads(),
                    outputPads = adaptor.getOutputPads();
  if (failed(checkWindow(loc, numSpatial, strides, dilations, pads)))
    return failure();
  if (outputPads.size() != numSpatial)
    return emitOptionalError(loc, "has ", outputPads.size(), " output pads for ", numSpatial, " spatial axes");
  SmallVector<AffineExpr> in = getRowMajorExtents(input, adaptor.getChannelsLast()), kernel = getExtents(filter);
  if (adaptor.getGroup() <= 0 || !mayBeEqual(in[1], kernel[0]))
    return emitOptionalError(loc, "input ", formatExtents(getExtents(input)), ", filter ", formatExtents(kernel),
                             " and group ", adaptor.getGroup(), " do not fit together");
  SmallVector<AffineExpr> extents{in[0], kernel[1] * static_cast<int64_t>(adaptor.getGroup())};
  for (size_t i = 0; i < numSpatial; ++i) {
    std::optional<int64_t> window = getConstant(kernel[2 + i]);
    if (!window || *window < 1)
      return emitOptionalError(loc, "filter ", formatExtents(kernel), " has no constant spatial extents");
    extents.push_back((in[2 + i] - 1) * strides[i] +
                      ((*window - 1) * dilations[i] + 1 + outputPads[i] - pads[i] - pads[numSpatial + i]));
  }
  results.push_back(getImageType(extents, input.getElementType(), adaptor.getChannelsLast()));
  return success();
}

LogicalResult PoolOp::inferReturnTypes(MLIRContext *, std::optional<Location> loc, Adaptor adaptor,
                                       SmallVectorImpl<Type> &results) {
  RankedTensorType input = tensorType(adaptor.getInput());
  if (input.getRank() < 3)
    return emitOptionalError(loc, "input has ", input.getRank(), " axes; expected at least three");
  size_t numSpatial = input.getRank() - 2;
  ArrayRef<int64_t> kernel = adaptor.getKernel(), strides = adaptor.getStrides(), pads = adaptor.getPads();
  if (failed(checkWindow(loc, numSpatial, strides, adaptor.getDilations(), pads))) // pool_c1
    return failure();
  if (kernel.size() != numSpatial || !llvm::all_of(kernel, [](int64_t extent) { return extent > 0; }))
    return emitOptionalError(loc, "kernel must have one positive extent per spatial axis");
  SmallVector<AffineExpr> in = getRowMajorExtents(input, adaptor.getChannelsLast()), extents{in[0], in[1]};
  for (size_t i = 0; i < numSpatial; ++i) {
    extents.push_back(windowExtent(in[2 + i], kernel[i], strides[i], adaptor.getDilations()[i], pads[i],
                                   pads[numSpatial + i], adaptor.getCeilMode()));
    std::optional<int64_t> extent = getConstant(simplifyExtent(extents.back()));
    if (extent && *extent < 1)
      return emitOptionalError(loc, "window does not fit into the padded input on spatial axis ", i);
  }
  results.push_back(getImageType(extents, input.getElementType(), adaptor.getChannelsLast()));
  return success();
}
