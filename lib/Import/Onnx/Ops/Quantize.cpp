//===- Quantize.cpp - Quantized operators -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Products are of differences to the zero points; see ByteProducts.h.
//===----------------------------------------------------------------------===//
#include "ByteProducts.h"
#include "Families.h"
#include "Quantization.h"
#include "Windows.h"
#include "penstock/Import/Onnx/OperatorRegistry.h"

namespace penstock::onnximport {
static bool isFloat(Type type) { return isa<FloatType>(type); }

Value quantize(NodeContext &n, Value input, Value scale, Value zeroPoint, Type to) {
  if (!input || !scale)
    return {};
  Type real = n.elementOf(scale);
  Value quotient = n.div(n.cast_(input, real), scale);
  if (isFloat(to))
    return n.cast_(quotient, to, n.getInt("saturate", 1));
  Value rounded = n.unary(nn::UnaryKind::round_even, quotient);
  if (zeroPoint) {
    // The sum of a narrow float and a zero point need not be exact.
    Type wide = real.getIntOrFloatBitWidth() < 32 ? Float32Type::get(n.getContext()) : real;
    rounded = n.add(n.cast_(rounded, wide), n.cast_(zeroPoint, wide));
  }
  return n.cast_(rounded, to, /*saturate=*/true);
}

Value subtractZeroPoint(NodeContext &n, Value input, Value zeroPoint) {
  Type i32 = IntegerType::get(n.getContext(), 32);
  Value wide = n.cast_(input, i32);
  return zeroPoint ? n.sub(wide, n.cast_(zeroPoint, i32)) : wide;
}

Value dequantize(NodeContext &n, Value input, Value scale, Value zeroPoint) {
  if (!input || !scale)
    return {};
  // Zero points of float8 are zero.
  Value difference = isFloat(n.elementOf(input)) ? input : subtractZeroPoint(n, input, zeroPoint);
  return n.mul(n.cast_(difference, n.elementOf(scale)), scale);
}

namespace {

/// A scale or zero point, shaped to broadcast to `like`: a scalar, one per element of `axis`, or one per block of it.
Value alignParameter(NodeContext &n, Value parameter, Value like, int64_t axis, int64_t blockSize) {
  if (!parameter || !like)
    return {};
  Extents extents = n.extentsOf(parameter), target = n.extentsOf(like);
  if (extents.empty())
    return parameter;
  if (extents.size() == 1 && nn::getConstant(extents[0]) == 1)
    return n.reshape(parameter, {});
  if (axis < 0 || axis >= static_cast<int64_t>(target.size()))
    return (n.emitError() << "axis is " << axis << "; expected one of the " << target.size() << " axes"), Value();
  if (blockSize == 0) {
    if (extents.size() != 1)
      return (n.emitError() << "a scale or zero point has " << extents.size() << " axes; expected at most one"),
             Value();
    Extents aligned(target.size(), n.cst(1));
    aligned[axis] = extents[0];
    return n.reshape(parameter, aligned);
  }
  if (extents.size() != target.size())
    return (n.emitError() << "a scale or zero point has " << extents.size() << " axes; expected " << target.size()),
           Value();
  Extents apart = extents, stretched = extents, joined = extents;
  apart.insert(apart.begin() + axis + 1, n.cst(1));
  stretched.insert(stretched.begin() + axis + 1, n.cst(blockSize));
  joined[axis] = n.algebra().mul(extents[axis], n.cst(blockSize));
  Value repeated = n.reshape(n.broadcastTo(n.reshape(parameter, apart), stretched), joined);
  return n.sliceAxis(repeated, axis, n.cst(0), target[axis]);
}

/// The attribute `axis`, counted from the front; 0 where a scalar input has no axes.
int64_t getQuantizationAxis(NodeContext &n) {
  int64_t axis = n.getInt("axis", 1);
  return axis < 0 ? axis + n.getNumDims(0) : axis;
}

FailureOr<int64_t> getBlockSize(NodeContext &n) {
  int64_t blockSize = n.getInt("block_size", 0);
  if (blockSize >= 0 && blockSize < (int64_t(1) << 31))
    return blockSize;
  return (n.emitError() << "block_size is " << blockSize << "; expected at least 0"), failure();
}

LogicalResult convertQuantizeLinear(NodeContext &n) {
  Value input = n.getInput(0), scale = n.getInput(1), zeroPoint = n.getOptionalInput(2);
  FailureOr<int64_t> blockSize = getBlockSize(n);
  if (!input || !scale || failed(blockSize))
    return failure();
  Type to = IntegerType::get(n.getContext(), 8, IntegerType::Unsigned);
  if (zeroPoint)
    to = n.elementOf(zeroPoint);
  else if (n.getInt("output_dtype", 0))
    to = n.getTypeAttr("output_dtype", 0);
  if (!to)
    return failure();
  int64_t axis = getQuantizationAxis(n);
  scale = alignParameter(n, scale, input, axis, *blockSize);
  if (zeroPoint && !(zeroPoint = alignParameter(n, zeroPoint, input, axis, *blockSize)))
    return failure();
  if (n.getInt("precision", 0))
    scale = n.cast_(scale, n.getTypeAttr("precision", 0));
  return n.setOutput(0, quantize(n, input, scale, zeroPoint, to));
}

/// Scale and zero point, both scalars of the input's type, of the 8 bits over the range of the whole tensor (with zero
/// in it). As in ONNX Runtime the scale of a range without extent is 1, where ONNX's function body has 0.
struct ByteRange {
  Value scale, zeroPoint;
};
ByteRange getByteRange(NodeContext &n, Value input) {
  if (!input)
    return {};
  Type type = n.elementOf(input);
  Ints axes = llvm::to_vector(llvm::seq<int64_t>(0, n.typeOf(input).getRank()));
  auto number = [&](double value) { return n.scalar(value, type); };
  Value low = n.binary(nn::BinaryKind::minimum, n.reduce(nn::ReduceKind::min, input, axes, false), number(0));
  Value high = n.binary(nn::BinaryKind::maximum, n.reduce(nn::ReduceKind::max, input, axes, false), number(0));
  Value range = n.sub(high, low);
  Value scale = n.select(n.compare(nn::CompareKind::eq, range, number(0)), number(1), n.div(range, number(255)));
  Value start = n.unary(nn::UnaryKind::neg, n.div(low, scale));
  Value clamped = n.binary(nn::BinaryKind::minimum, n.binary(nn::BinaryKind::maximum, start, number(0)), number(255));
  return {scale, n.unary(nn::UnaryKind::round_even, clamped)};
}

LogicalResult convertDynamicQuantizeLinear(NodeContext &n) {
  Value input = n.getInput(0);
  if (!input)
    return failure();
  ByteRange range = getByteRange(n, input);
  Type byte = IntegerType::get(n.getContext(), 8, IntegerType::Unsigned);
  if (failed(n.setOutput(0, quantize(n, input, range.scale, range.zeroPoint, byte))) ||
      failed(n.setOutput(1, range.scale)))
    return failure();
  return n.setOutput(2, n.cast_(range.zeroPoint, byte));
}

LogicalResult convertDequantizeLinear(NodeContext &n) {
  Value input = n.getInput(0), scale = n.getInput(1), zeroPoint = n.getOptionalInput(2);
  FailureOr<int64_t> blockSize = getBlockSize(n);
  if (!input || !scale || failed(blockSize))
    return failure();
  Type result = n.elementOf(scale);
  if (n.getInt("output_dtype", 0) && !(result = n.getTypeAttr("output_dtype", 0)))
    return failure();
  int64_t axis = getQuantizationAxis(n);
  scale = alignParameter(n, scale, input, axis, *blockSize);
  if (zeroPoint && !(zeroPoint = alignParameter(n, zeroPoint, input, axis, *blockSize)))
    return failure();
  return n.setOutput(0, n.cast_(dequantize(n, input, scale, zeroPoint), result));
}

//===----------------------------------------------------------------------===//
// Products of integers
//===----------------------------------------------------------------------===//

/// A parameter of the rows of a left operand: [..., M] becomes [..., M, 1]; of a single one a scalar.
Value alignRows(NodeContext &n, Value parameter) {
  if (!parameter)
    return {};
  Extents extents = n.extentsOf(parameter);
  if (extents.size() != 1)
    return parameter;
  return nn::getConstant(extents[0]) == 1 ? n.reshape(parameter, {}) : n.reshape(parameter, {extents[0], n.cst(1)});
}
Value alignColumns(NodeContext &n, Value parameter) {
  if (!parameter || n.typeOf(parameter).getRank() != 1 || nn::getConstant(n.extentsOf(parameter)[0]) != 1)
    return parameter;
  return n.reshape(parameter, {});
}

Value optionalRows(NodeContext &n, int index) { return n.hasInput(index) ? alignRows(n, n.getInput(index)) : Value(); }
Value optionalColumns(NodeContext &n, int index) {
  return n.hasInput(index) ? alignColumns(n, n.getInput(index)) : Value();
}

LogicalResult convertMatMulInteger(NodeContext &n) {
  Value lhs = subtractZeroPoint(n, n.getInput(0), optionalRows(n, 2));
  return n.setOutput(0, multiplyBytes(n, lhs, {subtractZeroPoint(n, n.getInput(1), optionalColumns(n, 3)), 1, 3}));
}

/// Accumulators scaled to the output's quantization.
Value requantize(NodeContext &n, Value accumulators, Value lhsScale, Value rhsScale, Value scale, Value zeroPoint) {
  if (!accumulators || !zeroPoint)
    return {};
  Type real = Float32Type::get(n.getContext());
  Value factor = n.div(n.mul(n.cast_(lhsScale, real), n.cast_(rhsScale, real)), n.cast_(scale, real));
  Value rounded = n.unary(nn::UnaryKind::round_even, n.mul(n.cast_(accumulators, real), factor));
  return n.cast_(n.add(rounded, n.cast_(zeroPoint, real)), n.elementOf(zeroPoint), /*saturate=*/true);
}

LogicalResult convertQLinearMatMul(NodeContext &n) {
  Value lhs = subtractZeroPoint(n, n.getInput(0), optionalRows(n, 2));
  Value product = multiplyBytes(n, lhs, {subtractZeroPoint(n, n.getInput(3), optionalColumns(n, 5)), 3, 5});
  return n.setOutput(
      0, requantize(n, product, optionalRows(n, 1), optionalColumns(n, 4), optionalRows(n, 6), optionalRows(n, 7)));
}

/// A parameter per output channel, shaped for the axis it stands on.
Value alignChannels(NodeContext &n, Value parameter, int64_t axis, int64_t numDims) {
  if (!parameter || n.typeOf(parameter).getRank() != 1)
    return parameter;
  Extents extents(numDims, n.cst(1));
  extents[axis] = n.extentsOf(parameter)[0];
  return nn::getConstant(extents[axis]) == 1 ? n.reshape(parameter, {}) : n.reshape(parameter, extents);
}

Value convolveIntegers(NodeContext &n, Value input, Value inputZero, int filterIndex, int zeroIndex) {
  Value filter = n.getInput(filterIndex), filterZero = n.getOptionalInput(zeroIndex);
  if (!input || !filter)
    return {};
  Extents filterExtents = n.extentsOf(filter);
  Ints kernel;
  for (AffineExpr extent : ArrayRef(filterExtents).drop_front(std::min<size_t>(2, filterExtents.size())))
    kernel.push_back(nn::getConstant(extent).value_or(0));
  FailureOr<Window> window = getWindow(n, n.extentsOf(input), kernel);
  int64_t group = n.getInt("group", 1);
  if (failed(window) || group < 1)
    return {};
  int64_t numDims = n.typeOf(input).getRank();
  Value padded = applySymbolicPads(n, *window, subtractZeroPoint(n, input, alignChannels(n, inputZero, 1, numDims)), 0);
  Value differences = subtractZeroPoint(n, filter, alignChannels(n, filterZero, 0, numDims));
  return convolveBytes(n, padded, {differences, filterIndex, zeroIndex}, group,
                       {n.ints("strides", window->strides), n.ints("dilations", window->dilations),
                        n.ints("pads", window->pads), n.integer("group", group)});
}

LogicalResult convertConvInteger(NodeContext &n) {
  return n.setOutput(0, convolveIntegers(n, n.getInput(0), n.getOptionalInput(2), 1, 3));
}

LogicalResult convertQLinearConv(NodeContext &n) {
  int64_t numDims = n.getNumDims(0);
  Value sums = convolveIntegers(n, n.getInput(0), n.getInput(2), 3, 5);
  if (n.hasInput(8))
    sums = n.add(sums, alignChannels(n, n.getInput(8), 1, numDims));
  return n.setOutput(
      0, requantize(n, sums, alignChannels(n, n.getInput(1), 1, numDims), alignChannels(n, n.getInput(4), 1, numDims),
                    alignChannels(n, n.getInput(6), 1, numDims), alignChannels(n, n.getInput(7), 1, numDims)));
}

} // namespace

void registerQuantizeOperators(OperatorRegistry &r) {
  r.add("QuantizeLinear", 10, convertQuantizeLinear);
  r.add("DynamicQuantizeLinear", 11, convertDynamicQuantizeLinear);
  r.add("DequantizeLinear", 10, convertDequantizeLinear);
  r.add("MatMulInteger", 10, convertMatMulInteger);
  r.add("ConvInteger", 10, convertConvInteger);
  r.add("QLinearMatMul", 10, convertQLinearMatMul);
  r.add("QLinearConv", 10, convertQLinearConv);
}

} // namespace penstock::onnximport
