//===- Reduction.cpp - Reductions and normalizations -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#include "Buffers.h"

#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

namespace penstock::linalg_lowering {
using namespace nn;
using utils::IteratorType;

/// The extents with 1 on the reduced axes.
static RankedTensorType keepDims(Emitter &e, RankedTensorType type, ArrayRef<int64_t> axes, Type element) {
  SmallVector<AffineExpr> extents = getExtents(type);
  for (int64_t axis : axes)
    extents[axis] = e.constantExpr(1);
  return getTensorType(extents, element);
}

/// The number of elements that are reduced, as a scalar of `element`.
static Value countOf(Emitter &e, Location loc, RankedTensorType type, ArrayRef<int64_t> axes, Type element) {
  AffineExpr count = e.constantExpr(1);
  for (int64_t axis : axes)
    count = count * getExtent(type, axis);
  Value integer = e.b.create<arith::IndexCastOp>(loc, e.b.getI64Type(), e.index(loc, simplifyExtent(count)));
  if (isa<FloatType>(element))
    return e.b.create<arith::SIToFPOp>(loc, element, integer);
  return ScalarBuilder{e.b, loc}.cast(integer, e.b.getI64Type(), element, false);
}

/// The mean over `axes`; `type` is the input's and `resultType` what comes out, in the wide element type.
static Value meanOf(Emitter &e, Location loc, Value value, RankedTensorType type, ArrayRef<int64_t> axes,
                    RankedTensorType &resultType) {
  bool noSign = isUnsigned(type);
  Value sum = e.reduce(loc, value, type, axes, ReduceKind::sum, noSign, resultType);
  Value count = countOf(e, loc, type, axes, getStorageType(resultType.getElementType()));
  return e.elementwise(loc, resultType, {{sum, resultType}}, [&](OpBuilder &b, Location inner, ValueRange in) {
    return ScalarBuilder{b, inner}.binary(BinaryKind::div, in[0], count, noSign);
  });
}

static LogicalResult emitReduce(Emitter &e, ReduceOp op) {
  Location loc = op.getLoc();
  RankedTensorType type = Emitter::typeOf(op.getInput()), resultType = Emitter::typeOf(op.getResult()), made;
  if (op.getAxes().empty()) {
    e.set(op.getResult(), e.get(op.getInput()));
    return success();
  }
  Value value = op.getKind() == ReduceKind::mean
                    ? meanOf(e, loc, e.get(op.getInput()), type, op.getAxes(), made)
                    : e.reduce(loc, e.get(op.getInput()), type, op.getAxes(), op.getKind(), isUnsigned(type), made);
  RankedTensorType narrowType = getTensorType(getExtents(made), resultType.getElementType());
  value = e.narrow(loc, value, made, narrowType);
  e.set(op.getResult(), e.reshape(loc, value, narrowType, resultType));
  return success();
}

/// max, exp(x - max), sum, and what `finish` makes of x - max, exp and the sum.
static LogicalResult emitSoftmaxLike(Emitter &e, Operation *op, int64_t axis, bool logarithm) {
  Location loc = op->getLoc();
  RankedTensorType outType = Emitter::typeOf(op->getResult(0)), type = outType, made;
  Value x = e.widen(loc, e.get(op->getOperand(0)), type);
  if (!isa<FloatType>(type.getElementType()))
    return op->emitOpError() << "has no lowering for element type " << type.getElementType();
  RankedTensorType kept = keepDims(e, type, axis, type.getElementType());
  Value highest = e.reshape(loc, e.reduce(loc, x, type, axis, ReduceKind::max, false, made), made, kept);
  // A row of minus infinities would give infinity - infinity.
  Value shifted =
      e.elementwise(loc, type, {{x, type}, {highest, kept}}, [](OpBuilder &b, Location inner, ValueRange in) -> Value {
        return b.create<arith::SubFOp>(inner, in[0], in[1]);
      });
  Value exponentials =
      e.elementwise(loc, type, {{shifted, type}}, [](OpBuilder &b, Location inner, ValueRange in) -> Value {
        return b.create<math::ExpOp>(inner, in[0]);
      });
  Value sum = e.reshape(loc, e.reduce(loc, exponentials, type, axis, ReduceKind::sum, false, made), made, kept);
  Value base = logarithm ? shifted : exponentials;
  Value factor = e.elementwise(loc, kept, {{sum, kept}}, [&](OpBuilder &b, Location inner, ValueRange in) -> Value {
    if (logarithm)
      return b.create<math::LogOp>(inner, in[0]);
    return b.create<arith::DivFOp>(inner, ScalarBuilder{b, inner}.constant(in[0].getType(), 1), in[0]);
  });
  Value result = e.elementwise(loc, type, {{base, type}, {factor, kept}},
                               [&](OpBuilder &b, Location inner, ValueRange in) -> Value {
                                 if (logarithm)
                                   return b.create<arith::SubFOp>(inner, in[0], in[1]);
                                 return b.create<arith::MulFOp>(inner, in[0], in[1]);
                               });
  e.set(op->getResult(0), e.narrow(loc, result, type, outType));
  return success();
}

/// (x - mean) * 1 / sqrt(variance + epsilon) * scale + bias.
static LogicalResult emitLayerNorm(Emitter &e, LayerNormOp op) {
  Location loc = op.getLoc();
  RankedTensorType outType = Emitter::typeOf(op.getResult()), type = outType, made;
  Value x = e.widen(loc, e.get(op.getInput()), type);
  SmallVector<int64_t> axes = llvm::to_vector(llvm::seq<int64_t>(op.getAxis(), type.getRank()));
  RankedTensorType kept = keepDims(e, type, axes, type.getElementType());
  if (!op.getRms()) {
    Value mean = e.reshape(loc, meanOf(e, loc, x, type, axes, made), made, kept);
    x = e.elementwise(loc, type, {{x, type}, {mean, kept}}, [](OpBuilder &b, Location inner, ValueRange in) -> Value {
      return b.create<arith::SubFOp>(inner, in[0], in[1]);
    });
  }
  Value squares = e.elementwise(loc, type, {{x, type}}, [](OpBuilder &b, Location inner, ValueRange in) -> Value {
    return b.create<arith::MulFOp>(inner, in[0], in[0]);
  });
  Value variance = e.reshape(loc, meanOf(e, loc, squares, type, axes, made), made, kept);
  double epsilon = op.getEpsilon().convertToDouble();
  Value factor =
      e.elementwise(loc, kept, {{variance, kept}}, [&](OpBuilder &b, Location inner, ValueRange in) -> Value {
        ScalarBuilder scalars{b, inner};
        Value sum = b.create<arith::AddFOp>(inner, in[0], scalars.constant(in[0].getType(), epsilon));
        return b.create<arith::DivFOp>(inner, scalars.constant(in[0].getType(), 1), b.create<math::SqrtOp>(inner, sum));
      });
  RankedTensorType scaleType = Emitter::typeOf(op.getScale());
  SmallVector<std::pair<Value, RankedTensorType>> inputs{{x, type}, {factor, kept}};
  inputs.push_back({e.widen(loc, e.get(op.getScale()), scaleType), scaleType});
  if (op.getBias()) {
    RankedTensorType biasType = Emitter::typeOf(op.getBias());
    Value bias = e.widen(loc, e.get(op.getBias()), biasType);
    inputs.push_back({bias, biasType});
  }
  Value result = e.elementwise(loc, type, inputs, [](OpBuilder &b, Location inner, ValueRange in) -> Value {
    Value normalized = b.create<arith::MulFOp>(inner, b.create<arith::MulFOp>(inner, in[0], in[1]), in[2]);
    return in.size() > 4 ? Value(b.create<arith::AddFOp>(inner, normalized, in[3])) : normalized;
  });
  e.set(op.getResult(), e.narrow(loc, result, type, outType));
  return success();
}

/// Two results at once: the extreme element and where it is. NaN wins, as in NumPy.
static LogicalResult emitArgReduce(Emitter &e, ArgReduceOp op) {
  Location loc = op.getLoc();
  RankedTensorType type = Emitter::typeOf(op.getInput()), outType = Emitter::typeOf(op.getResult());
  bool noSign = isUnsigned(type), isMax = op.getKind() == ReduceKind::max;
  Value x = e.widen(loc, e.get(op.getInput()), type);
  int64_t axis = op.getAxis(), numDims = type.getRank();
  SmallVector<AffineExpr> extents = getExtents(type), kept;
  extents.erase(extents.begin() + axis);
  RankedTensorType bestType = getTensorType(extents, type.getElementType());
  RankedTensorType indexType = getTensorType(extents, e.b.getI64Type());
  SmallVector<IteratorType> iterators(numDims, IteratorType::parallel);
  iterators[axis] = IteratorType::reduction;
  for (int64_t i = 0; i < numDims; ++i)
    if (i != axis)
      kept.push_back(e.b.getAffineDimExpr(i));
  AffineMap out = AffineMap::get(numDims, 0, kept, e.b.getContext());
  ScalarBuilder scalars{e.b, loc};
  Value best = e.filled(loc, bestType, scalars.identity(op.getKind(), getStorageType(type.getElementType()), noSign));
  Value where = e.filled(loc, indexType, scalars.integer(e.b.getI64Type(), -1));
  auto body = [&](OpBuilder &b, Location inner, ValueRange in) {
    ScalarBuilder s{b, inner};
    CompareKind strict = isMax ? CompareKind::gt : CompareKind::lt, loose = isMax ? CompareKind::ge : CompareKind::le;
    Value better = s.compare(op.getSelectLast() ? loose : strict, in[0], in[1], noSign);
    Value first = b.create<arith::CmpIOp>(inner, arith::CmpIPredicate::slt, in[2], s.integer(b.getI64Type(), 0));
    better = b.create<arith::OrIOp>(inner, better, first);
    Value position = b.create<arith::IndexCastOp>(inner, b.getI64Type(), b.create<linalg::IndexOp>(inner, axis));
    Value value = b.create<arith::SelectOp>(inner, better, in[0], in[1]);
    Value index = b.create<arith::SelectOp>(inner, better, position, in[2]);
    b.create<linalg::YieldOp>(inner, ValueRange{value, index});
  };
  auto generic = e.b.create<linalg::GenericOp>(
      loc, TypeRange{best.getType(), where.getType()}, x, ValueRange{best, where},
      ArrayRef<AffineMap>{e.b.getMultiDimIdentityMap(numDims), out, out}, iterators, body);
  e.set(op.getResult(), e.reshape(loc, generic.getResult(1), indexType, outType));
  return success();
}

/// Whole slices along the axis, one after the other.
static LogicalResult emitCumSum(Emitter &e, CumSumOp op) {
  Location loc = op.getLoc();
  OpBuilder &b = e.b;
  RankedTensorType outType = Emitter::typeOf(op.getResult()), type = outType;
  Value x = e.widen(loc, e.get(op.getInput()), type);
  int64_t axis = op.getAxis();
  AffineExpr length = getExtent(type, axis);
  RankedTensorType slice = keepDims(e, type, axis, type.getElementType());
  SmallVector<OpFoldResult> extents = e.extents(loc, slice), strides(type.getRank(), b.getIndexAttr(1));
  Value zero = e.index(loc, e.constantExpr(0)), one = e.index(loc, e.constantExpr(1)), count = e.index(loc, length);
  auto at = [&](Value position) {
    SmallVector<OpFoldResult> offsets(type.getRank(), b.getIndexAttr(0));
    offsets[axis] = position;
    return offsets;
  };
  auto body = [&](OpBuilder &, Location inner, Value i, ValueRange carried) {
    Value last = b.create<arith::SubIOp>(inner, b.create<arith::SubIOp>(inner, count, one), i);
    Value position = op.getReverse() ? last : i;
    Value element =
        b.create<tensor::ExtractSliceOp>(inner, Emitter::storageType(slice), x, at(position), extents, strides);
    auto write = [&](Value written) -> Value {
      return b.create<tensor::InsertSliceOp>(inner, written, carried[0], at(position), extents, strides);
    };
    // The running sum stays in its buffer, so what is written must be taken before or after the addition.
    Value out = op.getExclusive() ? write(carried[1]) : Value();
    AffineMap map = b.getMultiDimIdentityMap(type.getRank());
    SmallVector<IteratorType> iterators(type.getRank(), IteratorType::parallel);
    Value sum = e.generic(inner, element, carried[1], {map, map}, iterators,
                          [](OpBuilder &nested, Location nestedLoc, ValueRange in) {
                            return ScalarBuilder{nested, nestedLoc}.binary(BinaryKind::add, in[1], in[0], false);
                          });
    if (!out)
      out = write(sum);
    b.create<scf::YieldOp>(inner, ValueRange{out, e.storedIn(inner, sum, carried[1])});
  };
  Value init[] = {e.empty(loc, type), e.zeros(loc, slice)};
  OpBuilder::InsertionGuard guard(b);
  auto loop = b.create<scf::ForOp>(loc, zero, count, one, init);
  b.setInsertionPointToStart(loop.getBody());
  body(b, loc, loop.getInductionVar(), loop.getRegionIterArgs());
  b.setInsertionPointAfter(loop);
  e.set(op.getResult(), e.narrow(loc, loop.getResult(0), type, outType));
  return success();
}

LogicalResult emitReduction(Emitter &e, Operation *op) {
  return llvm::TypeSwitch<Operation *, LogicalResult>(op)
      .Case([&](ReduceOp op) { return emitReduce(e, op); })
      .Case([&](SoftmaxOp op) {
        return emitRowSoftmax(e, op) ? success() : emitSoftmaxLike(e, op, op.getAxis(), /*logarithm=*/false);
      })
      .Case([&](LogSoftmaxOp op) { return emitSoftmaxLike(e, op, op.getAxis(), /*logarithm=*/true); })
      .Case([&](LayerNormOp op) { return emitRowNorm(e, op) ? success() : emitLayerNorm(e, op); })
      .Case([&](ArgReduceOp op) { return emitArgReduce(e, op); })
      .Case([&](CumSumOp op) { return emitCumSum(e, op); });
}

} // namespace penstock::linalg_lowering
