//===- Convolution.cpp - Convolutions, in both layouts -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#include "Windows.h"

#include "penstock/Dialect/NN/IR/Layouts.h"

namespace penstock::linalg_lowering {
using namespace nn;
using utils::IteratorType;

namespace {

/// A convolution without padding on its way down: operands in a wide element type and their types, which change
/// together. With `grouped` the channels of input and result are two axes, and the filter's first two are the groups
/// and the outputs of each.
struct Convolution {
  Value input, filter;
  RankedTensorType inType, filterType, outType;
  bool grouped, channelsLast;

  int64_t getRank() const { return outType.getRank() - (grouped ? 1 : 0); }
  int64_t getNumSpatial() const { return getRank() - 2; }
};

} // namespace

static Value multiplyAdd(OpBuilder &b, Location loc, ValueRange in) {
  return ScalarBuilder{b, loc}.multiplyAdd(in[0], in[1], in[2]);
}

/// The type with [.., group * n, ..] as [.., group, n, ..].
static RankedTensorType splitAxis(Emitter &e, RankedTensorType type, int64_t axis, int64_t group) {
  SmallVector<AffineExpr> extents = getExtents(type);
  AffineExpr each = extents[axis].floorDiv(group);
  extents[axis] = e.constantExpr(group);
  extents.insert(extents.begin() + axis + 1, each);
  return getTensorType(extents, type.getElementType());
}

/// Channels of input and result, and outputs of the filter, by groups.
static void splitGroups(Emitter &e, Location loc, Convolution &conv, int64_t group) {
  int64_t channels = getChannelAxis(conv.channelsLast, conv.inType.getRank());
  RankedTensorType inType = splitAxis(e, conv.inType, channels, group);
  RankedTensorType filterType = splitAxis(e, conv.filterType, 0, group);
  conv.input = e.reshape(loc, conv.input, conv.inType, inType);
  conv.filter = e.reshape(loc, conv.filter, conv.filterType, filterType);
  conv.inType = inType;
  conv.filterType = filterType;
  conv.outType = splitAxis(e, conv.outType, channels, group);
  conv.grouped = true;
}

/// The bias for every element of the result; zeros without one.
static Value biasOrZeros(Emitter &e, Location loc, Value bias, const Convolution &conv) {
  if (!bias)
    return e.zeros(loc, conv.outType);
  RankedTensorType biasType = Emitter::typeOf(bias);
  Value value = e.widen(loc, e.get(bias), biasType);
  int64_t first = getChannelAxis(conv.channelsLast, conv.getRank()), count = conv.grouped ? 2 : 1;
  SmallVector<AffineExpr> channels, exprs;
  for (int64_t i = 0; i < count; ++i) {
    channels.push_back(getExtent(conv.outType, first + i));
    exprs.push_back(e.b.getAffineDimExpr(first + i));
  }
  value = e.reshape(loc, value, biasType, getTensorType(channels, biasType.getElementType()));
  int64_t numDims = conv.outType.getRank();
  AffineMap maps[] = {AffineMap::get(numDims, 0, exprs, e.b.getContext()), e.b.getMultiDimIdentityMap(numDims)};
  SmallVector<IteratorType> iterators(numDims, IteratorType::parallel);
  return e.generic(loc, value, e.empty(loc, conv.outType), maps, iterators,
                   [](OpBuilder &, Location, ValueRange in) { return in[0]; });
}

/// The input with `low` and `high` zeros around each spatial axis.
static void padSpatial(Emitter &e, Location loc, Convolution &conv, ArrayRef<int64_t> low, ArrayRef<int64_t> high) {
  auto isZero = [](int64_t pad) { return pad == 0; };
  if (llvm::all_of(low, isZero) && llvm::all_of(high, isZero))
    return;
  SmallVector<AffineExpr> lows(conv.inType.getRank(), e.constantExpr(0)), highs = lows;
  int64_t first = getSpatialAxis(conv.channelsLast);
  for (size_t i = 0; i < low.size(); ++i) {
    lows[first + i] = e.constantExpr(low[i]);
    highs[first + i] = e.constantExpr(high[i]);
  }
  Value zero = ScalarBuilder{e.b, loc}.constant(getStorageType(conv.inType.getElementType()), 0);
  RankedTensorType to;
  conv.input = e.padded(loc, conv.input, conv.inType, lows, highs, zero, to);
  conv.inType = to;
}

/// A copy of the filter whose axes are `perm` of what they were.
static void permuteFilter(Emitter &e, Location loc, Convolution &conv, ArrayRef<int64_t> perm) {
  SmallVector<AffineExpr> extents = permute<AffineExpr>(getExtents(conv.filterType), perm), source(perm.size());
  for (auto [i, axis] : llvm::enumerate(perm))
    source[axis] = e.b.getAffineDimExpr(i);
  conv.filterType = getTensorType(extents, conv.filterType.getElementType());
  AffineMap maps[] = {AffineMap::get(perm.size(), 0, source, e.b.getContext()),
                      e.b.getMultiDimIdentityMap(perm.size())};
  SmallVector<IteratorType> iterators(perm.size(), IteratorType::parallel);
  conv.filter = e.generic(loc, conv.filter, e.empty(loc, conv.filterType), maps, iterators,
                          [](OpBuilder &, Location, ValueRange in) { return in[0]; });
}

/// Batch, [group,] outputs, all positions but the last, inputs, window, last position.
static Value convolveRowMajor(Emitter &e, Location loc, Convolution &conv, Value init, ArrayRef<int64_t> strides,
                              ArrayRef<int64_t> dilations) {
  WindowLoops loops(e.b);
  AffineExpr batch = loops.add(IteratorType::parallel);
  SmallVector<AffineExpr> outputs, inputs, filter;
  if (conv.grouped) {
    AffineExpr group = loops.add(IteratorType::parallel);
    outputs = inputs = filter = {group};
  }
  outputs.push_back(loops.add(IteratorType::parallel));
  loops.addPositions(conv.getNumSpatial() - 1);
  inputs.push_back(loops.add(IteratorType::reduction));
  loops.addWindow(conv.getNumSpatial());
  loops.addPositions(1);
  filter.append({outputs.back(), inputs.back()});
  llvm::append_range(filter, loops.windows);
  AffineMap maps[] = {loops.map(imageExprs(batch, inputs, loops.getTaps(strides, dilations), false)), loops.map(filter),
                      loops.map(imageExprs(batch, outputs, loops.positions, false))};
  return e.generic(loc, {conv.input, conv.filter}, init, maps, loops.getIterators(), multiplyAdd);
}

/// Batch, positions, [group,] window, inputs, outputs: products of matrices whose right sides are slices of a filter
/// that is brought into this order first. Where each group has one input and one output, both loops fall away and the
/// groups are innermost.
static Value convolveChannelsLast(Emitter &e, Location loc, Convolution &conv, Value init, ArrayRef<int64_t> strides,
                                  ArrayRef<int64_t> dilations) {
  int64_t numSpatial = conv.getNumSpatial(), firstTap = conv.grouped ? 3 : 2;
  bool isDepthwise = conv.grouped && conv.filterType.getDimSize(1) == 1 && conv.filterType.getDimSize(2) == 1;
  SmallVector<int64_t> perm = llvm::to_vector(llvm::seq(firstTap, firstTap + numSpatial));
  if (isDepthwise) {
    perm.append({0, 1, 2});
  } else {
    perm.append({firstTap - 1, firstTap - 2});
    if (conv.grouped)
      perm.insert(perm.begin(), 0);
  }
  permuteFilter(e, loc, conv, perm);
  WindowLoops loops(e.b);
  AffineExpr batch = loops.add(IteratorType::parallel), zero = e.constantExpr(0);
  loops.addPositions(numSpatial);
  SmallVector<AffineExpr> outputs, inputs, filter;
  if (conv.grouped && !isDepthwise)
    outputs = inputs = filter = {loops.add(IteratorType::parallel)};
  loops.addWindow(numSpatial);
  llvm::append_range(filter, loops.windows);
  if (isDepthwise) {
    AffineExpr group = loops.add(IteratorType::parallel);
    outputs = inputs = {group, zero};
    filter.append({group, zero, zero});
  } else {
    inputs.push_back(loops.add(IteratorType::reduction));
    outputs.push_back(loops.add(IteratorType::parallel));
    filter.append({inputs.back(), outputs.back()});
  }
  AffineMap maps[] = {loops.map(imageExprs(batch, inputs, loops.getTaps(strides, dilations), true)), loops.map(filter),
                      loops.map(imageExprs(batch, outputs, loops.positions, true))};
  return e.generic(loc, {conv.input, conv.filter}, init, maps, loops.getIterators(), multiplyAdd);
}

static Value convolve(Emitter &e, Location loc, Convolution &conv, Value bias, ArrayRef<int64_t> strides,
                      ArrayRef<int64_t> dilations) {
  Value init = biasOrZeros(e, loc, bias, conv);
  return conv.channelsLast ? convolveChannelsLast(e, loc, conv, init, strides, dilations)
                           : convolveRowMajor(e, loc, conv, init, strides, dilations);
}

/// The type with all spatial axes, from `first` on, as one.
static RankedTensorType joinSpatial(Emitter &e, RankedTensorType type, int64_t first) {
  SmallVector<AffineExpr> extents = getExtents(type);
  int64_t numSpatial = extents.size() - 2;
  AffineExpr positions = e.constantExpr(1);
  for (int64_t i = 0; i < numSpatial; ++i)
    positions = positions * extents[first + i];
  extents.erase(extents.begin() + first, extents.begin() + first + numSpatial);
  extents.insert(extents.begin() + first, simplifyExtent(positions));
  return getTensorType(extents, type.getElementType());
}

/// Each position by itself: a window of one element that neither steps nor leaves the input.
static bool isPointwise(ConvOp op) {
  auto isOne = [](int64_t value) { return value == 1; };
  return llvm::all_of(Emitter::typeOf(op.getFilter()).getShape().drop_front(2), isOne) &&
         llvm::all_of(op.getStrides(), isOne) && llvm::all_of(op.getPads(), [](int64_t pad) { return pad == 0; });
}

/// Input and filter, half precision widened to single, and the type of the sums.
template <typename OpT> static Convolution readOperands(Emitter &e, OpT op) {
  Convolution conv{
      {}, {}, Emitter::typeOf(op.getInput()), Emitter::typeOf(op.getFilter()), {}, false, op.getChannelsLast()};
  conv.input = e.widen(op.getLoc(), e.get(op.getInput()), conv.inType);
  conv.filter = e.widen(op.getLoc(), e.get(op.getFilter()), conv.filterType);
  conv.outType = getTensorType(getExtents(Emitter::typeOf(op.getResult())), conv.inType.getElementType());
  return conv;
}

LogicalResult emitConv(Emitter &e, ConvOp op) {
  Location loc = op.getLoc();
  RankedTensorType type = Emitter::typeOf(op.getResult());
  Convolution conv = readOperands(e, op);
  RankedTensorType wide = conv.outType;
  int64_t numSpatial = conv.getNumSpatial();
  if (numSpatial > 1 && isPointwise(op)) {
    // One long axis fills vectors better than many short ones.
    int64_t first = getSpatialAxis(conv.channelsLast);
    RankedTensorType inType = joinSpatial(e, conv.inType, first), filterType = joinSpatial(e, conv.filterType, 2);
    conv.input = e.reshape(loc, conv.input, conv.inType, inType);
    conv.filter = e.reshape(loc, conv.filter, conv.filterType, filterType);
    SmallVector<AffineExpr> extents = getExtents(joinSpatial(e, wide, first));
    extents[first] = getExtent(inType, first);
    conv.inType = inType;
    conv.filterType = filterType;
    conv.outType = getTensorType(extents, wide.getElementType());
    numSpatial = 1;
  }
  padSpatial(e, loc, conv, op.getPads().take_front(numSpatial), op.getPads().take_back(numSpatial));
  if (op.getGroup() != 1)
    splitGroups(e, loc, conv, op.getGroup());
  Value result = convolve(e, loc, conv, op.getBias(), op.getStrides(), op.getDilations());
  result = e.reshape(loc, result, conv.outType, wide);
  e.set(op.getResult(), e.narrow(loc, result, wide, type));
  return success();
}

/// The input with stride - 1 zeros between its elements, as a tensor of (extent - 1) * stride + 1.
static void spreadOut(Emitter &e, Location loc, Convolution &conv, ArrayRef<int64_t> strides) {
  if (llvm::all_of(strides, [](int64_t stride) { return stride == 1; }))
    return;
  RankedTensorType type = conv.inType;
  int64_t first = getSpatialAxis(conv.channelsLast);
  SmallVector<AffineExpr> extents = getExtents(type);
  SmallVector<OpFoldResult> offsets(type.getRank(), e.b.getIndexAttr(0)), steps(type.getRank(), e.b.getIndexAttr(1));
  for (size_t i = 0; i < strides.size(); ++i) {
    extents[first + i] = (extents[first + i] - 1) * strides[i] + 1;
    steps[first + i] = e.b.getIndexAttr(strides[i]);
  }
  conv.inType = getTensorType(extents, type.getElementType());
  conv.input = e.b.create<tensor::InsertSliceOp>(loc, conv.input, e.zeros(loc, conv.inType), offsets,
                                                 e.extents(loc, type), steps);
}

/// The filter turned around and its channels exchanged: [group, inputs, outputs, k..] to [group, outputs, inputs, k..].
static void turnFilter(Emitter &e, Location loc, Convolution &conv) {
  SmallVector<AffineExpr> extents = getExtents(conv.filterType);
  std::swap(extents[1], extents[2]);
  RankedTensorType to = getTensorType(extents, conv.filterType.getElementType());
  int64_t numDims = to.getRank();
  Value filter = conv.filter;
  conv.filter = e.generate(loc, to, [&](OpBuilder &b, Location inner, ValueRange indices) -> Value {
    SmallVector<Value> source(indices.begin(), indices.end());
    std::swap(source[1], source[2]);
    for (int64_t i = 3; i < numDims; ++i) {
      Value last = b.create<arith::ConstantIndexOp>(inner, to.getDimSize(i) - 1);
      source[i] = b.create<arith::SubIOp>(inner, last, source[i]);
    }
    return b.create<tensor::ExtractOp>(inner, filter, source);
  });
  conv.filterType = to;
}

/// A convolution of the spread-out input with the turned filter.
LogicalResult emitConvTranspose(Emitter &e, ConvTransposeOp op) {
  Location loc = op.getLoc();
  RankedTensorType type = Emitter::typeOf(op.getResult());
  Convolution conv = readOperands(e, op);
  RankedTensorType wide = conv.outType;
  int64_t numSpatial = conv.getNumSpatial();
  SmallVector<int64_t> low, high, ones(numSpatial, 1);
  for (int64_t i = 0; i < numSpatial; ++i) {
    int64_t reach = (conv.filterType.getDimSize(2 + i) - 1) * op.getDilations()[i];
    low.push_back(reach - op.getPads()[i]);
    high.push_back(reach - op.getPads()[numSpatial + i] + op.getOutputPads()[i]);
  }
  auto isNegative = [](int64_t pad) { return pad < 0; };
  if (llvm::any_of(low, isNegative) || llvm::any_of(high, isNegative))
    return op.emitOpError() << "has pads beyond its kernel; this version cannot compile it";
  spreadOut(e, loc, conv, op.getStrides());
  padSpatial(e, loc, conv, low, high);
  splitGroups(e, loc, conv, op.getGroup());
  turnFilter(e, loc, conv);
  Value result = convolve(e, loc, conv, op.getBias(), ones, op.getDilations());
  result = e.reshape(loc, result, conv.outType, wide);
  e.set(op.getResult(), e.narrow(loc, result, wide, type));
  return success();
}

} // namespace penstock::linalg_lowering
