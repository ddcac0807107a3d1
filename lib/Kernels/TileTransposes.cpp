//===- TileTransposes.cpp - Transposes block by block -----------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Row by row, a transpose reads one element of every line of the cache that it touches, and has forgotten the line when
// it needs the next one. In square blocks each line is read once.
//
//===----------------------------------------------------------------------===//

#include "Passes.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Linalg/Transforms/Transforms.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;
using namespace penstock::kernels;

namespace {

/// Elements on a side of a block: a line of the cache of the usual types, or two.
constexpr int64_t kBlock = 16;

/// The two loops that run along lines of the input and of the result; nothing if they are one or the op is no
/// transpose.
std::optional<std::pair<int64_t, int64_t>> findLines(linalg::GenericOp op) {
  if (!op.hasPureBufferSemantics() || op.getNumDpsInputs() != 1 || op.getNumDpsInits() != 1 ||
      op.getNumReductionLoops() > 0)
    return std::nullopt;
  AffineMap in = op.getIndexingMapsArray()[0], out = op.getIndexingMapsArray()[1];
  if (!in.isPermutation() || !out.isPermutation() || in.getNumResults() < 2 || op.hasIndexSemantics())
    return std::nullopt;
  int64_t inLine = in.getDimPosition(in.getNumResults() - 1), outLine = out.getDimPosition(out.getNumResults() - 1);
  if (inLine == outLine)
    return std::nullopt;
  return std::make_pair(inLine, outLine);
}

class TileTransposesPass : public PassWrapper<TileTransposesPass, OperationPass<func::FuncOp>> {
public:
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(TileTransposesPass)
  StringRef getArgument() const override { return "kernel-tile-transposes"; }
  void getDependentDialects(DialectRegistry &registry) const override {
    registry.insert<linalg::LinalgDialect, memref::MemRefDialect, scf::SCFDialect>();
  }

  void runOnOperation() override {
    SmallVector<linalg::GenericOp> ops;
    getOperation().walk([&](linalg::GenericOp op) { ops.push_back(op); });
    for (linalg::GenericOp op : ops) {
      auto lines = findLines(op);
      if (!lines)
        continue;
      SmallVector<int64_t> sizes(op.getNumLoops(), 0);
      sizes[lines->first] = sizes[lines->second] = kBlock;
      IRRewriter rewriter(op);
      if (failed(linalg::tileLinalgOp(rewriter, op, linalg::LinalgTilingOptions().setTileSizes(sizes))))
        return signalPassFailure();
      rewriter.eraseOp(op);
    }
  }
};

} // namespace

std::unique_ptr<Pass> penstock::kernels::createTileTransposesPass() { return std::make_unique<TileTransposesPass>(); }
