//===- ExpandBatchNorm.cpp - nn-expand-batch-norm -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#include "Replace.h"
#include "penstock/Dialect/NN/Transforms/Passes.h"

#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

namespace penstock::nn {
#define GEN_PASS_DEF_EXPANDBATCHNORMPASS
#include "penstock/Dialect/NN/Transforms/Passes.h.inc"

namespace {

/// Builds small arithmetic on channel vectors.
struct Arithmetic {
  PatternRewriter &rewriter;
  Location loc;

  Value binary(BinaryKind kind, Value lhs, Value rhs) {
    return rewriter.create<BinaryOp>(loc, BinaryKindAttr::get(rewriter.getContext(), kind), lhs, rhs);
  }
  Value unary(UnaryKind kind, Value input) {
    return rewriter.create<UnaryOp>(loc, UnaryKindAttr::get(rewriter.getContext(), kind), input, FloatAttr(),
                                    FloatAttr());
  }
  Value scalar(double value, Type elementType) {
    auto type = RankedTensorType::get({}, elementType);
    return rewriter.create<ConstantOp>(loc, DenseElementsAttr::get(type, rewriter.getFloatAttr(elementType, value)));
  }
  /// The vector as `numDims` axes, all of extent 1 but `axis`.
  Value alongAxis(Value vector, int64_t axis, int64_t numDims) {
    auto type = cast<RankedTensorType>(vector.getType());
    SmallVector<AffineExpr> extents(numDims, rewriter.getAffineConstantExpr(1));
    extents[axis] = getExtent(type, 0);
    return rewriter.create<ReshapeOp>(loc, getTensorType(extents, type.getElementType()), vector);
  }
};

/// scale / sqrt(variance + epsilon).
Value channelScale(BatchNormOp norm, Arithmetic &math) {
  Type elementType = cast<RankedTensorType>(norm.getVariance().getType()).getElementType();
  Value epsilon = math.scalar(norm.getEpsilon().convertToDouble(), elementType);
  Value deviation = math.unary(UnaryKind::sqrt, math.binary(BinaryKind::add, norm.getVariance(), epsilon));
  return math.binary(BinaryKind::div, norm.getScale(), deviation);
}

bool isConstantLike(Value value) { return value.getDefiningOp<LoadWeightOp>() || value.getDefiningOp<ConstantOp>(); }

/// conv(x, w, b) then norm: conv(x, w * s, (b - mean) * s + bias), if only the norm reads the convolution.
template <typename ConvT> struct FoldIntoConv : OpRewritePattern<BatchNormOp> {
  FoldIntoConv(MLIRContext *context, int64_t filterAxis, Pass::Statistic &count)
      : OpRewritePattern(context, /*benefit=*/2), filterAxis(filterAxis), count(count) {}

  LogicalResult matchAndRewrite(BatchNormOp norm, PatternRewriter &rewriter) const override {
    auto conv = norm.getInput().getDefiningOp<ConvT>();
    // The filter of a transposed convolution with groups lists the channels of one group only.
    if (!conv || !conv->hasOneUse() || (filterAxis != 0 && conv.getGroup() != 1))
      return failure();
    if (!isConstantLike(conv.getFilter()) || (conv.getBias() && !isConstantLike(conv.getBias())) ||
        !llvm::all_of(norm.getOperands().drop_front(), isConstantLike))
      return failure();
    Arithmetic math{rewriter, norm.getLoc()};
    int64_t numDims = cast<RankedTensorType>(conv.getFilter().getType()).getRank();
    Value scale = channelScale(norm, math);
    Value filter = math.binary(BinaryKind::mul, conv.getFilter(), math.alongAxis(scale, filterAxis, numDims));
    Value shift = norm.getMean();
    shift = conv.getBias() ? math.binary(BinaryKind::sub, conv.getBias(), shift) : math.unary(UnaryKind::neg, shift);
    shift = math.binary(BinaryKind::add, math.binary(BinaryKind::mul, shift, scale), norm.getBias());
    replaceWith(rewriter, norm, conv->getName().getStringRef(), {conv.getInput(), filter, shift}, conv->getAttrs());
    rewriter.eraseOp(conv);
    ++count;
    return success();
  }

  int64_t filterAxis;
  Pass::Statistic &count;
};

/// x * s + (bias - mean * s).
struct ExpandNorm : OpRewritePattern<BatchNormOp> {
  ExpandNorm(MLIRContext *context, Pass::Statistic &count) : OpRewritePattern(context, /*benefit=*/1), count(count) {}

  LogicalResult matchAndRewrite(BatchNormOp norm, PatternRewriter &rewriter) const override {
    Arithmetic math{rewriter, norm.getLoc()};
    int64_t numDims = cast<RankedTensorType>(norm.getType()).getRank();
    Value scale = channelScale(norm, math);
    Value shift = math.binary(BinaryKind::sub, norm.getBias(), math.binary(BinaryKind::mul, norm.getMean(), scale));
    Value scaled = math.binary(BinaryKind::mul, norm.getInput(), math.alongAxis(scale, 1, numDims));
    Value result = math.binary(BinaryKind::add, scaled, math.alongAxis(shift, 1, numDims));
    takePlace(norm, result.getDefiningOp());
    rewriter.replaceOp(norm, result);
    ++count;
    return success();
  }

  Pass::Statistic &count;
};

struct ExpandBatchNormPass : impl::ExpandBatchNormPassBase<ExpandBatchNormPass> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add<FoldIntoConv<ConvOp>>(&getContext(), 0, numFolded);
    patterns.add<FoldIntoConv<ConvTransposeOp>>(&getContext(), 1, numFolded);
    patterns.add<ExpandNorm>(&getContext(), numExpanded);
    if (failed(applyPatternsAndFoldGreedily(getOperation(), std::move(patterns))))
      signalPassFailure();
  }
};

} // namespace
} // namespace penstock::nn
