//===- Attention.cpp - Attention in tiles of rows -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
// Works on buffers, because operands and result are read and written where they lie: a head is a few features of every
// row of what a product made, and no transpose need bring them together.
//
//   for batch, head of key and value
//     keys = transpose(key head)
//     for head of the query that it serves, rows by tiles
//       scores = query tile * keys
//       scores = exp(scores * scale + mask - highest of the row), factors = 1 / sum of the row
//       result tile = scores * value head * factors
//
// A tile of scores stays in the cache. Sums along a row run in lanes, which are added in halves: the same order for
// every tile, machine and number of rows.
//===----------------------------------------------------------------------===//
#include "Buffers.h"

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

#include <limits>

namespace penstock::linalg_lowering {
using namespace nn;
using utils::IteratorType;

namespace {

/// Rows of a tile: a multiple of what the registers hold, few enough for scores of some hundred positions to stay near.
constexpr int64_t kTileRows = 48;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

class AttentionEmitter : BufferEmitter {
public:
  AttentionEmitter(Emitter &e, AttentionOp op)
      : BufferEmitter(e, op.getLoc(), Emitter::typeOf(op.getResult()).getElementType()), op(op),
        queryType(Emitter::typeOf(op.getQuery())), keyType(Emitter::typeOf(op.getKey())), numDims(queryType.getRank()),
        rows(getExtent(queryType, numDims - 2)), positions(getExtent(keyType, numDims - 2)),
        features(getExtent(keyType, numDims - 1)), columns(getExtent(Emitter::typeOf(op.getValue()), numDims - 1)) {}

  void run() {
    query = read(op.getQuery());
    key = read(op.getKey());
    value = read(op.getValue());
    if (op.getMask())
      readMask();
    result = open(op.getResult());
    std::optional<int64_t> numRows = getConstant(rows);
    tileRows = numRows ? std::clamp<int64_t>(*numRows, 1, kTileRows) : kTileRows;
    keys = allocate({features, positions});
    scores = allocate({e.constantExpr(tileRows), positions});
    sums = allocate({e.constantExpr(tileRows), columns});
    factors = allocate({e.constantExpr(tileRows)});
    emitLeading(0);
    close(op.getResult(), result);
  }

private:
  // Buffers.

  static int64_t staticOf(OpFoldResult value) { return getConstantIntValue(value).value_or(ShapedType::kDynamic); }

  /// A mask with as many axes as the scores; those along which it stretches have no step.
  void readMask() {
    RankedTensorType type = Emitter::typeOf(op.getMask());
    Value memref;
    if (type.getElementType().isInteger(1)) {
      Value hidden = constant(-kInfinity), seen = constant(0);
      RankedTensorType added = getTensorType(getExtents(type), element);
      Value tensor = e.elementwise(loc, added, {{e.get(op.getMask()), type}},
                                   [&](OpBuilder &inner, Location innerLoc, ValueRange in) -> Value {
                                     return inner.create<arith::SelectOp>(innerLoc, in[0], seen, hidden);
                                   });
      auto memrefType = MemRefType::get(added.getShape(), element);
      memref = b.create<bufferization::ToMemrefOp>(loc, memrefType, tensor, /*read_only=*/b.getUnitAttr());
    } else {
      memref = read(op.getMask());
    }
    // Strides as they are now, with leading axes added.
    View view = View::of(type);
    auto seen = seeThrough(op.getMask());
    if (seen && memref.getDefiningOp<memref::ReinterpretCastOp>()) {
      view = seen->second;
      memref = e.getBuffer(seen->first);
    }
    SmallVector<AffineExpr> extents = getExtents(queryType);
    extents.back() = positions;
    int64_t missing = numDims - type.getRank();
    View all{view.offset, extents, SmallVector<AffineExpr>(numDims, e.constantExpr(0))};
    for (int64_t i = missing; i < numDims; ++i)
      if (getConstant(view.extents[i - missing]) != 1)
        all.strides[i] = view.strides[i - missing];
    mask = show(memref, all);
  }

  /// Rows [first, first + count) of one matrix of a tensor.
  Value slice(Value memref, ArrayRef<OpFoldResult> matrix, OpFoldResult first, OpFoldResult count, AffineExpr width) {
    SmallVector<OpFoldResult> offsets(matrix), sizes(matrix.size(), b.getIndexAttr(1));
    offsets.append({first, b.getIndexAttr(0)});
    sizes.append({count, e.extent(loc, width)});
    SmallVector<OpFoldResult> strides(offsets.size(), b.getIndexAttr(1));
    SmallVector<int64_t> shape{staticOf(count), staticOf(sizes.back())};
    auto type = memref::SubViewOp::inferRankReducedResultType(shape, cast<MemRefType>(memref.getType()), offsets, sizes,
                                                              strides);
    return b.create<memref::SubViewOp>(loc, cast<MemRefType>(type), memref, offsets, sizes, strides);
  }

  /// A matrix whose rows are contiguous, copied if `matrix` is none.
  Value contiguous(Value matrix, AffineExpr numRows, AffineExpr width) {
    if (isContiguous(matrix))
      return matrix;
    Value copy = allocate({numRows, width});
    AffineMap same = b.getMultiDimIdentityMap(2);
    generic({matrix}, copy, {same, same}, 0, [](OpBuilder &, Location, ValueRange in) { return in[0]; });
    return copy;
  }

  // Loops.

  void generic(ValueRange inputs, Value out, ArrayRef<AffineMap> maps, int64_t numReductions, ScalarFn fn) {
    SmallVector<IteratorType> iterators(maps[0].getNumDims(), IteratorType::parallel);
    if (numReductions)
      iterators[1] = IteratorType::reduction;
    b.create<linalg::GenericOp>(loc, TypeRange(), inputs, out, maps, iterators,
                                [&](OpBuilder &inner, Location innerLoc, ValueRange in) {
                                  inner.create<linalg::YieldOp>(innerLoc, fn(inner, innerLoc, in));
                                });
  }

  /// out = left * right, all of them matrices; loops in the order of a product of tensors.
  void multiply(Value left, Value right, Value out) {
    b.create<linalg::FillOp>(loc, constant(0), out);
    AffineExpr row = b.getAffineDimExpr(0), depth = b.getAffineDimExpr(1), column = b.getAffineDimExpr(2);
    auto map = [&](AffineExpr first, AffineExpr second) {
      return AffineMap::get(3, 0, {first, second}, b.getContext());
    };
    generic({left, right}, out, {map(row, depth), map(depth, column), map(row, column)}, 1,
            [](OpBuilder &inner, Location innerLoc, ValueRange in) {
              return ScalarBuilder{inner, innerLoc}.multiplyAdd(in[0], in[1], in[2]);
            });
  }

  void emitLeading(int64_t axis) {
    if (axis == numDims - 2)
      return emitKeyHead();
    bool isHeads = axis == numDims - 3;
    AffineExpr extent = getExtent(isHeads ? keyType : queryType, axis);
    loop(index(0), e.index(loc, extent), 1, [&](Value position) {
      queryMatrix.push_back(position);
      keyMatrix.push_back(position);
      emitLeading(axis + 1);
      queryMatrix.pop_back();
      keyMatrix.pop_back();
    });
  }

  void emitKeyHead() {
    OpFoldResult zero = b.getIndexAttr(0), all = e.extent(loc, positions);
    AffineMap swapped = AffineMap::getPermutationMap(ArrayRef<unsigned>{1, 0}, b.getContext());
    generic(slice(key, keyMatrix, zero, all, features), keys, {swapped, b.getMultiDimIdentityMap(2)}, 0,
            [](OpBuilder &, Location, ValueRange in) { return in[0]; });
    valueHead = contiguous(slice(value, keyMatrix, zero, all, columns), positions, columns);
    int64_t group = 1;
    if (numDims > 2)
      if (std::optional<int64_t> heads = getConstant(getExtent(queryType, numDims - 3)))
        if (int64_t each = getConstant(getExtent(keyType, numDims - 3)).value_or(0))
          group = *heads / each;
    if (group == 1)
      return emitRows();
    Value first = b.create<arith::MulIOp>(loc, toValue(keyMatrix.back()), index(group));
    loop(index(0), index(group), 1, [&](Value number) {
      queryMatrix.back() = Value(b.create<arith::AddIOp>(loc, first, number));
      emitRows();
    });
  }

  void emitRows() {
    AffineExpr whole = simplifyExtent(rows.floorDiv(tileRows) * tileRows), rest = simplifyExtent(rows - whole);
    loop(index(0), e.index(loc, whole), tileRows, [&](Value first) { emitTile(first, b.getIndexAttr(tileRows)); });
    if (getConstant(rest) != 0)
      emitTile(e.extent(loc, whole), e.extent(loc, rest));
  }

  void emitTile(OpFoldResult first, OpFoldResult count) {
    OpFoldResult zero = b.getIndexAttr(0);
    Value queryTile = slice(query, queryMatrix, first, count, features);
    Value scoreTile = slice(scores, {}, zero, count, positions), sumTile = slice(sums, {}, zero, count, columns);
    // The tile of the query is read number by number, so that it may lie anyhow, but products want it row by row.
    multiply(contiguous(queryTile, e.constantExpr(tileRows), features), keys, scoreTile);
    Value maskTile = mask ? slice(mask, queryMatrix, first, count, positions) : Value();
    loop(index(0), toValue(count), 1, [&](Value row) { emitSoftmax(scoreTile, maskTile, row); });
    multiply(scoreTile, valueHead, sumTile);
    AffineMap same = b.getMultiDimIdentityMap(2), perRow = AffineMap::get(2, 0, b.getAffineDimExpr(0));
    SmallVector<OpFoldResult> begin{zero}, length{count}, step{b.getIndexAttr(1)};
    Value factorTile = b.create<memref::SubViewOp>(loc, factors, begin, length, step);
    generic({sumTile, factorTile}, slice(result, queryMatrix, first, count, columns), {same, perRow, same}, 0,
            [](OpBuilder &inner, Location innerLoc, ValueRange in) -> Value {
              return inner.create<arith::MulFOp>(innerLoc, in[0], in[1]);
            });
  }

  // One row of scores, in vectors.

  /// The mask may be one number for a whole row.
  Value loadMask(Value memref, Value row, Value position, Value counts) {
    if (isContiguous(memref))
      return load(memref, {row, position}, counts);
    return splat(Value(b.create<memref::LoadOp>(loc, memref, ValueRange{row, index(0)})));
  }

  /// Scores become exponentials; the factor of the row is what their sum is divided by.
  void emitSoftmax(Value tile, Value maskTile, Value row) {
    double scale = op.getScale().convertToDouble();
    // Without a mask a positive scale waits for the differences.
    bool scalesLate = !maskTile && scale > 0;
    Value highest = overRow(positions, splat(-kInfinity), [&](Value position, Value counts, ValueRange carried) {
      Value x = load(tile, {row, position}, counts);
      if (!scalesLate) {
        Value added = maskTile ? loadMask(maskTile, row, position, counts) : splat(0.0);
        x = b.create<math::FmaOp>(loc, x, splat(scale), added);
        store(x, tile, {row, position}, counts);
      }
      // NaN is lost here and comes back with the exponentials.
      return SmallVector<Value>{larger(keep(counts, x, -kInfinity), carried[0])};
    })[0];
    Value most = join(highest, [&](Value lhs, Value rhs) { return larger(lhs, rhs); });
    if (op.getZeroMaskedRows())
      most = zeroWhere(most, -kInfinity, most);
    Value top = splat(most);
    Value total = overRow(positions, splat(0.0), [&](Value position, Value counts, ValueRange carried) {
      Value x = b.create<arith::SubFOp>(loc, load(tile, {row, position}, counts), top);
      if (scalesLate && scale != 1)
        x = b.create<arith::MulFOp>(loc, x, splat(scale));
      Value power = b.create<math::ExpOp>(loc, x);
      store(power, tile, {row, position}, counts);
      Value sum = b.create<arith::AddFOp>(loc, carried[0], keep(counts, power, 0));
      return SmallVector<Value>{sum};
    })[0];
    Value sum = sumOf(total);
    Value factor = b.create<arith::DivFOp>(loc, constant(1), sum);
    if (op.getZeroMaskedRows())
      factor = zeroWhere(sum, 0, factor);
    b.create<memref::StoreOp>(loc, factor, factors, row);
  }

  /// 0 where `value` is `number`, else `otherwise`.
  Value zeroWhere(Value value, double number, Value otherwise) {
    Value isNumber = b.create<arith::CmpFOp>(loc, arith::CmpFPredicate::OEQ, value, constant(number));
    return b.create<arith::SelectOp>(loc, isNumber, constant(0), otherwise);
  }

  AttentionOp op;
  RankedTensorType queryType, keyType;
  int64_t numDims;
  AffineExpr rows, positions, features, columns;
  int64_t tileRows = 0;
  Value query, key, value, mask, result; ///< whole operands, axes as the op has them
  Value keys, valueHead, scores, sums, factors;
  SmallVector<OpFoldResult> queryMatrix, keyMatrix; ///< batch position of the loops
};

} // namespace

LogicalResult emitAttention(Emitter &e, AttentionOp op) {
  AttentionEmitter(e, op).run();
  return success();
}

} // namespace penstock::linalg_lowering
