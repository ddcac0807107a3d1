//===- LowerCopies.cpp - Copies between strided buffers as loops -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
// A copy between contiguous buffers becomes memcpy by itself; of strided ones upstream makes a call of its own support
// library, which a kernel cannot have.
//===----------------------------------------------------------------------===//
#include "Passes.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Linalg/Utils/Utils.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"

namespace penstock::kernels {
using namespace mlir;

namespace {

struct LowerCopiesPass : PassWrapper<LowerCopiesPass, OperationPass<func::FuncOp>> {
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(LowerCopiesPass)

  StringRef getArgument() const override { return "kernel-lower-copies"; }

  void runOnOperation() override {
    getOperation().walk([](memref::CopyOp copy) {
      auto isContiguous = [](Value value) { return cast<MemRefType>(value.getType()).getLayout().isIdentity(); };
      if (isContiguous(copy.getSource()) && isContiguous(copy.getTarget()))
        return;
      OpBuilder builder(copy);
      linalg::makeMemRefCopyOp(builder, copy.getLoc(), copy.getSource(), copy.getTarget());
      copy.erase();
    });
  }
};

} // namespace

std::unique_ptr<Pass> createLowerCopiesPass() { return std::make_unique<LowerCopiesPass>(); }

} // namespace penstock::kernels
