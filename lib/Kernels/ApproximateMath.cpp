//===- ApproximateMath.cpp - Functions that vectorize -----------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Calls of libm keep a loop scalar. Here f32 functions become polynomials, scalar or vector alike, so that an element
// has the same bits wherever it lies.
//
//===----------------------------------------------------------------------===//

#include "Passes.h"

#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Math/Transforms/Passes.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

using namespace mlir;
using namespace penstock::kernels;

namespace {

class ApproximateMathPass : public PassWrapper<ApproximateMathPass, OperationPass<>> {
public:
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(ApproximateMathPass)
  StringRef getArgument() const override { return "kernel-approximate-math"; }
  void getDependentDialects(DialectRegistry &registry) const override {
    registry.insert<math::MathDialect, vector::VectorDialect>();
  }

  void runOnOperation() override {
    // Upstream's asin, acos, sin, cos and atan are off by more than rounding somewhere; libm's are not.
    SmallVector<Operation *> ops;
    getOperation()->walk([&](Operation *op) {
      if (isa<math::ExpOp, math::LogOp, math::Log1pOp, math::ExpM1Op, math::TanhOp, math::ErfOp>(op) &&
          getElementTypeOrSelf(op->getResult(0).getType()).isF32())
        ops.push_back(op);
    });
    RewritePatternSet patterns(&getContext());
    populateMathPolynomialApproximationPatterns(patterns);
    GreedyRewriteConfig config;
    config.strictMode = GreedyRewriteStrictness::ExistingAndNewOps;
    if (failed(applyOpPatternsAndFold(ops, std::move(patterns), config)))
      signalPassFailure();
  }
};

} // namespace

std::unique_ptr<Pass> penstock::kernels::createApproximateMathPass() { return std::make_unique<ApproximateMathPass>(); }
