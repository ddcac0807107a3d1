//===- Scalars.cpp - Functions of single elements -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#include "Emitter.h"

#include "mlir/Dialect/Math/IR/Math.h"

#include <limits>

namespace penstock::linalg_lowering {
using nn::BinaryKind;
using nn::CompareKind;
using nn::ReduceKind;
using nn::UnaryKind;

Value ScalarBuilder::constant(Type type, double value) {
  if (isa<FloatType>(type))
    return b.create<arith::ConstantOp>(loc, b.getFloatAttr(type, value));
  return integer(type, static_cast<int64_t>(value));
}

Value ScalarBuilder::integer(Type type, int64_t value) {
  return b.create<arith::ConstantOp>(loc, b.getIntegerAttr(type, value));
}

Value ScalarBuilder::identity(ReduceKind kind, Type type, bool isUnsigned) {
  bool isFloat = isa<FloatType>(type);
  unsigned bits = type.getIntOrFloatBitWidth();
  switch (kind) {
  case ReduceKind::sum:
  case ReduceKind::mean:
    return constant(type, 0);
  case ReduceKind::prod:
    return constant(type, 1);
  case ReduceKind::max:
    if (isFloat)
      return constant(type, -std::numeric_limits<double>::infinity());
    return b.create<arith::ConstantOp>(
        loc, b.getIntegerAttr(type, isUnsigned || bits == 1 ? APInt::getZero(bits) : APInt::getSignedMinValue(bits)));
  case ReduceKind::min:
    if (isFloat)
      return constant(type, std::numeric_limits<double>::infinity());
    return b.create<arith::ConstantOp>(
        loc,
        b.getIntegerAttr(type, isUnsigned || bits == 1 ? APInt::getMaxValue(bits) : APInt::getSignedMaxValue(bits)));
  }
  return {};
}

Value ScalarBuilder::combine(ReduceKind kind, Value lhs, Value rhs, bool isUnsigned) {
  switch (kind) {
  case ReduceKind::sum:
  case ReduceKind::mean:
    return binary(BinaryKind::add, lhs, rhs, isUnsigned);
  case ReduceKind::prod:
    return binary(BinaryKind::mul, lhs, rhs, isUnsigned);
  case ReduceKind::max:
    return binary(BinaryKind::maximum, lhs, rhs, isUnsigned);
  case ReduceKind::min:
    return binary(BinaryKind::minimum, lhs, rhs, isUnsigned);
  }
  return {};
}

Value ScalarBuilder::multiplyAdd(Value x, Value y, Value acc) {
  if (isa<FloatType>(x.getType()))
    return b.create<math::FmaOp>(loc, x, y, acc);
  return b.create<arith::AddIOp>(loc, acc, b.create<arith::MulIOp>(loc, x, y));
}

namespace {

/// The functions of a float, in terms of a few others.
struct FloatFunctions {
  ScalarBuilder &s;
  Value x;
  double alpha, beta;
  OpBuilder &b = s.b;
  Location loc = s.loc;

  Value c(double value) { return s.constant(x.getType(), value); }
  Value add(Value l, Value r) { return b.create<arith::AddFOp>(loc, l, r); }
  Value sub(Value l, Value r) { return b.create<arith::SubFOp>(loc, l, r); }
  Value mul(Value l, Value r) { return b.create<arith::MulFOp>(loc, l, r); }
  Value div(Value l, Value r) { return b.create<arith::DivFOp>(loc, l, r); }
  Value exp(Value v) { return b.create<math::ExpOp>(loc, v); }
  Value less(Value l, Value r) { return b.create<arith::CmpFOp>(loc, arith::CmpFPredicate::OLT, l, r); }
  Value greater(Value l, Value r) { return b.create<arith::CmpFOp>(loc, arith::CmpFPredicate::OGT, l, r); }
  Value select(Value condition, Value l, Value r) { return b.create<arith::SelectOp>(loc, condition, l, r); }
  /// NaN stays NaN.
  Value clamp(Value v, double low, double high) {
    Value raised = select(less(v, c(low)), c(low), v);
    return select(greater(raised, c(high)), c(high), raised);
  }
  Value sigmoid(Value v) { return div(c(1), add(c(1), exp(b.create<arith::NegFOp>(loc, v)))); }
  /// max(v, 0) + log(1 + exp(-|v|)): no overflow.
  Value softplus(Value v) {
    Value tail = b.create<math::Log1pOp>(loc, exp(b.create<arith::NegFOp>(loc, b.create<math::AbsFOp>(loc, v))));
    return add(select(less(v, c(0)), c(0), v), tail);
  }
  Value gelu() {
    Value inner = b.create<math::ErfOp>(loc, mul(x, c(0.70710678118654752440)));
    return mul(mul(c(0.5), x), add(c(1), inner));
  }
  Value geluTanh() {
    Value cube = mul(mul(x, x), x);
    Value inner = mul(c(0.79788456080286535588), add(x, mul(c(0.044715), cube)));
    return mul(mul(c(0.5), x), add(c(1), b.create<math::TanhOp>(loc, inner)));
  }
  /// scale * (exp(v / scale) - 1) below zero.
  Value eluTail(Value v) { return sub(exp(v), c(1)); }
  Value shrink() {
    Value high = select(greater(x, c(alpha)), sub(x, c(beta)), c(0));
    return select(less(x, c(-alpha)), add(x, c(beta)), high);
  }
  Value sign() {
    Value positive = select(greater(x, c(0)), c(1), c(0));
    Value result = select(less(x, c(0)), c(-1), positive);
    Value isNan = b.create<arith::CmpFOp>(loc, arith::CmpFPredicate::UNO, x, x);
    return select(isNan, x, result);
  }
  Value isInf() {
    Value infinity = c(std::numeric_limits<double>::infinity());
    Value result = b.create<arith::ConstantOp>(loc, b.getBoolAttr(false));
    if (alpha != 0)
      result =
          b.create<arith::OrIOp>(loc, result, b.create<arith::CmpFOp>(loc, arith::CmpFPredicate::OEQ, x, infinity));
    if (beta != 0)
      result = b.create<arith::OrIOp>(
          loc, result,
          b.create<arith::CmpFOp>(loc, arith::CmpFPredicate::OEQ, x, b.create<arith::NegFOp>(loc, infinity)));
    return result;
  }

  Value activation(UnaryKind kind) {
    switch (kind) {
    case UnaryKind::relu:
      return select(less(x, c(0)), c(0), x);
    case UnaryKind::leaky_relu:
      return select(less(x, c(0)), mul(c(alpha), x), x);
    case UnaryKind::thresholded_relu:
      return select(greater(x, c(alpha)), x, c(0));
    case UnaryKind::elu:
      return select(less(x, c(0)), mul(c(alpha), eluTail(x)), x);
    case UnaryKind::celu:
      return select(less(x, c(0)), mul(c(alpha), eluTail(div(x, c(alpha)))), x);
    case UnaryKind::selu:
      return mul(c(beta), select(greater(x, c(0)), x, mul(c(alpha), eluTail(x))));
    case UnaryKind::sigmoid:
      return sigmoid(x);
    case UnaryKind::hard_sigmoid:
      return clamp(add(mul(c(alpha), x), c(beta)), 0, 1);
    case UnaryKind::hard_swish:
      return mul(x, clamp(add(mul(c(1.0 / 6), x), c(0.5)), 0, 1));
    case UnaryKind::softplus:
      return softplus(x);
    case UnaryKind::softsign:
      return div(x, add(c(1), b.create<math::AbsFOp>(loc, x)));
    case UnaryKind::mish:
      return mul(x, b.create<math::TanhOp>(loc, softplus(x)));
    case UnaryKind::gelu:
      return gelu();
    case UnaryKind::gelu_tanh:
      return geluTanh();
    case UnaryKind::silu:
      return mul(x, sigmoid(x));
    case UnaryKind::shrink:
      return shrink();
    default:
      return {};
    }
  }

  Value apply(UnaryKind kind) {
    switch (kind) {
    case UnaryKind::identity:
      return x;
    case UnaryKind::abs:
      return b.create<math::AbsFOp>(loc, x);
    case UnaryKind::neg:
      return b.create<arith::NegFOp>(loc, x);
    case UnaryKind::sign:
      return sign();
    case UnaryKind::ceil:
      return b.create<math::CeilOp>(loc, x);
    case UnaryKind::floor:
      return b.create<math::FloorOp>(loc, x);
    case UnaryKind::round_even:
      return b.create<math::RoundEvenOp>(loc, x);
    case UnaryKind::sqrt:
      return b.create<math::SqrtOp>(loc, x);
    case UnaryKind::reciprocal:
      return div(c(1), x);
    case UnaryKind::exp:
      return exp(x);
    case UnaryKind::log:
      return b.create<math::LogOp>(loc, x);
    case UnaryKind::sin:
      return b.create<math::SinOp>(loc, x);
    case UnaryKind::cos:
      return b.create<math::CosOp>(loc, x);
    case UnaryKind::tan:
      return b.create<math::TanOp>(loc, x);
    case UnaryKind::asin:
      return b.create<math::AsinOp>(loc, x);
    case UnaryKind::acos:
      return b.create<math::AcosOp>(loc, x);
    case UnaryKind::atan:
      return b.create<math::AtanOp>(loc, x);
    case UnaryKind::sinh:
      return b.create<math::SinhOp>(loc, x);
    case UnaryKind::cosh:
      return b.create<math::CoshOp>(loc, x);
    case UnaryKind::tanh:
      return b.create<math::TanhOp>(loc, x);
    case UnaryKind::asinh:
      return b.create<math::AsinhOp>(loc, x);
    case UnaryKind::acosh:
      return b.create<math::AcoshOp>(loc, x);
    case UnaryKind::atanh:
      return b.create<math::AtanhOp>(loc, x);
    case UnaryKind::erf:
      return b.create<math::ErfOp>(loc, x);
    case UnaryKind::is_nan:
      return b.create<arith::CmpFOp>(loc, arith::CmpFPredicate::UNO, x, x);
    case UnaryKind::is_inf:
      return isInf();
    default:
      return activation(kind);
    }
  }
};

} // namespace

static Value integerUnary(ScalarBuilder &s, UnaryKind kind, Value x, bool isUnsigned) {
  OpBuilder &b = s.b;
  Value zero = s.integer(x.getType(), 0);
  switch (kind) {
  case UnaryKind::identity:
    return x;
  case UnaryKind::abs:
    return isUnsigned ? x : Value(b.create<math::AbsIOp>(s.loc, x));
  case UnaryKind::neg:
    return b.create<arith::SubIOp>(s.loc, zero, x);
  case UnaryKind::sign: {
    Value one = s.integer(x.getType(), 1);
    if (isUnsigned)
      return b.create<arith::MinUIOp>(s.loc, x, one);
    Value low = b.create<arith::MaxSIOp>(s.loc, x, s.integer(x.getType(), -1));
    return b.create<arith::MinSIOp>(s.loc, low, one);
  }
  case UnaryKind::relu:
    return isUnsigned ? x : Value(b.create<arith::MaxSIOp>(s.loc, x, zero));
  case UnaryKind::logical_not:
  case UnaryKind::bitwise_not:
    return b.create<arith::XOrIOp>(s.loc, x, s.integer(x.getType(), -1));
  default:
    return {};
  }
}

Value ScalarBuilder::unary(UnaryKind kind, Value x, double alpha, double beta, bool isUnsigned) {
  if (isa<FloatType>(x.getType()))
    return FloatFunctions{*this, x, alpha, beta}.apply(kind);
  return integerUnary(*this, kind, x, isUnsigned);
}

static Value floatBinary(ScalarBuilder &s, BinaryKind kind, Value x, Value y) {
  OpBuilder &b = s.b;
  Location loc = s.loc;
  switch (kind) {
  case BinaryKind::add:
    return b.create<arith::AddFOp>(loc, x, y);
  case BinaryKind::sub:
    return b.create<arith::SubFOp>(loc, x, y);
  case BinaryKind::mul:
    return b.create<arith::MulFOp>(loc, x, y);
  case BinaryKind::div:
    return b.create<arith::DivFOp>(loc, x, y);
  case BinaryKind::pow:
    return b.create<math::PowFOp>(loc, x, y);
  case BinaryKind::minimum:
    return b.create<arith::MinimumFOp>(loc, x, y);
  case BinaryKind::maximum:
    return b.create<arith::MaximumFOp>(loc, x, y);
  case BinaryKind::fmod:
    return b.create<arith::RemFOp>(loc, x, y);
  case BinaryKind::mod: {
    // The remainder has the sign of the dividend; move it to the divisor's.
    Value rest = b.create<arith::RemFOp>(loc, x, y), zero = s.constant(x.getType(), 0);
    Value restNegative = b.create<arith::CmpFOp>(loc, arith::CmpFPredicate::OLT, rest, zero);
    Value divisorNegative = b.create<arith::CmpFOp>(loc, arith::CmpFPredicate::OLT, y, zero);
    Value nonZero = b.create<arith::CmpFOp>(loc, arith::CmpFPredicate::ONE, rest, zero);
    Value differ = b.create<arith::XOrIOp>(loc, restNegative, divisorNegative);
    Value move = b.create<arith::AndIOp>(loc, nonZero, differ);
    return b.create<arith::SelectOp>(loc, move, b.create<arith::AddFOp>(loc, rest, y), rest);
  }
  case BinaryKind::prelu: {
    Value negative = b.create<arith::CmpFOp>(loc, arith::CmpFPredicate::OLT, x, s.constant(x.getType(), 0));
    return b.create<arith::SelectOp>(loc, negative, b.create<arith::MulFOp>(loc, x, y), x);
  }
  default:
    return {};
  }
}

/// Integer division as C++ has it; by zero gives zero instead of a trap.
static Value guardedDivision(ScalarBuilder &s, Value x, Value y, bool isUnsigned, bool remainder) {
  OpBuilder &b = s.b;
  Type type = x.getType();
  Value zero = s.integer(type, 0), one = s.integer(type, 1);
  Value bad = b.create<arith::CmpIOp>(s.loc, arith::CmpIPredicate::eq, y, zero);
  if (!isUnsigned) {
    // The smallest number by -1 overflows, which would trap; x / -1 = 0 - x and the rest is 0.
    Value minusOne = b.create<arith::CmpIOp>(s.loc, arith::CmpIPredicate::eq, y, s.integer(type, -1));
    Value safe = b.create<arith::SelectOp>(s.loc, b.create<arith::OrIOp>(s.loc, bad, minusOne), one, y);
    Value negated = remainder ? zero : Value(b.create<arith::SubIOp>(s.loc, zero, x));
    Value result =
        remainder ? Value(b.create<arith::RemSIOp>(s.loc, x, safe)) : b.create<arith::DivSIOp>(s.loc, x, safe);
    result = b.create<arith::SelectOp>(s.loc, minusOne, negated, result);
    return b.create<arith::SelectOp>(s.loc, bad, zero, result);
  }
  Value safe = b.create<arith::SelectOp>(s.loc, bad, one, y);
  Value result = remainder ? Value(b.create<arith::RemUIOp>(s.loc, x, safe)) : b.create<arith::DivUIOp>(s.loc, x, safe);
  return b.create<arith::SelectOp>(s.loc, bad, zero, result);
}

/// Through doubles, as ONNX Runtime does.
static Value integerPower(ScalarBuilder &s, Value x, Value y, bool isUnsigned) {
  OpBuilder &b = s.b;
  Type f64 = b.getF64Type();
  auto toDouble = [&](Value v) -> Value {
    if (isa<FloatType>(v.getType()))
      return v.getType() == f64 ? v : Value(b.create<arith::ExtFOp>(s.loc, f64, v));
    return isUnsigned ? Value(b.create<arith::UIToFPOp>(s.loc, f64, v)) : b.create<arith::SIToFPOp>(s.loc, f64, v);
  };
  Value power = b.create<math::PowFOp>(s.loc, toDouble(x), toDouble(y));
  return isUnsigned ? Value(b.create<arith::FPToUIOp>(s.loc, x.getType(), power))
                    : b.create<arith::FPToSIOp>(s.loc, x.getType(), power);
}

static Value integerBinary(ScalarBuilder &s, BinaryKind kind, Value x, Value y, bool isUnsigned) {
  OpBuilder &b = s.b;
  Location loc = s.loc;
  switch (kind) {
  case BinaryKind::add:
    return b.create<arith::AddIOp>(loc, x, y);
  case BinaryKind::sub:
    return b.create<arith::SubIOp>(loc, x, y);
  case BinaryKind::mul:
    return b.create<arith::MulIOp>(loc, x, y);
  case BinaryKind::div:
    return guardedDivision(s, x, y, isUnsigned, /*remainder=*/false);
  case BinaryKind::pow:
    return integerPower(s, x, y, isUnsigned);
  case BinaryKind::minimum:
    return isUnsigned ? Value(b.create<arith::MinUIOp>(loc, x, y)) : b.create<arith::MinSIOp>(loc, x, y);
  case BinaryKind::maximum:
    return isUnsigned ? Value(b.create<arith::MaxUIOp>(loc, x, y)) : b.create<arith::MaxSIOp>(loc, x, y);
  case BinaryKind::fmod:
    return guardedDivision(s, x, y, isUnsigned, /*remainder=*/true);
  case BinaryKind::mod: {
    Value rest = guardedDivision(s, x, y, isUnsigned, /*remainder=*/true);
    if (isUnsigned)
      return rest;
    Value zero = s.integer(x.getType(), 0);
    Value nonZero = b.create<arith::CmpIOp>(loc, arith::CmpIPredicate::ne, rest, zero);
    Value differ = b.create<arith::CmpIOp>(loc, arith::CmpIPredicate::slt, b.create<arith::XOrIOp>(loc, rest, y), zero);
    Value move = b.create<arith::AndIOp>(loc, nonZero, differ);
    return b.create<arith::SelectOp>(loc, move, b.create<arith::AddIOp>(loc, rest, y), rest);
  }
  case BinaryKind::logical_and:
  case BinaryKind::bitwise_and:
    return b.create<arith::AndIOp>(loc, x, y);
  case BinaryKind::logical_or:
  case BinaryKind::bitwise_or:
    return b.create<arith::OrIOp>(loc, x, y);
  case BinaryKind::logical_xor:
  case BinaryKind::bitwise_xor:
    return b.create<arith::XOrIOp>(loc, x, y);
  case BinaryKind::shift_left:
  case BinaryKind::shift_right: {
    // A shift by the width or more is no defined operation of the machine; it shifts everything out.
    Type type = x.getType();
    Value width = s.integer(type, type.getIntOrFloatBitWidth());
    Value fits = b.create<arith::CmpIOp>(loc, arith::CmpIPredicate::ult, y, width);
    Value amount = b.create<arith::SelectOp>(loc, fits, y, s.integer(type, 0));
    if (kind == BinaryKind::shift_right && !isUnsigned) { // what is left of it is its sign
      amount = b.create<arith::SelectOp>(loc, fits, y, s.integer(type, type.getIntOrFloatBitWidth() - 1));
      return b.create<arith::ShRSIOp>(loc, x, amount);
    }
    Value shifted = kind == BinaryKind::shift_left ? Value(b.create<arith::ShLIOp>(loc, x, amount))
                                                   : b.create<arith::ShRUIOp>(loc, x, amount);
    return b.create<arith::SelectOp>(loc, fits, shifted, s.integer(type, 0));
  }
  case BinaryKind::prelu: {
    Value negative = b.create<arith::CmpIOp>(loc, arith::CmpIPredicate::slt, x, s.integer(x.getType(), 0));
    if (isUnsigned)
      return x;
    return b.create<arith::SelectOp>(loc, negative, b.create<arith::MulIOp>(loc, x, y), x);
  }
  }
  return {};
}

Value ScalarBuilder::binary(BinaryKind kind, Value x, Value y, bool isUnsigned) {
  if (!isa<FloatType>(x.getType()))
    return integerBinary(*this, kind, x, y, isUnsigned);
  if (kind == BinaryKind::pow && x.getType() != y.getType())
    y = cast(y, y.getType(), x.getType(), /*saturate=*/false);
  return floatBinary(*this, kind, x, y);
}

Value ScalarBuilder::compare(CompareKind kind, Value x, Value y, bool isUnsigned) {
  using F = arith::CmpFPredicate;
  using I = arith::CmpIPredicate;
  static constexpr F floats[] = {F::OEQ, F::UNE, F::OLT, F::OLE, F::OGT, F::OGE};
  static constexpr I signedOnes[] = {I::eq, I::ne, I::slt, I::sle, I::sgt, I::sge};
  static constexpr I unsignedOnes[] = {I::eq, I::ne, I::ult, I::ule, I::ugt, I::uge};
  int index = static_cast<int>(kind);
  if (isa<FloatType>(x.getType()))
    return b.create<arith::CmpFOp>(loc, floats[index], x, y);
  return b.create<arith::CmpIOp>(loc, isUnsigned ? unsignedOnes[index] : signedOnes[index], x, y);
}

/// Out of range there is no defined float to integer conversion in LLVM: clamp first. NaN becomes zero.
static Value floatToInteger(ScalarBuilder &s, Value x, IntegerType to, bool isUnsigned) {
  OpBuilder &b = s.b;
  Type wide = b.getI64Type();
  // Through i64 integers of fewer bits wrap, as conversions of other frameworks do; 64-bit ones saturate.
  Value nan = b.create<arith::CmpFOp>(s.loc, arith::CmpFPredicate::UNO, x, x);
  Value finite = b.create<arith::SelectOp>(s.loc, nan, s.constant(x.getType(), 0), x);
  if (isUnsigned && to.getWidth() == 64) {
    Value low = b.create<arith::MaximumFOp>(s.loc, finite, s.constant(x.getType(), 0));
    Value high = b.create<arith::MinimumFOp>(s.loc, low, s.constant(x.getType(), 1.8446742974197924e19));
    return b.create<arith::FPToUIOp>(s.loc, to, high);
  }
  Value low = b.create<arith::MaximumFOp>(s.loc, finite, s.constant(x.getType(), -9.223371487098962e18));
  Value high = b.create<arith::MinimumFOp>(s.loc, low, s.constant(x.getType(), 9.223371487098962e18));
  Value integer = b.create<arith::FPToSIOp>(s.loc, wide, high);
  return to.getWidth() == 64 ? integer : Value(b.create<arith::TruncIOp>(s.loc, to, integer));
}

static Value clampForCast(ScalarBuilder &s, Value x, IntegerType to) {
  unsigned bits = to.getWidth();
  double low = to.isUnsigned() ? 0.0 : -std::ldexp(1.0, bits - 1);
  double high = std::ldexp(1.0, to.isUnsigned() ? bits : bits - 1) - 1.0;
  Value raised = s.b.create<arith::MaximumFOp>(s.loc, x, s.constant(x.getType(), low));
  return s.b.create<arith::MinimumFOp>(s.loc, raised, s.constant(x.getType(), high));
}

Value ScalarBuilder::cast(Value x, Type from, Type to, bool saturate) {
  Type storage = getStorageType(to);
  auto toInteger = dyn_cast<IntegerType>(to), fromInteger = dyn_cast<IntegerType>(from);
  bool fromUnsigned = fromInteger && (fromInteger.isUnsigned() || fromInteger.getWidth() == 1);
  if (from == to)
    return x;
  if (isFloat8(from))
    return cast(decodeFloat8(x), b.getF32Type(), to, saturate);
  if (isFloat8(to))
    return encodeFloat8(cast(x, from, b.getF32Type(), false), to, saturate);
  if (isa<FloatType>(from) && isa<FloatType>(to)) {
    unsigned fromBits = x.getType().getIntOrFloatBitWidth(), toBits = storage.getIntOrFloatBitWidth();
    if (x.getType() == storage)
      return x;
    if (fromBits < toBits)
      return b.create<arith::ExtFOp>(loc, storage, x);
    if (fromBits == 64 && toBits == 16) // by way of f32, as machines and other frameworks do
      x = b.create<arith::TruncFOp>(loc, b.getF32Type(), x);
    if (fromBits > toBits)
      return b.create<arith::TruncFOp>(loc, storage, x);
    return b.create<arith::TruncFOp>(loc, storage, b.create<arith::ExtFOp>(loc, b.getF32Type(), x));
  }
  if (toInteger && toInteger.getWidth() == 1) {
    if (isa<FloatType>(from))
      return b.create<arith::CmpFOp>(loc, arith::CmpFPredicate::UNE, x, constant(x.getType(), 0));
    return b.create<arith::CmpIOp>(loc, arith::CmpIPredicate::ne, x, integer(x.getType(), 0));
  }
  if (isa<FloatType>(from)) {
    if (isa<Float16Type, BFloat16Type>(x.getType()))
      x = b.create<arith::ExtFOp>(loc, b.getF32Type(), x);
    if (saturate && toInteger.getWidth() <= 32)
      x = clampForCast(*this, x, toInteger);
    return floatToInteger(*this, x, llvm::cast<IntegerType>(storage), toInteger.isUnsigned());
  }
  if (isa<FloatType>(to)) {
    // By way of f32: without instructions for bf16 the direct way is a call into a compiler's own library.
    Type real = storage.isBF16() ? b.getF32Type() : storage;
    x = fromUnsigned ? Value(b.create<arith::UIToFPOp>(loc, real, x)) : b.create<arith::SIToFPOp>(loc, real, x);
    return real == storage ? x : Value(b.create<arith::TruncFOp>(loc, storage, x));
  }
  unsigned fromBits = fromInteger.getWidth(), toBits = toInteger.getWidth();
  if (fromBits == toBits)
    return x;
  if (fromBits > toBits)
    return b.create<arith::TruncIOp>(loc, storage, x);
  return fromUnsigned ? Value(b.create<arith::ExtUIOp>(loc, storage, x)) : b.create<arith::ExtSIOp>(loc, storage, x);
}

} // namespace penstock::linalg_lowering
