//===- Signal.cpp - Fourier transforms -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A discrete Fourier transform is a product with matrices of cosines and sines. The angles are reduced as integers, so
// that they are exact before they are turned into floats; what they are multiplied with is rounded once, from f64. The
// matrices are made by ops of constants, so that they are computed when the weights are written.
//===----------------------------------------------------------------------===//
#include "../NodeContext.h"
#include "Families.h"
#include "Products.h"
#include "penstock/Import/Onnx/OperatorRegistry.h"
#include <cmath>

namespace penstock::onnximport {
namespace {

using nn::BinaryKind;
using nn::UnaryKind;
constexpr double kPi = 3.14159265358979323846;
constexpr int64_t kMaxTransform = 1 << 20;

struct Complex {
  Value real, imaginary; ///< imaginary: null for zero
};

/// 0, 1, ... along one of two axes, as sums of a constant: unlike an iota these count as constant to later phases.
Value countUp(NodeContext &n, int64_t count, int64_t axis) {
  Extents extents{n.cst(1), n.cst(1)};
  extents[axis] = n.cst(count);
  Value ones = n.broadcastTo(n.scalar(1, n.builder().getI64Type()), extents);
  return n.make<nn::CumSumOp>(ones, {n.integer("axis", axis), n.unit("exclusive")});
}

/// cos and sin of 2 pi t k / length, for t < rows and k < columns.
Complex makeBasis(NodeContext &n, int64_t rows, int64_t columns, int64_t length, bool negative, Type type) {
  Type i64 = n.builder().getI64Type(), f64 = n.builder().getF64Type();
  Value product = n.mul(countUp(n, rows, 0), countUp(n, columns, 1));
  Value turns = n.binary(BinaryKind::mod, product, n.scalar(static_cast<double>(length), i64));
  Value angle = n.mul(n.cast_(turns, f64), n.scalar(2 * kPi / static_cast<double>(length), f64));
  Value sine = n.unary(UnaryKind::sin, angle);
  return {n.cast_(n.unary(UnaryKind::cos, angle), type),
          n.cast_(negative ? n.unary(UnaryKind::neg, sine) : sine, type)};
}

/// The transform of the last axis, which has `rows` elements that count.
Complex transform(NodeContext &n, Complex signal, Complex basis) {
  Value real = multiplyMatrices(n, signal.real, basis.real),
        imaginary = multiplyMatrices(n, signal.real, basis.imaginary);
  if (!signal.imaginary)
    return {real, imaginary};
  return {n.sub(real, multiplyMatrices(n, signal.imaginary, basis.imaginary)),
          n.add(imaginary, multiplyMatrices(n, signal.imaginary, basis.real))};
}

Value joinParts(NodeContext &n, Complex value) {
  if (!value.real || !value.imaginary)
    return {};
  int64_t axis = n.typeOf(value.real).getRank();
  return n.concat({n.unsqueeze(value.real, axis), n.unsqueeze(value.imaginary, axis)}, axis);
}

/// Splits the last axis, of one (real) or two elements.
FailureOr<Complex> splitParts(NodeContext &n, Value input) {
  int64_t axis = n.typeOf(input).getRank() - 1;
  std::optional<int64_t> parts = axis < 1 ? std::nullopt : nn::getConstant(n.extentsOf(input)[axis]);
  if (parts != 1 && parts != 2)
    return (n.emitError() << "input has type " << n.typeOf(input) << "; expected a last axis of 1 or 2 elements"),
           failure();
  auto part = [&](int64_t index) { return n.squeeze(n.sliceAxis(input, axis, n.cst(index), n.cst(1)), axis); };
  return Complex{part(0), parts == 2 ? part(1) : Value()};
}

FailureOr<int64_t> getLength(NodeContext &n, int index, AffineExpr defaultExtent) {
  std::optional<int64_t> length = nn::getConstant(defaultExtent);
  if (n.hasInput(index)) {
    FailureOr<Ints> given = n.getIntsInput(index);
    if (failed(given))
      return failure();
    length = given->size() == 1 ? std::optional<int64_t>(given->front()) : std::nullopt;
  }
  if (length && *length >= 1 && *length <= kMaxTransform)
    return *length;
  return (n.emitError() << "the length of the transform is not a constant from 1 to " << kMaxTransform), failure();
}

/// Cuts or pads with zeros to the length of the transform.
Value fitAxis(NodeContext &n, Value input, int64_t axis, int64_t length) {
  if (!input)
    return {};
  Extents extents = n.extentsOf(input);
  int64_t extent = *nn::getConstant(extents[axis]);
  if (extent >= length)
    return n.sliceAxis(input, axis, n.cst(0), n.cst(length));
  Extents low(extents.size(), n.cst(0)), high = low;
  high[axis] = n.cst(length - extent);
  return n.pad(nn::PadMode::constant, input, low, high);
}

/// The real signal whose one-sided spectrum the input is: the other half is its mirror image, conjugated.
Complex completeSpectrum(NodeContext &n, Complex half, int64_t axis, int64_t length) {
  auto mirror = [&](Value value, bool negate) {
    int64_t count = (length - 1) / 2;
    Value tail = n.sliceAxis(value, axis, n.cst(count), n.cst(count), -1);
    return n.concat({value, negate ? n.unary(UnaryKind::neg, tail) : tail}, axis);
  };
  return {mirror(half.real, false), half.imaginary ? mirror(half.imaginary, true) : Value()};
}

LogicalResult makeDFT(NodeContext &n, int64_t givenAxis) {
  Value input = n.getInput(0);
  if (!input)
    return failure();
  int64_t numDims = n.typeOf(input).getRank();
  FailureOr<int64_t> axis = n.normalizeAxis(givenAxis, numDims);
  FailureOr<Complex> signal = splitParts(n, input);
  if (failed(axis) || failed(signal))
    return failure();
  if (*axis == numDims - 1)
    return n.emitError() << "axis is the one of real and imaginary parts; expected another";
  std::optional<int64_t> extent = nn::getConstant(n.extentsOf(input)[*axis]);
  if (!extent)
    return n.emitError() << "axis " << *axis << " has an unknown extent; bind the dimension";
  bool inverse = n.getInt("inverse", 0), oneSided = n.getInt("onesided", 0);
  FailureOr<int64_t> length = getLength(n, 1, n.cst(inverse && oneSided ? 2 * (*extent - 1) : *extent));
  if (failed(length))
    return failure();
  int64_t numIn = inverse && oneSided ? *length / 2 + 1 : *length;
  Complex fitted{fitAxis(n, signal->real, *axis, numIn),
                 signal->imaginary ? fitAxis(n, signal->imaginary, *axis, numIn) : Value()};
  if (inverse && oneSided)
    fitted = completeSpectrum(n, fitted, *axis, *length);
  // The transformed axis goes last.
  Ints perm;
  for (int64_t i = 0; i < numDims - 1; ++i)
    if (i != *axis)
      perm.push_back(i);
  perm.push_back(*axis);
  Ints back(numDims - 1);
  for (auto [i, from] : llvm::enumerate(perm))
    back[from] = i;
  auto move = [&](Value value, ArrayRef<int64_t> order) { return value ? n.transpose(value, order) : Value(); };
  int64_t numOut = oneSided && !inverse ? *length / 2 + 1 : *length;
  Type type = n.elementOf(input);
  Complex basis = makeBasis(n, *length, numOut, *length, /*negative=*/!inverse, type);
  Complex result = transform(n, {move(fitted.real, perm), move(fitted.imaginary, perm)}, basis);
  if (inverse && result.real && result.imaginary) {
    Value scale = n.scalar(1.0 / static_cast<double>(*length), type);
    result = {n.mul(result.real, scale), n.mul(result.imaginary, scale)};
  }
  result = {move(result.real, back), move(result.imaginary, back)};
  return n.setOutput(0,
                     inverse && oneSided && result.real ? n.unsqueeze(result.real, numDims - 1) : joinParts(n, result));
}

LogicalResult convertDFT17(NodeContext &n) { return makeDFT(n, n.getInt("axis", 1)); }
LogicalResult convertDFT(NodeContext &n) {
  FailureOr<double> axis = n.getScalarInput(2, -2);
  return failed(axis) ? failure() : makeDFT(n, static_cast<int64_t>(*axis));
}

/// Overlapping frames of a signal, each times the window, transformed.
LogicalResult convertSTFT(NodeContext &n) {
  Value input = n.getInput(0);
  FailureOr<double> step = n.getScalarInput(1, 0);
  if (!input || failed(step))
    return failure();
  FailureOr<Complex> signal = splitParts(n, input);
  Value window = n.getOptionalInput(2);
  FailureOr<int64_t> length = getLength(n, 3, window ? n.extentsOf(window)[0] : AffineExpr(n.cst(0)));
  if (failed(signal) || failed(length))
    return failure();
  if (n.typeOf(input).getRank() != 3 || *step < 1)
    return n.emitError() << "signal has type " << n.typeOf(input) << " and frame_step is " << *step
                         << "; expected three axes and at least 1";
  ShapeAlgebra &algebra = n.algebra();
  auto frameStep = static_cast<int64_t>(*step);
  AffineExpr samples = n.extentsOf(input)[1];
  AffineExpr numFrames =
      algebra.add(algebra.floorDiv(algebra.sub(samples, n.cst(*length)), n.cst(frameStep)), n.cst(1));
  if (nn::getConstant(numFrames).value_or(1) < 1)
    return n.emitError() << "the signal has " << nn::formatExtents(samples) << " samples; a frame has " << *length;
  Type i64 = n.builder().getI64Type(), type = n.elementOf(input);
  Value starts = n.iota(nn::getTensorType({numFrames, n.cst(1)}, i64), 0, 0, static_cast<double>(frameStep));
  Value index = n.add(starts, n.iota(RankedTensorType::get({1, *length}, i64), 1));
  auto cut = [&](Value part) {
    Value frames = part ? n.gather(part, index, 1) : Value();
    return frames && window ? n.mul(frames, n.cast_(window, type)) : frames;
  };
  bool oneSided = n.getInt("onesided", 1);
  Complex basis = makeBasis(n, *length, oneSided ? *length / 2 + 1 : *length, *length, /*negative=*/true, type);
  return n.setOutput(0, joinParts(n, transform(n, {cut(signal->real), cut(signal->imaginary)}, basis)));
}

//===----------------------------------------------------------------------===//
// Mel filters
//===----------------------------------------------------------------------===//

constexpr int64_t kMaxMelBins = 254; ///< their edges are a constant of the module

/// The spectrogram bin of every edge of the triangles, evenly spaced on the mel scale.
Ints getMelEdges(int64_t numBins, double length, double rate, double lowest, double highest) {
  auto toMel = [](double hertz) { return 2595 * std::log1p(hertz / 700) / std::log(10.0); };
  double low = toMel(lowest), step = (toMel(highest) - low) / static_cast<double>(numBins + 2);
  Ints edges;
  for (int64_t i = 0; i < numBins + 2; ++i) {
    double hertz = 700 * std::expm1((static_cast<double>(i) * step + low) / 2595 * std::log(10.0));
    edges.push_back(static_cast<int64_t>(std::floor((length + 1) * hertz / rate)));
  }
  return edges;
}

LogicalResult convertMelWeightMatrix(NodeContext &n) {
  double numbers[5] = {};
  for (int i = 0; i < 5; ++i) {
    FailureOr<double> number = n.getScalarInput(i, 0);
    if (failed(number))
      return failure();
    numbers[i] = *number;
  }
  auto [numBins, length, rate, lowest, highest] = numbers;
  bool fits = numBins >= 1 && numBins <= kMaxMelBins && length >= 1 && length <= kMaxTransform && rate >= 1 &&
              lowest >= 0 && highest >= lowest && highest <= rate;
  if (!fits)
    return n.emitError() << "has " << numBins << " bins from " << lowest << " to " << highest << " Hz of " << length
                         << " samples at " << rate << " Hz; expected 1 to " << kMaxMelBins
                         << " bins, at least one sample, and edges in order below the rate";
  Type type = n.getTypeAttr("output_datatype", onnx::TensorProto::FLOAT), i32 = n.builder().getI32Type();
  if (!type)
    return failure();
  Type real = type.isF64() ? type : Type(Float32Type::get(n.getContext()));
  auto count = static_cast<int64_t>(numBins);
  Ints edges = getMelEdges(count, length, rate, lowest, highest);
  auto edge = [&](int64_t first) { return n.intTensor(ArrayRef(edges).slice(first, count), i32, {1, count}); };
  Value low = edge(0), center = edge(1), high = edge(2);
  Value row = n.iota(RankedTensorType::get({static_cast<int64_t>(length) / 2 + 1, 1}, i32), 0);
  auto less = [&](Value x, Value y) { return n.compare(nn::CompareKind::lt, x, y); };
  auto both = [&](Value x, Value y) { return n.binary(BinaryKind::logical_and, x, y); };
  auto isNot = [&](Value x) { return n.unary(UnaryKind::logical_not, x); };
  auto ratio = [&](Value part, Value whole) {
    Value one = n.scalar(1, i32), divisor = n.binary(BinaryKind::maximum, whole, one);
    return n.div(n.cast_(part, real), n.cast_(divisor, real));
  };
  Value zero = n.scalar(0, real), atCenter = n.compare(nn::CompareKind::eq, row, center);
  Value rising = n.select(both(isNot(less(row, low)), less(row, center)), ratio(n.sub(row, low), n.sub(center, low)),
                          n.select(atCenter, n.scalar(1, real), zero));
  Value falls = both(isNot(less(row, center)), less(row, high));
  return n.setOutput(0, n.cast_(n.select(falls, ratio(n.sub(high, row), n.sub(high, center)), rising), type));
}

} // namespace

void registerSignalOperators(OperatorRegistry &r) {
  r.add("MelWeightMatrix", 17, convertMelWeightMatrix);
  r.add("DFT", 17, convertDFT17);
  r.add("DFT", 20, convertDFT);
  r.add("STFT", 17, convertSTFT);
}

} // namespace penstock::onnximport
