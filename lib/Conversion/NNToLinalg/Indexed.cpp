//===- Indexed.cpp - Ops that read where other values say -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#include "Emitter.h"

#include "mlir/Dialect/Math/IR/Math.h"

namespace penstock::linalg_lowering {
using namespace nn;

static LogicalResult emitGather(Emitter &e, GatherOp op) {
  Location loc = op.getLoc();
  RankedTensorType type = Emitter::typeOf(op.getResult()), inType = Emitter::typeOf(op.getInput());
  int64_t axis = op.getAxis(), numIndexDims = Emitter::typeOf(op.getIndices()).getRank();
  Value extent = e.index(loc, getExtent(inType, axis)), input = e.get(op.getInput()), indices = e.get(op.getIndices());
  e.set(op.getResult(), e.generate(loc, type, [&](OpBuilder &b, Location inner, ValueRange at) -> Value {
    SmallVector<Value> which(at.begin() + axis, at.begin() + axis + numIndexDims);
    Value raw = b.create<tensor::ExtractOp>(inner, indices, which);
    SmallVector<Value> source(at.begin(), at.begin() + axis);
    source.push_back(toPosition(b, inner, raw, extent));
    source.append(at.begin() + axis + numIndexDims, at.end());
    return b.create<tensor::ExtractOp>(inner, input, source);
  }));
  return success();
}

static LogicalResult emitGatherElements(Emitter &e, GatherElementsOp op) {
  Location loc = op.getLoc();
  RankedTensorType type = Emitter::typeOf(op.getResult()), inType = Emitter::typeOf(op.getInput());
  Value extent = e.index(loc, getExtent(inType, op.getAxis())), input = e.get(op.getInput());
  Value indices = e.get(op.getIndices());
  e.set(op.getResult(), e.generate(loc, type, [&](OpBuilder &b, Location inner, ValueRange at) -> Value {
    SmallVector<Value> source(at.begin(), at.end());
    source[op.getAxis()] = toPosition(b, inner, b.create<tensor::ExtractOp>(inner, indices, at), extent);
    return b.create<tensor::ExtractOp>(inner, input, source);
  }));
  return success();
}

static LogicalResult emitGatherND(Emitter &e, GatherNDOp op) {
  Location loc = op.getLoc();
  RankedTensorType type = Emitter::typeOf(op.getResult()), inType = Emitter::typeOf(op.getInput());
  RankedTensorType indexType = Emitter::typeOf(op.getIndices());
  int64_t batchDims = op.getBatchDims(), tuple = indexType.getShape().back(), numTupleDims = indexType.getRank() - 1;
  SmallVector<Value> extents;
  for (AffineExpr expr : getExtents(inType))
    extents.push_back(e.index(loc, expr));
  Value input = e.get(op.getInput()), indices = e.get(op.getIndices());
  e.set(op.getResult(), e.generate(loc, type, [&](OpBuilder &b, Location inner, ValueRange at) -> Value {
    SmallVector<Value> source(at.begin(), at.begin() + batchDims);
    for (int64_t i = 0; i < tuple; ++i) {
      SmallVector<Value> which(at.begin(), at.begin() + numTupleDims);
      which.push_back(b.create<arith::ConstantIndexOp>(inner, i));
      Value raw = b.create<tensor::ExtractOp>(inner, indices, which);
      source.push_back(toPosition(b, inner, raw, extents[batchDims + i]));
    }
    source.append(at.begin() + numTupleDims, at.end());
    return b.create<tensor::ExtractOp>(inner, input, source);
  }));
  return success();
}

//===----------------------------------------------------------------------===//
// Resize
//===----------------------------------------------------------------------===//

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
    double a = op.getCubicCoeff().convertToDouble();
    Value x = coordinate(i), low = b.create<math::FloorOp>(loc, x), t = sub(x, low), first = toIndex(low);
    Value weights[] = {cubicFar(add(t, real(1)), a), cubicNear(t, a), cubicNear(sub(real(1), t), a),
                       cubicFar(sub(real(2), t), a)};
    Taps taps;
    Value total = real(0);
    for (int64_t k = 0; k < 4; ++k) {
      Value position = b.create<arith::AddIOp>(loc, first, b.create<arith::ConstantIndexOp>(loc, k - 1));
      Value clamped = clampIndex(position), weight = weights[k];
      if (op.getExcludeOutside()) {
        Value inside = b.create<arith::CmpIOp>(loc, arith::CmpIPredicate::eq, position, clamped);
        weight = b.create<arith::SelectOp>(loc, inside, weight, real(0));
      }
      total = add(total, weight);
      taps.push_back({clamped, weight});
    }
    if (op.getExcludeOutside())
      for (auto &tap : taps)
        tap.second = div(tap.second, total);
    return taps;
  }
};

/// Sums over all combinations of the axes' taps, the last axis innermost.
Value interpolate(OpBuilder &b, Location loc, Value input, ArrayRef<ResizeAxis::Taps> taps, SmallVectorImpl<Value> &at) {
  if (at.size() == taps.size()) {
    Value x = b.create<tensor::ExtractOp>(loc, input, at);
    return isa<Float16Type, BFloat16Type>(x.getType()) ? Value(b.create<arith::ExtFOp>(loc, b.getF32Type(), x)) : x;
  }
  Value sum;
  for (auto [position, weight] : taps[at.size()]) {
    at.push_back(position);
    Value part = interpolate(b, loc, input, taps, at);
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

static LogicalResult emitResize(Emitter &e, ResizeOp op) {
  Location loc = op.getLoc();
  RankedTensorType inType = Emitter::typeOf(op.getInput()), type = Emitter::typeOf(op.getResult());
  bool isFloat = isa<FloatType>(type.getElementType());
  if (op.getAntialias() || (!isFloat && op.getMode() != ResizeMode::nearest))
    return op.emitOpError() << "with antialias or of integers has no lowering; this version cannot compile it";
  if (op.getCoordinates() == ResizeCoordinates::tf_crop_and_resize)
    return op.emitOpError() << "with tf_crop_and_resize has no lowering; this version cannot compile it";
  Value input = e.get(op.getInput());
  SmallVector<AffineExpr> inExtents = getExtents(inType), outExtents = getExtents(type);
  SmallVector<Value> ins, outs;
  for (size_t i = 0; i < inExtents.size(); ++i) {
    ins.push_back(e.index(loc, inExtents[i]));
    outs.push_back(e.index(loc, outExtents[i]));
  }
  Type element = getStorageType(type.getElementType());
  e.set(op.getResult(), e.generate(loc, type, [&](OpBuilder &b, Location inner, ValueRange indices) -> Value {
    SmallVector<ResizeAxis::Taps> taps;
    for (auto [i, index] : llvm::enumerate(indices)) {
      ResizeAxis axis{op, static_cast<int64_t>(i), ins[i], outs[i], b, inner};
      if (op.getScales()[i] == 1.0 && inExtents[i] == outExtents[i])
        taps.push_back({{index, Value()}});
      else if (op.getMode() == ResizeMode::nearest)
        taps.push_back({{axis.nearest(index), Value()}});
      else
        taps.push_back(op.getMode() == ResizeMode::linear ? axis.linear(index) : axis.cubic(index));
    }
    SmallVector<Value> at;
    Value result = interpolate(b, inner, input, taps, at);
    return result.getType() == element ? result : Value(b.create<arith::TruncFOp>(inner, element, result));
  }));
  return success();
}

LogicalResult emitIndexed(Emitter &e, Operation *op) {
  return llvm::TypeSwitch<Operation *, LogicalResult>(op)
      .Case([&](GatherOp op) { return emitGather(e, op); })
      .Case([&](GatherElementsOp op) { return emitGatherElements(e, op); })
      .Case([&](GatherNDOp op) { return emitGatherND(e, op); })
      .Case([&](ResizeOp op) { return emitResize(e, op); });
}

} // namespace penstock::linalg_lowering
