//===- SimplifyMovement.cpp - nn-simplify-movement -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#include "penstock/Dialect/NN/Transforms/Passes.h"

#include "mlir/IR/PatternMatch.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

namespace penstock::nn {
#define GEN_PASS_DEF_SIMPLIFYMOVEMENTPASS
#include "penstock/Dialect/NN/Transforms/Passes.h.inc"

namespace {

/// True if the transpose swaps the last two axes and leaves the others.
bool swapsLastTwo(TransposeOp op) {
  ArrayRef<int64_t> perm = op.getPerm();
  int64_t numDims = perm.size();
  if (numDims < 2 || perm[numDims - 1] != numDims - 2 || perm[numDims - 2] != numDims - 1)
    return false;
  for (int64_t i = 0; i < numDims - 2; ++i)
    if (perm[i] != i)
      return false;
  return true;
}

/// matmul(a, transpose(b)) reads b as it is.
struct FoldTransposeIntoMatmul : OpRewritePattern<MatmulOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(MatmulOp op, PatternRewriter &rewriter) const override {
    auto lhs = op.getLhs().getDefiningOp<TransposeOp>(), rhs = op.getRhs().getDefiningOp<TransposeOp>();
    bool foldLhs = lhs && swapsLastTwo(lhs), foldRhs = rhs && swapsLastTwo(rhs);
    if (!foldLhs && !foldRhs)
      return failure();
    auto toggle = [&](StringAttr flag) {
      if (!op->removeAttr(flag))
        op->setAttr(flag, rewriter.getUnitAttr());
    };
    rewriter.modifyOpInPlace(op, [&] {
      if (foldLhs) {
        op.getLhsMutable().assign(lhs.getInput());
        toggle(op.getTransposeLhsAttrName());
      }
      if (foldRhs) {
        op.getRhsMutable().assign(rhs.getInput());
        toggle(op.getTransposeRhsAttrName());
      }
    });
    return success();
  }
};

/// transpose(transpose(x)) is one transpose.
struct ComposeTransposes : OpRewritePattern<TransposeOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(TransposeOp op, PatternRewriter &rewriter) const override {
    if (llvm::equal(op.getPerm(), llvm::seq<int64_t>(0, op.getPerm().size()))) {
      rewriter.replaceOp(op, op.getInput());
      return success();
    }
    auto inner = op.getInput().getDefiningOp<TransposeOp>();
    if (!inner)
      return failure();
    SmallVector<int64_t> perm;
    for (int64_t axis : op.getPerm())
      perm.push_back(inner.getPerm()[axis]);
    rewriter.modifyOpInPlace(op, [&] {
      op.getInputMutable().assign(inner.getInput());
      op.setPerm(perm);
    });
    return success();
  }
};

/// reshape(reshape(x)) is one reshape; a reshape to its own type is nothing.
struct ComposeReshapes : OpRewritePattern<ReshapeOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(ReshapeOp op, PatternRewriter &rewriter) const override {
    if (op.getInput().getType() == op.getType()) {
      rewriter.replaceOp(op, op.getInput());
      return success();
    }
    auto inner = op.getInput().getDefiningOp<ReshapeOp>();
    if (!inner)
      return failure();
    rewriter.modifyOpInPlace(op, [&] { op.getInputMutable().assign(inner.getInput()); });
    return success();
  }
};

/// A transpose that only moves axes of extent 1 leaves the elements where they are.
struct TransposeToReshape : OpRewritePattern<TransposeOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(TransposeOp op, PatternRewriter &rewriter) const override {
    auto type = cast<RankedTensorType>(op.getInput().getType());
    int64_t previous = -1;
    for (int64_t axis : op.getPerm()) {
      if (type.getDimSize(axis) == 1)
        continue;
      if (axis < previous)
        return failure();
      previous = axis;
    }
    auto reshape = rewriter.create<ReshapeOp>(op.getLoc(), op.getType(), op.getInput());
    takePlace(op, reshape);
    rewriter.replaceOp(op, reshape);
    return success();
  }
};

/// Ops that give their input back: identity, a cast or broadcast to the same type, a slice or pad of everything.
template <typename OpT> struct RemoveIdentity : OpRewritePattern<OpT> {
  using OpRewritePattern<OpT>::OpRewritePattern;
  LogicalResult matchAndRewrite(OpT op, PatternRewriter &rewriter) const override {
    if (op.getInput().getType() != op.getType() || !isIdentity(op))
      return failure();
    rewriter.replaceOp(op, op.getInput());
    return success();
  }
  static bool isZero(ExtentsAttr exprs) {
    return llvm::all_of(exprs.getExprs(), [](AffineExpr expr) { return getConstant(expr) == 0; });
  }
  static bool isIdentity(UnaryOp op) { return op.getKind() == UnaryKind::identity; }
  static bool isIdentity(CastOp) { return true; }
  static bool isIdentity(BroadcastToOp) { return true; }
  static bool isIdentity(SliceOp op) {
    return isZero(op.getStarts()) && llvm::all_of(op.getSteps(), [](int64_t step) { return step == 1; });
  }
  static bool isIdentity(PadOp op) { return isZero(op.getLow()) && isZero(op.getHigh()); }
};

struct RemoveSingleConcat : OpRewritePattern<ConcatOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(ConcatOp op, PatternRewriter &rewriter) const override {
    if (op.getInputs().size() != 1)
      return failure();
    rewriter.replaceOp(op, op.getInputs().front());
    return success();
  }
};

struct SimplifyMovementPass : impl::SimplifyMovementPassBase<SimplifyMovementPass> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add<FoldTransposeIntoMatmul, ComposeTransposes, ComposeReshapes, TransposeToReshape, RemoveSingleConcat,
                 RemoveIdentity<UnaryOp>, RemoveIdentity<CastOp>, RemoveIdentity<BroadcastToOp>,
                 RemoveIdentity<SliceOp>, RemoveIdentity<PadOp>>(&getContext());
    if (failed(applyPatternsAndFoldGreedily(getOperation(), std::move(patterns))))
      signalPassFailure();
  }
};

} // namespace
} // namespace penstock::nn
