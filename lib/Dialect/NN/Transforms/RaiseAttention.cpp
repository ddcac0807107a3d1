//===- RaiseAttention.cpp - nn-raise-attention -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
// Starts at the product with the values and goes back through softmax, masks and scales to the product of query and
// key. Nothing is built before all of it is matched.
//===----------------------------------------------------------------------===//
#include "Matchers.h"
#include "Replace.h"
#include "SinkTransposes.h"
#include "penstock/Dialect/NN/Transforms/Passes.h"

#include "mlir/IR/IRMapping.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

#include <limits>

namespace penstock::nn {
#define GEN_PASS_DEF_RAISEATTENTIONPASS
#include "penstock/Dialect/NN/Transforms/Passes.h.inc"

namespace {

RankedTensorType typeOf(Value value) { return cast<RankedTensorType>(value.getType()); }
SmallVector<AffineExpr> extentsOf(Value value) { return getExtents(typeOf(value)); }

/// So low that a score added to it is lost, and that nothing of it is left beside others after the softmax.
constexpr double kHidden = -1e30;

/// A mask as an exporter writes it.
struct Mask {
  Value added;            ///< the summand, or
  Value chosen;           ///< the condition,
  bool hidesTrue = false; ///< under which the score is replaced (true), or kept (false),
  double hidden = 0;      ///< by this number
};

struct Match {
  MatmulOp scores; ///< query times key
  double scale = 1;
  SmallVector<Mask> masks; ///< outermost first
  bool zeroMaskedRows = false;
  Value guardedMask; ///< zeroMaskedRows holds for rows that this mask hides; null: for all that are NaN
};

/// The value before a cast between floating-point types, or itself.
Value skipCast(Value value) {
  auto cast = value.getDefiningOp<CastOp>();
  bool isFloat = cast && isa<FloatType>(typeOf(cast.getInput()).getElementType()) &&
                 isa<FloatType>(typeOf(value).getElementType()) && value.hasOneUse();
  return isFloat ? cast.getInput() : value;
}

std::optional<double> getHidden(Value value) {
  std::optional<double> number = getUniform(value);
  return number && *number <= kHidden ? number : std::nullopt;
}

/// x * c or x / c gives x, and c is multiplied into `scale`.
Value takeScale(Value value, double &scale) {
  auto op = value.getDefiningOp<BinaryOp>();
  if (!op || !value.hasOneUse())
    return {};
  std::optional<double> left = getUniform(op.getLhs()), right = getUniform(op.getRhs());
  if (op.getKind() == BinaryKind::mul && (left || right) &&
      (left ? op.getRhs() : op.getLhs()).getType() == op.getType()) {
    scale *= left ? *left : *right;
    return left ? op.getRhs() : op.getLhs();
  }
  if (op.getKind() != BinaryKind::div || !right || *right == 0 || op.getLhs().getType() != op.getType())
    return {};
  scale /= *right;
  return op.getLhs();
}

/// Goes from the softmax's operand to the product, and notes what lies between.
bool matchScores(Value value, Match &match) {
  value = skipCast(value);
  if (!value.hasOneUse())
    return false;
  if (auto product = value.getDefiningOp<MatmulOp>()) {
    match.scores = product;
    return !product.getTransposeLhs();
  }
  double scale = 1;
  if (Value inner = takeScale(value, scale)) {
    // A scale around a mask would scale the mask.
    match.scale *= scale;
    size_t numMasks = match.masks.size();
    return matchScores(inner, match) && match.masks.size() == numMasks;
  }
  if (auto select = value.getDefiningOp<SelectOp>()) {
    std::optional<double> hidden = getHidden(select.getLhs());
    bool hidesTrue = hidden.has_value();
    if (!hidesTrue && !(hidden = getHidden(select.getRhs())))
      return false;
    Value inner = hidesTrue ? select.getRhs() : select.getLhs();
    match.masks.push_back({{}, select.getCondition(), hidesTrue, *hidden});
    return inner.getType() == select.getType() && matchScores(inner, match);
  }
  BinaryOp sum = getBinary(value, BinaryKind::add);
  if (!sum)
    return false;
  for (auto [inner, mask] : {std::pair(sum.getLhs(), sum.getRhs()), std::pair(sum.getRhs(), sum.getLhs())}) {
    Match attempt = match;
    attempt.masks.push_back({mask, {}});
    if (inner.getType() == sum.getType() && matchScores(inner, attempt)) {
      match = attempt;
      return true;
    }
  }
  return false;
}

/// max(mask) along positions == -infinity gives the mask.
Value matchHiddenRows(Value condition) {
  auto compare = condition.getDefiningOp<CompareOp>();
  if (!compare || compare.getKind() != CompareKind::eq)
    return {};
  std::optional<double> number = getUniform(compare.getRhs());
  auto reduce = compare.getLhs().getDefiningOp<ReduceOp>();
  bool isRowMaximum = reduce && reduce.getKind() == ReduceKind::max && reduce.getKeepDims() &&
                      reduce.getAxes() == ArrayRef<int64_t>(typeOf(reduce.getInput()).getRank() - 1);
  return isRowMaximum && number == -std::numeric_limits<double>::infinity() ? reduce.getInput() : Value();
}

/// where(isnan(p), 0, p), or where(max(mask) == -infinity, 0, p), gives p: rows that see nothing become zeros.
Value skipGuard(Value value, Match &match) {
  auto select = value.getDefiningOp<SelectOp>();
  if (!select || !value.hasOneUse() || !isUniform(select.getLhs(), 0.0))
    return value;
  Value inner = select.getRhs();
  if (UnaryOp isNan = getUnary(select.getCondition(), UnaryKind::is_nan)) {
    if (isNan.getInput() != inner || !isNan->hasOneUse() || llvm::range_size(inner.getUses()) != 2)
      return value;
  } else {
    match.guardedMask = matchHiddenRows(select.getCondition());
    if (!match.guardedMask || !inner.hasOneUse())
      return value;
  }
  match.zeroMaskedRows = true;
  return inner;
}

std::optional<Match> matchAttention(MatmulOp op) {
  if (op.getTransposeLhs() || op.getTransposeRhs())
    return std::nullopt;
  Match match;
  Value weights = skipGuard(skipCast(op.getLhs()), match);
  auto softmax = skipCast(weights).getDefiningOp<SoftmaxOp>();
  if (!softmax || softmax.getAxis() + 1 != static_cast<uint64_t>(typeOf(softmax).getRank()) ||
      (!match.zeroMaskedRows && !softmax->hasOneUse()) || !matchScores(softmax.getInput(), match))
    return std::nullopt;
  if (match.guardedMask &&
      llvm::none_of(match.masks, [&](const Mask &mask) { return mask.added == match.guardedMask; }))
    return std::nullopt;
  // What an exporter adds where there is no mask.
  llvm::erase_if(match.masks, [](const Mask &mask) { return mask.added && isUniform(mask.added, 0.0); });
  return match;
}

/// The value with axes moved and numbers of one kind multiplied, taken apart from its scale: a copy of the movements
/// without the product, which was below them.
Value withoutScale(Value value, double &scale, PatternRewriter &rewriter) {
  SmallVector<Operation *> movements;
  Value inner = value;
  while (isa_and_nonnull<TransposeOp, ReshapeOp>(inner.getDefiningOp()) && inner.hasOneUse()) {
    movements.push_back(inner.getDefiningOp());
    inner = movements.back()->getOperand(0);
  }
  Value unscaled = takeScale(inner, scale);
  if (!unscaled)
    return value;
  IRMapping mapping;
  mapping.map(inner, unscaled);
  for (Operation *op : llvm::reverse(movements))
    unscaled = rewriter.clone(*op, mapping)->getResult(0);
  return unscaled;
}

/// Heads that are repeated next to each other, reshape(broadcast_to(reshape(x))), give x.
Value withoutRepeats(Value value) {
  auto joined = value.getDefiningOp<ReshapeOp>();
  auto stretched = joined ? joined.getInput().getDefiningOp<BroadcastToOp>() : BroadcastToOp();
  auto split = stretched ? stretched.getInput().getDefiningOp<ReshapeOp>() : ReshapeOp();
  if (!split)
    return value;
  Value source = split.getInput();
  SmallVector<AffineExpr> from = extentsOf(source), apart = extentsOf(split), many = extentsOf(stretched),
                          to = extentsOf(value);
  size_t numDims = from.size();
  if (numDims < 3 || apart.size() != numDims + 1 || many.size() != numDims + 1 || to.size() != numDims)
    return value;
  size_t repeated = numDims - 2; // the axis that is stretched, behind the heads
  std::optional<int64_t> heads = getConstant(from[numDims - 3]), all = getConstant(to[numDims - 3]);
  if (getConstant(apart[repeated]) != 1 || !getConstant(many[repeated]) || !heads || !all ||
      *heads * *getConstant(many[repeated]) != *all)
    return value;
  for (size_t i = 0; i < numDims; ++i) {
    size_t j = i < repeated ? i : i + 1;
    if (from[i] != apart[j] || from[i] != many[j] || (i != numDims - 3 && from[i] != to[i]))
      return value;
  }
  return source;
}

struct RaiseAttention : OpRewritePattern<MatmulOp> {
  RaiseAttention(MLIRContext *context, Pass::Statistic &count) : OpRewritePattern(context), count(count) {}

  LogicalResult matchAndRewrite(MatmulOp op, PatternRewriter &rewriter) const override {
    std::optional<Match> match = matchAttention(op);
    if (!match || !fits(op, *match))
      return failure();
    Value query = withoutScale(match->scores.getLhs(), match->scale, rewriter);
    Value key = withoutScale(match->scores.getRhs(), match->scale, rewriter);
    if (!match->scores.getTransposeRhs())
      key = swapLastTwo(key, rewriter);
    Value value = op.getRhs(), fewKeys = withoutRepeats(key), fewValues = withoutRepeats(value);
    if (fewKeys != key && fewValues != value)
      std::tie(key, value) = std::pair(fewKeys, fewValues);
    SmallVector<Value> operands{query, key, value};
    if (Value mask = joinMasks(*match, typeOf(query).getElementType(), rewriter))
      operands.push_back(mask);
    NamedAttrList attributes;
    attributes.set("scale", rewriter.getF64FloatAttr(match->scale));
    if (match->zeroMaskedRows)
      attributes.set("zero_masked_rows", rewriter.getUnitAttr());
    replaceWith(rewriter, op, AttentionOp::getOperationName(), operands, attributes);
    ++count;
    return success();
  }

private:
  /// Query, key and value are as many matrices of one type, and no mask makes them more.
  static bool fits(MatmulOp op, const Match &match) {
    MatmulOp product = match.scores;
    SmallVector<AffineExpr> query = extentsOf(product.getLhs()), key = extentsOf(product.getRhs()),
                            value = extentsOf(op.getRhs()), scores = extentsOf(product);
    size_t numDims = query.size();
    if (key.size() != numDims || value.size() != numDims ||
        typeOf(product).getElementType() != typeOf(op).getElementType())
      return false;
    for (size_t i = 0; i + 2 < numDims; ++i)
      if (query[i] != key[i] || query[i] != value[i])
        return false;
    return llvm::all_of(match.masks, [&](const Mask &mask) {
      std::optional<SmallVector<AffineExpr>> joined =
          broadcastExtents(scores, extentsOf(mask.added ? mask.added : mask.chosen));
      return joined && *joined == scores;
    });
  }

  static Value swapLastTwo(Value value, PatternRewriter &rewriter) {
    SmallVector<int64_t> perm = llvm::to_vector(llvm::seq<int64_t>(0, typeOf(value).getRank()));
    std::swap(perm[perm.size() - 1], perm[perm.size() - 2]);
    if (auto swap = value.getDefiningOp<TransposeOp>(); swap && swap.getPerm() == ArrayRef(perm))
      return swap.getInput();
    SmallVector<AffineExpr> extents = extentsOf(value);
    std::swap(extents[extents.size() - 1], extents[extents.size() - 2]);
    Type type = getTensorType(extents, typeOf(value).getElementType());
    return rewriter.create<TransposeOp>(value.getLoc(), type, value, rewriter.getDenseI64ArrayAttr(perm));
  }

  /// One mask: conditions under which nothing at all is left are one condition, otherwise all become summands. A row
  /// that is hidden by a finite number throughout looks everywhere, as a summand keeps it.
  static Value joinMasks(const Match &match, Type element, PatternRewriter &rewriter) {
    bool anyAdded =
        llvm::any_of(match.masks, [](const Mask &mask) { return mask.added || std::isfinite(mask.hidden); });
    Value all;
    for (const Mask &mask : llvm::reverse(match.masks)) {
      Value next = anyAdded ? toSummand(mask, element, rewriter) : toCondition(mask, rewriter);
      BinaryKind kind = anyAdded ? BinaryKind::add : BinaryKind::logical_and;
      if (all)
        all = rewriter.create<BinaryOp>(next.getLoc(), BinaryKindAttr::get(rewriter.getContext(), kind), all, next);
      else
        all = next;
    }
    return all;
  }

  static Value toCondition(const Mask &mask, PatternRewriter &rewriter) {
    if (!mask.hidesTrue)
      return mask.chosen;
    return rewriter.create<UnaryOp>(mask.chosen.getLoc(),
                                    UnaryKindAttr::get(rewriter.getContext(), UnaryKind::logical_not), mask.chosen,
                                    FloatAttr(), FloatAttr());
  }

  static Value toSummand(const Mask &mask, Type element, PatternRewriter &rewriter) {
    Location loc = (mask.added ? mask.added : mask.chosen).getLoc();
    if (mask.added) {
      if (typeOf(mask.added).getElementType() == element)
        return mask.added;
      auto type = getTensorType(extentsOf(mask.added), element);
      return rewriter.create<CastOp>(loc, type, mask.added, TypeAttr::get(element), UnitAttr());
    }
    auto scalar = [&](double number) -> Value {
      auto type = RankedTensorType::get({}, element);
      return rewriter.create<ConstantOp>(loc, DenseElementsAttr::get(type, rewriter.getFloatAttr(element, number)));
    };
    Value hidden = scalar(mask.hidden), seen = scalar(0);
    return rewriter.create<SelectOp>(loc, mask.chosen, mask.hidesTrue ? hidden : seen, mask.hidesTrue ? seen : hidden);
  }

  Pass::Statistic &count;
};

struct RaiseAttentionPass : impl::RaiseAttentionPassBase<RaiseAttentionPass> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add<RaiseAttention>(&getContext(), numRaised);
    populateSinkTransposePatterns(patterns);
    if (failed(applyPatternsAndFoldGreedily(getOperation(), std::move(patterns))))
      signalPassFailure();
  }
};

} // namespace
} // namespace penstock::nn
