//===- TileReductions.cpp - Sums along leading axes in blocks ---*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A reduction along an axis that is not the last has the loop of that axis outside and the results inside, so that it
// runs along memory. Its outermost loop cannot be shared. In blocks of results it can:
//
//   for r, for c: y[c] += x[r, c]     ->     parallel for blocks of c: for r, for c in the block: y[c] += x[r, c]
//
// Each result still adds its elements in the order of r: the same bits for any block.
//
//===----------------------------------------------------------------------===//

#include "Passes.h"

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Linalg/Transforms/Transforms.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;
using namespace penstock::kernels;

namespace {

/// Elements of a block next to each other: from a few lines of the cache to where longer ones read no faster.
constexpr int64_t kLeastBlock = 64, kMostBlock = 256;
/// Blocks that are enough for all threads.
constexpr int64_t kManyBlocks = 16;
/// What an unknown extent is taken for.
constexpr int64_t kUsualExtent = 128;

class BlockChooser {
public:
  explicit BlockChooser(linalg::GenericOp op) : op(op), iterators(op.getIteratorTypesArray()) {
    extents = op.getStaticLoopRanges();
  }

  /// The size of a block along each loop, 0 where it is not cut; nothing if the op does not gain from blocks.
  std::optional<SmallVector<int64_t>> choose() {
    auto first = llvm::find(iterators, utils::IteratorType::reduction);
    if (first == iterators.end() || isSmall())
      return std::nullopt;
    size_t numLeading = first - iterators.begin();
    SmallVector<int64_t> sizes(iterators.size(), 0);
    int64_t numBlocks = 1, left = chooseLength(numLeading);
    for (size_t i = iterators.size(); i-- > numLeading;) {
      int64_t extent = extentOf(i);
      bool isUnknown = ShapedType::isDynamic(extents[i]);
      if (iterators[i] == utils::IteratorType::parallel && (isUnknown || extent > left)) {
        sizes[i] = left;
        numBlocks *= isUnknown ? kManyBlocks : llvm::divideCeil(extent, left);
      }
      left = std::max<int64_t>(left / std::max<int64_t>(extent, 1), 1);
    }
    if (numBlocks <= mostIterations(numLeading))
      return std::nullopt;
    return sizes;
  }

private:
  int64_t extentOf(size_t loop) const { return ShapedType::isDynamic(extents[loop]) ? kUsualExtent : extents[loop]; }

  bool isSmall() {
    if (llvm::any_of(extents, ShapedType::isDynamic))
      return false;
    int64_t work = op.getBody()->getOperations().size();
    for (int64_t extent : extents)
      work *= extent;
    return work < 2 * kEnoughOperations;
  }

  /// Short blocks where there are few results.
  int64_t chooseLength(size_t numLeading) const {
    int64_t numResults = 1;
    for (size_t i = numLeading; i < extents.size(); ++i)
      if (iterators[i] == utils::IteratorType::parallel)
        numResults *= ShapedType::isDynamic(extents[i]) ? kMostBlock * kManyBlocks : extents[i];
    int64_t length = llvm::alignTo(llvm::divideCeil(numResults, kManyBlocks), kLeastBlock);
    return std::clamp(length, kLeastBlock, kMostBlock);
  }

  /// What there is to share without blocks. A leading loop of unknown extent is most often a batch of one.
  int64_t mostIterations(size_t numLeading) const {
    int64_t most = 1;
    for (size_t i = 0; i < numLeading; ++i)
      most = std::max(most, i == 0 && ShapedType::isDynamic(extents[i]) ? 1 : extentOf(i));
    return most;
  }

  linalg::GenericOp op;
  SmallVector<utils::IteratorType> iterators;
  SmallVector<int64_t> extents;
};

class TileReductionsPass : public PassWrapper<TileReductionsPass, OperationPass<func::FuncOp>> {
public:
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(TileReductionsPass)
  StringRef getArgument() const override { return "kernel-tile-reductions"; }
  void getDependentDialects(DialectRegistry &registry) const override {
    registry.insert<affine::AffineDialect, arith::ArithDialect, linalg::LinalgDialect, memref::MemRefDialect,
                    scf::SCFDialect>();
  }

  void runOnOperation() override {
    SmallVector<linalg::GenericOp> ops;
    getOperation().walk([&](linalg::GenericOp op) {
      if (op.hasPureBufferSemantics() && isa<func::FuncOp>(op->getParentOp()))
        ops.push_back(op);
    });
    for (linalg::GenericOp op : ops) {
      std::optional<SmallVector<int64_t>> sizes = BlockChooser(op).choose();
      if (!sizes)
        continue;
      IRRewriter rewriter(op);
      auto options =
          linalg::LinalgTilingOptions().setTileSizes(*sizes).setLoopType(linalg::LinalgTilingLoopType::ParallelLoops);
      if (failed(linalg::tileLinalgOp(rewriter, op, options)))
        return signalPassFailure();
      rewriter.eraseOp(op);
    }
  }
};

} // namespace

std::unique_ptr<Pass> penstock::kernels::createTileReductionsPass() { return std::make_unique<TileReductionsPass>(); }
