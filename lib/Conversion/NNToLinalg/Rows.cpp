//===- Rows.cpp - Softmax and normalization of contiguous rows -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
// One row at a time: it is read from memory once, and is in the nearest cache for every further pass.
//===----------------------------------------------------------------------===//
#include "Buffers.h"

#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

#include <limits>

namespace penstock::linalg_lowering {
using namespace nn;

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

class RowEmitter : protected BufferEmitter {
protected:
  RowEmitter(Emitter &e, Value input, Value result)
      : BufferEmitter(e, result.getLoc(), Emitter::typeOf(result).getElementType()), input(input), result(result) {
    SmallVector<AffineExpr> extents = getExtents(Emitter::typeOf(input));
    length = extents.back();
    AffineExpr count = e.constantExpr(1);
    for (AffineExpr extent : ArrayRef(extents).drop_back())
      count = count * extent;
    shape = {simplifyExtent(count), length};
  }

  /// `body` for every row, between the buffers `from` and `to`.
  void overRows(function_ref<void(Value)> body) {
    from = read(input, shape, Lies::InRows);
    to = open(result, shape, Lies::InRows);
    loop(index(0), e.index(loc, shape[0]), 1, body)->setAttr(kParallelLoopAttr, b.getUnitAttr());
    close(result, to);
  }

  Value input, result, from, to;
  AffineExpr length;
  SmallVector<AffineExpr> shape;
};

class SoftmaxEmitter : RowEmitter {
public:
  SoftmaxEmitter(Emitter &e, SoftmaxOp op) : RowEmitter(e, op.getInput(), op.getResult()) {}

  void run() {
    overRows([&](Value row) { emitRow(row); });
  }

private:
  void emitRow(Value row) {
    Value highest = overRow(length, splat(-kInfinity), [&](Value position, Value counts, ValueRange carried) {
      // NaN is lost here and comes back with the exponentials.
      Value x = keep(counts, load(from, {row, position}, counts), -kInfinity);
      return SmallVector<Value>{larger(x, carried[0])};
    })[0];
    Value top = splat(join(highest, [&](Value lhs, Value rhs) { return larger(lhs, rhs); }));
    Value total = overRow(length, splat(0.0), [&](Value position, Value counts, ValueRange carried) {
      Value x = b.create<arith::SubFOp>(loc, load(from, {row, position}, counts), top);
      Value power = b.create<math::ExpOp>(loc, x);
      store(power, to, {row, position}, counts);
      Value sum = b.create<arith::AddFOp>(loc, carried[0], keep(counts, power, 0));
      return SmallVector<Value>{sum};
    })[0];
    Value factor = splat(Value(b.create<arith::DivFOp>(loc, constant(1), sumOf(total))));
    overRow(length, {}, [&](Value position, Value counts, ValueRange) {
      Value scaled = b.create<arith::MulFOp>(loc, load(to, {row, position}, counts), factor);
      store(scaled, to, {row, position}, counts);
      return SmallVector<Value>();
    });
  }
};

class NormEmitter : RowEmitter {
public:
  NormEmitter(Emitter &e, LayerNormOp op) : RowEmitter(e, op.getInput(), op.getResult()), op(op) {}

  void run() {
    readFactor(op.getScale(), scale, scaleNumber);
    if (op.getBias())
      readFactor(op.getBias(), bias, biasNumber);
    Value integer = b.create<arith::IndexCastOp>(loc, b.getI64Type(), e.index(loc, length));
    count = b.create<arith::SIToFPOp>(loc, element, integer);
    overRows([&](Value row) { emitRow(row); });
  }

private:
  void readFactor(Value operand, Value &buffer, Value &number) {
    if (std::optional<double> uniform = getUniform(operand))
      number = splat(*uniform);
    else
      buffer = read(operand, {length}, Lies::InRows);
  }

  Value factorAt(Value buffer, Value number, Value position, Value counts) {
    return number ? number : load(buffer, {position}, counts);
  }

  Value meanOf(function_ref<Value(Value, Value)> at) {
    Value sums = overRow(length, splat(0.0), [&](Value position, Value counts, ValueRange carried) {
      Value x = keep(counts, at(position, counts), 0);
      return SmallVector<Value>{b.create<arith::AddFOp>(loc, carried[0], x)};
    })[0];
    return b.create<arith::DivFOp>(loc, sumOf(sums), count);
  }

  void emitRow(Value row) {
    auto at = [&](Value position, Value counts) { return load(from, {row, position}, counts); };
    Value mean = op.getRms() ? Value() : splat(meanOf(at));
    auto centered = [&](Value position, Value counts) -> Value {
      Value x = at(position, counts);
      return mean ? Value(b.create<arith::SubFOp>(loc, x, mean)) : x;
    };
    Value variance = meanOf([&](Value position, Value counts) -> Value {
      Value x = centered(position, counts);
      return b.create<arith::MulFOp>(loc, x, x);
    });
    Value sum = b.create<arith::AddFOp>(loc, variance, constant(op.getEpsilon().convertToDouble()));
    Value factor = splat(Value(b.create<arith::DivFOp>(loc, constant(1), Value(b.create<math::SqrtOp>(loc, sum)))));
    overRow(length, {}, [&](Value position, Value counts, ValueRange) {
      Value x = b.create<arith::MulFOp>(loc, centered(position, counts), factor);
      x = b.create<arith::MulFOp>(loc, x, factorAt(scale, scaleNumber, position, counts));
      if (op.getBias())
        x = b.create<arith::AddFOp>(loc, x, factorAt(bias, biasNumber, position, counts));
      store(x, to, {row, position}, counts);
      return SmallVector<Value>();
    });
  }

  LayerNormOp op;
  Value scale, bias, scaleNumber, biasNumber, count;
};

/// Rows of floats along the last axis.
bool hasRows(Value input, int64_t axis) {
  RankedTensorType type = Emitter::typeOf(input);
  return axis + 1 == type.getRank() && isa<FloatType>(type.getElementType()) && getConstant(getExtent(type, axis)) != 0;
}

/// One number per element of a row, or one for all.
bool isRowFactor(Value factor, Value input) {
  RankedTensorType type = Emitter::typeOf(factor);
  if (getUniform(factor))
    return true;
  return type.getRank() > 0 && getExtents(type).back() == getExtents(Emitter::typeOf(input)).back() &&
         llvm::all_of(type.getShape().drop_back(), [](int64_t extent) { return extent == 1; });
}

} // namespace

bool emitRowSoftmax(Emitter &e, SoftmaxOp op) {
  if (e.style != LoopStyle::Rows || !hasRows(op.getInput(), op.getAxis()))
    return false;
  SoftmaxEmitter(e, op).run();
  return true;
}

bool emitRowNorm(Emitter &e, LayerNormOp op) {
  if (e.style != LoopStyle::Rows || !hasRows(op.getInput(), op.getAxis()) ||
      !isRowFactor(op.getScale(), op.getInput()) || (op.getBias() && !isRowFactor(op.getBias(), op.getInput())))
    return false;
  NormEmitter(e, op).run();
  return true;
}

} // namespace penstock::linalg_lowering
