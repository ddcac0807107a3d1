//===- AttentionTensors.cpp - Attention as linalg on tensors -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
// For devices that distribute loops themselves: two products with a softmax between, each over the whole tensor.
//===----------------------------------------------------------------------===//
#include "Emitter.h"

#include "mlir/Dialect/Math/IR/Math.h"

#include <limits>

namespace penstock::linalg_lowering {
using namespace nn;
using utils::IteratorType;

namespace {

class AttentionComposer {
public:
  AttentionComposer(Emitter &e, AttentionOp op)
      : e(e), b(e.b), loc(op.getLoc()), op(op), numDims(Emitter::typeOf(op.getQuery()).getRank()) {}

  void run() {
    RankedTensorType queryType = Emitter::typeOf(op.getQuery()), keyType = Emitter::typeOf(op.getKey());
    RankedTensorType valueType = Emitter::typeOf(op.getValue()), resultType = Emitter::typeOf(op.getResult());
    group = getGroup(queryType, keyType);
    Value query = e.widen(loc, e.get(op.getQuery()), queryType), key = e.widen(loc, e.get(op.getKey()), keyType);
    Value value = e.widen(loc, e.get(op.getValue()), valueType);
    element = queryType.getElementType();
    SmallVector<AffineExpr> extents = getExtents(queryType);
    extents.back() = getExtent(keyType, numDims - 2);
    scoreType = getTensorType(extents, element);
    extents.back() = e.constantExpr(1);
    rowType = getTensorType(extents, element);
    Value scores = normalize(addMask(multiply(query, key, scoreType, /*transposed=*/true)));
    RankedTensorType wide = getTensorType(getExtents(resultType), element);
    e.set(op.getResult(), e.narrow(loc, multiply(scores, value, wide, /*transposed=*/false), wide, resultType));
  }

private:
  /// Heads of the query that one head of key and value serves.
  int64_t getGroup(RankedTensorType queryType, RankedTensorType keyType) {
    if (numDims < 3)
      return 1;
    std::optional<int64_t> heads = getConstant(getExtent(queryType, numDims - 3));
    int64_t each = getConstant(getExtent(keyType, numDims - 3)).value_or(0);
    return heads && each ? *heads / each : 1;
  }

  Value constant(double number) { return ScalarBuilder{b, loc}.constant(element, number); }

  /// left (rows x depth) times right, whose heads are shared; right is columns x depth if `transposed`.
  Value multiply(Value left, Value right, RankedTensorType type, bool transposed) {
    SmallVector<AffineExpr> leftMap, rightMap, outMap;
    for (int64_t i = 0; i < numDims - 2; ++i) {
      AffineExpr position = b.getAffineDimExpr(i);
      leftMap.push_back(position);
      outMap.push_back(position);
      rightMap.push_back(i == numDims - 3 && group > 1 ? position.floorDiv(group) : position);
    }
    AffineExpr row = b.getAffineDimExpr(numDims - 2), depth = b.getAffineDimExpr(numDims - 1),
               column = b.getAffineDimExpr(numDims);
    leftMap.append({row, depth});
    outMap.append({row, column});
    rightMap.append(transposed ? std::initializer_list<AffineExpr>{column, depth}
                               : std::initializer_list<AffineExpr>{depth, column});
    auto map = [&](ArrayRef<AffineExpr> exprs) { return AffineMap::get(numDims + 1, 0, exprs, b.getContext()); };
    SmallVector<IteratorType> iterators(numDims + 1, IteratorType::parallel);
    iterators[numDims - 1] = IteratorType::reduction;
    return e.generic(loc, {left, right}, e.zeros(loc, type), {map(leftMap), map(rightMap), map(outMap)}, iterators,
                     [](OpBuilder &inner, Location innerLoc, ValueRange in) {
                       return ScalarBuilder{inner, innerLoc}.multiplyAdd(in[0], in[1], in[2]);
                     });
  }

  /// scores * scale + mask; of booleans a false one gives minus infinity.
  Value addMask(Value scores) {
    Value scale = constant(op.getScale().convertToDouble());
    if (!op.getMask())
      return e.elementwise(loc, scoreType, {{scores, scoreType}}, [&](OpBuilder &inner, Location l, ValueRange in) {
        return inner.create<arith::MulFOp>(l, in[0], scale).getResult();
      });
    RankedTensorType maskType = Emitter::typeOf(op.getMask());
    bool isBoolean = maskType.getElementType().isInteger(1);
    Value mask = isBoolean ? e.get(op.getMask()) : e.widen(loc, e.get(op.getMask()), maskType);
    Value hidden = constant(-std::numeric_limits<double>::infinity()), seen = constant(0);
    return e.elementwise(loc, scoreType, {{scores, scoreType}, {mask, maskType}},
                         [&](OpBuilder &inner, Location l, ValueRange in) -> Value {
                           Value added = isBoolean ? inner.create<arith::SelectOp>(l, in[1], seen, hidden) : in[1];
                           return inner.create<math::FmaOp>(l, in[0], scale, added);
                         });
  }

  Value reduceRows(Value value, ReduceKind kind) {
    RankedTensorType made;
    Value result = e.reduce(loc, value, scoreType, numDims - 1, kind, /*isUnsigned=*/false, made);
    return e.reshape(loc, result, made, rowType);
  }

  Value overRows(Value rows, ScalarFn fn) { return e.elementwise(loc, rowType, {{rows, rowType}}, fn); }

  /// `replacement` where `x` is `number`, else `otherwise`.
  static Value replace(OpBuilder &inner, Location l, Value x, Value number, Value replacement, Value otherwise) {
    Value same = inner.create<arith::CmpFOp>(l, arith::CmpFPredicate::OEQ, x, number);
    return inner.create<arith::SelectOp>(l, same, replacement, otherwise);
  }

  Value normalize(Value scores) {
    Value zero = constant(0), one = constant(1), lowest = constant(-std::numeric_limits<double>::infinity());
    bool zeroes = op.getZeroMaskedRows();
    Value top = reduceRows(scores, ReduceKind::max);
    if (zeroes)
      top = overRows(top, [&](OpBuilder &inner, Location l, ValueRange in) {
        return replace(inner, l, in[0], lowest, zero, in[0]);
      });
    Value powers = e.elementwise(loc, scoreType, {{scores, scoreType}, {top, rowType}},
                                 [&](OpBuilder &inner, Location l, ValueRange in) -> Value {
                                   Value x = inner.create<arith::SubFOp>(l, in[0], in[1]);
                                   return inner.create<math::ExpOp>(l, x);
                                 });
    Value factors = overRows(reduceRows(powers, ReduceKind::sum), [&](OpBuilder &inner, Location l, ValueRange in) {
      Value factor = inner.create<arith::DivFOp>(l, one, in[0]);
      return zeroes ? replace(inner, l, in[0], zero, zero, factor) : factor;
    });
    return e.elementwise(loc, scoreType, {{powers, scoreType}, {factors, rowType}},
                         [](OpBuilder &inner, Location l, ValueRange in) -> Value {
                           return inner.create<arith::MulFOp>(l, in[0], in[1]);
                         });
  }

  Emitter &e;
  OpBuilder &b;
  Location loc;
  AttentionOp op;
  int64_t numDims, group = 1;
  Type element; ///< computed in
  RankedTensorType scoreType, rowType;
};

} // namespace

LogicalResult emitAttentionAsTensors(Emitter &e, AttentionOp op) {
  AttentionComposer(e, op).run();
  return success();
}

} // namespace penstock::linalg_lowering
