//===- SeparateEmpties.cpp - One tensor.empty per use -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
// Empty tensor elimination puts the buffer of a result in the place of the tensor.empty that the result grew from.
// Where common subexpression elimination has made one tensor.empty of two, the other value would live in that buffer
// too, and be gone when the result is written.
//===----------------------------------------------------------------------===//
#include "Passes.h"

#include "mlir/Dialect/Tensor/IR/Tensor.h"

namespace penstock::kernels {
using namespace mlir;

namespace {

struct SeparateEmptiesPass : PassWrapper<SeparateEmptiesPass, OperationPass<func::FuncOp>> {
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(SeparateEmptiesPass)

  StringRef getArgument() const override { return "kernel-separate-empties"; }

  void runOnOperation() override {
    SmallVector<tensor::EmptyOp> shared;
    getOperation().walk([&](tensor::EmptyOp empty) {
      if (!empty->hasOneUse())
        shared.push_back(empty);
    });
    for (tensor::EmptyOp empty : shared) {
      OpBuilder builder(empty);
      for (OpOperand &use : llvm::make_early_inc_range(empty->getUses()))
        use.set(builder.clone(*empty)->getResult(0));
      empty.erase();
    }
  }
};

} // namespace

std::unique_ptr<Pass> createSeparateEmptiesPass() { return std::make_unique<SeparateEmptiesPass>(); }

} // namespace penstock::kernels
