//===- TileContractions.cpp - Products and convolutions in registers -*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A linalg.generic that adds products into its result becomes loops around a tile of sums that stays in vector
// registers while all reduction loops run:
//
//   for other parallel loops, columns by tiles, rows by tiles
//     sums = result tile
//     for reductions, in the order of the op: sums[r][c] = fma(weight[r], data[c], sums[r][c])
//     result tile = sums
//
// Columns are the loop that is contiguous in the result, rows a loop over which the vectors of a column tile are used
// again. Each element's products are added one after the other in the op's own order: the same bits as from plain
// loops, for any tile, vector width or number of rows. Ops of another form stay as they are.
//
// Threads share one of the loops: another parallel one, tiles of columns, or blocks of rows. Columns that are copied
// together then have a place on the stack of each thread, for as many reductions as fit; the sums wait in the result
// while the next ones are copied, in the same order again.
//
//===----------------------------------------------------------------------===//

#include "Passes.h"

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace penstock;
using namespace penstock::kernels;

namespace {

constexpr int64_t kNone = -1;
/// From so many rows on, copying columns together pays.
constexpr int64_t kManyRows = 32;
/// The longest step of the data along columns: offsets of a vector's elements are 32 bits wide.
constexpr int64_t kMostStep = 1 << 24;
/// What an unknown number of rows is taken for, and how many tiles of columns are enough for all threads.
constexpr int64_t kUsualRows = 128, kManyTiles = 16;

/// How an op's loops serve as rows, columns and the rest.
struct Roles {
  int64_t column = kNone, row = kNone;
  SmallVector<int64_t> outer, reductions;
  AffineMap weights, data, result; ///< of the scalar, the vector operand, the sums
  int64_t weightsOperand = 0;      ///< 0 or 1; the other one is the data
  int64_t step = 1;                ///< of the data's elements along a column tile
  bool rowMovesData = false, rowMovesWeights = false;
};

bool dependsOn(AffineMap map, int64_t dim) { return map.isFunctionOfDim(dim); }

bool isContiguous(Value memref) {
  auto type = cast<MemRefType>(memref.getType());
  SmallVector<int64_t> strides;
  int64_t offset;
  return type.getRank() > 0 && succeeded(getStridesAndOffset(type, strides, offset)) && strides.back() == 1;
}

/// result += in0 * in1, fused, on floats.
bool isMultiplyAdd(linalg::GenericOp op) {
  if (op.getNumDpsInputs() != 2 || op.getNumDpsInits() != 1 || !op.hasPureBufferSemantics())
    return false;
  Block &body = *op.getBody();
  auto fma = dyn_cast<math::FmaOp>(body.front());
  return fma && llvm::hasSingleElement(body.without_terminator()) && fma.getC() == body.getArgument(2) &&
         ((fma.getA() == body.getArgument(0) && fma.getB() == body.getArgument(1)) ||
          (fma.getA() == body.getArgument(1) && fma.getB() == body.getArgument(0))) &&
         body.getTerminator()->getOperand(0) == fma.getResult() && isa<Float32Type, Float64Type>(fma.getType());
}

/// The step of `dim` in the last index if no other index moves along it; 0 otherwise.
int64_t stepAlong(AffineMap map, int64_t dim) {
  for (AffineExpr expr : map.getResults().drop_back())
    if (expr.isFunctionOfDim(dim))
      return 0;
  SmallVector<AffineExpr> zero, one;
  MLIRContext *context = map.getContext();
  for (unsigned i = 0; i < map.getNumDims(); ++i) {
    zero.push_back(getAffineConstantExpr(0, context));
    one.push_back(getAffineConstantExpr(static_cast<int64_t>(i) == dim ? 1 : 0, context));
  }
  AffineExpr last = map.getResults().back();
  auto at = [&](ArrayRef<AffineExpr> dims) { return cast<AffineConstantExpr>(last.replaceDims(dims)).getValue(); };
  return at(one) - at(zero);
}

std::optional<Roles> findRoles(linalg::GenericOp op) {
  Roles roles;
  SmallVector<AffineMap> maps = op.getIndexingMapsArray();
  roles.result = maps[2];
  if (!roles.result.isProjectedPermutation() || roles.result.getNumResults() == 0)
    return std::nullopt;
  roles.column = roles.result.getDimPosition(roles.result.getNumResults() - 1);
  bool first = dependsOn(maps[0], roles.column), second = dependsOn(maps[1], roles.column);
  if (first == second)
    return std::nullopt;
  roles.weightsOperand = first ? 1 : 0;
  roles.weights = maps[roles.weightsOperand];
  roles.data = maps[1 - roles.weightsOperand];
  roles.step = stepAlong(roles.data, roles.column);
  if (roles.step < 1 || roles.step > kMostStep)
    return std::nullopt;
  SmallVector<utils::IteratorType> iterators = op.getIteratorTypesArray();
  for (int64_t i = 0, n = iterators.size(); i < n; ++i)
    if (iterators[i] == utils::IteratorType::reduction)
      roles.reductions.push_back(i);
    else if (i != roles.column)
      roles.outer.push_back(i);
  // Best are rows that use the same data again, else rows that use the same weights again.
  for (bool movesData : {false, true})
    for (int64_t dim : llvm::reverse(roles.outer))
      if (roles.row == kNone && dependsOn(roles.data, dim) == movesData && dependsOn(roles.weights, dim) != movesData)
        roles.row = dim;
  if (roles.row != kNone) {
    llvm::erase(roles.outer, roles.row);
    roles.rowMovesData = dependsOn(roles.data, roles.row);
    roles.rowMovesWeights = dependsOn(roles.weights, roles.row);
  }
  return roles;
}

/// Rows and vectors of a tile.
struct TileShape {
  int64_t numRows, numVectors;
};

/// The loop whose iterations threads share.
enum class Shared { None, Outer, Columns, Rows };

/// Positions of a loop.
struct Bounds {
  Value low, high;
};

class Emitter {
public:
  Emitter(linalg::GenericOp op, const Roles &roles, int64_t vectorBits, bool isParallel)
      : b(op), loc(op.getLoc()), isParallel(isParallel), roles(roles), weights(op.getDpsInputs()[roles.weightsOperand]),
        data(op.getDpsInputs()[1 - roles.weightsOperand]), result(op.getDpsInits()[0]), positions(op.getNumLoops()) {
    Type element = getElementTypeOrSelf(result.getType());
    lanes = vectorBits / element.getIntOrFloatBitWidth();
    vectorType = VectorType::get({lanes}, element);
    for (Range range : cast<linalg::LinalgOp>(op.getOperation()).createLoopRanges(b, loc))
      extents.push_back(range.size);
    numRegisters = vectorBits == 512 ? 32 : 16;
  }

  void run() {
    if (isParallel)
      chooseShared();
    choosePanel();
    if (shared == Shared::None)
      makePanel();
    emitOuter(0);
  }

private:
  Value index(int64_t value) { return b.create<arith::ConstantIndexOp>(loc, value); }
  Value toValue(OpFoldResult value) { return getValueOrCreateConstantIndexOp(b, loc, value); }

  /// [low, high) by `step`, with `body` inside; the position is set for `dim`.
  scf::ForOp loop(int64_t dim, Value low, Value high, int64_t step, function_ref<void()> body) {
    auto forOp = b.create<scf::ForOp>(loc, low, high, index(step));
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(forOp.getBody());
    positions[dim] = forOp.getInductionVar();
    body();
    return forOp;
  }

  static void share(scf::ForOp loop) { loop->setAttr(kParallelAttr, UnitAttr::get(loop.getContext())); }

  /// The longest outer loop comes first and is shared. One of unknown extent counts for more than one of a single
  /// iteration, and for less than any other: most often it is a batch of one, above all where it is not the last.
  void chooseShared() {
    auto lengthOf = [&](int64_t dim) {
      std::optional<int64_t> extent = getConstantIntValue(extents[dim]);
      return extent ? 2 * *extent : 3;
    };
    std::reverse(roles.outer.begin(), roles.outer.end());
    llvm::stable_sort(roles.outer, [&](int64_t a, int64_t b) { return lengthOf(a) > lengthOf(b); });
    if (!roles.outer.empty() && lengthOf(roles.outer.front()) > 2)
      shared = Shared::Outer;
    else
      shared = countRowBlocks() > countColumnTiles() ? Shared::Rows : Shared::Columns;
  }

  /// Many rows, of whole tiles.
  int64_t rowsOfBlock() { return llvm::alignTo(kManyRows, chooseTile().numRows); }

  int64_t countRowBlocks() {
    if (roles.row == kNone)
      return 0;
    return llvm::divideCeil(getConstantIntValue(extents[roles.row]).value_or(kUsualRows), rowsOfBlock());
  }

  /// At most as many as are enough.
  int64_t countColumnTiles() {
    std::optional<int64_t> columns = getConstantIntValue(extents[roles.column]);
    return columns ? std::min(*columns / (chooseTile().numVectors * lanes), kManyTiles) : kManyTiles;
  }

  void emitOuter(size_t depth) {
    if (depth == roles.outer.size())
      return shared == Shared::Rows ? emitRowBlocks() : emitColumns();
    int64_t dim = roles.outer[depth];
    scf::ForOp made = loop(dim, index(0), toValue(extents[dim]), 1, [&] {
      if (depth == 0 && shared == Shared::Outer)
        makePanel();
      emitOuter(depth + 1);
    });
    if (depth == 0 && shared == Shared::Outer)
      share(made);
  }

  void emitRowBlocks() {
    Value extent = toValue(extents[roles.row]);
    int64_t numRows = rowsOfBlock();
    share(loop(roles.row, index(0), extent, numRows, [&] {
      rowBlock = nextBlock(positions[roles.row], numRows, extent);
      makePanel();
      emitColumns();
      rowBlock = {};
    }));
  }

  /// From `low` on, `length` positions or as many as are left.
  Bounds nextBlock(Value low, int64_t length, Value extent) {
    Value high = b.create<arith::AddIOp>(loc, low, index(length));
    return {low, b.create<arith::MinSIOp>(loc, high, extent)};
  }

  /// Sums, one column tile and a scalar must fit in the registers.
  TileShape chooseTile() {
    int64_t numSums = numRegisters == 32 ? 24 : 12;
    std::optional<int64_t> columns = getConstantIntValue(extents[roles.column]);
    int64_t numVectors = numRegisters == 32 ? 4 : 2;
    if (columns) {
      int64_t needed = llvm::divideCeil(*columns, lanes);
      while (numVectors > 1 && (needed < numVectors || (needed % numVectors != 0 && needed < 3 * numVectors)))
        --numVectors;
    }
    int64_t numRows = roles.row == kNone ? 1 : std::min<int64_t>(numSums / numVectors, 12);
    if (roles.rowMovesData)
      numRows = std::min<int64_t>(numRows, 4);
    if (roles.row != kNone)
      if (std::optional<int64_t> rows = getConstantIntValue(extents[roles.row])) {
        int64_t numTiles = llvm::divideCeil(std::max<int64_t>(*rows, 1), numRows);
        numRows = std::max<int64_t>(llvm::divideCeil(*rows, numTiles), 1);
      }
    return {numRows, numVectors};
  }

  void emitColumns() {
    TileShape tile = chooseTile();
    Value extent = toValue(extents[roles.column]);
    std::optional<int64_t> constant = getConstantIntValue(extents[roles.column]);
    int64_t width = tile.numVectors * lanes;
    Value wide = roundDown(extent, constant, width), narrow = roundDown(extent, constant, lanes);
    scf::ForOp main = loop(roles.column, index(0), wide, width, [&] {
      if (shared == Shared::Columns)
        makePanel();
      emitColumnTile(tile, {});
    });
    if (shared == Shared::Columns) {
      share(main);
      makePanel(); // for what is left
    }
    if (tile.numVectors > 1)
      loop(roles.column, wide, narrow, lanes, [&] { emitColumnTile({tile.numRows, 1}, {}); });
    if (constant && *constant % lanes == 0)
      return;
    loop(roles.column, narrow, extent, lanes, [&] {
      Value rest = b.create<arith::SubIOp>(loc, extent, positions[roles.column]);
      Value mask = b.create<vector::CreateMaskOp>(loc, VectorType::get({lanes}, b.getI1Type()), rest);
      emitColumnTile({tile.numRows, 1}, mask);
    });
  }

  /// Where many rows read the same columns, and not one line of the cache after the other, these are copied together
  /// first.
  void choosePanel() {
    if (roles.row == kNone || roles.rowMovesData || (roles.step == 1 && roles.reductions.size() != 1))
      return;
    std::optional<int64_t> rows = getConstantIntValue(extents[roles.row]);
    if (rows && *rows < kManyRows)
      return;
    hasPanel = shared == Shared::None || chooseChunk();
  }

  /// How far the first reduction goes in a panel on the stack; false if not even one of its positions fits.
  bool chooseChunk() {
    int64_t inner = 1;
    for (int64_t dim : ArrayRef(roles.reductions).drop_front())
      if (std::optional<int64_t> extent = getConstantIntValue(extents[dim]))
        inner *= std::max<int64_t>(*extent, 1);
      else
        return false;
    int64_t lineBytes = chooseTile().numVectors * lanes * vectorType.getElementTypeBitWidth() / 8;
    chunk = kMaxPanelBytes / lineBytes / inner;
    numChunkLines = chunk * inner;
    return chunk > 0;
  }

  /// Room for the columns of one tile: in all iterations the same, or one for each thread.
  void makePanel() {
    if (!hasPanel)
      return;
    int64_t width = chooseTile().numVectors * lanes;
    Type element = vectorType.getElementType();
    if (shared != Shared::None) {
      auto alignment = b.getI64IntegerAttr(kAlignment);
      panel = b.create<memref::AllocaOp>(loc, MemRefType::get({numChunkLines, width}, element), alignment);
      return;
    }
    AffineExpr product = b.getAffineConstantExpr(1);
    SmallVector<OpFoldResult> factors;
    for (int64_t dim : roles.reductions) {
      product = product * b.getAffineSymbolExpr(factors.size());
      factors.push_back(extents[dim]);
    }
    OpFoldResult depth =
        affine::makeComposedFoldedAffineApply(b, loc, AffineMap::get(0, factors.size(), product), factors);
    std::optional<int64_t> constant = getConstantIntValue(depth);
    auto type = MemRefType::get({constant ? *constant : ShapedType::kDynamic, width}, element);
    panel = b.create<memref::AllocOp>(loc, type, constant ? ValueRange() : ValueRange(toValue(depth)));
  }

  void emitColumnTile(TileShape tile, Value mask) {
    if (!hasPanel)
      return emitRows(tile, mask);
    if (getConstantIntValue(extents[roles.row]))
      return emitWithPanel(tile, mask);
    Value many = b.create<arith::CmpIOp>(loc, arith::CmpIPredicate::sge, toValue(extents[roles.row]), index(kManyRows));
    auto ifOp = b.create<scf::IfOp>(loc, many, /*withElseRegion=*/true);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(ifOp.thenBlock());
    emitWithPanel(tile, mask);
    b.setInsertionPointToStart(ifOp.elseBlock());
    emitRows(tile, mask);
  }

  void emitWithPanel(TileShape tile, Value mask) {
    if (roles.row != kNone)
      positions[roles.row] = index(0); // the data does not move with it
    Value extent = toValue(extents[roles.reductions.front()]);
    std::optional<int64_t> constant = getConstantIntValue(extent);
    if (shared == Shared::None || (constant && *constant <= chunk))
      return emitFilled(tile, mask);
    auto chunks = b.create<scf::ForOp>(loc, index(0), extent, index(chunk));
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(chunks.getBody());
    reductionBlock = nextBlock(chunks.getInductionVar(), chunk, extent);
    emitFilled(tile, mask);
    reductionBlock = {};
  }

  void emitFilled(TileShape tile, Value mask) {
    fillPanel(0, tile, mask);
    readsPanel = true;
    emitRows(tile, mask);
    readsPanel = false;
  }

  /// What a loop over a reduction runs through at this place.
  Bounds boundsOf(size_t reduction) {
    if (reduction == 0 && reductionBlock.low)
      return reductionBlock;
    return {index(0), toValue(extents[roles.reductions[reduction]])};
  }

  void fillPanel(size_t depth, TileShape tile, Value mask) {
    if (depth < roles.reductions.size()) {
      auto [low, high] = boundsOf(depth);
      loop(roles.reductions[depth], low, high, 1, [&] { fillPanel(depth + 1, tile, mask); });
      return;
    }
    Value line = panelLine();
    for (int64_t vector = 0; vector < tile.numVectors; ++vector)
      b.create<vector::StoreOp>(loc, loadData(0, vector, mask), panel, ValueRange{line, index(vector * lanes)});
  }

  /// The reduction positions as one number, from the first one in the panel on.
  Value panelLine() {
    Value line;
    for (auto [i, dim] : llvm::enumerate(roles.reductions)) {
      Value position = positions[dim];
      if (i == 0 && reductionBlock.low)
        position = b.create<arith::SubIOp>(loc, position, reductionBlock.low);
      if (line)
        line = b.create<arith::AddIOp>(loc, b.create<arith::MulIOp>(loc, line, toValue(extents[dim])), position);
      else
        line = position;
    }
    return line;
  }

  Value roundDown(Value extent, std::optional<int64_t> constant, int64_t unit) {
    if (constant)
      return index(*constant / unit * unit);
    return b.create<arith::SubIOp>(loc, extent, b.create<arith::RemUIOp>(loc, extent, index(unit)));
  }

  void emitRows(TileShape tile, Value mask) {
    if (roles.row == kNone)
      return emitTile(tile, mask);
    Value extent = toValue(extents[roles.row]);
    std::optional<int64_t> constant = getConstantIntValue(extents[roles.row]);
    Value low = index(0), whole = roundDown(extent, constant, tile.numRows);
    if (rowBlock.low) {
      low = rowBlock.low;
      extent = rowBlock.high;
      Value length = b.create<arith::SubIOp>(loc, extent, low);
      whole = b.create<arith::AddIOp>(loc, low, roundDown(length, std::nullopt, tile.numRows));
    }
    loop(roles.row, low, whole, tile.numRows, [&] { emitTile(tile, mask); });
    int64_t rest = constant ? *constant % tile.numRows : 0;
    if (constant && rest)
      loop(roles.row, whole, extent, rest, [&] { emitTile({rest, tile.numVectors}, mask); });
    else if (!constant && tile.numRows > 1)
      loop(roles.row, whole, extent, 1, [&] { emitTile({1, tile.numVectors}, mask); });
  }

  /// Indices of an operand at the current position, moved by rows and columns.
  SmallVector<Value> indicesOf(AffineMap map, int64_t row, int64_t column) {
    SmallVector<OpFoldResult> dims;
    for (size_t i = 0; i < positions.size(); ++i) {
      AffineExpr moved = b.getAffineDimExpr(0);
      if (static_cast<int64_t>(i) == roles.row)
        moved = moved + row;
      if (static_cast<int64_t>(i) == roles.column)
        moved = moved + column;
      dims.push_back(affine::makeComposedFoldedAffineApply(b, loc, AffineMap::get(1, 0, moved), {positions[i]}));
    }
    SmallVector<Value> result;
    for (AffineExpr expr : map.getResults())
      result.push_back(
          toValue(affine::makeComposedFoldedAffineApply(b, loc, AffineMap::get(map.getNumDims(), 0, expr), dims)));
    return result;
  }

  Value zeros() { return b.create<arith::ConstantOp>(loc, b.getZeroAttr(vectorType)); }

  Value loadVector(Value memref, ArrayRef<Value> indices, Value mask) {
    if (mask)
      return b.create<vector::MaskedLoadOp>(loc, vectorType, memref, indices, mask, zeros());
    return b.create<vector::LoadOp>(loc, vectorType, memref, indices);
  }

  /// Elements that lie `step` apart.
  Value gather(Value memref, ArrayRef<Value> indices, Value mask) {
    SmallVector<int32_t> offsets;
    for (int64_t i = 0; i < lanes; ++i)
      offsets.push_back(static_cast<int32_t>(roles.step * i));
    Value steps = b.create<arith::ConstantOp>(loc, b.getI32VectorAttr(offsets));
    if (!mask)
      mask = b.create<arith::ConstantOp>(loc, DenseElementsAttr::get(VectorType::get({lanes}, b.getI1Type()), true));
    return b.create<vector::GatherOp>(loc, vectorType, memref, indices, steps, mask, zeros());
  }

  /// Every second element, without touching one more than needed: elements 0..n-1 and n-1..2n-2 of the row.
  Value loadSecond(Value memref, SmallVector<Value> indices) {
    Value low = loadVector(memref, indices, {});
    indices.back() = b.create<arith::AddIOp>(loc, indices.back(), index(lanes - 1));
    Value high = loadVector(memref, indices, {});
    SmallVector<int64_t> picked;
    for (int64_t i = 0; i < lanes / 2; ++i)
      picked.push_back(2 * i);
    for (int64_t i = 0; i < lanes / 2; ++i)
      picked.push_back(lanes + 2 * i + 1);
    return b.create<vector::ShuffleOp>(loc, low, high, picked);
  }

  Value loadData(int64_t row, int64_t vector, Value mask) {
    if (readsPanel)
      return loadVector(panel, {panelLine(), index(vector * lanes)}, {});
    SmallVector<Value> indices = indicesOf(roles.data, row, vector * lanes);
    if (roles.step == 1)
      return loadVector(data, indices, mask);
    return roles.step == 2 && !mask ? loadSecond(data, indices) : gather(data, indices, mask);
  }

  void emitTile(TileShape tile, Value mask) {
    SmallVector<Value> sums;
    for (int64_t row = 0; row < tile.numRows; ++row)
      for (int64_t vector = 0; vector < tile.numVectors; ++vector)
        sums.push_back(loadVector(result, indicesOf(roles.result, row, vector * lanes), mask));
    sums = emitReductions(0, tile, mask, sums);
    for (int64_t row = 0, i = 0; row < tile.numRows; ++row)
      for (int64_t vector = 0; vector < tile.numVectors; ++vector, ++i) {
        SmallVector<Value> indices = indicesOf(roles.result, row, vector * lanes);
        if (mask)
          b.create<vector::MaskedStoreOp>(loc, result, indices, mask, sums[i]);
        else
          b.create<vector::StoreOp>(loc, sums[i], result, indices);
      }
  }

  SmallVector<Value> emitReductions(size_t depth, TileShape tile, Value mask, SmallVector<Value> sums) {
    if (depth == roles.reductions.size())
      return emitProducts(tile, mask, std::move(sums));
    int64_t dim = roles.reductions[depth];
    auto [low, high] = boundsOf(depth);
    auto forOp = b.create<scf::ForOp>(loc, low, high, index(1), sums);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(forOp.getBody());
    positions[dim] = forOp.getInductionVar();
    SmallVector<Value> inner(forOp.getRegionIterArgs());
    b.create<scf::YieldOp>(loc, emitReductions(depth + 1, tile, mask, std::move(inner)));
    return SmallVector<Value>(forOp.getResults());
  }

  SmallVector<Value> emitProducts(TileShape tile, Value mask, SmallVector<Value> sums) {
    SmallVector<Value> columns;
    for (int64_t row = 0, i = 0; row < tile.numRows; ++row) {
      if (row == 0 || roles.rowMovesData) {
        columns.clear();
        for (int64_t vector = 0; vector < tile.numVectors; ++vector)
          columns.push_back(loadData(row, vector, mask));
      }
      Value weight = b.create<memref::LoadOp>(loc, weights, indicesOf(roles.weights, row, 0));
      Value all = b.create<vector::BroadcastOp>(loc, vectorType, weight);
      for (int64_t vector = 0; vector < tile.numVectors; ++vector, ++i)
        sums[i] = b.create<math::FmaOp>(loc, all, columns[vector], sums[i]);
    }
    return sums;
  }

  OpBuilder b;
  Location loc;
  bool isParallel;
  Shared shared = Shared::None;
  Roles roles;
  Value weights, data, result;
  SmallVector<OpFoldResult> extents;
  SmallVector<Value> positions;
  VectorType vectorType;
  int64_t lanes, numRegisters;
  Value panel; ///< reductions x columns of one tile
  bool hasPanel = false, readsPanel = false;
  int64_t chunk = 0, numChunkLines = 0; ///< positions of the first reduction in a thread's panel, and its lines
  Bounds rowBlock, reductionBlock;      ///< null where all rows, or reductions, come at once
};

class TileContractionsPass : public PassWrapper<TileContractionsPass, OperationPass<func::FuncOp>> {
public:
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(TileContractionsPass)
  explicit TileContractionsPass(int64_t vectorBits = 256, bool isParallel = false)
      : vectorBits(vectorBits), isParallel(isParallel) {}
  StringRef getArgument() const override { return "kernel-tile-contractions"; }
  void getDependentDialects(DialectRegistry &registry) const override {
    registry.insert<affine::AffineDialect, arith::ArithDialect, memref::MemRefDialect, scf::SCFDialect,
                    vector::VectorDialect>();
  }

  void runOnOperation() override {
    SmallVector<linalg::GenericOp> ops;
    getOperation().walk([&](linalg::GenericOp op) { ops.push_back(op); });
    for (linalg::GenericOp op : ops) {
      if (!isMultiplyAdd(op) || !llvm::all_of(op.getDpsInputs(), isContiguous) || !isContiguous(op.getDpsInits()[0]))
        continue;
      std::optional<Roles> roles = findRoles(op);
      if (!roles)
        continue;
      bool isOutermost = isa<func::FuncOp>(op->getParentOp()); // no thread is woken inside of a condition
      Emitter(op, *roles, vectorBits, isParallel && isOutermost).run();
      op.erase();
    }
  }

private:
  int64_t vectorBits;
  bool isParallel;
};

} // namespace

std::unique_ptr<Pass> kernels::createTileContractionsPass(unsigned vectorBits, bool isParallel) {
  return std::make_unique<TileContractionsPass>(vectorBits, isParallel);
}
