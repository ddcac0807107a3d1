//===- ElementFold.cpp - Elementwise arithmetic on known elements -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#include "ElementFold.h"
#include "llvm/Support/MathExtras.h"
#include <cmath>
#include <limits>

namespace penstock::onnximport {

static bool isFloat(Type type) { return isa<FloatType>(type); }

bool isShapeArithmetic(RankedTensorType type) {
  int64_t limit = isFloat(type.getElementType()) ? kMaxFoldedFloats * 4 : kMaxInlineBytes;
  return type.hasStaticShape() && type.getNumElements() * nn::getElementBytes(type.getElementType()) <= limit;
}

static MaybeElement makeFloat(NodeContext &n, double value, Type type) {
  bool inexact;
  APFloat rounded(value);
  rounded.convert(cast<FloatType>(type).getFloatSemantics(), APFloat::rmNearestTiesToEven, &inexact);
  rounded.convert(APFloat::IEEEdouble(), APFloat::rmNearestTiesToEven, &inexact);
  return Element{n.cst(1), rounded.convertToDouble()};
}

/// A constant must fit into the type; an expression may be anything that an index type holds.
static MaybeElement makeInt(NodeContext &n, AffineExpr expr, Type type) {
  expr = n.algebra().normalize(expr);
  if (ShapeAlgebra::isTooLarge(expr))
    return std::nullopt;
  unsigned width = type.getIntOrFloatBitWidth();
  if (std::optional<int64_t> value = nn::getConstant(expr)) {
    bool fits = width == 64 || (type.isUnsignedInteger() || width == 1 ? *value >= 0 && *value < (int64_t(1) << width)
                                                                       : llvm::isIntN(width, *value));
    return fits ? MaybeElement(Element{expr}) : std::nullopt;
  }
  return width >= 32 ? MaybeElement(Element{expr}) : std::nullopt;
}
static MaybeElement makeInt(NodeContext &n, int64_t value, Type type) { return makeInt(n, n.cst(value), type); }

/// floor or ceil of `factor * expr`; only where the factor is a fraction with a power of two below it, so exact in
/// floats.
static MaybeElement roundElement(NodeContext &n, const Element &input, bool up) {
  if (std::optional<double> value = input.getDouble()) {
    double rounded = up ? std::ceil(*value) : std::floor(*value);
    if (!(std::abs(rounded) < 9e15))
      return std::nullopt;
    return Element{n.cst(static_cast<int64_t>(rounded))};
  }
  for (int64_t divisor = 1; divisor <= 1024; divisor *= 2) {
    double numerator = input.factor * static_cast<double>(divisor);
    if (numerator != std::floor(numerator) || std::abs(numerator) > 1e6)
      continue;
    AffineExpr scaled = n.algebra().mul(input.expr, n.cst(static_cast<int64_t>(numerator)));
    return Element{up ? n.algebra().ceilDiv(scaled, n.cst(divisor)) : n.algebra().floorDiv(scaled, n.cst(divisor))};
  }
  return std::nullopt;
}

//===----------------------------------------------------------------------===//
// Unary
//===----------------------------------------------------------------------===//

static MaybeElement foldUnaryFloat(NodeContext &n, nn::UnaryKind kind, const Element &input, Type type) {
  if (kind == nn::UnaryKind::floor || kind == nn::UnaryKind::ceil) {
    MaybeElement rounded = roundElement(n, input, kind == nn::UnaryKind::ceil);
    if (rounded && rounded->getInt())
      return makeFloat(n, static_cast<double>(*rounded->getInt()), type);
    return rounded;
  }
  if (kind == nn::UnaryKind::neg)
    return Element{input.expr, -input.factor};
  std::optional<double> value = input.getDouble();
  if (!value)
    return std::nullopt;
  switch (kind) {
  case nn::UnaryKind::abs:
    return makeFloat(n, std::abs(*value), type);
  case nn::UnaryKind::sqrt:
    return makeFloat(n, std::sqrt(*value), type);
  case nn::UnaryKind::reciprocal:
    return makeFloat(n, 1.0 / *value, type);
  case nn::UnaryKind::relu:
    return makeFloat(n, *value > 0 ? *value : 0.0, type);
  case nn::UnaryKind::round_even:
    return makeFloat(n, std::nearbyint(*value), type);
  default:
    return std::nullopt;
  }
}

MaybeElement foldUnary(NodeContext &n, nn::UnaryKind kind, const Element &input, Type type) {
  if (kind == nn::UnaryKind::identity)
    return input;
  if (isFloat(type))
    return foldUnaryFloat(n, kind, input, type);
  if (kind == nn::UnaryKind::neg && !type.isUnsignedInteger())
    return makeInt(n, n.algebra().mul(input.expr, n.cst(-1)), type);
  if ((kind == nn::UnaryKind::abs || kind == nn::UnaryKind::relu) && n.algebra().isNonNegative(input.expr))
    return input;
  std::optional<int64_t> value = input.getInt();
  if (!value)
    return std::nullopt;
  switch (kind) {
  case nn::UnaryKind::abs:
    return *value == std::numeric_limits<int64_t>::min() ? std::nullopt : makeInt(n, std::abs(*value), type);
  case nn::UnaryKind::relu:
    return makeInt(n, std::max<int64_t>(0, *value), type);
  case nn::UnaryKind::sign:
    return makeInt(n, *value > 0 ? 1 : *value < 0 ? -1 : 0, type);
  case nn::UnaryKind::logical_not:
    return makeInt(n, *value == 0, type);
  default:
    return std::nullopt;
  }
}

//===----------------------------------------------------------------------===//
// Binary
//===----------------------------------------------------------------------===//

static MaybeElement foldBinaryFloat(NodeContext &n, nn::BinaryKind kind, const Element &lhs, const Element &rhs,
                                    Type type) {
  std::optional<double> left = lhs.getDouble(), right = rhs.getDouble();
  if (!left || !right) {
    // A dimension scaled by a constant stays one; so does a sum of dimensions.
    if (kind == nn::BinaryKind::mul && (left || right))
      return left ? Element{rhs.expr, rhs.factor * *left} : Element{lhs.expr, lhs.factor * *right};
    if (kind == nn::BinaryKind::div && right && *right != 0)
      return Element{lhs.expr, lhs.factor / *right};
    // A quotient of dimensions that comes out even, as in "the new extent over the old one".
    if (kind == nn::BinaryKind::div && !left && !right && rhs.factor != 0) {
      AffineExpr quotient = n.algebra().floorDiv(lhs.expr, rhs.expr);
      if (nn::getConstant(quotient) && n.algebra().mul(quotient, rhs.expr) == n.algebra().normalize(lhs.expr))
        return makeFloat(n, lhs.factor / rhs.factor * static_cast<double>(*nn::getConstant(quotient)), type);
    }
    auto integral = [&](const Element &element, std::optional<double> value) -> AffineExpr {
      if (!value)
        return element.factor == 1.0 ? element.expr : AffineExpr();
      return *value == std::floor(*value) && std::abs(*value) < 1e9 ? n.cst(static_cast<int64_t>(*value))
                                                                    : AffineExpr();
    };
    AffineExpr a = integral(lhs, left), b = integral(rhs, right);
    if (a && b && kind == nn::BinaryKind::add)
      return Element{n.algebra().add(a, b)};
    if (a && b && kind == nn::BinaryKind::sub)
      return Element{n.algebra().sub(a, b)};
    if (a && b && kind == nn::BinaryKind::minimum)
      return Element{n.algebra().minimum(a, b)};
    if (a && b && kind == nn::BinaryKind::maximum)
      return Element{n.algebra().maximum(a, b)};
    return std::nullopt;
  }
  switch (kind) {
  case nn::BinaryKind::add:
    return makeFloat(n, *left + *right, type);
  case nn::BinaryKind::sub:
    return makeFloat(n, *left - *right, type);
  case nn::BinaryKind::mul:
    return makeFloat(n, *left * *right, type);
  case nn::BinaryKind::div:
    return makeFloat(n, *left / *right, type);
  case nn::BinaryKind::pow:
    return makeFloat(n, std::pow(*left, *right), type);
  case nn::BinaryKind::minimum:
    return std::isnan(*left) || std::isnan(*right) ? std::nullopt : makeFloat(n, std::min(*left, *right), type);
  case nn::BinaryKind::maximum:
    return std::isnan(*left) || std::isnan(*right) ? std::nullopt : makeFloat(n, std::max(*left, *right), type);
  default:
    return std::nullopt;
  }
}

/// Integer division truncates; on what is known to be non-negative that is `floordiv`.
static MaybeElement foldDivision(NodeContext &n, bool isMod, const Element &lhs, const Element &rhs, Type type) {
  std::optional<int64_t> left = lhs.getInt(), right = rhs.getInt();
  if (left && right) {
    if (*right == 0 || (*right == -1 && *left == std::numeric_limits<int64_t>::min()))
      return std::nullopt;
    if (!isMod)
      return makeInt(n, *left / *right, type);
    int64_t rest = *left % *right; // the sign of the divisor
    return makeInt(n, rest != 0 && (rest < 0) != (*right < 0) ? rest + *right : rest, type);
  }
  ShapeAlgebra &algebra = n.algebra();
  if (!algebra.isNonNegative(lhs.expr) || !algebra.isNonNegative(algebra.sub(rhs.expr, n.cst(1))))
    return std::nullopt;
  return makeInt(n, isMod ? algebra.mod(lhs.expr, rhs.expr) : algebra.floorDiv(lhs.expr, rhs.expr), type);
}

/// A small power of an integer; the exponent may be a float.
static MaybeElement foldPower(NodeContext &n, const Element &base, const Element &exponent, Type type) {
  std::optional<double> count = exponent.getDouble();
  if (!count || *count < 0 || *count > 8 || *count != std::floor(*count))
    return std::nullopt;
  AffineExpr result = n.cst(1);
  for (int i = 0; i < static_cast<int>(*count) && !ShapeAlgebra::isTooLarge(result); ++i)
    result = n.algebra().mul(result, base.expr);
  return makeInt(n, result, type);
}

MaybeElement foldBinary(NodeContext &n, nn::BinaryKind kind, const Element &lhs, const Element &rhs, Type type) {
  if (isFloat(type))
    return foldBinaryFloat(n, kind, lhs, rhs, type);
  ShapeAlgebra &algebra = n.algebra();
  std::optional<int64_t> left = lhs.getInt(), right = rhs.getInt();
  switch (kind) {
  case nn::BinaryKind::add:
    return makeInt(n, algebra.add(lhs.expr, rhs.expr), type);
  case nn::BinaryKind::sub:
    return makeInt(n, algebra.sub(lhs.expr, rhs.expr), type);
  case nn::BinaryKind::mul:
    return makeInt(n, algebra.mul(lhs.expr, rhs.expr), type);
  case nn::BinaryKind::div:
    return foldDivision(n, false, lhs, rhs, type);
  case nn::BinaryKind::mod:
    return foldDivision(n, true, lhs, rhs, type);
  case nn::BinaryKind::minimum:
    return makeInt(n, algebra.minimum(lhs.expr, rhs.expr), type);
  case nn::BinaryKind::maximum:
    return makeInt(n, algebra.maximum(lhs.expr, rhs.expr), type);
  case nn::BinaryKind::pow:
    return foldPower(n, lhs, rhs, type);
  case nn::BinaryKind::logical_and:
    if (left && right)
      return makeInt(n, *left && *right, type);
    return std::nullopt;
  case nn::BinaryKind::logical_or:
    if (left && right)
      return makeInt(n, *left || *right, type);
    return std::nullopt;
  case nn::BinaryKind::logical_xor:
    if (left && right)
      return makeInt(n, (*left != 0) != (*right != 0), type);
    return std::nullopt;
  default:
    return std::nullopt;
  }
}

//===----------------------------------------------------------------------===//
// Comparisons and casts
//===----------------------------------------------------------------------===//

static bool compareNumbers(nn::CompareKind kind, double left, double right) {
  switch (kind) {
  case nn::CompareKind::eq:
    return left == right;
  case nn::CompareKind::ne:
    return left != right;
  case nn::CompareKind::lt:
    return left < right;
  case nn::CompareKind::le:
    return left <= right;
  case nn::CompareKind::gt:
    return left > right;
  case nn::CompareKind::ge:
    return left >= right;
  }
  return false;
}

MaybeElement foldCompare(NodeContext &n, nn::CompareKind kind, const Element &lhs, const Element &rhs, Type type) {
  std::optional<bool> answer;
  ShapeAlgebra &algebra = n.algebra();
  if (isFloat(type)) {
    std::optional<double> left = lhs.getDouble(), right = rhs.getDouble();
    if (!left || !right)
      return std::nullopt;
    answer = compareNumbers(kind, *left, *right);
  } else {
    auto negate = [](std::optional<bool> value) { return value ? std::optional<bool>(!*value) : value; };
    switch (kind) {
    case nn::CompareKind::eq:
      answer = algebra.equal(lhs.expr, rhs.expr);
      break;
    case nn::CompareKind::ne:
      answer = negate(algebra.equal(lhs.expr, rhs.expr));
      break;
    case nn::CompareKind::lt:
      answer = algebra.less(lhs.expr, rhs.expr);
      break;
    case nn::CompareKind::ge:
      answer = negate(algebra.less(lhs.expr, rhs.expr));
      break;
    case nn::CompareKind::gt:
      answer = algebra.less(rhs.expr, lhs.expr);
      break;
    case nn::CompareKind::le:
      answer = negate(algebra.less(rhs.expr, lhs.expr));
      break;
    }
  }
  return answer ? MaybeElement(Element{n.cst(*answer)}) : std::nullopt;
}

MaybeElement foldCast(NodeContext &n, const Element &input, Type from, Type to) {
  if (from == to)
    return input;
  if (to.isInteger(1)) {
    std::optional<double> value = input.getDouble();
    return value ? MaybeElement(Element{n.cst(*value != 0)}) : std::nullopt;
  }
  if (isFloat(to)) {
    if (std::optional<double> value = input.getDouble())
      return makeFloat(n, *value, to);
    return input;
  }
  if (!isFloat(from))
    return makeInt(n, input.expr, to);
  // Toward zero: down for what is not negative, else up; an expression must be known to be one of the two.
  std::optional<double> value = input.getDouble();
  if (!value && !(input.factor >= 0 && n.algebra().isNonNegative(input.expr)))
    return std::nullopt;
  MaybeElement rounded = roundElement(n, input, value && *value < 0);
  return rounded ? makeInt(n, rounded->expr, to) : std::nullopt;
}

//===----------------------------------------------------------------------===//
// Broadcasting
//===----------------------------------------------------------------------===//

bool foldElementwise(NodeContext &n, int numInputs, Type resultType,
                     llvm::function_ref<MaybeElement(ArrayRef<Element>)> fold) {
  SmallVector<const Elements *> inputs;
  SmallVector<RankedTensorType> types;
  Extents joined;
  for (int i = 0; i < numInputs; ++i) {
    inputs.push_back(n.getElements(i));
    if (!inputs.back())
      return false;
    types.push_back(n.getType(i));
    std::optional<Extents> next = nn::broadcastExtents(joined, nn::getExtents(types.back()));
    if (!next)
      return false;
    joined = *next;
  }
  RankedTensorType type = nn::getTensorType(joined, resultType);
  int64_t numElements = type.getNumElements();
  if (!isShapeArithmetic(type) || !isShapeArithmetic(types.front()))
    return false;
  Elements results;
  SmallVector<Element> operands;
  for (int64_t index = 0; index < numElements; ++index) {
    operands.clear();
    for (auto [elements, operandType] : llvm::zip(inputs, types)) {
      int64_t rest = index, position = 0, stride = 1;
      for (int64_t axis = type.getRank() - 1, own = operandType.getRank() - 1; own >= 0; --axis, --own) {
        int64_t coordinate = rest % type.getDimSize(axis);
        rest /= type.getDimSize(axis);
        if (operandType.getDimSize(own) != 1)
          position += coordinate * stride;
        stride *= operandType.getDimSize(own);
      }
      operands.push_back((*elements)[position]);
    }
    MaybeElement result = fold(operands);
    if (!result || ShapeAlgebra::isTooLarge(result->expr))
      return false;
    results.push_back(*result);
  }
  return succeeded(n.setOutput(0, type, std::move(results)));
}

} // namespace penstock::onnximport
