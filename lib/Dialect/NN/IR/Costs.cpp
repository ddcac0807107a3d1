//===- Costs.cpp - What nn ops cost -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#include "penstock/Dialect/NN/IR/NNOps.h"

using namespace penstock::nn;

static AffineExpr zero(Operation *op) { return getAffineConstantExpr(0, op->getContext()); }

static AffineExpr sumOver(Operation *op, TypeRange types, AffineExpr (*measure)(RankedTensorType)) {
  AffineExpr sum = zero(op);
  for (Type type : types)
    if (auto tensor = dyn_cast<RankedTensorType>(type))
      if (AffineExpr part = measure(tensor))
        sum = sum + part;
  return sum;
}

/// Operations per element of the larger of input and result.
static int64_t flopsPerElement(Operation *op) {
  return llvm::TypeSwitch<Operation *, int64_t>(op)
      .Case([](UnaryOp unary) {
        switch (unary.getKind()) {
        case UnaryKind::identity:
          return int64_t(0);
        case UnaryKind::abs:
        case UnaryKind::neg:
        case UnaryKind::sign:
        case UnaryKind::ceil:
        case UnaryKind::floor:
        case UnaryKind::round_even:
        case UnaryKind::relu:
        case UnaryKind::leaky_relu:
        case UnaryKind::logical_not:
        case UnaryKind::bitwise_not:
        case UnaryKind::is_nan:
        case UnaryKind::is_inf:
          return int64_t(1);
        case UnaryKind::hard_sigmoid:
        case UnaryKind::hard_swish:
        case UnaryKind::shrink:
        case UnaryKind::thresholded_relu:
          return int64_t(4);
        default:
          return kTranscendentalFlops;
        }
      })
      .Case([](BinaryOp binary) { return binary.getKind() == BinaryKind::pow ? kTranscendentalFlops : int64_t(1); })
      .Case<SoftmaxOp, LogSoftmaxOp>([](auto) { return kTranscendentalFlops + 4; })
      .Case([](LayerNormOp) { return int64_t(8); })
      .Case([](BatchNormOp) { return int64_t(2); })
      .Case([](ResizeOp) { return int64_t(8); })
      .Case<TransposeOp, SliceOp, ConcatOp, PadOp, GatherOp, BroadcastToOp>([](auto) { return int64_t(0); })
      .Default([](Operation *) { return int64_t(1); });
}

AffineExpr penstock::nn::defaultFlops(Operation *op) {
  if (auto recurrent = dyn_cast<RecurrentOp>(op)) {
    auto weights = cast<RankedTensorType>(recurrent.getWeights().getType());
    auto recurrence = cast<RankedTensorType>(recurrent.getRecurrence().getType());
    auto input = cast<RankedTensorType>(recurrent.getInput().getType());
    return (getNumElements(weights) + getNumElements(recurrence)) * getExtent(input, 0) * getExtent(input, 1) * 2;
  }
  AffineExpr in = zero(op);
  if (op->getNumOperands() > 0)
    in = sumOver(op, op->getOperand(0).getType(), getNumElements);
  bool overInput = isa<ReduceOp, ArgReduceOp, TopKOp, PositionsOp>(op);
  return (overInput ? in : sumOver(op, TypeRange(op->getResultTypes()).take_front(), getNumElements)) *
         flopsPerElement(op);
}

AffineExpr penstock::nn::defaultBytesRead(Operation *op) {
  if (auto gather = dyn_cast<GatherOp>(op))
    return sumOver(op, TypeRange{gather.getIndices().getType(), gather.getType()}, getNumBytes);
  if (isa<ReshapeOp>(op))
    return zero(op);
  return sumOver(op, op->getOperandTypes(), getNumBytes);
}

AffineExpr penstock::nn::defaultBytesWritten(Operation *op) {
  return isa<ReshapeOp>(op) ? zero(op) : sumOver(op, op->getResultTypes(), getNumBytes);
}

/// Each class looks at all its boxes a few times: once to begin with, and once per box that it takes.
AffineExpr NonMaxSuppressionOp::getFlops() {
  return getNumElements(cast<RankedTensorType>(getScores().getType())) * 64;
}

AffineExpr ReshapeOp::getFlops() { return zero(*this); }

AffineExpr MatmulOp::getFlops() {
  auto lhs = cast<RankedTensorType>(getLhs().getType());
  AffineExpr depth = getExtent(lhs, lhs.getRank() - (getTransposeLhs() ? 2 : 1));
  return getNumElements(cast<RankedTensorType>(getType())) * depth * 2;
}

AffineExpr AttentionOp::getFlops() {
  auto query = cast<RankedTensorType>(getQuery().getType()), value = cast<RankedTensorType>(getValue().getType());
  int64_t numDims = query.getRank();
  AffineExpr perScore = (getExtent(query, numDims - 1) + getExtent(value, numDims - 1)) * 2 + kTranscendentalFlops + 4;
  AffineExpr flops = getExtent(value, numDims - 2) * perScore;
  for (int64_t i = 0; i < numDims - 1; ++i)
    flops = flops * getExtent(query, i);
  return simplifyExtent(flops);
}

/// Multiply-adds of a convolution: for each element of `outputs`, one per element of a filter's slice.
static AffineExpr convFlops(RankedTensorType outputs, RankedTensorType filter) {
  AffineExpr perOutput = getAffineConstantExpr(2, outputs.getContext());
  for (AffineExpr extent : ArrayRef<AffineExpr>(getExtents(filter)).drop_front())
    perOutput = perOutput * extent;
  return getNumElements(outputs) * perOutput;
}

AffineExpr ConvOp::getFlops() {
  return convFlops(cast<RankedTensorType>(getType()), cast<RankedTensorType>(getFilter().getType()));
}

AffineExpr ConvTransposeOp::getFlops() {
  return convFlops(cast<RankedTensorType>(getInput().getType()), cast<RankedTensorType>(getFilter().getType()));
}

AffineExpr PoolOp::getFlops() {
  int64_t window = 1;
  for (int64_t extent : getKernel())
    window *= extent;
  return getNumElements(cast<RankedTensorType>(getType())) * window;
}

AffineExpr KernelOp::getFlops() {
  AffineExpr sum = zero(*this);
  for (Operation &op : getBody().front())
    if (auto cost = dyn_cast<CostInterface>(op))
      sum = sum + cost.getFlops();
  return simplifyExtent(sum);
}

AffineExpr KernelOp::getBytesRead() {
  AffineExpr sum = zero(*this);
  for (BlockArgument argument : getBody().getArguments()) {
    // A gather reads rows of its table, not all of it.
    auto reads = [&](Operation *user) {
      auto gather = dyn_cast<GatherOp>(user);
      return gather && gather.getInput() == argument ? getNumBytes(cast<RankedTensorType>(gather.getType()))
                                                     : getNumBytes(cast<RankedTensorType>(argument.getType()));
    };
    if (!argument.use_empty())
      sum = sum + reads(*argument.getUsers().begin());
  }
  return simplifyExtent(sum);
}

AffineExpr KernelOp::getBytesWritten() { return simplifyExtent(sumOver(*this, getResultTypes(), getNumBytes)); }
