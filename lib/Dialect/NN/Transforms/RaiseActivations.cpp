//===- RaiseActivations.cpp - nn-raise-activations -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#include "Matchers.h"
#include "penstock/Dialect/NN/Transforms/Passes.h"

#include "mlir/IR/PatternMatch.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

namespace penstock::nn {
#define GEN_PASS_DEF_RAISEACTIVATIONSPASS
#include "penstock/Dialect/NN/Transforms/Passes.h.inc"

namespace {

/// Factors of a tree of products, constants multiplied into one number.
struct Product {
  SmallVector<Value> factors;
  double number = 1.0;
  double tolerance = 1e-5; ///< of the number, relative: what rounding constants to the type may have done

  bool isNear(double expected) const { return std::abs(number - expected) <= tolerance * std::abs(expected); }
};

/// Two roundings to the type, or what exporters write of a constant in decimal.
double getTolerance(Value value) {
  Type element = getElementTypeOrSelf(value.getType());
  return element.isBF16() ? 0x1p-8 : element.isF16() ? 0x1p-11 : 1e-5;
}

/// Takes products and quotients by numbers apart, at most a few levels deep: every exporter nests x, 1/2 and the rest
/// in an order of its own.
void collectFactors(Value value, Product &product, int depth = 3) {
  product.tolerance = getTolerance(value);
  if (std::optional<double> number = getUniform(value)) {
    product.number *= *number;
    return;
  }
  if (BinaryOp mul = depth > 0 ? getBinary(value, BinaryKind::mul) : BinaryOp()) {
    collectFactors(mul.getLhs(), product, depth - 1);
    collectFactors(mul.getRhs(), product, depth - 1);
    return;
  }
  if (BinaryOp div = depth > 0 ? getBinary(value, BinaryKind::div) : BinaryOp())
    if (std::optional<double> number = getUniform(div.getRhs()); number && *number != 0.0) {
      product.number /= *number;
      return collectFactors(div.getLhs(), product, depth - 1);
    }
  product.factors.push_back(value);
}

bool near(double value, double expected) { return std::abs(value - expected) <= 1e-5 * std::abs(expected); }

/// erf(x / sqrt 2) gives x.
Value matchScaledErf(Value value) {
  UnaryOp erf = getUnary(value, UnaryKind::erf);
  if (!erf)
    return {};
  Product inner;
  collectFactors(erf.getInput(), inner);
  return inner.factors.size() == 1 && inner.isNear(1.0 / std::sqrt(2.0)) ? inner.factors[0] : Value();
}

/// tanh(sqrt(2 / pi) * (x + 0.044715 * x^3)) gives x.
Value matchScaledTanh(Value value) {
  UnaryOp tanh = getUnary(value, UnaryKind::tanh);
  if (!tanh)
    return {};
  Product inner;
  collectFactors(tanh.getInput(), inner);
  if (inner.factors.size() != 1 || !inner.isNear(std::sqrt(2.0 / 3.14159265358979323846)))
    return {};
  BinaryOp sum = getBinary(inner.factors[0], BinaryKind::add);
  if (!sum)
    return {};
  for (auto [x, cubic] : {std::pair(sum.getLhs(), sum.getRhs()), std::pair(sum.getRhs(), sum.getLhs())}) {
    Product cube;
    collectFactors(cubic, cube, 4);
    if (!cube.isNear(0.044715))
      continue;
    if (cube.factors.size() == 3 && llvm::all_equal(cube.factors) && cube.factors[0] == x)
      return x;
    BinaryOp power = cube.factors.size() == 1 ? getBinary(cube.factors[0], BinaryKind::pow) : BinaryOp();
    if (power && power.getLhs() == x && isUniform(power.getRhs(), 3.0))
      return x;
  }
  return {};
}

struct RaisedActivation {
  UnaryKind kind;
  Value input;
};

/// The two factors of a gelu: x and 1 + erf(x / sqrt 2), times a half.
std::optional<RaisedActivation> matchGelu(const Product &product) {
  if (product.factors.size() != 2 || !product.isNear(0.5))
    return std::nullopt;
  for (int i : {0, 1}) {
    Value x = product.factors[i], inner = getOtherThan(product.factors[1 - i], BinaryKind::add, 1.0);
    if (!inner)
      continue;
    if (matchScaledErf(inner) == x)
      return RaisedActivation{UnaryKind::gelu, x};
    if (matchScaledTanh(inner) == x)
      return RaisedActivation{UnaryKind::gelu_tanh, x};
  }
  return std::nullopt;
}

/// x * sigmoid(x).
std::optional<RaisedActivation> matchSilu(const Product &product) {
  if (product.factors.size() != 2 || product.number != 1.0)
    return std::nullopt;
  for (int i : {0, 1}) {
    UnaryOp sigmoid = getUnary(product.factors[1 - i], UnaryKind::sigmoid);
    if (sigmoid && sigmoid.getInput() == product.factors[i])
      return RaisedActivation{UnaryKind::silu, sigmoid.getInput()};
  }
  return std::nullopt;
}

/// min(max(y, 0), top) in either order gives y.
Value matchClamp(Value value, double top) {
  if (Value inner = getOtherThan(value, BinaryKind::minimum, top))
    return getOtherThan(inner, BinaryKind::maximum, 0.0);
  if (Value inner = getOtherThan(value, BinaryKind::maximum, 0.0))
    return getOtherThan(inner, BinaryKind::minimum, top);
  return {};
}

/// x * clamp(x + 3, 0, 6) / 6, or x * hard_sigmoid(x) with slope 1/6.
std::optional<RaisedActivation> matchHardSwish(const Product &product) {
  if (product.factors.size() != 2)
    return std::nullopt;
  for (int i : {0, 1}) {
    Value x = product.factors[i], gate = product.factors[1 - i];
    if (product.isNear(1.0 / 6.0))
      if (Value inner = matchClamp(gate, 6.0); inner && getOtherThan(inner, BinaryKind::add, 3.0) == x)
        return RaisedActivation{UnaryKind::hard_swish, x};
    UnaryOp sigmoid = getUnary(gate, UnaryKind::hard_sigmoid);
    if (sigmoid && sigmoid.getInput() == x && product.number == 1.0 && sigmoid.getAlpha() && sigmoid.getBeta() &&
        near(sigmoid.getAlpha()->convertToDouble(), 1.0 / 6.0) && near(sigmoid.getBeta()->convertToDouble(), 0.5))
      return RaisedActivation{UnaryKind::hard_swish, x};
  }
  return std::nullopt;
}

struct RaiseProduct : OpRewritePattern<BinaryOp> {
  RaiseProduct(MLIRContext *context, Pass::Statistic &count) : OpRewritePattern(context), count(count) {}

  LogicalResult matchAndRewrite(BinaryOp op, PatternRewriter &rewriter) const override {
    if (op.getKind() != BinaryKind::mul && op.getKind() != BinaryKind::div)
      return failure();
    Product product;
    collectFactors(op.getResult(), product);
    std::optional<RaisedActivation> raised = matchGelu(product);
    if (!raised)
      raised = matchSilu(product);
    if (!raised)
      raised = matchHardSwish(product);
    if (!raised || raised->input.getType() != op.getType())
      return failure();
    auto unary = rewriter.create<UnaryOp>(op.getLoc(), UnaryKindAttr::get(getContext(), raised->kind), raised->input,
                                          FloatAttr(), FloatAttr());
    takePlace(op, unary);
    rewriter.replaceOp(op, unary);
    ++count;
    return success();
  }

  Pass::Statistic &count;
};

struct RaiseActivationsPass : impl::RaiseActivationsPassBase<RaiseActivationsPass> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add<RaiseProduct>(&getContext(), numRaised);
    if (failed(applyPatternsAndFoldGreedily(getOperation(), std::move(patterns))))
      signalPassFailure();
  }
};

} // namespace
} // namespace penstock::nn
