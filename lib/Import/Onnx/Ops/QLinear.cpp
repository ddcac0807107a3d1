//===- QLinear.cpp - Quantized operators of ONNX Runtime's domain -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Operators on quantized tensors: from integers, in floats, to integers, as ONNX Runtime computes them.
//===----------------------------------------------------------------------===//
#include "ByteProducts.h"
#include "Families.h"
#include "Quantization.h"
#include "penstock/Import/Onnx/OperatorRegistry.h"

namespace penstock::onnximport {
namespace {

using nn::BinaryKind;
using nn::UnaryKind;

/// A parameter of one element as a scalar, others as they are; null if the input is absent.
Value parameter(NodeContext &n, int index) {
  Value value = n.getOptionalInput(index);
  if (!value || n.typeOf(value).getRank() != 1 || nn::getConstant(n.extentsOf(value)[0]) != 1)
    return value;
  return n.reshape(value, {});
}

/// The tensor at `index` in floats; its scale and zero point follow it.
Value real(NodeContext &n, int index) {
  return dequantize(n, n.getInput(index), parameter(n, index + 1), parameter(n, index + 2));
}

/// Sets the output from floats; scale and zero point of the output are at `index`, and without a zero point it is like
/// input 0.
LogicalResult setQuantized(NodeContext &n, Value value, int index) {
  Value zeroPoint = parameter(n, index + 1);
  Type to = zeroPoint ? n.elementOf(zeroPoint) : n.getElementType(0);
  return n.setOutput(0, value && to ? quantize(n, value, parameter(n, index), zeroPoint, to) : Value());
}

Converter binary(BinaryKind kind) {
  return [kind](NodeContext &n) { return setQuantized(n, n.binary(kind, real(n, 0), real(n, 3)), 6); };
}

LogicalResult convertSigmoid(NodeContext &n) { return setQuantized(n, n.unary(UnaryKind::sigmoid, real(n, 0)), 3); }
LogicalResult convertLeakyRelu(NodeContext &n) {
  return setQuantized(n, n.unary(UnaryKind::leaky_relu, real(n, 0), n.getFloat("alpha", 0.01f)), 3);
}

LogicalResult convertSoftmax(NodeContext &n) {
  int64_t numDims = n.getNumDims(0);
  FailureOr<int64_t> axis = n.normalizeAxis(n.getInt("axis", -1), numDims);
  if (failed(axis))
    return failure();
  // The operator set whose softmax is meant: before 13 all axes from `axis` on are one line.
  bool isOneAxis = n.getInt("opset", 13) >= 13 || *axis == numDims - 1;
  Value input = real(n, 0);
  Extents extents = n.extentsOf(input);
  ArrayRef<AffineExpr> all(extents);
  if (!input)
    return failure();
  if (!isOneAxis)
    input = n.reshape(input, {n.algebra().product(all.take_front(*axis)), n.algebra().product(all.drop_front(*axis))});
  Value result = n.make<nn::SoftmaxOp>(input, n.integer("axis", isOneAxis ? *axis : 1));
  return setQuantized(n, n.reshape(result, extents), 3);
}

LogicalResult convertGlobalAveragePool(NodeContext &n) {
  bool channelsLast = n.getInt("channels_last", 0);
  Ints axes;
  for (int64_t axis = channelsLast ? 1 : 2, e = n.getNumDims(0) - (channelsLast ? 1 : 0); axis < e; ++axis)
    axes.push_back(axis);
  return setQuantized(n, n.reduce(nn::ReduceKind::mean, real(n, 0), axes, true), 3);
}

LogicalResult convertConcat(NodeContext &n) {
  SmallVector<Value> parts;
  for (int i = 2; i + 2 < n.getNumInputs(); i += 3)
    parts.push_back(real(n, i));
  if (parts.empty() || !llvm::all_of(parts, [](Value part) { return static_cast<bool>(part); }))
    return failure();
  FailureOr<int64_t> axis = n.normalizeAxis(n.getInt("axis", 0), n.typeOf(parts[0]).getRank());
  if (failed(axis))
    return failure();
  Value scale = parameter(n, 0), zeroPoint = parameter(n, 1);
  Value joined = n.concat(parts, *axis);
  return n.setOutput(0, joined && zeroPoint ? quantize(n, joined, scale, zeroPoint, n.elementOf(zeroPoint)) : Value());
}

/// alpha * A' * B' + C, with C in units of alpha * the scales' product; floats without an output scale.
LogicalResult convertGemm(NodeContext &n) {
  Value lhs = subtractZeroPoint(n, n.getInput(0), parameter(n, 2)), rhs = n.getInput(3), rhsZero = parameter(n, 5);
  Value rhsScale = parameter(n, 4), lhsScale = parameter(n, 1);
  if (!lhs || !rhs || !rhsScale || !lhsScale)
    return failure();
  bool transposeRhs = n.getInt("transB", 0);
  // Parameters per column of B' stand on B's first axis where it is transposed.
  if (rhsZero && transposeRhs && n.typeOf(rhsZero).getRank() == 1)
    rhsZero = n.unsqueeze(rhsZero, 1);
  Value sums =
      multiplyByteMatrices(n, lhs, {subtractZeroPoint(n, rhs, rhsZero), 3, 5}, n.getInt("transA", 0), transposeRhs);
  if (n.hasInput(6))
    sums = n.add(sums, n.getInput(6));
  Value factor = n.mul(lhsScale, rhsScale);
  if (!sums || !factor)
    return failure();
  if (double alpha = n.getFloat("alpha", 1.0); alpha != 1.0)
    factor = n.mul(factor, n.scalar(alpha, n.elementOf(factor)));
  Value result = n.mul(n.cast_(sums, n.elementOf(factor)), factor);
  return n.hasInput(7) ? setQuantized(n, result, 7) : n.setOutput(0, result);
}

/// Integers to floats, with an optional bias.
LogicalResult convertMatMulIntegerToFloat(NodeContext &n) {
  Value lhs = subtractZeroPoint(n, n.getInput(0), parameter(n, 4));
  Value sums = multiplyBytes(n, lhs, {subtractZeroPoint(n, n.getInput(1), parameter(n, 5)), 1, 5});
  Value factor = n.mul(parameter(n, 2), parameter(n, 3));
  if (!sums || !factor)
    return failure();
  Value result = n.mul(n.cast_(sums, n.elementOf(factor)), factor);
  return n.setOutput(0, n.hasInput(6) ? n.add(result, n.getInput(6)) : result);
}

} // namespace

void registerQLinearOperators(OperatorRegistry &r) {
  constexpr llvm::StringLiteral kDomain("com.microsoft");
  r.add(kDomain, "QLinearAdd", 1, binary(BinaryKind::add));
  r.add(kDomain, "QLinearMul", 1, binary(BinaryKind::mul));
  r.add(kDomain, "QLinearSigmoid", 1, convertSigmoid);
  r.add(kDomain, "QLinearLeakyRelu", 1, convertLeakyRelu);
  r.add(kDomain, "QLinearSoftmax", 1, convertSoftmax);
  r.add(kDomain, "QLinearGlobalAveragePool", 1, convertGlobalAveragePool);
  r.add(kDomain, "QLinearConcat", 1, convertConcat);
  r.add(kDomain, "QGemm", 1, convertGemm);
  r.add(kDomain, "MatMulIntegerToFloat", 1, convertMatMulIntegerToFloat);
}

} // namespace penstock::onnximport
