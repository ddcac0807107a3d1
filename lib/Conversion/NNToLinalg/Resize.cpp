//===- Resize.cpp - Resampling -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
// Each element of the result is a sum over the taps of every axis: input positions and their weights.
//===----------------------------------------------------------------------===//
#include "Emitter.h"

#include "mlir/Dialect/Math/IR/Math.h"

#include <cmath>

namespace penstock::linalg_lowering {
using namespace nn;

/// More taps than this on one axis would make too much code.
static constexpr int64_t kMaxTaps = 256;

namespace {

/// One axis of a resize: from a result index to input positions and weights. Coordinates are computed in f32, as ONNX
/// Runtime does.
struct ResizeAxis {
  ResizeOp op;
  int64_t axis;
  Value inExtent, outExtent; ///< index values
  OpBuilder &b;
  Location loc;

  Value real(double value) { return b.create<arith::ConstantOp>(loc, b.getF32FloatAttr(value)); }
  Value toReal(Value index) {
    Value integer = b.create<arith::IndexCastOp>(loc, b.getI64Type(), index);
    return b.create<arith::SIToFPOp>(loc, b.getF32Type(), integer);
  }
  Value toIndex(Value number) {
    Value integer = b.create<arith::FPToSIOp>(loc, b.getI64Type(), number);
    return b.create<arith::IndexCastOp>(loc, b.getIndexType(), integer);
  }
  Value add(Value l, Value r) { return b.create<arith::AddFOp>(loc, l, r); }
  Value sub(Value l, Value r) { return b.create<arith::SubFOp>(loc, l, r); }
  Value mul(Value l, Value r) { return b.create<arith::MulFOp>(loc, l, r); }
  Value div(Value l, Value r) { return b.create<arith::DivFOp>(loc, l, r); }
  Value clampIndex(Value index) {
    Value zero = b.create<arith::ConstantIndexOp>(loc, 0), one = b.create<arith::ConstantIndexOp>(loc, 1);
    Value last = b.create<arith::SubIOp>(loc, inExtent, one);
    return b.create<arith::MaxSIOp>(loc, b.create<arith::MinSIOp>(loc, index, last), zero);
  }

  Value scale() {
    double given = op.getScales()[axis];
    return given != 0.0 ? real(given) : div(toReal(outExtent), toReal(inExtent));
  }

  /// The position in the input that result index `i` stands for.
  Value coordinate(Value i) {
    Value x = toReal(i), in = toReal(inExtent), out = toReal(outExtent);
    Value half = real(0.5);
    switch (op.getCoordinates()) {
    case ResizeCoordinates::half_pixel:
      return sub(div(add(x, half), scale()), half);
    case ResizeCoordinates::half_pixel_symmetric: {
      // The result is taken as cut out of the middle of the exact one.
      Value exact = mul(in, scale()), adjustment = div(out, exact);
      Value offset = mul(div(in, real(2)), sub(real(1), adjustment));
      return add(offset, sub(div(add(x, half), scale()), half));
    }
    case ResizeCoordinates::pytorch_half_pixel: {
      Value one = b.create<arith::CmpFOp>(loc, arith::CmpFPredicate::OGT, out, real(1));
      return b.create<arith::SelectOp>(loc, one, sub(div(add(x, half), scale()), half), real(0));
    }
    case ResizeCoordinates::align_corners: {
      Value more = b.create<arith::CmpFOp>(loc, arith::CmpFPredicate::OGT, out, real(1));
      Value divisor = b.create<arith::SelectOp>(loc, more, sub(out, real(1)), real(1));
      return b.create<arith::SelectOp>(loc, more, div(mul(x, sub(in, real(1))), divisor), real(0));
    }
    case ResizeCoordinates::asymmetric:
      return div(x, scale());
    case ResizeCoordinates::tf_half_pixel_for_nn:
      return div(add(x, half), scale());
    case ResizeCoordinates::tf_crop_and_resize: {
      int64_t numDims = op.getScales().size();
      Value start = real((*op.getRoi())[axis]), end = real((*op.getRoi())[numDims + axis]);
      Value more = b.create<arith::CmpFOp>(loc, arith::CmpFPredicate::OGT, out, real(1));
      Value divisor = b.create<arith::SelectOp>(loc, more, sub(out, real(1)), real(1));
      Value span = mul(sub(end, start), sub(in, real(1)));
      Value moved = add(mul(start, sub(in, real(1))), div(mul(x, span), divisor));
      Value middle = mul(mul(half, add(start, end)), sub(in, real(1)));
      return b.create<arith::SelectOp>(loc, more, moved, middle);
    }
    }
    return {};
  }

  Value nearest(Value i) {
    Value x = coordinate(i), rounded;
    switch (op.getNearest()) {
    case ResizeNearest::round_prefer_floor:
      rounded = b.create<math::CeilOp>(loc, sub(x, real(0.5)));
      break;
    case ResizeNearest::round_prefer_ceil:
      rounded = b.create<math::FloorOp>(loc, add(x, real(0.5)));
      break;
    case ResizeNearest::floor:
      rounded = b.create<math::FloorOp>(loc, x);
      break;
    case ResizeNearest::ceil:
      rounded = b.create<math::CeilOp>(loc, x);
      break;
    }
    return clampIndex(toIndex(rounded));
  }

  using Taps = SmallVector<std::pair<Value, Value>, 4>; ///< input position, weight in f32

  Taps linear(Value i) {
    Value x = coordinate(i);
    Value zero = real(0), last = sub(toReal(inExtent), real(1));
    x = b.create<arith::MaximumFOp>(loc, b.create<arith::MinimumFOp>(loc, x, last), zero);
    Value low = b.create<math::FloorOp>(loc, x), weight = sub(x, low), first = toIndex(low);
    Value next = b.create<arith::AddIOp>(loc, first, b.create<arith::ConstantIndexOp>(loc, 1));
    return {{clampIndex(first), sub(real(1), weight)}, {clampIndex(next), weight}};
  }

  /// The cubic kernel at a distance below 1, and from 1 to 2.
  Value cubicNear(Value d, double a) {
    Value inner = sub(mul(real(a + 2), d), real(a + 3));
    return add(mul(mul(inner, d), d), real(1));
  }
  Value cubicFar(Value d, double a) {
    Value inner = sub(mul(real(a), d), real(5 * a));
    return sub(mul(add(mul(inner, d), real(8 * a)), d), real(4 * a));
  }

  Taps cubic(Value i) {
    double a = getCubicCoeff();
    Value x = coordinate(i), low = b.create<math::FloorOp>(loc, x), t = sub(x, low), first = toIndex(low);
    Value weights[] = {cubicFar(add(t, real(1)), a), cubicNear(t, a), cubicNear(sub(real(1), t), a),
                       cubicFar(sub(real(2), t), a)};
    return place(first, -1, weights, /*divides=*/op.getExcludeOutside());
  }

  /// Taps from `offset` after `first` on, those outside at the edge or, if they are excluded, without weight;
  /// `divides`: by the sum of all weights.
  Taps place(Value first, int64_t offset, ArrayRef<Value> weights, bool divides) {
    Taps taps;
    Value total = real(0);
    for (auto [k, given] : llvm::enumerate(weights)) {
      auto distance = b.create<arith::ConstantIndexOp>(loc, offset + static_cast<int64_t>(k));
      Value position = b.create<arith::AddIOp>(loc, first, distance), clamped = clampIndex(position), weight = given;
      if (op.getExcludeOutside()) {
        Value inside = b.create<arith::CmpIOp>(loc, arith::CmpIPredicate::eq, position, clamped);
        weight = b.create<arith::SelectOp>(loc, inside, weight, real(0));
      }
      total = add(total, weight);
      taps.push_back({clamped, weight});
    }
    if (divides)
      for (auto &tap : taps)
        tap.second = div(tap.second, total);
    return taps;
  }

  /// How far, in elements of the input, the kernel of a shrinking resize reaches to both sides.
  int64_t getReach() {
    double support = op.getMode() == ResizeMode::linear ? 1.0 : 2.0;
    return 1 - static_cast<int64_t>(std::floor(-support / std::min(op.getScales()[axis], 1.0)) + 1);
  }

  /// A kernel stretched by the scale where that makes the result smaller.
  Taps antialiased(Value i) {
    double stretch = std::min(op.getScales()[axis], 1.0), a = getCubicCoeff();
    Value x = coordinate(i), low = b.create<math::FloorOp>(loc, x), t = sub(x, low);
    int64_t reach = getReach();
    SmallVector<Value> weights;
    for (int64_t k = 1 - reach; k <= reach; ++k) {
      Value d = b.create<math::AbsFOp>(loc, mul(sub(real(static_cast<double>(k)), t), real(stretch)));
      auto below = [&](double limit) {
        return b.create<arith::CmpFOp>(loc, arith::CmpFPredicate::OLT, d, real(limit));
      };
      if (op.getMode() == ResizeMode::linear) {
        weights.push_back(b.create<arith::MaximumFOp>(loc, sub(real(1), d), real(0)));
        continue;
      }
      Value far = b.create<arith::SelectOp>(loc, below(2), cubicFar(d, a), real(0));
      weights.push_back(b.create<arith::SelectOp>(loc, below(1), cubicNear(d, a), far));
    }
    return place(toIndex(low), 1 - reach, weights, /*divides=*/true);
  }

  double getCubicCoeff() { return op.getCubicCoeff().convertToDouble(); }

  /// True where the coordinate lies outside of the input.
  Value isOutside(Value i) {
    Value x = coordinate(i), last = sub(toReal(inExtent), real(1));
    Value before = b.create<arith::CmpFOp>(loc, arith::CmpFPredicate::OLT, x, real(0));
    Value behind = b.create<arith::CmpFOp>(loc, arith::CmpFPredicate::OGT, x, last);
    return b.create<arith::OrIOp>(loc, before, behind);
  }

  /// The axis is as it was.
  bool isKept(AffineExpr in, AffineExpr out) {
    std::optional<ArrayRef<double>> roi = op.getRoi();
    bool isWhole = !roi || ((*roi)[axis] == 0.0 && (*roi)[op.getScales().size() + axis] == 1.0);
    return op.getScales()[axis] == 1.0 && in == out && isWhole;
  }

  Taps get(Value i) {
    if (op.getMode() == ResizeMode::nearest)
      return {{nearest(i), Value()}};
    if (op.getAntialias())
      return antialiased(i);
    return op.getMode() == ResizeMode::linear ? linear(i) : cubic(i);
  }
};

/// Sums over all combinations of the axes' taps, the last axis innermost.
/// Elements are of the type `element`, sums of `wide`.
Value interpolate(OpBuilder &b, Location loc, Value input, Type element, Type wide, ArrayRef<ResizeAxis::Taps> taps,
                  SmallVectorImpl<Value> &at) {
  if (at.size() == taps.size()) {
    Value x = b.create<tensor::ExtractOp>(loc, input, at);
    return x.getType() == wide ? x : ScalarBuilder{b, loc}.cast(x, element, wide, false);
  }
  Value sum;
  for (auto [position, weight] : taps[at.size()]) {
    at.push_back(position);
    Value part = interpolate(b, loc, input, element, wide, taps, at);
    at.pop_back();
    if (weight) {
      if (weight.getType() != part.getType())
        weight = b.create<arith::ExtFOp>(loc, part.getType(), weight);
      part = b.create<arith::MulFOp>(loc, part, weight);
    }
    sum = sum ? Value(b.create<arith::AddFOp>(loc, sum, part)) : part;
  }
  return sum;
}

} // namespace

LogicalResult emitResize(Emitter &e, ResizeOp op) {
  Location loc = op.getLoc();
  RankedTensorType inType = Emitter::typeOf(op.getInput()), type = Emitter::typeOf(op.getResult());
  Value input = e.get(op.getInput());
  SmallVector<AffineExpr> inExtents = getExtents(inType), outExtents = getExtents(type);
  SmallVector<Value> ins, outs;
  for (size_t i = 0; i < inExtents.size(); ++i) {
    ins.push_back(e.index(loc, inExtents[i]));
    outs.push_back(e.index(loc, outExtents[i]));
  }
  for (auto [i, scale] : llvm::enumerate(op.getScales())) {
    ResizeAxis axis{op, static_cast<int64_t>(i), ins[i], outs[i], e.b, loc};
    if (op.getAntialias() && op.getMode() != ResizeMode::nearest && !axis.isKept(inExtents[i], outExtents[i]) &&
        (scale == 0.0 || 2 * axis.getReach() > kMaxTaps))
      return op.emitOpError() << "with antialias has scale " << scale << " on axis " << i
                              << " (0: unknown); expected a "
                              << "constant one, of at most " << kMaxTaps << " taps";
  }
  Type element = type.getElementType();
  Type wide = op.getMode() == ResizeMode::nearest ? getStorageType(element)
              : element.isF64()                   ? element
                                                  : Type(e.b.getF32Type());
  e.set(op.getResult(), e.generate(loc, type, [&](OpBuilder &b, Location inner, ValueRange indices) -> Value {
    SmallVector<ResizeAxis::Taps> taps;
    Value outside;
    for (auto [i, index] : llvm::enumerate(indices)) {
      ResizeAxis axis{op, static_cast<int64_t>(i), ins[i], outs[i], b, inner};
      if (axis.isKept(inExtents[i], outExtents[i])) {
        taps.push_back({{index, Value()}});
        continue;
      }
      taps.push_back(axis.get(index));
      if (op.getCoordinates() == ResizeCoordinates::tf_crop_and_resize) {
        Value here = axis.isOutside(index);
        outside = outside ? Value(b.create<arith::OrIOp>(inner, outside, here)) : here;
      }
    }
    SmallVector<Value> at;
    Value result = interpolate(b, inner, input, element, wide, taps, at);
    ScalarBuilder scalars{b, inner};
    if (result.getType() != getStorageType(element))
      result = scalars.cast(result, wide, element, /*saturate=*/true);
    if (!outside)
      return result;
    Value filling = scalars.constant(result.getType(), op.getExtrapolation().convertToDouble());
    return b.create<arith::SelectOp>(inner, outside, filling, result);
  }));
  return success();
}

} // namespace penstock::linalg_lowering
