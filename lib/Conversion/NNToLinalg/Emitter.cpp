//===- Emitter.cpp - What all lowerings to linalg share -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#include "Emitter.h"

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"

namespace penstock::linalg_lowering {
using nn::ReduceKind;

RankedTensorType Emitter::storageType(RankedTensorType type) {
  return RankedTensorType::get(type.getShape(), getStorageType(type.getElementType()));
}

Value Emitter::index(Location loc, AffineExpr expr) {
  if (std::optional<int64_t> constant = nn::getConstant(expr))
    return b.create<arith::ConstantIndexOp>(loc, *constant);
  auto map = AffineMap::get(0, symbols.size(), expr);
  return b.create<affine::AffineApplyOp>(loc, map, symbols);
}

OpFoldResult Emitter::extent(Location loc, AffineExpr expr) {
  if (std::optional<int64_t> constant = nn::getConstant(expr))
    return b.getIndexAttr(*constant);
  return index(loc, expr);
}

SmallVector<OpFoldResult> Emitter::extents(Location loc, RankedTensorType type) {
  SmallVector<OpFoldResult> result;
  for (AffineExpr expr : nn::getExtents(type))
    result.push_back(extent(loc, expr));
  return result;
}

Value Emitter::empty(Location loc, RankedTensorType type) {
  return b.create<tensor::EmptyOp>(loc, extents(loc, type), getStorageType(type.getElementType()));
}

Value Emitter::filled(Location loc, RankedTensorType type, Value scalar) {
  return b.create<linalg::FillOp>(loc, scalar, empty(loc, type)).getResult(0);
}

Value Emitter::zeros(Location loc, RankedTensorType type) {
  ScalarBuilder scalars{b, loc};
  return filled(loc, type, scalars.constant(getStorageType(type.getElementType()), 0));
}

namespace {

/// How two shapes of the same elements correspond: equal leading axes, equal trailing axes, and a middle that is one
/// group.
struct ReshapeGroups {
  ReshapeGroups(ArrayRef<AffineExpr> from, ArrayRef<AffineExpr> to) {
    size_t shorter = std::min(from.size(), to.size());
    while (leading < shorter && from[leading] == to[leading])
      ++leading;
    while (leading + trailing < shorter && from[from.size() - 1 - trailing] == to[to.size() - 1 - trailing])
      ++trailing;
    // The middle must have an axis on both sides.
    if (leading + trailing == shorter) {
      if (leading > 0)
        --leading;
      else
        --trailing;
    }
  }

  /// Groups of a shape of `numDims` axes.
  SmallVector<ReassociationIndices> of(int64_t numDims) const {
    SmallVector<ReassociationIndices> groups;
    int64_t first = leading, last = numDims - trailing;
    for (int64_t i = 0; i < first; ++i)
      groups.push_back({i});
    groups.push_back(llvm::to_vector(llvm::seq<int64_t>(first, last)));
    for (int64_t i = last; i < numDims; ++i)
      groups.push_back({i});
    return groups;
  }

  size_t leading = 0, trailing = 0;
};

} // namespace

Value Emitter::reshape(Location loc, Value value, RankedTensorType from, RankedTensorType to) {
  if (storageType(from) == storageType(to) && nn::getExtents(from) == nn::getExtents(to))
    return value;
  if (from.getRank() == 0) {
    from = RankedTensorType::get({1}, from.getElementType());
    value = b.create<tensor::ExpandShapeOp>(loc, storageType(from), value, SmallVector<ReassociationIndices>{});
  }
  if (to.getRank() == 0) {
    RankedTensorType one = RankedTensorType::get({1}, to.getElementType());
    value = reshape(loc, value, from, one);
    return b.create<tensor::CollapseShapeOp>(loc, storageType(to), value, SmallVector<ReassociationIndices>{});
  }
  SmallVector<AffineExpr> fromExtents = nn::getExtents(from), toExtents = nn::getExtents(to);
  if (fromExtents == toExtents)
    return value;
  ReshapeGroups groups(fromExtents, toExtents);
  auto middleOf = [&](ArrayRef<AffineExpr> all) { return all.drop_front(groups.leading).drop_back(groups.trailing); };
  auto isUnknown = [](AffineExpr expr) { return !nn::getConstant(expr); };
  int64_t numUnknownFrom = llvm::count_if(middleOf(fromExtents), isUnknown);
  int64_t numUnknownTo = llvm::count_if(middleOf(toExtents), isUnknown);
  bool isRegrouped = numUnknownFrom > 1 && middleOf(toExtents).size() > 1;
  if (numUnknownTo > 1 || (numUnknownFrom > 0) != (numUnknownTo > 0) || isRegrouped) {
    // Upstream expands a group to one unknown extent at most, an unknown group is not a known one to it, and where it
    // joins a collapse with an expansion it takes unknown extents that only an assumption makes 1 for known ones.
    SmallVector<Value> shape;
    for (AffineExpr expr : toExtents)
      shape.push_back(index(loc, expr));
    auto shapeType = RankedTensorType::get(to.getRank(), b.getIndexType());
    Value shapeTensor = b.create<tensor::FromElementsOp>(loc, shapeType, shape);
    return b.create<tensor::ReshapeOp>(loc, storageType(to), value, shapeTensor);
  }
  size_t numFlat = groups.leading + 1 + groups.trailing;
  if (fromExtents.size() > numFlat)
    value = b.create<tensor::CollapseShapeOp>(loc, value, groups.of(from.getRank()));
  if (toExtents.size() > numFlat)
    value = b.create<tensor::ExpandShapeOp>(loc, storageType(to), value, groups.of(to.getRank()), extents(loc, to));
  return value;
}

AffineMap Emitter::broadcastMap(RankedTensorType operand, RankedTensorType result) {
  int64_t offset = result.getRank() - operand.getRank();
  SmallVector<AffineExpr> exprs;
  for (int64_t i = 0; i < operand.getRank(); ++i)
    exprs.push_back(operand.getDimSize(i) == 1 && result.getDimSize(offset + i) != 1 ? constantExpr(0)
                                                                                     : b.getAffineDimExpr(offset + i));
  return AffineMap::get(result.getRank(), 0, exprs, b.getContext());
}

Value Emitter::generic(Location loc, ValueRange inputs, Value init, ArrayRef<AffineMap> maps,
                       ArrayRef<utils::IteratorType> iterators, ScalarFn fn) {
  auto body = [&](OpBuilder &inner, Location innerLoc, ValueRange arguments) {
    inner.create<linalg::YieldOp>(innerLoc, fn(inner, innerLoc, arguments));
  };
  return b.create<linalg::GenericOp>(loc, init.getType(), inputs, init, maps, iterators, body).getResult(0);
}

Value Emitter::elementwise(Location loc, RankedTensorType type, ArrayRef<std::pair<Value, RankedTensorType>> inputs,
                           ScalarFn fn) {
  SmallVector<Value> values;
  SmallVector<AffineMap> maps;
  for (auto [value, inputType] : inputs) {
    values.push_back(value);
    maps.push_back(broadcastMap(inputType, type));
  }
  maps.push_back(b.getMultiDimIdentityMap(type.getRank()));
  SmallVector<utils::IteratorType> iterators(type.getRank(), utils::IteratorType::parallel);
  return generic(loc, values, empty(loc, type), maps, iterators, fn);
}

Value Emitter::generate(Location loc, RankedTensorType type, ScalarFn fn) {
  auto body = [&](OpBuilder &inner, Location innerLoc, ValueRange) -> Value {
    SmallVector<Value> indices;
    for (int64_t i = 0; i < type.getRank(); ++i)
      indices.push_back(inner.create<linalg::IndexOp>(innerLoc, i));
    return fn(inner, innerLoc, indices);
  };
  return elementwise(loc, type, {}, body);
}

Value Emitter::storedIn(Location loc, Value value, Value init) {
  // Not a linalg.generic: those that do not read their result are given other storage by upstream's cleanups.
  return b.create<linalg::CopyOp>(loc, value, init).getResult(0);
}

static bool isHalf(Type type) { return isa<Float16Type, BFloat16Type>(type); }

Value Emitter::widen(Location loc, Value value, RankedTensorType &type) {
  if (!isHalf(type.getElementType()))
    return value;
  RankedTensorType wide = nn::getTensorType(nn::getExtents(type), b.getF32Type());
  Value result =
      elementwise(loc, wide, {{value, type}}, [&](OpBuilder &inner, Location innerLoc, ValueRange in) -> Value {
        return inner.create<arith::ExtFOp>(innerLoc, inner.getF32Type(), in[0]);
      });
  type = wide;
  return result;
}

Value Emitter::narrow(Location loc, Value value, RankedTensorType from, RankedTensorType to) {
  if (from.getElementType() == to.getElementType())
    return value;
  return elementwise(loc, to, {{value, from}}, [&](OpBuilder &inner, Location innerLoc, ValueRange in) -> Value {
    return inner.create<arith::TruncFOp>(innerLoc, to.getElementType(), in[0]);
  });
}

Value Emitter::padded(Location loc, Value value, RankedTensorType from, ArrayRef<AffineExpr> low,
                      ArrayRef<AffineExpr> high, Value scalar, RankedTensorType &to) {
  SmallVector<AffineExpr> sums = nn::getExtents(from);
  for (auto [i, sum] : llvm::enumerate(sums))
    sum = sum + low[i] + high[i];
  to = nn::getTensorType(sums, from.getElementType());
  SmallVector<OpFoldResult> offsets, strides(from.getRank(), b.getIndexAttr(1));
  for (AffineExpr expr : low)
    offsets.push_back(extent(loc, nn::simplifyExtent(expr)));
  return b.create<tensor::InsertSliceOp>(loc, value, filled(loc, to, scalar), offsets, extents(loc, from), strides);
}

/// Reduces \p axes of a tensor into \p init, whose axes are the others.
static Value reduceInto(Emitter &e, Location loc, Value value, int64_t numDims, ArrayRef<int64_t> axes, Value init,
                        ReduceKind kind, bool isUnsigned) {
  SmallVector<utils::IteratorType> iterators(numDims, utils::IteratorType::parallel);
  SmallVector<AffineExpr> kept;
  for (int64_t i = 0; i < numDims; ++i) {
    if (llvm::is_contained(axes, i))
      iterators[i] = utils::IteratorType::reduction;
    else
      kept.push_back(e.b.getAffineDimExpr(i));
  }
  AffineMap maps[] = {e.b.getMultiDimIdentityMap(numDims), AffineMap::get(numDims, 0, kept, e.b.getContext())};
  return e.generic(loc, value, init, maps, iterators, [&](OpBuilder &b, Location inner, ValueRange in) {
    return ScalarBuilder{b, inner}.combine(kind, in[1], in[0], isUnsigned);
  });
}

/// Part of the last axis: `length` elements from `start`.
static Value sliceLast(Emitter &e, Location loc, Value value, RankedTensorType type, AffineExpr start,
                       AffineExpr length, RankedTensorType &resultType) {
  SmallVector<AffineExpr> extents = nn::getExtents(type);
  extents.back() = length;
  resultType = nn::getTensorType(extents, type.getElementType());
  SmallVector<OpFoldResult> offsets(type.getRank(), e.b.getIndexAttr(0)), strides(type.getRank(), e.b.getIndexAttr(1));
  offsets.back() = e.extent(loc, nn::simplifyExtent(start));
  return e.b.create<tensor::ExtractSliceOp>(loc, Emitter::storageType(resultType), value, offsets,
                                            e.extents(loc, resultType), strides);
}

/// The last axis as (extent / lanes) x lanes.
static Value splitLast(Emitter &e, Location loc, Value value, RankedTensorType type, RankedTensorType &resultType) {
  SmallVector<AffineExpr> extents = nn::getExtents(type);
  AffineExpr last = extents.pop_back_val();
  extents.append({last.floorDiv(kReductionLanes), e.constantExpr(kReductionLanes)});
  resultType = nn::getTensorType(extents, type.getElementType());
  SmallVector<ReassociationIndices> groups;
  for (int64_t i = 0; i + 1 < type.getRank(); ++i)
    groups.push_back({i});
  groups.push_back({type.getRank() - 1, type.getRank()});
  return e.b.create<tensor::ExpandShapeOp>(loc, Emitter::storageType(resultType), value, groups,
                                           e.extents(loc, resultType));
}

Value Emitter::reduce(Location loc, Value value, RankedTensorType type, ArrayRef<int64_t> axes, ReduceKind kind,
                      bool isUnsigned, RankedTensorType &resultType) {
  value = widen(loc, value, type);
  if (axes.size() > 1 && axes.back() != type.getRank() - 1) {
    // Row by row, then the sums of rows: rounding errors grow with the length of each, not with their product.
    RankedTensorType rows;
    value = reduce(loc, value, type, axes.back(), kind, isUnsigned, rows);
    return reduce(loc, value, rows, axes.drop_back(), kind, isUnsigned, resultType);
  }
  SmallVector<AffineExpr> kept, all = nn::getExtents(type);
  for (auto [i, expr] : llvm::enumerate(all))
    if (!llvm::is_contained(axes, static_cast<int64_t>(i)))
      kept.push_back(expr);
  resultType = nn::getTensorType(kept, type.getElementType());
  Type element = getStorageType(type.getElementType());
  Value initial = ScalarBuilder{b, loc}.identity(kind, element, isUnsigned);
  Value result = filled(loc, resultType, initial);
  std::optional<int64_t> lastExtent = all.empty() ? std::nullopt : nn::getConstant(all.back());
  bool overLast = !axes.empty() && axes.back() == type.getRank() - 1;
  bool isShort = lastExtent && *lastExtent < 2 * kReductionLanes;
  if (!overLast || isShort || style == LoopStyle::Tensors)
    return reduceInto(*this, loc, value, type.getRank(), axes, result, kind, isUnsigned);

  // The last axis in lanes, which are independent sums, then the lanes, then what is left over.
  AffineExpr main = nn::simplifyExtent(all.back().floorDiv(kReductionLanes) * kReductionLanes);
  RankedTensorType mainType, splitType, restType;
  Value lanes = sliceLast(*this, loc, value, type, constantExpr(0), main, mainType);
  lanes = splitLast(*this, loc, lanes, mainType, splitType);
  SmallVector<AffineExpr> partial = kept;
  partial.push_back(constantExpr(kReductionLanes));
  RankedTensorType partialType = nn::getTensorType(partial, type.getElementType());
  Value sums =
      reduceInto(*this, loc, lanes, splitType.getRank(), axes, filled(loc, partialType, initial), kind, isUnsigned);
  result = reduceInto(*this, loc, sums, partialType.getRank(), partialType.getRank() - 1, result, kind, isUnsigned);
  AffineExpr rest = nn::simplifyExtent(all.back() - main);
  if (nn::getConstant(rest) == 0)
    return result;
  Value tail = sliceLast(*this, loc, value, type, main, rest, restType);
  return reduceInto(*this, loc, tail, restType.getRank(), axes, result, kind, isUnsigned);
}

void Emitter::setWritten(Value value, Value end) {
  written.insert(end.getDefiningOp());
  for (; value != end; value = value.user_begin()->getResult(0))
    written.insert(*value.user_begin());
}

bool isUnsigned(RankedTensorType type) {
  auto integer = dyn_cast<IntegerType>(type.getElementType());
  return integer && (integer.isUnsigned() || integer.getWidth() == 1);
}

Value toPosition(OpBuilder &b, Location loc, Value raw, Value extent) {
  Value index = b.create<arith::IndexCastOp>(loc, b.getIndexType(), raw);
  Value zero = b.create<arith::ConstantIndexOp>(loc, 0), one = b.create<arith::ConstantIndexOp>(loc, 1);
  Value negative = b.create<arith::CmpIOp>(loc, arith::CmpIPredicate::slt, index, zero);
  index = b.create<arith::SelectOp>(loc, negative, b.create<arith::AddIOp>(loc, index, extent), index);
  Value last = b.create<arith::SubIOp>(loc, extent, one);
  return b.create<arith::MaxSIOp>(loc, b.create<arith::MinSIOp>(loc, index, last), zero);
}

SmallVector<Value> Emitter::delinearize(Location loc, Value flat, ArrayRef<AffineExpr> extents) {
  SmallVector<Value> indices(extents.size());
  for (int64_t i = extents.size() - 1; i >= 0; --i) {
    Value extent = index(loc, extents[i]);
    indices[i] = b.create<arith::RemUIOp>(loc, flat, extent);
    flat = b.create<arith::DivUIOp>(loc, flat, extent);
  }
  return indices;
}

LogicalResult Emitter::emit(Operation *op) {
  using namespace nn;
  if (isa<UnaryOp, BinaryOp, CompareOp, SelectOp, CastOp, BitcastOp, ConstantOp, ExtentTensorOp, IotaOp>(op))
    return emitElementwise(*this, op);
  if (isa<MatmulOp, ConvOp, ConvTransposeOp>(op))
    return emitContraction(*this, op);
  if (auto attention = dyn_cast<AttentionOp>(op))
    return style == LoopStyle::Rows ? emitAttention(*this, attention) : emitAttentionAsTensors(*this, attention);
  if (auto pool = dyn_cast<PoolOp>(op))
    return emitPool(*this, pool);
  if (isa<ReduceOp, ArgReduceOp, SoftmaxOp, LogSoftmaxOp, LayerNormOp, CumSumOp>(op))
    return emitReduction(*this, op);
  if (isa<TransposeOp, ReshapeOp, BroadcastToOp, SliceOp, ConcatOp, PadOp>(op))
    return emitMovement(*this, op);
  if (isa<GatherOp, GatherElementsOp, GatherNDOp>(op))
    return emitIndexed(*this, op);
  if (auto resize = dyn_cast<ResizeOp>(op))
    return emitResize(*this, resize);
  if (isa<ScatterElementsOp, ScatterNDOp>(op))
    return emitScatter(*this, op);
  if (auto topK = dyn_cast<TopKOp>(op))
    return emitRanking(*this, topK);
  if (isa<PositionsOp, NonMaxSuppressionOp, DefineExtentOp>(op))
    return emitSelection(*this, op);
  if (auto branch = dyn_cast<IfOp>(op))
    return emitIf(*this, branch);
  if (auto recurrent = dyn_cast<RecurrentOp>(op))
    return emitRecurrent(*this, recurrent);
  return op->emitOpError() << "has no lowering to linalg; this version cannot compile it";
}

} // namespace penstock::linalg_lowering
