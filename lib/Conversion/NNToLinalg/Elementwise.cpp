//===- Elementwise.cpp - Elementwise ops and constants -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#include "Emitter.h"

namespace penstock::linalg_lowering {
using namespace nn;

static bool isUnsigned(Value value) { return isUnsigned(Emitter::typeOf(value)); }

/// f16 and bf16 compute in f32.
static Value widenScalar(OpBuilder &b, Location loc, Value x) {
  if (isa<Float16Type, BFloat16Type>(x.getType()))
    return b.create<arith::ExtFOp>(loc, b.getF32Type(), x);
  return x;
}

static Value narrowScalar(OpBuilder &b, Location loc, Value x, Type to) {
  if (isa<Float16Type, BFloat16Type>(to) && x.getType() != to)
    return b.create<arith::TruncFOp>(loc, to, x);
  return x;
}

/// Operands of the op with their types, and its result made of wide scalars.
static LogicalResult emitScalars(Emitter &e, Operation *op, ScalarFn fn) {
  SmallVector<std::pair<Value, RankedTensorType>> inputs;
  for (Value operand : op->getOperands())
    inputs.push_back({e.get(operand), Emitter::typeOf(operand)});
  RankedTensorType type = Emitter::typeOf(op->getResult(0));
  Type element = getStorageType(type.getElementType());
  bool complete = true;
  Value result = e.elementwise(op->getLoc(), type, inputs, [&](OpBuilder &b, Location loc, ValueRange in) -> Value {
    SmallVector<Value> wide;
    for (Value x : in)
      wide.push_back(widenScalar(b, loc, x));
    Value made = fn(b, loc, wide);
    if (made)
      return narrowScalar(b, loc, made, element);
    complete = false;
    return ScalarBuilder{b, loc}.constant(element, 0);
  });
  if (!complete)
    return op->emitOpError() << "has no lowering for element type " << type.getElementType();
  e.set(op->getResult(0), result);
  return success();
}

static double toDouble(std::optional<APFloat> value) { return value ? value->convertToDouble() : 0.0; }

static LogicalResult emitUnary(Emitter &e, UnaryOp op) {
  return emitScalars(e, op, [&](OpBuilder &b, Location loc, ValueRange in) {
    return ScalarBuilder{b, loc}.unary(op.getKind(), in[0], toDouble(op.getAlpha()), toDouble(op.getBeta()),
                                       isUnsigned(op.getInput()));
  });
}

static LogicalResult emitBinary(Emitter &e, BinaryOp op) {
  return emitScalars(e, op, [&](OpBuilder &b, Location loc, ValueRange in) {
    return ScalarBuilder{b, loc}.binary(op.getKind(), in[0], in[1], isUnsigned(op.getLhs()));
  });
}

static LogicalResult emitCompare(Emitter &e, CompareOp op) {
  return emitScalars(e, op, [&](OpBuilder &b, Location loc, ValueRange in) {
    return ScalarBuilder{b, loc}.compare(op.getKind(), in[0], in[1], isUnsigned(op.getLhs()));
  });
}

static LogicalResult emitSelect(Emitter &e, SelectOp op) {
  return emitScalars(e, op, [&](OpBuilder &b, Location loc, ValueRange in) -> Value {
    return b.create<arith::SelectOp>(loc, in[0], in[1], in[2]);
  });
}

static LogicalResult emitCast(Emitter &e, CastOp op) {
  RankedTensorType from = Emitter::typeOf(op.getInput()), to = Emitter::typeOf(op.getResult());
  Value result =
      e.elementwise(op.getLoc(), to, {{e.get(op.getInput()), from}}, [&](OpBuilder &b, Location loc, ValueRange in) {
        return ScalarBuilder{b, loc}.cast(in[0], from.getElementType(), to.getElementType(), op.getSaturate());
      });
  e.set(op.getResult(), result);
  return success();
}

static LogicalResult emitBitcast(Emitter &e, BitcastOp op) {
  RankedTensorType from = Emitter::typeOf(op.getInput()), to = Emitter::typeOf(op.getResult());
  Type storage = getStorageType(to.getElementType());
  auto reinterpret = [&](OpBuilder &b, Location loc, ValueRange in) -> Value {
    return in[0].getType() == storage ? in[0] : Value(b.create<arith::BitcastOp>(loc, storage, in[0]));
  };
  e.set(op.getResult(), e.elementwise(op.getLoc(), to, {{e.get(op.getInput()), from}}, reinterpret));
  return success();
}

static LogicalResult emitConstant(Emitter &e, ConstantOp op) {
  RankedTensorType type = Emitter::storageType(Emitter::typeOf(op.getResult()));
  auto elements = dyn_cast<DenseElementsAttr>(op.getValue());
  if (!elements)
    return op.emitOpError() << "is no dense constant";
  if (elements.getElementType() != type.getElementType())
    elements = elements.bitcast(type.getElementType());
  if (elements.isSplat()) {
    Value scalar = e.b.create<arith::ConstantOp>(op.getLoc(), cast<TypedAttr>(elements.getSplatValue<Attribute>()));
    e.set(op.getResult(), e.filled(op.getLoc(), Emitter::typeOf(op.getResult()), scalar));
    return success();
  }
  e.set(op.getResult(), e.b.create<arith::ConstantOp>(op.getLoc(), elements));
  return success();
}

static LogicalResult emitExtentTensor(Emitter &e, ExtentTensorOp op) {
  RankedTensorType type = Emitter::storageType(Emitter::typeOf(op.getResult()));
  SmallVector<Value> elements;
  for (AffineExpr expr : op.getExprs().getExprs())
    elements.push_back(e.b.create<arith::IndexCastOp>(op.getLoc(), type.getElementType(), e.index(op.getLoc(), expr)));
  if (elements.empty())
    e.set(op.getResult(), e.empty(op.getLoc(), Emitter::typeOf(op.getResult())));
  else
    e.set(op.getResult(), e.b.create<tensor::FromElementsOp>(op.getLoc(), type, elements));
  return success();
}

/// start + step * index, in the element type.
static LogicalResult emitIota(Emitter &e, IotaOp op) {
  RankedTensorType type = Emitter::typeOf(op.getResult());
  Type element = getStorageType(type.getElementType());
  auto number = [&](OpBuilder &b, Location loc, Attribute value) -> Value {
    if (auto real = dyn_cast<FloatAttr>(value))
      return b.create<arith::ConstantOp>(loc, real);
    return b.create<arith::ConstantOp>(loc, b.getIntegerAttr(element, cast<IntegerAttr>(value).getValue()));
  };
  Value result = e.generate(op.getLoc(), type, [&](OpBuilder &b, Location loc, ValueRange indices) -> Value {
    Value i = b.create<arith::IndexCastOp>(loc, b.getI64Type(), indices[op.getAxis()]);
    ScalarBuilder scalars{b, loc};
    Value wide = widenScalar(b, loc, scalars.cast(i, b.getI64Type(), type.getElementType(), false));
    Value step = widenScalar(b, loc, number(b, loc, op.getStep()));
    Value start = widenScalar(b, loc, number(b, loc, op.getStart()));
    Value product = scalars.binary(BinaryKind::mul, wide, step, false);
    return narrowScalar(b, loc, scalars.binary(BinaryKind::add, start, product, false), element);
  });
  e.set(op.getResult(), result);
  return success();
}

LogicalResult emitElementwise(Emitter &e, Operation *op) {
  return llvm::TypeSwitch<Operation *, LogicalResult>(op)
      .Case([&](UnaryOp op) { return emitUnary(e, op); })
      .Case([&](BinaryOp op) { return emitBinary(e, op); })
      .Case([&](CompareOp op) { return emitCompare(e, op); })
      .Case([&](SelectOp op) { return emitSelect(e, op); })
      .Case([&](CastOp op) { return emitCast(e, op); })
      .Case([&](BitcastOp op) { return emitBitcast(e, op); })
      .Case([&](ConstantOp op) { return emitConstant(e, op); })
      .Case([&](ExtentTensorOp op) { return emitExtentTensor(e, op); })
      .Case([&](IotaOp op) { return emitIota(e, op); });
}

} // namespace penstock::linalg_lowering
