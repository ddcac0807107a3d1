//===- Contraction.cpp - Products of matrices -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
// Loops run in the order of the iterators: the innermost one is contiguous in the result, so that it vectorizes without
// changing the order in which products are added.
//===----------------------------------------------------------------------===//
#include "Emitter.h"

namespace penstock::linalg_lowering {
using namespace nn;
using utils::IteratorType;

static Value multiplyAdd(OpBuilder &b, Location loc, ValueRange in) {
  return ScalarBuilder{b, loc}.multiplyAdd(in[0], in[1], in[2]);
}

/// The last two axes swapped, as a new tensor.
static Value swapLastTwo(Emitter &e, Location loc, Value value, RankedTensorType &type) {
  SmallVector<AffineExpr> extents = getExtents(type);
  int64_t numDims = extents.size();
  std::swap(extents[numDims - 1], extents[numDims - 2]);
  type = getTensorType(extents, type.getElementType());
  SmallVector<AffineExpr> source;
  for (int64_t i = 0; i < numDims; ++i)
    source.push_back(e.b.getAffineDimExpr(i));
  std::swap(source[numDims - 1], source[numDims - 2]);
  AffineMap maps[] = {AffineMap::get(numDims, 0, source, e.b.getContext()), e.b.getMultiDimIdentityMap(numDims)};
  SmallVector<IteratorType> iterators(numDims, IteratorType::parallel);
  return e.generic(loc, value, e.empty(loc, type), maps, iterators,
                   [](OpBuilder &, Location, ValueRange in) { return in[0]; });
}

static LogicalResult emitMatmul(Emitter &e, MatmulOp op) {
  Location loc = op.getLoc();
  RankedTensorType lhs = Emitter::typeOf(op.getLhs()), rhs = Emitter::typeOf(op.getRhs());
  RankedTensorType type = Emitter::typeOf(op.getResult());
  Value left = e.widen(loc, e.get(op.getLhs()), lhs), right = e.widen(loc, e.get(op.getRhs()), rhs);
  // The innermost loop runs along the columns of the right operand, which must lie next to each other.
  if (op.getTransposeRhs())
    right = swapLastTwo(e, loc, right, rhs);
  RankedTensorType wide = getTensorType(getExtents(type), lhs.getElementType());
  int64_t numBatch = type.getRank() - 2, numLoops = type.getRank() + 1;
  AffineExpr row = e.b.getAffineDimExpr(numBatch), depth = e.b.getAffineDimExpr(numBatch + 1),
             column = e.b.getAffineDimExpr(numBatch + 2);
  auto batchExprs = [&](RankedTensorType operand) {
    SmallVector<AffineExpr> exprs;
    int64_t offset = numBatch - (operand.getRank() - 2);
    for (int64_t i = 0; i < operand.getRank() - 2; ++i)
      exprs.push_back(operand.getDimSize(i) == 1 && type.getDimSize(offset + i) != 1
                          ? e.constantExpr(0)
                          : e.b.getAffineDimExpr(offset + i));
    return exprs;
  };
  SmallVector<AffineExpr> leftMap = batchExprs(lhs), rightMap = batchExprs(rhs), outMap = batchExprs(type);
  if (op.getTransposeLhs())
    leftMap.append({depth, row});
  else
    leftMap.append({row, depth});
  rightMap.append({depth, column});
  outMap.append({row, column});
  auto map = [&](ArrayRef<AffineExpr> exprs) { return AffineMap::get(numLoops, 0, exprs, e.b.getContext()); };
  SmallVector<IteratorType> iterators(numLoops, IteratorType::parallel);
  iterators[numBatch + 1] = IteratorType::reduction;
  Value result = e.generic(loc, {left, right}, e.zeros(loc, wide), {map(leftMap), map(rightMap), map(outMap)},
                           iterators, multiplyAdd);
  e.set(op.getResult(), e.narrow(loc, result, wide, type));
  return success();
}

LogicalResult emitContraction(Emitter &e, Operation *op) {
  return llvm::TypeSwitch<Operation *, LogicalResult>(op)
      .Case([&](MatmulOp op) { return emitMatmul(e, op); })
      .Case([&](ConvOp op) { return emitConv(e, op); })
      .Case([&](ConvTransposeOp op) { return emitConvTranspose(e, op); });
}

} // namespace penstock::linalg_lowering
