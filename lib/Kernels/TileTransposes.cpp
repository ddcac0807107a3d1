//===- TileTransposes.cpp - Transposes block by block -----------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Row by row, a transpose reads one element of every line of the cache that it touches, and has forgotten the line when
// it needs the next one. In square blocks each line is read once. A whole block of 32-bit elements is exchanged in
// registers.
//
//===----------------------------------------------------------------------===//

#include "Passes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Linalg/Transforms/Transforms.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

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

bool isContiguous(Value memref) {
  SmallVector<int64_t> strides;
  int64_t offset;
  return succeeded(getStridesAndOffset(cast<MemRefType>(memref.getType()), strides, offset)) && strides.back() == 1;
}

/// A copy of 32-bit elements between lines that are contiguous.
bool fitsRegisters(linalg::GenericOp op) {
  Type element = getElementTypeOrSelf(op.getDpsInits()[0].getType());
  return element.getIntOrFloatBitWidth() == 32 && isContiguous(op.getDpsInputs()[0]) &&
         isContiguous(op.getDpsInits()[0]) &&
         op.getBody()->getTerminator()->getOperand(0) == op.getBody()->getArgument(0);
}

/// Loops around blocks in registers, and plain loops over what is left at the ends of both lines.
class BlockEmitter {
public:
  BlockEmitter(linalg::GenericOp op, std::pair<int64_t, int64_t> lines)
      : b(op), loc(op.getLoc()), in(op.getIndexingMapsArray()[0]), out(op.getIndexingMapsArray()[1]),
        source(op.getDpsInputs()[0]), target(op.getDpsInits()[0]), inLine(lines.first), outLine(lines.second),
        positions(op.getNumLoops()) {
    for (Range range : cast<linalg::LinalgOp>(op.getOperation()).createLoopRanges(b, loc))
      extents.push_back(getValueOrCreateConstantIndexOp(b, loc, range.size));
    vectorType = VectorType::get({kBlock}, getElementTypeOrSelf(target.getType()));
  }

  void run() {
    for (int64_t dim = 0, n = positions.size(); dim < n; ++dim)
      if (dim != inLine && dim != outLine)
        enter(dim, index(0), extents[dim], 1);
    Value wholeIn = wholeBlocks(extents[inLine]), wholeOut = wholeBlocks(extents[outLine]);
    overBoth(index(0), wholeIn, index(0), wholeOut, kBlock, [&] { emitBlock(); });
    overBoth(wholeIn, extents[inLine], index(0), extents[outLine], 1, [&] { emitElement(); });
    overBoth(index(0), wholeIn, wholeOut, extents[outLine], 1, [&] { emitElement(); });
  }

private:
  Value index(int64_t value) { return b.create<arith::ConstantIndexOp>(loc, value); }
  Value wholeBlocks(Value extent) {
    return b.create<arith::SubIOp>(loc, extent, b.create<arith::RemUIOp>(loc, extent, index(kBlock)));
  }

  void enter(int64_t dim, Value low, Value high, int64_t step) {
    auto loop = b.create<scf::ForOp>(loc, low, high, index(step));
    if (isa<func::FuncOp>(loop->getParentOp()))
      loop->setAttr(kParallelAttr, b.getUnitAttr());
    b.setInsertionPointToStart(loop.getBody());
    positions[dim] = loop.getInductionVar();
  }

  void overBoth(Value lowIn, Value highIn, Value lowOut, Value highOut, int64_t step, function_ref<void()> body) {
    OpBuilder::InsertionGuard guard(b);
    enter(inLine, lowIn, highIn, step);
    enter(outLine, lowOut, highOut, step);
    body();
  }

  /// Where an operand has the current position, moved along one loop.
  SmallVector<Value> indicesOf(AffineMap map, int64_t dim, int64_t distance) {
    SmallVector<Value> indices;
    for (unsigned i = 0; i < map.getNumResults(); ++i) {
      int64_t own = map.getDimPosition(i);
      Value position = positions[own];
      indices.push_back(own == dim && distance ? b.create<arith::AddIOp>(loc, position, index(distance)) : position);
    }
    return indices;
  }

  void emitElement() {
    Value element = b.create<memref::LoadOp>(loc, source, indicesOf(in, inLine, 0));
    b.create<memref::StoreOp>(loc, element, target, indicesOf(out, outLine, 0));
  }

  /// Lines of the input, then halves exchanged between lines 8, 4, 2 and 1 apart: lines of the result.
  void emitBlock() {
    SmallVector<Value> lines;
    for (int64_t i = 0; i < kBlock; ++i)
      lines.push_back(b.create<vector::LoadOp>(loc, vectorType, source, indicesOf(in, outLine, i)));
    for (int64_t distance = kBlock / 2; distance > 0; distance /= 2) {
      SmallVector<int64_t> low, high;
      for (int64_t lane = 0; lane < kBlock; ++lane) {
        bool isFirst = (lane & distance) == 0;
        low.push_back(isFirst ? lane : kBlock + lane - distance);
        high.push_back(isFirst ? lane + distance : kBlock + lane);
      }
      for (int64_t i = 0; i < kBlock; ++i) {
        if (i & distance)
          continue;
        Value first = lines[i], second = lines[i + distance];
        lines[i] = b.create<vector::ShuffleOp>(loc, first, second, low);
        lines[i + distance] = b.create<vector::ShuffleOp>(loc, first, second, high);
      }
    }
    for (int64_t i = 0; i < kBlock; ++i)
      b.create<vector::StoreOp>(loc, lines[i], target, indicesOf(out, inLine, i));
  }

  OpBuilder b;
  Location loc;
  AffineMap in, out;
  Value source, target;
  int64_t inLine, outLine;
  SmallVector<Value> positions, extents;
  VectorType vectorType;
};

class TileTransposesPass : public PassWrapper<TileTransposesPass, OperationPass<func::FuncOp>> {
public:
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(TileTransposesPass)
  explicit TileTransposesPass(bool isParallel = false) : isParallel(isParallel) {}
  StringRef getArgument() const override { return "kernel-tile-transposes"; }
  void getDependentDialects(DialectRegistry &registry) const override {
    registry.insert<arith::ArithDialect, linalg::LinalgDialect, memref::MemRefDialect, scf::SCFDialect,
                    vector::VectorDialect>();
  }

  void runOnOperation() override {
    SmallVector<linalg::GenericOp> ops;
    getOperation().walk([&](linalg::GenericOp op) { ops.push_back(op); });
    for (linalg::GenericOp op : ops) {
      auto lines = findLines(op);
      if (!lines)
        continue;
      if (fitsRegisters(op)) {
        BlockEmitter(op, *lines).run();
        op.erase();
        continue;
      }
      SmallVector<int64_t> sizes(op.getNumLoops(), 0);
      sizes[lines->first] = sizes[lines->second] = kBlock;
      IRRewriter rewriter(op);
      auto loops = isParallel ? linalg::LinalgTilingLoopType::ParallelLoops : linalg::LinalgTilingLoopType::Loops;
      if (failed(
              linalg::tileLinalgOp(rewriter, op, linalg::LinalgTilingOptions().setTileSizes(sizes).setLoopType(loops))))
        return signalPassFailure();
      rewriter.eraseOp(op);
    }
  }

private:
  bool isParallel;
};

} // namespace

std::unique_ptr<Pass> penstock::kernels::createTileTransposesPass(bool isParallel) {
  return std::make_unique<TileTransposesPass>(isParallel);
}
