//===- Elementwise.cpp - Functions of single elements -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
// Ops on scalars of the compute types, vectorized later. Nothing here may trap: integer divisions guard their divisor.
//===----------------------------------------------------------------------===//
#include "Nest.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"

namespace penstock::nntolinalg {
using arith::CmpFPredicate;
using arith::CmpIPredicate;
using nn::BinaryKind;
using nn::CompareKind;
using nn::UnaryKind;

TypedAttr getNumber(Type computeType, double value) {
  if (auto type = dyn_cast<FloatType>(computeType)) {
    APFloat number(value);
    bool losesInfo;
    number.convert(type.getFloatSemantics(), APFloat::rmNearestTiesToEven, &losesInfo);
    return FloatAttr::get(type, number);
  }
  return IntegerAttr::get(computeType, APInt(computeType.isIndex() ? 64 : computeType.getIntOrFloatBitWidth(),
                                             static_cast<uint64_t>(static_cast<int64_t>(value)), /*isSigned=*/true));
}

Value makeNumber(OpBuilder &b, Location loc, Type type, double value) {
  return b.create<arith::ConstantOp>(loc, getNumber(type, value));
}

namespace {

/// Short names for what the functions are made of.
struct Math {
  OpBuilder &b;
  Location loc;
  Type type;

  Value num(double value) { return makeNumber(b, loc, type, value); }
  template <typename OpT> Value make(Value x) { return b.create<OpT>(loc, x); }
  template <typename OpT> Value make(Value x, Value y) { return b.create<OpT>(loc, x, y); }
  bool isFloat() { return isa<FloatType>(type); }
  Value add(Value x, Value y) { return isFloat() ? make<arith::AddFOp>(x, y) : make<arith::AddIOp>(x, y); }
  Value sub(Value x, Value y) { return isFloat() ? make<arith::SubFOp>(x, y) : make<arith::SubIOp>(x, y); }
  Value mul(Value x, Value y) { return isFloat() ? make<arith::MulFOp>(x, y) : make<arith::MulIOp>(x, y); }
  Value div(Value x, Value y) { return make<arith::DivFOp>(x, y); }
  Value cmp(CmpFPredicate predicate, Value x, Value y) { return b.create<arith::CmpFOp>(loc, predicate, x, y); }
  Value cmp(CmpIPredicate predicate, Value x, Value y) { return b.create<arith::CmpIOp>(loc, predicate, x, y); }
  Value less(Value x, Value y) { return isFloat() ? cmp(CmpFPredicate::OLT, x, y) : cmp(CmpIPredicate::slt, x, y); }
  Value greater(Value x, Value y) { return isFloat() ? cmp(CmpFPredicate::OGT, x, y) : cmp(CmpIPredicate::sgt, x, y); }
  Value select(Value condition, Value x, Value y) { return b.create<arith::SelectOp>(loc, condition, x, y); }
  /// Keep a NaN of x; y is none.
  Value min(Value x, Value y) { return select(greater(x, y), y, x); }
  Value max(Value x, Value y) { return select(less(x, y), y, x); }
  Value exp(Value x) { return make<math::ExpOp>(x); }
  /// exp(x) - 1 without cancellation near zero.
  Value expMinusOne(Value x) { return make<math::ExpM1Op>(x); }
  Value clampUnit(Value x) { return min(max(x, num(0)), num(1)); }
  Value sigmoid(Value x) { return div(num(1), add(num(1), exp(make<arith::NegFOp>(x)))); }
  /// log(1 + exp(x)), for any x.
  Value softplus(Value x) {
    Value magnitude = make<math::AbsFOp>(x);
    return add(max(x, num(0)), make<math::Log1pOp>(exp(make<arith::NegFOp>(magnitude))));
  }
};

Value emitSign(Math &m, Value x, bool isUnsignedType) {
  if (!m.isFloat() && isUnsignedType)
    return m.select(m.cmp(CmpIPredicate::ne, x, m.num(0)), m.num(1), m.num(0));
  Value negative = m.select(m.less(x, m.num(0)), m.num(-1), m.isFloat() ? x : m.num(0));
  return m.select(m.greater(x, m.num(0)), m.num(1), negative); // a float zero keeps its sign, a NaN stays
}

/// Signed inverse hyperbolic functions through log1p, which is exact near zero.
Value emitInverseHyperbolic(Math &m, UnaryKind kind, Value x) {
  if (kind == UnaryKind::acosh) {
    Value root = m.make<math::SqrtOp>(m.mul(m.sub(x, m.num(1)), m.add(x, m.num(1))));
    return m.make<math::LogOp>(m.add(x, root));
  }
  Value magnitude = m.make<math::AbsFOp>(x);
  if (kind == UnaryKind::atanh) {
    Value ratio = m.div(m.mul(m.num(2), magnitude), m.sub(m.num(1), magnitude));
    return m.make<math::CopySignOp>(m.mul(m.num(0.5), m.make<math::Log1pOp>(ratio)), x);
  }
  // asinh: log1p(|x| + x^2 / (1 + sqrt(x^2 + 1))); large values would overflow in x^2.
  Value square = m.mul(magnitude, magnitude);
  Value root = m.make<math::SqrtOp>(m.add(square, m.num(1)));
  Value small = m.make<math::Log1pOp>(m.add(magnitude, m.div(square, m.add(m.num(1), root))));
  Value large = m.add(m.make<math::LogOp>(magnitude), m.num(0.69314718055994531));
  return m.make<math::CopySignOp>(m.select(m.greater(magnitude, m.num(1e9)), large, small), x);
}

Value emitHyperbolic(Math &m, UnaryKind kind, Value x) {
  if (kind == UnaryKind::cosh) {
    Value half = m.mul(m.num(0.5), m.exp(m.mul(m.num(0.5), m.make<math::AbsFOp>(x))));
    Value twice = m.mul(half, m.num(2)); // exp(|x| / 2), squared late so that it does not overflow early
    return m.add(m.mul(half, twice), m.div(m.num(0.5), m.mul(twice, twice)));
  }
  Value magnitude = m.make<math::AbsFOp>(x);
  Value grown = m.expMinusOne(magnitude);
  Value small = m.mul(m.num(0.5), m.add(grown, m.div(grown, m.add(grown, m.num(1)))));
  Value half = m.exp(m.mul(m.num(0.5), magnitude));
  Value large = m.mul(m.mul(m.num(0.5), half), half);
  return m.make<math::CopySignOp>(m.select(m.greater(magnitude, m.num(20)), large, small), x);
}

Value emitActivation(Math &m, UnaryKind kind, Value x, double alpha, double beta) {
  Value zero = m.num(0);
  switch (kind) {
  case UnaryKind::relu:
    return m.max(x, zero);
  case UnaryKind::leaky_relu:
    return m.select(m.less(x, zero), m.mul(x, m.num(alpha)), x);
  case UnaryKind::thresholded_relu:
    return m.select(m.greater(x, m.num(alpha)), x, zero);
  case UnaryKind::elu:
    return m.select(m.less(x, zero), m.mul(m.num(alpha), m.expMinusOne(m.min(x, zero))), x);
  case UnaryKind::celu:
    return m.select(m.less(x, zero), m.mul(m.num(alpha), m.expMinusOne(m.div(m.min(x, zero), m.num(alpha)))), x);
  case UnaryKind::selu:
    return m.mul(m.num(beta), m.select(m.greater(x, zero), x, m.mul(m.num(alpha), m.expMinusOne(m.min(x, zero)))));
  case UnaryKind::sigmoid:
    return m.sigmoid(x);
  case UnaryKind::silu:
    return m.mul(x, m.sigmoid(x));
  case UnaryKind::hard_sigmoid:
    return m.clampUnit(m.add(m.mul(x, m.num(alpha)), m.num(beta)));
  case UnaryKind::hard_swish:
    return m.mul(x, m.clampUnit(m.add(m.mul(x, m.num(1.0 / 6)), m.num(0.5))));
  case UnaryKind::softplus:
    return m.softplus(x);
  case UnaryKind::softsign:
    return m.div(x, m.add(m.num(1), m.make<math::AbsFOp>(x)));
  case UnaryKind::mish:
    return m.mul(x, m.make<math::TanhOp>(m.softplus(x)));
  case UnaryKind::gelu: {
    Value erf = m.make<math::ErfOp>(m.mul(x, m.num(0.70710678118654752)));
    return m.mul(m.mul(x, m.num(0.5)), m.add(erf, m.num(1)));
  }
  case UnaryKind::gelu_tanh: {
    Value cube = m.mul(m.mul(x, x), x);
    Value inner = m.mul(m.num(0.79788456080286536), m.add(x, m.mul(m.num(0.044715), cube)));
    return m.mul(m.mul(x, m.num(0.5)), m.add(m.make<math::TanhOp>(inner), m.num(1)));
  }
  default: // shrink
    return m.select(m.less(x, m.num(-alpha)), m.add(x, m.num(beta)),
                    m.select(m.greater(x, m.num(alpha)), m.sub(x, m.num(beta)), zero));
  }
}

Value emitUnary(Math &m, UnaryKind kind, Value x, double alpha, double beta, bool isUnsignedType) {
  double infinity = std::numeric_limits<double>::infinity();
  switch (kind) {
  case UnaryKind::identity:
    return x;
  case UnaryKind::abs:
    if (m.isFloat())
      return m.make<math::AbsFOp>(x);
    return isUnsignedType ? x : m.select(m.less(x, m.num(0)), m.sub(m.num(0), x), x);
  case UnaryKind::neg:
    return m.isFloat() ? m.make<arith::NegFOp>(x) : m.sub(m.num(0), x);
  case UnaryKind::sign:
    return emitSign(m, x, isUnsignedType);
  case UnaryKind::ceil:
    return m.make<math::CeilOp>(x);
  case UnaryKind::floor:
    return m.make<math::FloorOp>(x);
  case UnaryKind::round_even:
    return m.make<math::RoundEvenOp>(x);
  case UnaryKind::sqrt:
    return m.make<math::SqrtOp>(x);
  case UnaryKind::reciprocal:
    return m.div(m.num(1), x);
  case UnaryKind::exp:
    return m.exp(x);
  case UnaryKind::log:
    return m.make<math::LogOp>(x);
  case UnaryKind::sin:
    return m.make<math::SinOp>(x);
  case UnaryKind::cos:
    return m.make<math::CosOp>(x);
  case UnaryKind::tan:
    return m.make<math::TanOp>(x);
  case UnaryKind::asin:
    return m.make<math::AsinOp>(x);
  case UnaryKind::acos:
    return m.make<math::AcosOp>(x);
  case UnaryKind::atan:
    return m.make<math::AtanOp>(x);
  case UnaryKind::sinh:
  case UnaryKind::cosh:
    return emitHyperbolic(m, kind, x);
  case UnaryKind::tanh:
    return m.make<math::TanhOp>(x);
  case UnaryKind::asinh:
  case UnaryKind::acosh:
  case UnaryKind::atanh:
    return emitInverseHyperbolic(m, kind, x);
  case UnaryKind::erf:
    return m.make<math::ErfOp>(x);
  case UnaryKind::logical_not:
  case UnaryKind::bitwise_not:
    return m.make<arith::XOrIOp>(x, m.num(-1));
  case UnaryKind::is_nan:
    return m.cmp(CmpFPredicate::UNO, x, x);
  case UnaryKind::is_inf: {
    Value positive = m.cmp(CmpFPredicate::OEQ, x, m.num(infinity));
    Value negative = m.cmp(CmpFPredicate::OEQ, x, m.num(-infinity));
    Math bits{m.b, m.loc, m.b.getI1Type()};
    Value none = bits.num(0);
    return m.make<arith::OrIOp>(alpha != 0 ? positive : none, beta != 0 ? negative : none);
  }
  default:
    return emitActivation(m, kind, x, alpha, beta);
  }
}

/// x / 0 is 0, and the smallest number divided by -1 is itself.
Value emitIntegerDivision(Math &m, Value x, Value y, bool isUnsignedType, bool remainder) {
  Value zero = m.num(0), one = m.num(1);
  Value noDivisor = m.cmp(CmpIPredicate::eq, y, zero);
  if (isUnsignedType) {
    Value divisor = m.select(noDivisor, one, y);
    Value result = remainder ? m.make<arith::RemUIOp>(x, divisor) : m.make<arith::DivUIOp>(x, divisor);
    return m.select(noDivisor, zero, result);
  }
  Value minusOne = m.cmp(CmpIPredicate::eq, y, m.num(-1));
  Value unsafe = m.make<arith::OrIOp>(noDivisor, minusOne);
  Value divisor = m.select(unsafe, one, y);
  Value result = remainder ? m.make<arith::RemSIOp>(x, divisor) : m.make<arith::DivSIOp>(x, divisor);
  Value special = remainder ? zero : m.select(noDivisor, zero, m.sub(zero, x));
  return m.select(unsafe, special, result);
}

/// Remainder with the sign of the divisor.
Value emitModulo(Math &m, Value x, Value y, bool isUnsignedType) {
  if (!m.isFloat()) {
    Value rest = emitIntegerDivision(m, x, y, isUnsignedType, /*remainder=*/true);
    if (isUnsignedType)
      return rest;
    Value differs = m.less(m.make<arith::XOrIOp>(rest, y), m.num(0));
    Value moves = m.make<arith::AndIOp>(differs, m.cmp(CmpIPredicate::ne, rest, m.num(0)));
    return m.select(moves, m.add(rest, y), rest);
  }
  Value rest = m.make<arith::RemFOp>(x, y);
  Value differs = m.cmp(CmpFPredicate::OLT, m.mul(m.make<math::CopySignOp>(m.num(1), rest), y), m.num(0));
  Value moves = m.make<arith::AndIOp>(differs, m.cmp(CmpFPredicate::ONE, rest, m.num(0)));
  return m.select(moves, m.add(rest, y), rest);
}

Value emitShift(Math &m, Value x, Value y, bool left) {
  double width = m.type.getIntOrFloatBitWidth();
  Value tooFar = m.cmp(CmpIPredicate::uge, y, m.num(width));
  Value amount = m.select(tooFar, m.num(0), y);
  Value shifted = left ? m.make<arith::ShLIOp>(x, amount) : m.make<arith::ShRUIOp>(x, amount);
  return m.select(tooFar, m.num(0), shifted);
}

/// Integer power by squaring; a negative exponent gives zero but for bases one and minus one.
Value emitIntegerPower(Math &m, Value base, Value exponent) {
  Value result = m.num(1), one = m.num(1), zero = m.num(0);
  Value square = base, left = exponent;
  unsigned width = m.type.getIntOrFloatBitWidth();
  for (unsigned bits = 0; (1u << bits) <= width; ++bits) { // beyond `width` only bases -1, 0, 1 matter, done below
    Value odd = m.cmp(CmpIPredicate::ne, m.make<arith::AndIOp>(left, one), zero);
    result = m.select(odd, m.mul(result, square), result);
    square = m.mul(square, square);
    left = m.make<arith::ShRUIOp>(left, one);
  }
  Value odd = m.cmp(CmpIPredicate::ne, m.make<arith::AndIOp>(exponent, one), zero);
  Value minusOne = m.num(-1);
  Value unitPower = m.select(m.cmp(CmpIPredicate::eq, base, minusOne), m.select(odd, minusOne, one), one);
  Value isUnit = m.make<arith::OrIOp>(m.cmp(CmpIPredicate::eq, base, minusOne), m.cmp(CmpIPredicate::eq, base, one));
  Value negative = m.less(exponent, zero);
  Value other = m.select(negative, zero, result);
  return m.select(isUnit, unitPower, other);
}

Value convert(OpBuilder &b, Location loc, Value x, Type from, Type to, bool saturate);

Value emitPower(Math &m, Value x, Value y, Type xType, Type yType, std::optional<double> constant) {
  if (constant) {
    if (*constant == 1)
      return x;
    if (*constant == 2)
      return m.mul(x, x);
    if (*constant == 3)
      return m.mul(m.mul(x, x), x);
    if (m.isFloat() && *constant == 0.5)
      return m.make<math::SqrtOp>(x);
    if (m.isFloat() && *constant == -0.5)
      return m.div(m.num(1), m.make<math::SqrtOp>(x));
    if (m.isFloat() && *constant == -1)
      return m.div(m.num(1), x);
  }
  if (!m.isFloat() && isa<IntegerType>(yType))
    return emitIntegerPower(m, x, convert(m.b, m.loc, y, yType, xType, false));
  if (!m.isFloat()) { // through the wider float
    Math wide{m.b, m.loc, Float64Type::get(m.b.getContext())};
    Value result = wide.make<math::PowFOp>(convert(m.b, m.loc, x, xType, wide.type, false),
                                           convert(m.b, m.loc, y, yType, wide.type, false));
    return convert(m.b, m.loc, result, wide.type, xType, false);
  }
  return m.make<math::PowFOp>(x, convert(m.b, m.loc, y, yType, xType, false));
}

Value convertFloatToInteger(OpBuilder &b, Location loc, Value x, Type to, bool saturate) {
  Math m{b, loc, x.getType()};
  auto type = cast<IntegerType>(getComputeType(to));
  unsigned width = type.getWidth();
  bool toUnsigned = isUnsigned(to);
  if (saturate) {
    double top = toUnsigned ? std::pow(2.0, width) : std::pow(2.0, width - 1), bottom = toUnsigned ? 0 : -top;
    Value nan = m.cmp(CmpFPredicate::UNO, x, x);
    Value low = m.cmp(CmpFPredicate::OLE, x, m.num(bottom)), high = m.cmp(CmpFPredicate::OGE, x, m.num(top));
    Value odd = m.make<arith::OrIOp>(nan, m.make<arith::OrIOp>(low, high));
    Value number = convertFloatToInteger(b, loc, m.select(odd, m.num(0), x), to, false);
    Math i{b, loc, type};
    auto edge = [&](APInt value) -> Value {
      return b.create<arith::ConstantOp>(loc, IntegerAttr::get(type, value));
    };
    Value least = edge(toUnsigned ? APInt::getZero(width) : APInt::getSignedMinValue(width));
    Value most = edge(toUnsigned ? APInt::getMaxValue(width) : APInt::getSignedMaxValue(width));
    return i.select(low, least, i.select(high, most, number));
  }
  if (width == 64 && toUnsigned)
    return b.create<arith::FPToUIOp>(loc, type, x);
  // Through a wider integer, so that what does not fit keeps its low bits.
  Type wide = b.getIntegerType(width < 32 ? 32 : 64);
  if (width == 32 && !toUnsigned)
    wide = type;
  Value number = b.create<arith::FPToSIOp>(loc, wide, x);
  return wide == type ? number : b.create<arith::TruncIOp>(loc, type, number).getResult();
}

/// `x` is of from's compute type; the result of to's.
Value convert(OpBuilder &b, Location loc, Value x, Type from, Type to, bool saturate) {
  Type source = x.getType(), target = getComputeType(to);
  Math m{b, loc, source};
  if (to.isInteger(1))
    return isa<FloatType>(source) ? m.cmp(CmpFPredicate::UNE, x, m.num(0)) : m.cmp(CmpIPredicate::ne, x, m.num(0));
  if (isa<FloatType>(source) && isa<FloatType>(target)) {
    Value result = x;
    if (source.getIntOrFloatBitWidth() < target.getIntOrFloatBitWidth())
      result = b.create<arith::ExtFOp>(loc, target, x);
    else if (source != target)
      result = b.create<arith::TruncFOp>(loc, target, x);
    if (target != to && from != to) { // rounds here, whatever follows
      result = b.create<arith::TruncFOp>(loc, to, result);
      result = b.create<arith::ExtFOp>(loc, target, result);
    }
    return result;
  }
  if (isa<FloatType>(source))
    return convertFloatToInteger(b, loc, x, to, saturate);
  if (isa<FloatType>(target)) {
    Value result = isUnsigned(from) ? b.create<arith::UIToFPOp>(loc, target, x).getResult()
                                    : b.create<arith::SIToFPOp>(loc, target, x).getResult();
    return target == to ? result : convert(b, loc, result, target, to, saturate);
  }
  unsigned fromWidth = source.getIntOrFloatBitWidth(), toWidth = target.getIntOrFloatBitWidth();
  if (fromWidth < toWidth)
    return isUnsigned(from) ? b.create<arith::ExtUIOp>(loc, target, x).getResult()
                            : b.create<arith::ExtSIOp>(loc, target, x).getResult();
  if (fromWidth > toWidth)
    return b.create<arith::TruncIOp>(loc, target, x);
  return x;
}

} // namespace

bool isExpensive(UnaryKind kind) {
  switch (kind) {
  case UnaryKind::identity:
  case UnaryKind::abs:
  case UnaryKind::neg:
  case UnaryKind::sign:
  case UnaryKind::ceil:
  case UnaryKind::floor:
  case UnaryKind::round_even:
  case UnaryKind::logical_not:
  case UnaryKind::bitwise_not:
  case UnaryKind::is_nan:
  case UnaryKind::is_inf:
  case UnaryKind::relu:
  case UnaryKind::leaky_relu:
  case UnaryKind::thresholded_relu:
  case UnaryKind::hard_sigmoid:
  case UnaryKind::hard_swish:
  case UnaryKind::shrink:
    return false;
  default:
    return true;
  }
}

ScalarFn getUnaryFunction(nn::UnaryOp op) {
  Type type = cast<RankedTensorType>(op.getInput().getType()).getElementType();
  UnaryKind kind = op.getKind();
  auto parameter = [](std::optional<APFloat> value, double byDefault) {
    return value ? value->convertToDouble() : byDefault;
  };
  double alpha = parameter(op.getAlpha(), 1), beta = parameter(op.getBeta(), kind == UnaryKind::is_inf ? 1 : 0);
  return [=](OpBuilder &b, Location loc, ValueRange x) {
    Math m{b, loc, x[0].getType()};
    return emitUnary(m, kind, x[0], alpha, beta, isUnsigned(type));
  };
}

static std::optional<double> getExponent(Attribute constant) {
  auto elements = dyn_cast_or_null<DenseElementsAttr>(constant);
  if (!elements || !elements.isSplat())
    return std::nullopt;
  if (isa<FloatType>(elements.getElementType()))
    return elements.getSplatValue<APFloat>().convertToDouble();
  return static_cast<double>(elements.getSplatValue<APInt>().getSExtValue());
}

ScalarFn getBinaryFunction(BinaryKind kind, Type lhs, Type rhs, Attribute constantRhs) {
  std::optional<double> exponent = kind == BinaryKind::pow ? getExponent(constantRhs) : std::nullopt;
  bool u = isUnsigned(lhs);
  return [=](OpBuilder &b, Location loc, ValueRange operands) -> Value {
    Value x = operands[0], y = operands[1];
    Math m{b, loc, x.getType()};
    switch (kind) {
    case BinaryKind::add:
      return m.add(x, y);
    case BinaryKind::sub:
      return m.sub(x, y);
    case BinaryKind::mul:
      return m.mul(x, y);
    case BinaryKind::div:
      return m.isFloat() ? m.div(x, y) : emitIntegerDivision(m, x, y, u, /*remainder=*/false);
    case BinaryKind::pow:
      return emitPower(m, x, y, lhs, rhs, exponent);
    case BinaryKind::minimum:
      if (m.isFloat())
        return constantRhs ? m.min(x, y) : m.make<arith::MinimumFOp>(x, y);
      return u ? m.make<arith::MinUIOp>(x, y) : m.make<arith::MinSIOp>(x, y);
    case BinaryKind::maximum:
      if (m.isFloat())
        return constantRhs ? m.max(x, y) : m.make<arith::MaximumFOp>(x, y);
      return u ? m.make<arith::MaxUIOp>(x, y) : m.make<arith::MaxSIOp>(x, y);
    case BinaryKind::mod:
      return emitModulo(m, x, y, u);
    case BinaryKind::fmod:
      return m.isFloat() ? m.make<arith::RemFOp>(x, y) : emitIntegerDivision(m, x, y, u, /*remainder=*/true);
    case BinaryKind::logical_and:
    case BinaryKind::bitwise_and:
      return m.make<arith::AndIOp>(x, y);
    case BinaryKind::logical_or:
    case BinaryKind::bitwise_or:
      return m.make<arith::OrIOp>(x, y);
    case BinaryKind::logical_xor:
    case BinaryKind::bitwise_xor:
      return m.make<arith::XOrIOp>(x, y);
    case BinaryKind::shift_left:
    case BinaryKind::shift_right:
      return emitShift(m, x, y, kind == BinaryKind::shift_left);
    case BinaryKind::prelu:
      return m.select(u ? makeNumber(b, loc, b.getI1Type(), 0) : m.less(x, m.num(0)), m.mul(x, y), x);
    }
    return {};
  };
}

ScalarFn getCompareFunction(CompareKind kind, Type type) {
  bool u = isUnsigned(type);
  return [=](OpBuilder &b, Location loc, ValueRange x) -> Value {
    static constexpr CmpFPredicate floats[] = {CmpFPredicate::OEQ, CmpFPredicate::UNE, CmpFPredicate::OLT,
                                               CmpFPredicate::OLE, CmpFPredicate::OGT, CmpFPredicate::OGE};
    static constexpr CmpIPredicate signedOnes[] = {CmpIPredicate::eq,  CmpIPredicate::ne,  CmpIPredicate::slt,
                                                   CmpIPredicate::sle, CmpIPredicate::sgt, CmpIPredicate::sge};
    static constexpr CmpIPredicate unsignedOnes[] = {CmpIPredicate::eq,  CmpIPredicate::ne,  CmpIPredicate::ult,
                                                     CmpIPredicate::ule, CmpIPredicate::ugt, CmpIPredicate::uge};
    unsigned i = static_cast<unsigned>(kind);
    if (isa<FloatType>(x[0].getType()))
      return b.create<arith::CmpFOp>(loc, floats[i], x[0], x[1]);
    return b.create<arith::CmpIOp>(loc, u ? unsignedOnes[i] : signedOnes[i], x[0], x[1]);
  };
}

ScalarFn getCastFunction(Type from, Type to, bool saturate) {
  return [=](OpBuilder &b, Location loc, ValueRange x) {
    return from == to ? x[0] : convert(b, loc, x[0], from, to, saturate);
  };
}

//===----------------------------------------------------------------------===//
// Reductions
//===----------------------------------------------------------------------===//

TypedAttr getNeutral(Combiner combiner, Type nnType) {
  Type type = getComputeType(nnType);
  double infinity = std::numeric_limits<double>::infinity();
  switch (combiner) {
  case Combiner::sum:
  case Combiner::sumOfProducts:
    return getNumber(type, 0);
  case Combiner::product:
    return getNumber(type, 1);
  case Combiner::maximum:
  case Combiner::maximumNumber:
  case Combiner::minimum:
    break;
  }
  bool largest = combiner == Combiner::minimum;
  if (isa<FloatType>(type))
    return getNumber(type, largest ? infinity : -infinity);
  unsigned width = type.getIntOrFloatBitWidth();
  if (isUnsigned(nnType))
    return IntegerAttr::get(type, largest ? APInt::getMaxValue(width) : APInt::getMinValue(width));
  return IntegerAttr::get(type, largest ? APInt::getSignedMaxValue(width) : APInt::getSignedMinValue(width));
}

Value combine(OpBuilder &b, Location loc, Combiner combiner, Type nnType, Value accumulator, ArrayRef<Value> values) {
  Value x = values[0];
  Math m{b, loc, accumulator.getType()};
  bool isFloat = m.isFloat();
  switch (combiner) {
  case Combiner::sum:
    return m.add(accumulator, x);
  case Combiner::product:
    return m.mul(accumulator, x);
  case Combiner::sumOfProducts:
    return isFloat ? b.create<math::FmaOp>(loc, x, values[1], accumulator).getResult()
                   : m.add(accumulator, m.mul(x, values[1]));
  case Combiner::maximumNumber:
    if (isFloat)
      return m.select(m.greater(x, accumulator), x, accumulator);
    [[fallthrough]];
  case Combiner::maximum:
    if (isFloat)
      return m.make<arith::MaximumFOp>(accumulator, x);
    return isUnsigned(nnType) ? m.make<arith::MaxUIOp>(accumulator, x) : m.make<arith::MaxSIOp>(accumulator, x);
  case Combiner::minimum:
    if (isFloat)
      return m.make<arith::MinimumFOp>(accumulator, x);
    return isUnsigned(nnType) ? m.make<arith::MinUIOp>(accumulator, x) : m.make<arith::MinSIOp>(accumulator, x);
  }
  return {};
}

} // namespace penstock::nntolinalg
