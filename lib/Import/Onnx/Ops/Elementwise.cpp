//===- Elementwise.cpp - ONNX operators on single elements -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#include "ElementFold.h"
#include "Families.h"
#include "penstock/Import/Onnx/OperatorRegistry.h"
#include <limits>

namespace penstock::onnximport {
namespace {

using nn::BinaryKind;
using nn::CompareKind;
using nn::UnaryKind;

//===----------------------------------------------------------------------===//
// Unary
//===----------------------------------------------------------------------===//

Converter unary(UnaryKind kind) {
  return [kind](NodeContext &n) -> LogicalResult {
    Type type = n.getElementType(0);
    if (!type)
      return failure();
    if (foldElementwise(n, 1, type, [&](ArrayRef<Element> in) { return foldUnary(n, kind, in[0], type); }))
      return success();
    return n.setOutput(0, n.unary(kind, n.getInput(0)));
  };
}

/// A function with one parameter, the attribute `name`.
Converter unary(UnaryKind kind, const char *name, double defaultValue) {
  return [=](NodeContext &n) { return n.setOutput(0, n.unary(kind, n.getInput(0), n.getFloat(name, defaultValue))); };
}
Converter unary(UnaryKind kind, const char *alpha, double defaultAlpha, const char *beta, double defaultBeta) {
  return [=](NodeContext &n) {
    return n.setOutput(0, n.unary(kind, n.getInput(0), n.getFloat(alpha, defaultAlpha), n.getFloat(beta, defaultBeta)));
  };
}

LogicalResult convertIsInf(NodeContext &n) {
  return n.setOutput(0, n.unary(UnaryKind::is_inf, n.getInput(0), n.getInt("detect_positive", 1) ? 1.0 : 0.0,
                                n.getInt("detect_negative", 1) ? 1.0 : 0.0));
}

LogicalResult convertGelu(NodeContext &n) {
  std::string approximate = n.getString("approximate", "none");
  if (approximate != "none" && approximate != "tanh")
    return n.emitError() << "approximate is '" << approximate << "'; expected 'none' or 'tanh'";
  return n.setOutput(0, n.unary(approximate == "tanh" ? UnaryKind::gelu_tanh : UnaryKind::gelu, n.getInput(0)));
}

LogicalResult convertSwish(NodeContext &n) {
  Value input = n.getInput(0);
  double alpha = n.getFloat("alpha", 1.0);
  if (!input || alpha == 1.0)
    return n.setOutput(0, n.unary(UnaryKind::silu, input));
  Value scaled = n.mul(input, n.scalar(alpha, n.elementOf(input)));
  return n.setOutput(0, n.mul(input, n.unary(UnaryKind::sigmoid, scaled)));
}

LogicalResult convertIdentity(NodeContext &n) { return n.forward(0, n.getValue(0)); }

//===----------------------------------------------------------------------===//
// Casts
//===----------------------------------------------------------------------===//

LogicalResult castTo(NodeContext &n, Type to) {
  Type from = n.getElementType(0);
  if (!to || !from)
    return failure();
  if (from == to)
    return n.forward(0, n.getValue(0));
  if (foldElementwise(n, 1, to, [&](ArrayRef<Element> in) { return foldCast(n, in[0], from, to); }))
    return success();
  bool isFloat8 = isa<FloatType>(to) && to.getIntOrFloatBitWidth() == 8;
  return n.setOutput(0, n.cast_(n.getInput(0), to, isFloat8 && n.getInt("saturate", 1)));
}

LogicalResult convertCast(NodeContext &n) {
  if (!n.hasAttr("to"))
    return n.emitError() << "attribute 'to' is missing";
  return castTo(n, n.getTypeAttr("to", 0));
}
LogicalResult convertCastLike(NodeContext &n) { return castTo(n, n.getElementType(1)); }

LogicalResult convertBitCast(NodeContext &n) {
  Type from = n.getElementType(0), to = n.hasAttr("to") ? n.getTypeAttr("to", 0) : Type();
  if (!from || !to)
    return n.hasAttr("to") ? failure() : n.emitError() << "attribute 'to' is missing";
  if (from == to)
    return n.forward(0, n.getValue(0));
  // A bool fills a byte.
  auto numBits = [](Type type) { return type.isInteger(1) ? 8 : type.getIntOrFloatBitWidth(); };
  if (numBits(from) != numBits(to))
    return n.emitError() << "element types " << from << " and " << to << " have " << numBits(from) << " and "
                         << numBits(to) << " bits; expected the same";
  Type byte = IntegerType::get(n.getContext(), 8, IntegerType::Unsigned);
  auto reinterpret = [&](Value value, Type type) {
    bool isSame = value && n.elementOf(value) == type;
    return isSame ? value : n.make<nn::BitcastOp>(value, n.attr("to", TypeAttr::get(type)));
  };
  Value input = n.getInput(0);
  if (from.isInteger(1))
    input = n.cast_(input, byte);
  return n.setOutput(0, to.isInteger(1) ? n.cast_(reinterpret(input, byte), to) : reinterpret(input, to));
}

//===----------------------------------------------------------------------===//
// Binary
//===----------------------------------------------------------------------===//

LogicalResult convertBinaryKind(NodeContext &n, BinaryKind kind) {
  Type type = n.getElementType(0);
  if (!type || !n.getType(1))
    return failure();
  // An exponent may be of another type.
  if ((n.getElementType(1) == type || kind == BinaryKind::pow) &&
      foldElementwise(n, 2, type, [&](ArrayRef<Element> in) { return foldBinary(n, kind, in[0], in[1], type); }))
    return success();
  return n.setOutput(0, n.binary(kind, n.getInput(0), n.getInput(1)));
}
Converter binary(BinaryKind kind) {
  return [kind](NodeContext &n) { return convertBinaryKind(n, kind); };
}

LogicalResult convertMod(NodeContext &n) {
  return convertBinaryKind(n, n.getInt("fmod", 0) ? BinaryKind::fmod : BinaryKind::mod);
}

LogicalResult convertBitShift(NodeContext &n) {
  std::string direction = n.getString("direction", "");
  if (direction != "LEFT" && direction != "RIGHT")
    return n.emitError() << "direction is '" << direction << "'; expected 'LEFT' or 'RIGHT'";
  return convertBinaryKind(n, direction == "LEFT" ? BinaryKind::shift_left : BinaryKind::shift_right);
}

/// Any number of inputs, combined from left to right.
Converter variadic(BinaryKind kind, bool isMean = false) {
  return [=](NodeContext &n) -> LogicalResult {
    if (n.getNumInputs() == 2 && !isMean)
      return convertBinaryKind(n, kind);
    Value result = n.getInput(0);
    for (int i = 1; i < n.getNumInputs(); ++i)
      result = n.binary(kind, result, n.getInput(i));
    if (isMean && result)
      result = n.div(result, n.scalar(n.getNumInputs(), n.elementOf(result)));
    if (n.getNumInputs() == 1 && result)
      return n.forward(0, n.getValue(0));
    return n.setOutput(0, result);
  };
}

Converter compare(CompareKind kind) {
  return [kind](NodeContext &n) -> LogicalResult {
    Type type = n.getElementType(0);
    if (!type || !n.getType(1))
      return failure();
    if (foldElementwise(n, 2, n.builder().getI1Type(),
                        [&](ArrayRef<Element> in) { return foldCompare(n, kind, in[0], in[1], type); }))
      return success();
    if (failed(n.setOutput(0, n.compare(kind, n.getInput(0), n.getInput(1)))))
      return failure();
    // An `If` on it may have to know.
    const Elements *left = n.getElements(0), *right = n.getElements(1);
    OnnxValue *output = n.getOutput(0);
    if (output && kind == CompareKind::eq && isIntegerType(type) && left && right && left->size() == 1 &&
        right->size() == 1)
      output->equality = {left->front().expr, right->front().expr};
    return success();
  };
}

LogicalResult convertWhere(NodeContext &n) {
  Type type = n.getElementType(1);
  if (!type)
    return failure();
  if (foldElementwise(n, 3, type, [&](ArrayRef<Element> in) -> MaybeElement {
        std::optional<int64_t> condition = in[0].getInt();
        return condition ? MaybeElement(*condition ? in[1] : in[2]) : std::nullopt;
      }))
    return success();
  return n.setOutput(0, n.select(n.getInput(0), n.getInput(1), n.getInput(2)));
}

//===----------------------------------------------------------------------===//
// Clip
//===----------------------------------------------------------------------===//

/// A bound may come as a tensor of one element of any rank.
Value getBound(NodeContext &n, int index) {
  Value bound = n.getInput(index);
  return bound && n.typeOf(bound).getRank() != 0 ? n.reshape(bound, {}) : bound;
}

LogicalResult convertClip(NodeContext &n) {
  Type type = n.getElementType(0);
  if (!type)
    return failure();
  if (n.hasInput(1) && n.hasInput(2) && foldElementwise(n, 3, type, [&](ArrayRef<Element> in) -> MaybeElement {
        MaybeElement low = foldBinary(n, BinaryKind::maximum, in[0], in[1], type);
        return low ? foldBinary(n, BinaryKind::minimum, *low, in[2], type) : std::nullopt;
      }))
    return success();
  Value result = n.getInput(0);
  if (n.hasInput(1))
    result = n.binary(BinaryKind::maximum, result, getBound(n, 1));
  if (n.hasInput(2))
    result = n.binary(BinaryKind::minimum, result, getBound(n, 2));
  return n.getNumInputs() > 1 && result != n.getInput(0) ? n.setOutput(0, result) : n.forward(0, n.getValue(0));
}

LogicalResult convertClip6(NodeContext &n) {
  Value result = n.getInput(0);
  if (!result)
    return failure();
  Type type = n.elementOf(result);
  constexpr double kMax = std::numeric_limits<float>::max();
  double low = n.getFloat("min", -kMax), high = n.getFloat("max", kMax);
  if (low > -kMax)
    result = n.binary(BinaryKind::maximum, result, n.scalar(low, type));
  if (high < kMax)
    result = n.binary(BinaryKind::minimum, result, n.scalar(high, type));
  return result == n.getInput(0) ? n.forward(0, n.getValue(0)) : n.setOutput(0, result);
}

} // namespace

void registerElementwiseOperators(OperatorRegistry &r) {
  r.add("Abs", 6, unary(UnaryKind::abs));
  r.add("Neg", 6, unary(UnaryKind::neg));
  r.add("Sign", 9, unary(UnaryKind::sign));
  r.add("Ceil", 6, unary(UnaryKind::ceil));
  r.add("Floor", 6, unary(UnaryKind::floor));
  r.add("Round", 11, unary(UnaryKind::round_even));
  r.add("Sqrt", 6, unary(UnaryKind::sqrt));
  r.add("Reciprocal", 6, unary(UnaryKind::reciprocal));
  r.add("Exp", 6, unary(UnaryKind::exp));
  r.add("Log", 6, unary(UnaryKind::log));
  r.add("Sin", 7, unary(UnaryKind::sin));
  r.add("Cos", 7, unary(UnaryKind::cos));
  r.add("Tan", 7, unary(UnaryKind::tan));
  r.add("Asin", 7, unary(UnaryKind::asin));
  r.add("Acos", 7, unary(UnaryKind::acos));
  r.add("Atan", 7, unary(UnaryKind::atan));
  r.add("Sinh", 9, unary(UnaryKind::sinh));
  r.add("Cosh", 9, unary(UnaryKind::cosh));
  r.add("Tanh", 6, unary(UnaryKind::tanh));
  r.add("Asinh", 9, unary(UnaryKind::asinh));
  r.add("Acosh", 9, unary(UnaryKind::acosh));
  r.add("Atanh", 9, unary(UnaryKind::atanh));
  r.add("Erf", 9, unary(UnaryKind::erf));
  r.add("Not", 1, unary(UnaryKind::logical_not));
  r.add("BitwiseNot", 18, unary(UnaryKind::bitwise_not));
  r.add("IsNaN", 9, unary(UnaryKind::is_nan));
  r.add("IsInf", 10, convertIsInf);
  r.add("Relu", 6, unary(UnaryKind::relu));
  r.add("LeakyRelu", 6, unary(UnaryKind::leaky_relu, "alpha", 0.01f));
  r.add("ThresholdedRelu", 10, unary(UnaryKind::thresholded_relu, "alpha", 1.0));
  r.add("Elu", 6, unary(UnaryKind::elu, "alpha", 1.0));
  r.add("Selu", 6, unary(UnaryKind::selu, "alpha", 1.67326319217681884765625, "gamma", 1.05070102214813232421875));
  r.add("Celu", 12, unary(UnaryKind::celu, "alpha", 1.0));
  r.add("Sigmoid", 6, unary(UnaryKind::sigmoid));
  r.add("HardSigmoid", 6, unary(UnaryKind::hard_sigmoid, "alpha", 0.2f, "beta", 0.5));
  r.add("HardSwish", 14, unary(UnaryKind::hard_swish));
  r.add("Softplus", 1, unary(UnaryKind::softplus));
  r.add("Softsign", 1, unary(UnaryKind::softsign));
  r.add("Mish", 18, unary(UnaryKind::mish));
  r.add("Gelu", 20, convertGelu);
  r.add("Swish", 24, convertSwish);
  r.add("Shrink", 9, unary(UnaryKind::shrink, "lambd", 0.5, "bias", 0.0));
  r.add("Identity", 1, convertIdentity);
  r.add("Cast", 6, convertCast);
  r.add("CastLike", 15, convertCastLike);
  r.add("BitCast", 26, convertBitCast);
  r.add("Add", 7, binary(BinaryKind::add));
  r.add("Sub", 7, binary(BinaryKind::sub));
  r.add("Mul", 7, binary(BinaryKind::mul));
  r.add("Div", 7, binary(BinaryKind::div));
  r.add("Pow", 7, binary(BinaryKind::pow));
  r.add("PRelu", 7, binary(BinaryKind::prelu));
  r.add("Mod", 10, convertMod);
  r.add("And", 7, binary(BinaryKind::logical_and));
  r.add("Or", 7, binary(BinaryKind::logical_or));
  r.add("Xor", 7, binary(BinaryKind::logical_xor));
  r.add("BitwiseAnd", 18, binary(BinaryKind::bitwise_and));
  r.add("BitwiseOr", 18, binary(BinaryKind::bitwise_or));
  r.add("BitwiseXor", 18, binary(BinaryKind::bitwise_xor));
  r.add("BitShift", 11, convertBitShift);
  r.add("Max", 6, variadic(BinaryKind::maximum));
  r.add("Min", 6, variadic(BinaryKind::minimum));
  r.add("Sum", 6, variadic(BinaryKind::add));
  r.add("Mean", 6, variadic(BinaryKind::add, /*isMean=*/true));
  r.add("Equal", 7, compare(CompareKind::eq));
  r.add("Less", 7, compare(CompareKind::lt));
  r.add("LessOrEqual", 12, compare(CompareKind::le));
  r.add("Greater", 7, compare(CompareKind::gt));
  r.add("GreaterOrEqual", 12, compare(CompareKind::ge));
  r.add("Where", 9, convertWhere);
  r.add("Clip", 6, convertClip6);
  r.add("Clip", 11, convertClip);
}

} // namespace penstock::onnximport
