//===- Pooling.cpp - Maxima and averages over windows -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#include "Windows.h"

#include "penstock/Dialect/NN/IR/Layouts.h"

namespace penstock::linalg_lowering {
using namespace nn;
using utils::IteratorType;

/// How many taps of the window at `position` lie in [low, high) of the unpadded axis.
static Value countTaps(OpBuilder &b, Location loc, Value position, int64_t stride, int64_t dilation, int64_t kernel,
                       int64_t pad, Value low, Value high) {
  auto c = [&](int64_t value) -> Value { return b.create<arith::ConstantIndexOp>(loc, value); };
  Value start = b.create<arith::SubIOp>(loc, b.create<arith::MulIOp>(loc, position, c(stride)), c(pad));
  // First tap t with start + t * dilation >= low, and first one with >= high.
  auto firstAtLeast = [&](Value bound) -> Value {
    Value distance = b.create<arith::SubIOp>(loc, bound, start);
    Value tap = b.create<arith::CeilDivSIOp>(loc, distance, c(dilation));
    return b.create<arith::MinSIOp>(loc, b.create<arith::MaxSIOp>(loc, tap, c(0)), c(kernel));
  };
  return b.create<arith::SubIOp>(loc, firstAtLeast(high), firstAtLeast(low));
}

/// Sums divided by the number of elements that count.
static Value divideByCount(Emitter &e, PoolOp op, Value sums, RankedTensorType type, RankedTensorType inType) {
  Location loc = op.getLoc();
  int64_t numSpatial = inType.getRank() - 2;
  int64_t first = getSpatialAxis(op.getChannelsLast());
  bool includePad = op.getKind() == PoolKind::average_include_pad;
  SmallVector<Value> lows, highs;
  for (int64_t i = 0; i < numSpatial; ++i) {
    AffineExpr in = getExtent(inType, first + i);
    int64_t lowPad = op.getPads()[i], highPad = op.getPads()[numSpatial + i];
    lows.push_back(e.index(loc, e.constantExpr(includePad ? -lowPad : 0)));
    highs.push_back(e.index(loc, simplifyExtent(includePad ? in + highPad : in)));
  }
  return e.elementwise(loc, type, {{sums, type}}, [&](OpBuilder &b, Location inner, ValueRange in) -> Value {
    Value count = b.create<arith::ConstantIndexOp>(inner, 1);
    for (int64_t i = 0; i < numSpatial; ++i) {
      Value taps = countTaps(b, inner, b.create<linalg::IndexOp>(inner, first + i), op.getStrides()[i],
                             op.getDilations()[i], op.getKernel()[i], op.getPads()[i], lows[i], highs[i]);
      count = b.create<arith::MulIOp>(inner, count, taps);
    }
    Value integer = b.create<arith::IndexCastOp>(inner, b.getI64Type(), count);
    Value number = b.create<arith::SIToFPOp>(inner, in[0].getType(), integer);
    return b.create<arith::DivFOp>(inner, in[0], number);
  });
}

/// So many taps are read in one pass.
static constexpr int64_t kFewTaps = 25;

/// A channels-last image, padded already, in one pass over the result: each element reads its taps where they lie, in
/// the order of the window.
static Value combineTaps(Emitter &e, PoolOp op, Value input, RankedTensorType type, ReduceKind kind, bool isUnsigned) {
  Location loc = op.getLoc();
  int64_t rank = type.getRank(), numSpatial = rank - 2, numTaps = 1;
  for (int64_t extent : op.getKernel())
    numTaps *= extent;
  SmallVector<Value> inputs;
  for (int64_t tap = 0; tap < numTaps; ++tap) {
    SmallVector<OpFoldResult> offsets(rank, e.b.getIndexAttr(0)), steps(rank, e.b.getIndexAttr(1));
    for (int64_t i = numSpatial - 1, rest = tap; i >= 0; rest /= op.getKernel()[i--]) {
      offsets[1 + i] = e.b.getIndexAttr(rest % op.getKernel()[i] * op.getDilations()[i]);
      steps[1 + i] = e.b.getIndexAttr(op.getStrides()[i]);
    }
    inputs.push_back(e.b.create<tensor::ExtractSliceOp>(loc, Emitter::storageType(type), input, offsets,
                                                        e.extents(loc, type), steps));
  }
  SmallVector<AffineMap> maps(numTaps + 1, e.b.getMultiDimIdentityMap(rank));
  SmallVector<IteratorType> iterators(rank, IteratorType::parallel);
  return e.generic(loc, inputs, e.empty(loc, type), maps, iterators, [&](OpBuilder &b, Location inner, ValueRange in) {
    Value result = in[0];
    for (int64_t tap = 1; tap < numTaps; ++tap)
      result = ScalarBuilder{b, inner}.combine(kind, result, in[tap], isUnsigned);
    return result;
  });
}

/// The window as reduction loops.
static Value combineWindow(Emitter &e, PoolOp op, Value input, RankedTensorType type, ReduceKind kind,
                           bool isUnsigned) {
  Location loc = op.getLoc();
  bool channelsLast = op.getChannelsLast();
  int64_t numSpatial = type.getRank() - 2;
  Type element = getStorageType(type.getElementType());
  // The window has no values; its shape tells the loops how far to run.
  Value window = e.b.create<tensor::EmptyOp>(loc, op.getKernel(), element);
  WindowLoops loops(e.b);
  AffineExpr batch = loops.add(IteratorType::parallel), channel;
  if (!channelsLast)
    channel = loops.add(IteratorType::parallel);
  loops.addPositions(channelsLast ? numSpatial : numSpatial - 1);
  loops.addWindow(numSpatial);
  if (channelsLast)
    channel = loops.add(IteratorType::parallel);
  else
    loops.addPositions(1);
  SmallVector<AffineExpr> in =
      imageExprs(batch, channel, loops.getTaps(op.getStrides(), op.getDilations()), channelsLast);
  SmallVector<AffineExpr> out = imageExprs(batch, channel, loops.positions, channelsLast);
  Value initial = ScalarBuilder{e.b, loc}.identity(kind, element, isUnsigned);
  return e.generic(loc, {input, window}, e.filled(loc, type, initial),
                   {loops.map(in), loops.map(loops.windows), loops.map(out)}, loops.getIterators(),
                   [&](OpBuilder &b, Location inner, ValueRange args) {
                     return ScalarBuilder{b, inner}.combine(kind, args[2], args[0], isUnsigned);
                   });
}

LogicalResult emitPool(Emitter &e, PoolOp op) {
  Location loc = op.getLoc();
  RankedTensorType inType = Emitter::typeOf(op.getInput()), type = Emitter::typeOf(op.getResult());
  bool isMax = op.getKind() == PoolKind::max;
  auto integer = dyn_cast<IntegerType>(inType.getElementType());
  if (integer && !isMax)
    return op.emitOpError() << "averages integers; expected floating-point elements";
  RankedTensorType original = inType;
  Value input = e.widen(loc, e.get(op.getInput()), inType);
  RankedTensorType wide = getTensorType(getExtents(type), inType.getElementType());
  bool channelsLast = op.getChannelsLast();
  int64_t numSpatial = inType.getRank() - 2, first = getSpatialAxis(channelsLast);
  SmallVector<AffineExpr> low(inType.getRank(), e.constantExpr(0)), high = low;
  for (int64_t i = 0; i < numSpatial; ++i) {
    low[first + i] = e.constantExpr(op.getPads()[i]);
    high[first + i] = e.constantExpr(op.getPads()[numSpatial + i] + (op.getCeilMode() ? op.getStrides()[i] - 1 : 0));
  }
  ReduceKind kind = isMax ? ReduceKind::max : ReduceKind::sum;
  bool isUnsigned = integer && integer.isUnsigned();
  Value initial = ScalarBuilder{e.b, loc}.identity(kind, getStorageType(inType.getElementType()), isUnsigned);
  auto isZero = [](AffineExpr expr) { return getConstant(expr) == 0; };
  if (!llvm::all_of(low, isZero) || !llvm::all_of(high, isZero)) {
    RankedTensorType padType;
    input = e.padded(loc, input, inType, low, high, initial, padType);
  }
  int64_t numTaps = 1;
  for (int64_t extent : op.getKernel())
    numTaps *= extent;
  Value result = channelsLast && numTaps <= kFewTaps ? combineTaps(e, op, input, wide, kind, isUnsigned)
                                                     : combineWindow(e, op, input, wide, kind, isUnsigned);
  if (!isMax)
    result = divideByCount(e, op, result, wide, original);
  e.set(op.getResult(), e.narrow(loc, result, wide, type));
  return success();
}

} // namespace penstock::linalg_lowering
