//===- Normalization.cpp - Normalizations -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#include "../NodeContext.h"
#include "Families.h"
#include "penstock/Import/Onnx/OperatorRegistry.h"

namespace penstock::onnximport {
namespace {

using nn::BinaryKind;
using nn::ReduceKind;
using nn::UnaryKind;

/// Statistics of the batch itself; the outputs are the given ones, moved towards them.
LogicalResult normalizeInTraining(NodeContext &n) {
  Value input = n.getInput(0);
  if (!input)
    return failure();
  Ints axes;
  for (int64_t axis = 0; axis < n.typeOf(input).getRank(); ++axis)
    if (axis != 1)
      axes.push_back(axis);
  Value mean = n.reduce(ReduceKind::mean, input, axes, true), centered = n.sub(input, mean);
  Value variance = n.reduce(ReduceKind::mean, n.mul(centered, centered), axes, false);
  mean = mean ? n.squeeze(mean, axes) : mean;
  Type type = n.elementOf(input);
  auto as = [&](int index) { return n.cast_(n.getInput(index), type); };
  NamedAttribute epsilon = n.number("epsilon", n.getFloat("epsilon", 1e-5f));
  if (failed(n.setOutput(0, n.make<nn::BatchNormOp>({input, as(1), as(2), mean, variance}, epsilon))))
    return failure();
  double momentum = n.getFloat("momentum", 0.9f);
  auto move = [&](int index, Value batch) {
    Type own = n.getElementType(index);
    Value kept = n.mul(n.getInput(index), n.scalar(momentum, own));
    return n.add(kept, n.mul(n.cast_(batch, own), n.scalar(1 - momentum, own)));
  };
  return failed(n.setOutput(1, move(3, mean))) ? failure() : n.setOutput(2, move(4, variance));
}

LogicalResult convertBatchNormalization(NodeContext &n) {
  if (n.getInt("training_mode", 0))
    return normalizeInTraining(n);
  if (n.getOpset() < 7 && n.getInt("is_test", 0) == 0)
    return n.emitError() << "is_test is 0; expected 1";
  if (n.getOpset() < 9 && n.getInt("spatial", 1) != 1)
    return n.emitError() << "spatial is 0; expected 1";
  for (int i = 1; i < 5; ++i)
    if (n.hasOutput(i) && n.getOpset() >= 14)
      return n.emitError() << "output " << i << " exists in training mode only";
  Value input = n.getInput(0);
  if (!input)
    return failure();
  SmallVector<Value> operands{input};
  for (int i = 1; i < 5; ++i)
    operands.push_back(n.cast_(n.getInput(i), n.elementOf(input)));
  return n.setOutput(0, n.make<nn::BatchNormOp>(operands, n.number("epsilon", n.getFloat("epsilon", 1e-5f))));
}

Value makeLayerNorm(NodeContext &n, Value input, Value scale, Value bias, int64_t axis, double epsilon, bool rms) {
  SmallVector<Value> operands{input, scale};
  if (bias)
    operands.push_back(bias);
  SmallVector<NamedAttribute> attributes{n.integer("axis", axis), n.number("epsilon", epsilon)};
  if (rms)
    attributes.push_back(n.unit("rms"));
  return n.make<nn::LayerNormOp>(operands, attributes);
}

/// 1 / sqrt(mean((x - mean)^2) + epsilon), and the mean: optional outputs of layer normalization.
LogicalResult setStatistics(NodeContext &n, Value input, int64_t axis, double epsilon) {
  if (!n.hasOutput(1) && !n.hasOutput(2))
    return success();
  Ints axes;
  for (int64_t i = axis; i < n.typeOf(input).getRank(); ++i)
    axes.push_back(i);
  Value mean = n.reduce(ReduceKind::mean, input, axes, true);
  Value centered = n.sub(input, mean);
  Value variance = n.reduce(ReduceKind::mean, n.mul(centered, centered), axes, true);
  Value deviation = n.unary(UnaryKind::sqrt, n.add(variance, n.scalar(epsilon, n.elementOf(input))));
  if (failed(n.setOutput(1, mean)))
    return failure();
  return n.setOutput(2, n.unary(UnaryKind::reciprocal, deviation));
}

/// Statistics in the type that `stash_type` names, f32 for narrower inputs.
LogicalResult convertLayerNormalization(NodeContext &n, bool rms) {
  Value input = n.getInput(0), scale = n.getInput(1), bias = rms ? Value() : n.getOptionalInput(2);
  FailureOr<int64_t> axis = n.normalizeAxis(n.getInt("axis", -1), n.getNumDims(0));
  if (!input || !scale || failed(axis))
    return failure();
  double epsilon = n.getFloat("epsilon", 1e-5f);
  Type type = n.elementOf(input), stash = n.getTypeAttr("stash_type", 1);
  if (!stash)
    return failure();
  bool widen = type.getIntOrFloatBitWidth() < stash.getIntOrFloatBitWidth();
  if (!widen) {
    if (failed(n.setOutput(0, makeLayerNorm(n, input, n.cast_(scale, type), bias, *axis, epsilon, rms))))
      return failure();
    return rms ? success() : setStatistics(n, input, *axis, epsilon);
  }
  // ONNX rounds the normalized value to the input's type before it scales.
  Value wide = n.cast_(input, stash);
  Value normal = makeLayerNorm(n, wide, n.scalar(1, stash), {}, *axis, epsilon, rms);
  Value result = n.mul(n.cast_(normal, n.elementOf(scale)), scale);
  if (bias)
    result = n.add(result, bias);
  if (!wide || failed(n.setOutput(0, n.cast_(result, n.elementOf(scale)))))
    return failure();
  return rms ? success() : setStatistics(n, wide, *axis, epsilon);
}

/// A vector over channels, shaped to broadcast along axis 1 of a tensor of `numDims` axes (without the batch axis).
Value alignChannels(NodeContext &n, Value vector, int64_t numDims) {
  if (!vector)
    return {};
  Extents extents(numDims - 1, n.cst(1));
  extents[0] = n.extentsOf(vector)[0];
  return n.reshape(vector, extents);
}

LogicalResult convertInstanceNormalization(NodeContext &n) {
  Value input = n.getInput(0);
  int64_t numDims = n.getNumDims(0);
  if (!input)
    return failure();
  if (numDims < 3)
    return n.emitError() << "input has " << numDims << " axes; expected at least three";
  return n.setOutput(0,
                     makeLayerNorm(n, input, alignChannels(n, n.getInput(1), numDims),
                                   alignChannels(n, n.getInput(2), numDims), 2, n.getFloat("epsilon", 1e-5f), false));
}

LogicalResult convertGroupNormalization(NodeContext &n) {
  Value input = n.getInput(0), scale = n.getInput(1), bias = n.getInput(2);
  if (!input || !scale || !bias)
    return failure();
  Extents extents = n.extentsOf(input);
  int64_t numDims = extents.size(), numGroups = n.getInt("num_groups", 0);
  std::optional<int64_t> channels = numDims < 3 ? std::nullopt : nn::getConstant(extents[1]);
  if (!channels || numGroups < 1 || *channels % numGroups != 0)
    return n.emitError() << "input " << nn::formatExtents(extents) << " does not have channels for " << numGroups
                         << " groups";
  ShapeAlgebra &algebra = n.algebra();
  AffineExpr perGroup = algebra.mul(n.cst(*channels / numGroups), algebra.product(ArrayRef(extents).drop_front(2)));
  Type type = n.elementOf(input), stash = n.getTypeAttr("stash_type", 1);
  if (!stash || type.getIntOrFloatBitWidth() >= stash.getIntOrFloatBitWidth())
    stash = type;
  Value groups = n.cast_(n.reshape(input, {extents[0], n.cst(numGroups), perGroup}), stash);
  Value normal = makeLayerNorm(n, groups, n.scalar(1, stash), {}, 2, n.getFloat("epsilon", 1e-5f), false);
  normal = n.cast_(n.reshape(normal, extents), type);
  return n.setOutput(0, n.add(n.mul(normal, alignChannels(n, scale, numDims)), alignChannels(n, bias, numDims)));
}

/// x / (bias + alpha * mean of squares over neighbouring channels)^beta; the mean is a pooling over the channel axis.
LogicalResult convertLRN(NodeContext &n) {
  Value input = n.getInput(0);
  int64_t size = n.getInt("size", 0);
  if (!input)
    return failure();
  Extents extents = n.extentsOf(input);
  if (extents.size() < 2 || size < 1 || size > 1 << 20)
    return n.emitError() << "size is " << size << " for an input of " << extents.size()
                         << " axes; expected at least 1 and two axes";
  Type type = n.elementOf(input);
  Value squares = n.mul(input, input);
  AffineExpr rest = n.algebra().product(ArrayRef(extents).drop_front(2));
  Value planes = n.reshape(squares, {extents[0], n.cst(1), extents[1], rest});
  Value mean = n.make<nn::PoolOp>(
      planes, {n.attr("kind", nn::PoolKindAttr::get(n.getContext(), nn::PoolKind::average_include_pad)),
               n.ints("kernel", {size, 1}), n.ints("strides", {1, 1}), n.ints("dilations", {1, 1}),
               n.ints("pads", {(size - 1) / 2, 0, size - 1 - (size - 1) / 2, 0})});
  Value base = n.add(n.mul(n.reshape(mean, extents), n.scalar(n.getFloat("alpha", 1e-4f), type)),
                     n.scalar(n.getFloat("bias", 1.0), type));
  return n.setOutput(0, n.div(input, n.binary(BinaryKind::pow, base, n.scalar(n.getFloat("beta", 0.75), type))));
}

LogicalResult convertLpNormalization(NodeContext &n) {
  Value input = n.getInput(0);
  FailureOr<int64_t> axis = n.normalizeAxis(n.getInt("axis", -1), n.getNumDims(0));
  int64_t p = n.getInt("p", 2);
  if (!input || failed(axis))
    return failure();
  if (p != 1 && p != 2)
    return n.emitError() << "p is " << p << "; expected 1 or 2";
  Value norm = p == 1 ? n.reduce(ReduceKind::sum, n.unary(UnaryKind::abs, input), *axis, true)
                      : n.unary(UnaryKind::sqrt, n.reduce(ReduceKind::sum, n.mul(input, input), *axis, true));
  Value zero = n.scalar(0, n.elementOf(input));
  // A line of zeros stays zero.
  return n.setOutput(0, n.select(n.compare(nn::CompareKind::eq, norm, zero), zero, n.div(input, norm)));
}

} // namespace

void registerNormalizationOperators(OperatorRegistry &r) {
  r.add("BatchNormalization", 1, convertBatchNormalization);
  r.add("InstanceNormalization", 6, convertInstanceNormalization);
  r.add("GroupNormalization", 21, convertGroupNormalization);
  r.add("LayerNormalization", 17, [](NodeContext &n) { return convertLayerNormalization(n, /*rms=*/false); });
  r.add("RMSNormalization", 23, [](NodeContext &n) { return convertLayerNormalization(n, /*rms=*/true); });
  r.add("LRN", 1, convertLRN);
  r.add("LpNormalization", 1, convertLpNormalization);
}

} // namespace penstock::onnximport
