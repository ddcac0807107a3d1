//===- RaiseLayerNorm.cpp - nn-raise-layer-norm -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#include "Matchers.h"
#include "Replace.h"
#include "penstock/Dialect/NN/Transforms/Passes.h"

#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

namespace penstock::nn {
#define GEN_PASS_DEF_RAISELAYERNORMPASS
#include "penstock/Dialect/NN/Transforms/Passes.h.inc"

namespace {

/// The input of a mean over the trailing axes from some axis on, with kept dimensions.
struct TrailingMean {
  Value input;
  int64_t axis;
};

std::optional<TrailingMean> matchTrailingMean(Value value) {
  auto reduce = value.getDefiningOp<ReduceOp>();
  if (!reduce || reduce.getKind() != ReduceKind::mean || !reduce.getKeepDims() || reduce.getAxes().empty())
    return std::nullopt;
  int64_t numDims = cast<RankedTensorType>(reduce.getInput().getType()).getRank(), first = reduce.getAxes().front();
  if (static_cast<int64_t>(reduce.getAxes().size()) != numDims - first)
    return std::nullopt;
  return TrailingMean{reduce.getInput(), first};
}

/// x of x * x or pow(x, 2).
Value matchSquare(Value value) {
  if (BinaryOp mul = getBinary(value, BinaryKind::mul))
    return mul.getLhs() == mul.getRhs() ? mul.getLhs() : Value();
  BinaryOp power = getBinary(value, BinaryKind::pow);
  return power && isUniform(power.getRhs(), 2.0) ? power.getLhs() : Value();
}

struct Normalized {
  Value input; ///< before centering
  int64_t axis;
  double epsilon;
  bool rms;
};

/// sqrt(mean(centered^2) + epsilon) for the value `centered`.
std::optional<std::pair<double, int64_t>> matchDeviation(Value deviation, Value centered) {
  UnaryOp root = getUnary(deviation, UnaryKind::sqrt);
  BinaryOp sum = root ? getBinary(root.getInput(), BinaryKind::add) : BinaryOp();
  if (!sum)
    return std::nullopt;
  for (auto [variance, constant] : {std::pair(sum.getLhs(), sum.getRhs()), std::pair(sum.getRhs(), sum.getLhs())}) {
    std::optional<double> epsilon = getUniform(constant);
    std::optional<TrailingMean> mean = matchTrailingMean(variance);
    if (epsilon && mean && matchSquare(mean->input) == centered)
      return std::pair(*epsilon, mean->axis);
  }
  return std::nullopt;
}

/// centered / deviation, or centered * (1 / deviation).
std::optional<Normalized> matchNormalized(Value value) {
  Value centered, deviation;
  if (BinaryOp div = getBinary(value, BinaryKind::div)) {
    centered = div.getLhs();
    deviation = div.getRhs();
  } else if (BinaryOp mul = getBinary(value, BinaryKind::mul)) {
    for (auto [left, right] : {std::pair(mul.getLhs(), mul.getRhs()), std::pair(mul.getRhs(), mul.getLhs())}) {
      UnaryOp reciprocal = getUnary(right, UnaryKind::reciprocal);
      BinaryOp quotient = getBinary(right, BinaryKind::div);
      if (reciprocal)
        deviation = reciprocal.getInput();
      else if (quotient && isUniform(quotient.getLhs(), 1.0))
        deviation = quotient.getRhs();
      else
        continue;
      centered = left;
      break;
    }
  }
  if (!centered)
    return std::nullopt;
  std::optional<std::pair<double, int64_t>> found = matchDeviation(deviation, centered);
  if (!found)
    return std::nullopt;
  if (BinaryOp sub = getBinary(centered, BinaryKind::sub)) {
    std::optional<TrailingMean> mean = matchTrailingMean(sub.getRhs());
    if (mean && mean->input == sub.getLhs() && mean->axis == found->second)
      return Normalized{sub.getLhs(), found->second, found->first, /*rms=*/false};
  }
  return Normalized{centered, found->second, found->first, /*rms=*/true};
}

/// True if the factor has no more axes than are normalized, so that it is one factor for every row.
bool isRowFactor(Value factor, Value input, int64_t axis) {
  auto type = cast<RankedTensorType>(factor.getType()), rows = cast<RankedTensorType>(input.getType());
  return type.hasStaticShape() && type.getRank() <= rows.getRank() - axis;
}

struct RaiseNorm : OpRewritePattern<BinaryOp> {
  RaiseNorm(MLIRContext *context, Pass::Statistic &count) : OpRewritePattern(context), count(count) {}

  LogicalResult matchAndRewrite(BinaryOp op, PatternRewriter &rewriter) const override {
    Value product = op.getResult(), bias;
    if (op.getKind() == BinaryKind::add) {
      if (getBinary(op.getLhs(), BinaryKind::mul))
        std::tie(product, bias) = std::pair(op.getLhs(), op.getRhs());
      else
        std::tie(product, bias) = std::pair(op.getRhs(), op.getLhs());
    }
    BinaryOp mul = getBinary(product, BinaryKind::mul);
    if (!mul || (bias && !mul->hasOneUse()) || (!bias && feedsBias(mul)))
      return failure();
    for (auto [core, scale] : {std::pair(mul.getLhs(), mul.getRhs()), std::pair(mul.getRhs(), mul.getLhs())}) {
      std::optional<Normalized> norm = matchNormalized(core);
      if (!norm || !isRowFactor(scale, norm->input, norm->axis) ||
          (bias && !isRowFactor(bias, norm->input, norm->axis)) || norm->input.getType() != op.getType())
        continue;
      replace(op, *norm, scale, bias, rewriter);
      return success();
    }
    return failure();
  }

private:
  /// The product will be raised together with the sum that follows it.
  static bool feedsBias(BinaryOp mul) {
    if (!mul->hasOneUse())
      return false;
    auto sum = dyn_cast<BinaryOp>(*mul->getUsers().begin());
    if (!sum || sum.getKind() != BinaryKind::add)
      return false;
    Value other = sum.getLhs() == mul.getResult() ? sum.getRhs() : sum.getLhs();
    return cast<RankedTensorType>(other.getType()).hasStaticShape() &&
           cast<RankedTensorType>(other.getType()).getRank() == 1;
  }

  void replace(BinaryOp op, const Normalized &norm, Value scale, Value bias, PatternRewriter &rewriter) const {
    NamedAttrList attributes;
    attributes.set("axis", rewriter.getI64IntegerAttr(norm.axis));
    attributes.set("epsilon", rewriter.getF64FloatAttr(norm.epsilon));
    if (norm.rms)
      attributes.set("rms", rewriter.getUnitAttr());
    SmallVector<Value> operands{norm.input, scale};
    if (bias)
      operands.push_back(bias);
    replaceWith(rewriter, op, LayerNormOp::getOperationName(), operands, attributes);
    ++count;
  }

  Pass::Statistic &count;
};

struct RaiseLayerNormPass : impl::RaiseLayerNormPassBase<RaiseLayerNormPass> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add<RaiseNorm>(&getContext(), numRaised);
    if (failed(applyPatternsAndFoldGreedily(getOperation(), std::move(patterns))))
      signalPassFailure();
  }
};

} // namespace
} // namespace penstock::nn
