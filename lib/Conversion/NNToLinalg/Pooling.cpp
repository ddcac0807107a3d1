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
  // The window has no values; its shape tells the loops how far to run.
  Value window = e.b.create<tensor::EmptyOp>(loc, op.getKernel(), getStorageType(inType.getElementType()));
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
  Value result = e.generic(loc, {input, window}, e.filled(loc, wide, initial),
                           {loops.map(in), loops.map(loops.windows), loops.map(out)}, loops.getIterators(),
                           [&](OpBuilder &b, Location inner, ValueRange args) {
                             return ScalarBuilder{b, inner}.combine(kind, args[2], args[0], isUnsigned);
                           });
  if (!isMax)
    result = divideByCount(e, op, result, wide, original);
  e.set(op.getResult(), e.narrow(loc, result, wide, type));
  return success();
}

} // namespace penstock::linalg_lowering
