//===- FuseElementwise.cpp - Joins elementwise ops of a kernel --*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Upstream's patterns with our rule of what pays: nothing expensive is ever computed more often than before.
//
//===----------------------------------------------------------------------===//

#include "Passes.h"

#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Linalg/Transforms/Transforms.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Tensor/Transforms/Transforms.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

using namespace mlir;
using namespace penstock::kernels;

namespace {

/// What one element of the result costs, roughly in additions.
int64_t costOf(linalg::GenericOp op) {
  int64_t cost = 0;
  for (Operation &inner : op.getBody()->without_terminator()) {
    if (isa<tensor::ExtractOp>(inner))
      cost += 16;
    else if (isa<math::MathDialect>(inner.getDialect()) && !isa<math::FmaOp, math::AbsFOp>(inner))
      cost += 16;
    else if (isa<arith::DivFOp, arith::DivSIOp, arith::DivUIOp, arith::RemSIOp, arith::RemUIOp>(inner))
      cost += 8;
    else if (!isa<arith::ConstantOp, linalg::IndexOp>(inner))
      ++cost;
  }
  return cost;
}

constexpr int64_t kCheap = 4;

/// May the producer of `operand` be computed inside its consumer?
bool paysOff(OpOperand *operand) {
  auto producer = operand->get().getDefiningOp<linalg::GenericOp>();
  auto consumer = dyn_cast<linalg::GenericOp>(operand->getOwner());
  if (!producer || !consumer) // a reshape, which may move across elementwise ops only
    return (!producer || producer.getNumReductionLoops() == 0) && (!consumer || consumer.getNumReductionLoops() == 0);
  int64_t cost = costOf(producer);
  bool oneUse = operand->get().hasOneUse();
  // Repeats: some loop of the consumer does not move the operand.
  AffineMap map = consumer.getMatchingIndexingMap(operand);
  bool repeats = !map.isPermutation();
  if (consumer.getNumReductionLoops() > 0 && consumer.getNumDpsInputs() > 1)
    return false; // contractions want their operands dense
  if (repeats)
    return cost == 0;
  return oneUse || cost <= kCheap;
}

class FuseElementwisePass : public PassWrapper<FuseElementwisePass, OperationPass<func::FuncOp>> {
public:
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(FuseElementwisePass)
  StringRef getArgument() const override { return "kernel-fuse-elementwise"; }

  void runOnOperation() override {
    MLIRContext *context = &getContext();
    RewritePatternSet patterns(context);
    linalg::populateElementwiseOpsFusionPatterns(patterns, paysOff);
    linalg::populateFoldReshapeOpsByExpansionPatterns(patterns, paysOff);
    linalg::populateEraseUnusedOperandsAndResultsPatterns(patterns);
    linalg::populateInlineConstantOperandsPatterns(patterns);
    linalg::populateConstantFoldLinalgOperations(patterns, paysOff);
    tensor::populateFoldTensorEmptyPatterns(patterns);
    linalg::GenericOp::getCanonicalizationPatterns(patterns, context);
    tensor::ExpandShapeOp::getCanonicalizationPatterns(patterns, context);
    tensor::CollapseShapeOp::getCanonicalizationPatterns(patterns, context);
    tensor::ExtractSliceOp::getCanonicalizationPatterns(patterns, context);
    tensor::CastOp::getCanonicalizationPatterns(patterns, context);
    context->getLoadedDialect<linalg::LinalgDialect>()->getCanonicalizationPatterns(patterns);
    GreedyRewriteConfig config;
    config.useTopDownTraversal = true;
    if (failed(applyPatternsAndFoldGreedily(getOperation(), std::move(patterns), config)))
      signalPassFailure();
  }
};

/// The input whose buffer the result may take: of the result's type, read at the place that is written, made by a
/// linalg op and used here only.
OpOperand *findReusableInput(linalg::GenericOp op, OpOperand *init) {
  if (!op.getMatchingIndexingMap(init).isIdentity() || op.getNumReductionLoops() > 0)
    return nullptr;
  for (OpOperand *input : op.getDpsInputOperands())
    if (input->get().getType() == init->get().getType() && op.getMatchingIndexingMap(input).isIdentity() &&
        input->get().getDefiningOp<linalg::LinalgOp>() && input->get().hasOneUse())
      return input;
  return nullptr;
}

class WorkInPlacePass : public PassWrapper<WorkInPlacePass, OperationPass<func::FuncOp>> {
public:
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(WorkInPlacePass)
  StringRef getArgument() const override { return "kernel-work-in-place"; }

  void runOnOperation() override {
    SmallVector<linalg::GenericOp> ops;
    getOperation().walk([&](linalg::GenericOp op) { ops.push_back(op); });
    for (linalg::GenericOp op : ops)
      for (OpOperand &init : op.getDpsInitsMutable()) {
        if (!init.get().getDefiningOp<tensor::EmptyOp>() || op.payloadUsesValueFromOperand(&init))
          continue;
        if (OpOperand *input = findReusableInput(op, &init)) {
          op.getMatchingBlockArgument(input).replaceAllUsesWith(op.getMatchingBlockArgument(&init));
          init.set(input->get());
        }
      }
    RewritePatternSet patterns(&getContext());
    linalg::populateEraseUnnecessaryInputsPatterns(patterns);
    if (failed(applyPatternsAndFoldGreedily(getOperation(), std::move(patterns))))
      signalPassFailure();
  }
};

} // namespace

std::unique_ptr<Pass> penstock::kernels::createFuseElementwisePass() { return std::make_unique<FuseElementwisePass>(); }
std::unique_ptr<Pass> penstock::kernels::createWorkInPlacePass() { return std::make_unique<WorkInPlacePass>(); }
