//===- Contraction.cpp - Products, convolutions, pooling -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
// Loops run in the order of the iterators: the innermost one is contiguous in the result, so that it vectorizes without
// changing the order in which products are added.
//===----------------------------------------------------------------------===//
#include "Emitter.h"

namespace penstock::linalg_lowering {
using namespace nn;
using utils::IteratorType;

static Value multiplyAdd(OpBuilder &b, Location loc, ValueRange in) {
  return ScalarBuilder{b, loc}.multiplyAdd(in[0], in[1], in[2]);
}

/// The last two axes swapped, as a new tensor.
static Value swapLastTwo(Emitter &e, Location loc, Value value, RankedTensorType &type) {
  SmallVector<AffineExpr> extents = getExtents(type);
  int64_t numDims = extents.size();
  std::swap(extents[numDims - 1], extents[numDims - 2]);
  type = getTensorType(extents, type.getElementType());
  SmallVector<AffineExpr> source;
  for (int64_t i = 0; i < numDims; ++i)
    source.push_back(e.b.getAffineDimExpr(i));
  std::swap(source[numDims - 1], source[numDims - 2]);
  AffineMap maps[] = {AffineMap::get(numDims, 0, source, e.b.getContext()), e.b.getMultiDimIdentityMap(numDims)};
  SmallVector<IteratorType> iterators(numDims, IteratorType::parallel);
  return e.generic(loc, value, e.empty(loc, type), maps, iterators,
                   [](OpBuilder &, Location, ValueRange in) { return in[0]; });
}

static LogicalResult emitMatmul(Emitter &e, MatmulOp op) {
  Location loc = op.getLoc();
  RankedTensorType lhs = Emitter::typeOf(op.getLhs()), rhs = Emitter::typeOf(op.getRhs());
  RankedTensorType type = Emitter::typeOf(op.getResult());
  Value left = e.widen(loc, e.get(op.getLhs()), lhs), right = e.widen(loc, e.get(op.getRhs()), rhs);
  // The innermost loop runs along the columns of the right operand, which must lie next to each other.
  if (op.getTransposeRhs())
    right = swapLastTwo(e, loc, right, rhs);
  RankedTensorType wide = getTensorType(getExtents(type), lhs.getElementType());
  int64_t numBatch = type.getRank() - 2, numLoops = type.getRank() + 1;
  AffineExpr row = e.b.getAffineDimExpr(numBatch), depth = e.b.getAffineDimExpr(numBatch + 1),
             column = e.b.getAffineDimExpr(numBatch + 2);
  auto batchExprs = [&](RankedTensorType operand) {
    SmallVector<AffineExpr> exprs;
    int64_t offset = numBatch - (operand.getRank() - 2);
    for (int64_t i = 0; i < operand.getRank() - 2; ++i)
      exprs.push_back(operand.getDimSize(i) == 1 && type.getDimSize(offset + i) != 1 ? e.constantExpr(0)
                                                                                     : e.b.getAffineDimExpr(offset + i));
    return exprs;
  };
  SmallVector<AffineExpr> leftMap = batchExprs(lhs), rightMap = batchExprs(rhs), outMap = batchExprs(type);
  if (op.getTransposeLhs())
    leftMap.append({depth, row});
  else
    leftMap.append({row, depth});
  rightMap.append({depth, column});
  outMap.append({row, column});
  auto map = [&](ArrayRef<AffineExpr> exprs) { return AffineMap::get(numLoops, 0, exprs, e.b.getContext()); };
  SmallVector<IteratorType> iterators(numLoops, IteratorType::parallel);
  iterators[numBatch + 1] = IteratorType::reduction;
  Value result = e.generic(loc, {left, right}, e.zeros(loc, wide), {map(leftMap), map(rightMap), map(outMap)}, iterators,
                           multiplyAdd);
  e.set(op.getResult(), e.narrow(loc, result, wide, type));
  return success();
}

/// [.., group * n, ..] as [.., group, n, ..].
static Value splitGroups(Emitter &e, Location loc, Value value, RankedTensorType &type, int64_t axis, int64_t group) {
  SmallVector<AffineExpr> extents = getExtents(type);
  AffineExpr each = extents[axis].floorDiv(group);
  extents[axis] = e.constantExpr(group);
  extents.insert(extents.begin() + axis + 1, each);
  RankedTensorType to = getTensorType(extents, type.getElementType());
  Value result = e.reshape(loc, value, type, to);
  type = to;
  return result;
}

/// The bias for every element of a result whose axis 1 (and 2, with groups) are the outputs; zeros without one.
static Value biasOrZeros(Emitter &e, Location loc, Value bias, RankedTensorType type, int64_t numChannelAxes) {
  if (!bias)
    return e.zeros(loc, type);
  RankedTensorType biasType = Emitter::typeOf(bias);
  Value value = e.widen(loc, e.get(bias), biasType);
  SmallVector<AffineExpr> extents = getExtents(type), channels(extents.begin() + 1, extents.begin() + 1 + numChannelAxes);
  RankedTensorType split = getTensorType(channels, biasType.getElementType());
  value = e.reshape(loc, value, biasType, split);
  SmallVector<AffineExpr> exprs;
  for (int64_t i = 0; i < numChannelAxes; ++i)
    exprs.push_back(e.b.getAffineDimExpr(1 + i));
  AffineMap maps[] = {AffineMap::get(type.getRank(), 0, exprs, e.b.getContext()),
                      e.b.getMultiDimIdentityMap(type.getRank())};
  SmallVector<IteratorType> iterators(type.getRank(), IteratorType::parallel);
  return e.generic(loc, value, e.empty(loc, type), maps, iterators,
                   [](OpBuilder &, Location, ValueRange in) { return in[0]; });
}

static Value padSpatial(Emitter &e, Location loc, Value value, RankedTensorType &type, ArrayRef<int64_t> low,
                        ArrayRef<int64_t> high, double number) {
  if (llvm::all_of(low, [](int64_t pad) { return pad == 0; }) &&
      llvm::all_of(high, [](int64_t pad) { return pad == 0; }))
    return value;
  SmallVector<AffineExpr> lows(type.getRank(), e.constantExpr(0)), highs = lows;
  int64_t first = type.getRank() - low.size();
  for (size_t i = 0; i < low.size(); ++i) {
    lows[first + i] = e.constantExpr(low[i]);
    highs[first + i] = e.constantExpr(high[i]);
  }
  RankedTensorType to;
  Value scalar = ScalarBuilder{e.b, loc}.constant(getStorageType(type.getElementType()), number);
  Value result = e.padded(loc, value, type, lows, highs, scalar, to);
  type = to;
  return result;
}

/// Iterators: batch, [group,] outputs, all result positions but the last, [inputs,] window, last position.
struct WindowLoops {
  OpBuilder &b;
  int64_t numLeading;   ///< batch, group, outputs
  int64_t numSpatial;
  bool overInputs;      ///< sums over input channels

  int64_t numLoops() const { return numLeading + 2 * numSpatial + (overInputs ? 1 : 0); }
  AffineExpr leading(int64_t i) const { return b.getAffineDimExpr(i); }
  AffineExpr inputs() const { return b.getAffineDimExpr(numLeading + numSpatial - 1); }
  AffineExpr window(int64_t i) const {
    return b.getAffineDimExpr(numLeading + numSpatial - 1 + (overInputs ? 1 : 0) + i);
  }
  AffineExpr position(int64_t i) const {
    return b.getAffineDimExpr(i + 1 < numSpatial ? numLeading + i : numLoops() - 1);
  }
  SmallVector<IteratorType> iterators() const {
    SmallVector<IteratorType> result(numLoops(), IteratorType::parallel);
    for (int64_t i = numLeading + numSpatial - 1; i < numLoops() - 1; ++i)
      result[i] = IteratorType::reduction;
    return result;
  }
  AffineMap map(ArrayRef<AffineExpr> exprs) const { return AffineMap::get(numLoops(), 0, exprs, b.getContext()); }
  /// position * stride + window * dilation per axis.
  void appendTaps(SmallVectorImpl<AffineExpr> &exprs, ArrayRef<int64_t> strides, ArrayRef<int64_t> dilations) const {
    for (int64_t i = 0; i < numSpatial; ++i)
      exprs.push_back(position(i) * strides[i] + window(i) * dilations[i]);
  }
};

/// A convolution without padding of wide operands, into `init`; group is an axis of its own if it is not 1.
static Value convolve(Emitter &e, Location loc, Value input, Value filter, Value init, int64_t numSpatial, bool grouped,
                      ArrayRef<int64_t> strides, ArrayRef<int64_t> dilations) {
  WindowLoops loops{e.b, grouped ? 3 : 2, numSpatial, /*overInputs=*/true};
  SmallVector<AffineExpr> in{loops.leading(0)}, weights, out;
  if (grouped) {
    in.push_back(loops.leading(1));
    weights.push_back(loops.leading(1));
  }
  in.push_back(loops.inputs());
  loops.appendTaps(in, strides, dilations);
  weights.append({loops.leading(grouped ? 2 : 1), loops.inputs()});
  for (int64_t i = 0; i < numSpatial; ++i)
    weights.push_back(loops.window(i));
  for (int64_t i = 0; i < loops.numLeading; ++i)
    out.push_back(loops.leading(i));
  for (int64_t i = 0; i < numSpatial; ++i)
    out.push_back(loops.position(i));
  return e.generic(loc, {input, filter}, init, {loops.map(in), loops.map(weights), loops.map(out)}, loops.iterators(),
                   multiplyAdd);
}

/// [N, C, spatial..] as [N, C, all positions].
static Value joinSpatial(Emitter &e, Location loc, Value value, RankedTensorType &type) {
  AffineExpr positions = e.constantExpr(1);
  SmallVector<AffineExpr> extents = getExtents(type);
  while (extents.size() > 2)
    positions = extents.pop_back_val() * positions;
  extents.push_back(simplifyExtent(positions));
  RankedTensorType to = getTensorType(extents, type.getElementType());
  Value result = e.reshape(loc, value, type, to);
  type = to;
  return result;
}

/// Each position by itself: a window of one element that neither steps nor leaves the input.
static bool isPointwise(ConvOp op) {
  auto isOne = [](int64_t value) { return value == 1; };
  return llvm::all_of(Emitter::typeOf(op.getFilter()).getShape().drop_front(2), isOne) &&
         llvm::all_of(op.getStrides(), isOne) && llvm::all_of(op.getPads(), [](int64_t pad) { return pad == 0; });
}

static LogicalResult emitConv(Emitter &e, ConvOp op) {
  Location loc = op.getLoc();
  RankedTensorType inType = Emitter::typeOf(op.getInput()), filterType = Emitter::typeOf(op.getFilter());
  RankedTensorType type = Emitter::typeOf(op.getResult());
  Value input = e.widen(loc, e.get(op.getInput()), inType), filter = e.widen(loc, e.get(op.getFilter()), filterType);
  RankedTensorType wide = getTensorType(getExtents(type), inType.getElementType()), splitType = wide;
  int64_t numSpatial = inType.getRank() - 2, group = op.getGroup();
  ArrayRef<int64_t> pads = op.getPads(), strides = op.getStrides(), dilations = op.getDilations();
  RankedTensorType joined = wide;
  if (numSpatial > 1 && isPointwise(op)) {
    // One long axis fills vectors better than many short ones.
    input = joinSpatial(e, loc, input, inType);
    filter = joinSpatial(e, loc, filter, filterType);
    SmallVector<AffineExpr> extents = getExtents(wide);
    extents.truncate(2);
    extents.push_back(getExtent(inType, 2));
    joined = getTensorType(extents, wide.getElementType());
    numSpatial = 1;
    pads = pads.take_front(2);
    strides = strides.take_front(1);
    dilations = dilations.take_front(1);
  }
  splitType = joined;
  input = padSpatial(e, loc, input, inType, pads.take_front(numSpatial), pads.drop_front(numSpatial), 0);
  bool grouped = group != 1;
  if (grouped) {
    input = splitGroups(e, loc, input, inType, 1, group);
    filter = splitGroups(e, loc, filter, filterType, 0, group);
    SmallVector<AffineExpr> extents = getExtents(joined);
    AffineExpr each = extents[1].floorDiv(group);
    extents[1] = e.constantExpr(group);
    extents.insert(extents.begin() + 2, each);
    splitType = getTensorType(extents, wide.getElementType());
  }
  Value init = biasOrZeros(e, loc, op.getBias(), splitType, grouped ? 2 : 1);
  Value result = convolve(e, loc, input, filter, init, numSpatial, grouped, strides, dilations);
  result = e.reshape(loc, result, splitType, wide);
  e.set(op.getResult(), e.narrow(loc, result, wide, type));
  return success();
}

/// The input with stride - 1 zeros between its elements, as a tensor of (extent - 1) * stride + 1.
static Value spreadOut(Emitter &e, Location loc, Value value, RankedTensorType &type, ArrayRef<int64_t> strides) {
  if (llvm::all_of(strides, [](int64_t stride) { return stride == 1; }))
    return value;
  int64_t first = type.getRank() - strides.size();
  SmallVector<AffineExpr> extents = getExtents(type);
  SmallVector<OpFoldResult> offsets(type.getRank(), e.b.getIndexAttr(0)), steps(type.getRank(), e.b.getIndexAttr(1));
  for (size_t i = 0; i < strides.size(); ++i) {
    extents[first + i] = (extents[first + i] - 1) * strides[i] + 1;
    steps[first + i] = e.b.getIndexAttr(strides[i]);
  }
  RankedTensorType to = getTensorType(extents, type.getElementType());
  Value result =
      e.b.create<tensor::InsertSliceOp>(loc, value, e.zeros(loc, to), offsets, e.extents(loc, type), steps);
  type = to;
  return result;
}

/// The filter turned around and its channels exchanged: [group, inputs, outputs, k..] to [group, outputs, inputs, k..].
static Value turnFilter(Emitter &e, Location loc, Value filter, RankedTensorType &type) {
  SmallVector<AffineExpr> extents = getExtents(type);
  std::swap(extents[1], extents[2]);
  RankedTensorType to = getTensorType(extents, type.getElementType());
  int64_t numDims = to.getRank();
  Value result = e.generate(loc, to, [&](OpBuilder &b, Location inner, ValueRange indices) -> Value {
    SmallVector<Value> source(indices.begin(), indices.end());
    std::swap(source[1], source[2]);
    for (int64_t i = 3; i < numDims; ++i) {
      Value last = b.create<arith::ConstantIndexOp>(inner, to.getDimSize(i) - 1);
      source[i] = b.create<arith::SubIOp>(inner, last, source[i]);
    }
    return b.create<tensor::ExtractOp>(inner, filter, source);
  });
  type = to;
  return result;
}

/// A convolution of the spread-out input with the turned filter.
static LogicalResult emitConvTranspose(Emitter &e, ConvTransposeOp op) {
  Location loc = op.getLoc();
  RankedTensorType inType = Emitter::typeOf(op.getInput()), filterType = Emitter::typeOf(op.getFilter());
  RankedTensorType type = Emitter::typeOf(op.getResult());
  Value input = e.widen(loc, e.get(op.getInput()), inType), filter = e.widen(loc, e.get(op.getFilter()), filterType);
  int64_t numSpatial = inType.getRank() - 2, group = op.getGroup();
  RankedTensorType wide = getTensorType(getExtents(type), inType.getElementType());
  input = spreadOut(e, loc, input, inType, op.getStrides());
  SmallVector<AffineExpr> low(inType.getRank(), e.constantExpr(0)), high = low;
  for (int64_t i = 0; i < numSpatial; ++i) {
    int64_t reach = (filterType.getDimSize(2 + i) - 1) * op.getDilations()[i];
    low[2 + i] = e.constantExpr(reach - op.getPads()[i]);
    high[2 + i] = e.constantExpr(reach - op.getPads()[numSpatial + i] + op.getOutputPads()[i]);
  }
  auto negative = [](AffineExpr expr) { return *getConstant(expr) < 0; };
  if (llvm::any_of(low, negative) || llvm::any_of(high, negative))
    return op.emitOpError() << "has pads beyond its kernel; this version cannot compile it";
  RankedTensorType padType;
  Value zero = ScalarBuilder{e.b, loc}.constant(inType.getElementType(), 0);
  input = e.padded(loc, input, inType, low, high, zero, padType);
  input = splitGroups(e, loc, input, padType, 1, group);
  filter = splitGroups(e, loc, filter, filterType, 0, group);
  filter = turnFilter(e, loc, filter, filterType);
  SmallVector<AffineExpr> extents = getExtents(wide);
  AffineExpr each = extents[1].floorDiv(group);
  extents[1] = e.constantExpr(group);
  extents.insert(extents.begin() + 2, each);
  RankedTensorType splitType = getTensorType(extents, wide.getElementType());
  Value init = biasOrZeros(e, loc, op.getBias(), splitType, 2);
  SmallVector<int64_t> ones(numSpatial, 1);
  Value result = convolve(e, loc, input, filter, init, numSpatial, /*grouped=*/true, ones, op.getDilations());
  result = e.reshape(loc, result, splitType, wide);
  e.set(op.getResult(), e.narrow(loc, result, wide, type));
  return success();
}

LogicalResult emitContraction(Emitter &e, Operation *op) {
  return llvm::TypeSwitch<Operation *, LogicalResult>(op)
      .Case([&](MatmulOp op) { return emitMatmul(e, op); })
      .Case([&](ConvOp op) { return emitConv(e, op); })
      .Case([&](ConvTransposeOp op) { return emitConvTranspose(e, op); });
}

//===----------------------------------------------------------------------===//
// Pooling
//===----------------------------------------------------------------------===//

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
  bool includePad = op.getKind() == PoolKind::average_include_pad;
  SmallVector<Value> lows, highs;
  for (int64_t i = 0; i < numSpatial; ++i) {
    AffineExpr in = getExtent(inType, 2 + i);
    int64_t lowPad = op.getPads()[i], highPad = op.getPads()[numSpatial + i];
    lows.push_back(e.index(loc, e.constantExpr(includePad ? -lowPad : 0)));
    highs.push_back(e.index(loc, simplifyExtent(includePad ? in + highPad : in)));
  }
  return e.elementwise(loc, type, {{sums, type}}, [&](OpBuilder &b, Location inner, ValueRange in) -> Value {
    Value count = b.create<arith::ConstantIndexOp>(inner, 1);
    for (int64_t i = 0; i < numSpatial; ++i) {
      Value taps = countTaps(b, inner, b.create<linalg::IndexOp>(inner, 2 + i), op.getStrides()[i],
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
  int64_t numSpatial = inType.getRank() - 2;
  SmallVector<AffineExpr> low(inType.getRank(), e.constantExpr(0)), high = low;
  for (int64_t i = 0; i < numSpatial; ++i) {
    low[2 + i] = e.constantExpr(op.getPads()[i]);
    high[2 + i] = e.constantExpr(op.getPads()[numSpatial + i] + (op.getCeilMode() ? op.getStrides()[i] - 1 : 0));
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
  WindowLoops loops{e.b, 2, numSpatial, /*overInputs=*/false};
  SmallVector<AffineExpr> in{loops.leading(0), loops.leading(1)}, taps, out = in;
  loops.appendTaps(in, op.getStrides(), op.getDilations());
  for (int64_t i = 0; i < numSpatial; ++i) {
    taps.push_back(loops.window(i));
    out.push_back(loops.position(i));
  }
  Value result = e.generic(loc, {input, window}, e.filled(loc, wide, initial),
                           {loops.map(in), loops.map(taps), loops.map(out)}, loops.iterators(),
                           [&](OpBuilder &b, Location inner, ValueRange args) {
                             return ScalarBuilder{b, inner}.combine(kind, args[2], args[0], isUnsigned);
                           });
  if (!isMax)
    result = divideByCount(e, op, result, wide, original);
  e.set(op.getResult(), e.narrow(loc, result, wide, type));
  return success();
}

} // namespace penstock::linalg_lowering
