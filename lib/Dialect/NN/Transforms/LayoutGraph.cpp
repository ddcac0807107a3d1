//===- LayoutGraph.cpp - Which images come channels-last -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
// Every op that can turn is a node of a minimum cut: on the source's side its images stay row-major, on the sink's they
// are channels-last. What is cut costs bytes: a value that some users want in another layout than its producer makes, a
// convolution that has to bring row-major images into its own layout and back.
//===----------------------------------------------------------------------===//
#include "LayoutGraph.h"
#include "MinimumCut.h"

#include "penstock/Dialect/NN/IR/Layouts.h"

#include "llvm/ADT/TypeSwitch.h"

using namespace penstock;
using namespace penstock::nn;

static bool isImage(Value value) { return typeOf(value).getRank() >= 3; }

static bool isElementwise(Operation *op) { return isa<UnaryOp, BinaryOp, CompareOp, SelectOp, CastOp, BitcastOp>(op); }

/// Without keeping dimensions, what is left must come in the same order: the channels are gone, or all of space is.
template <typename OpT> static bool canTurnReduction(OpT op, ArrayRef<int64_t> axes) {
  if (!isImage(op.getInput()))
    return false;
  int64_t numSpatial = typeOf(op.getInput()).getRank() - 2;
  bool hasChannels = llvm::is_contained(axes, 1);
  int64_t numSpatialReduced = llvm::count_if(axes, [](int64_t axis) { return axis >= 2; });
  return op.getKeepDims() || hasChannels || numSpatialReduced == numSpatial;
}

/// The same batch and channels before and after.
static bool keepsChannels(ReshapeOp op) {
  RankedTensorType from = typeOf(op.getInput()), to = typeOf(op.getResult());
  return from.getRank() >= 3 && to.getRank() >= 3 && getExtent(from, 0) == getExtent(to, 0) &&
         getExtent(from, 1) == getExtent(to, 1);
}

bool penstock::nn::canTurn(Operation *op) {
  return llvm::TypeSwitch<Operation *, bool>(op)
      .Case<ConvOp, ConvTransposeOp, PoolOp>([](auto image) { return !image.getChannelsLast(); })
      .Case<UnaryOp, BinaryOp, CompareOp, SelectOp, CastOp, BitcastOp, ConcatOp, PadOp, SliceOp, SoftmaxOp,
            LogSoftmaxOp>([](auto follower) { return isImage(follower.getResult()); })
      .Case([](ResizeOp resize) { return isImage(resize.getResult()) && !resize.getRoi(); })
      .Case([](ReduceOp reduce) { return canTurnReduction(reduce, reduce.getAxes()); })
      .Case([](ArgReduceOp reduce) { return canTurnReduction(reduce, static_cast<int64_t>(reduce.getAxis())); })
      .Case([](ReshapeOp reshape) { return keepsChannels(reshape); })
      .Case([](TransposeOp transpose) { return isFromChannelsLast(transpose.getPerm()); })
      .Default(false);
}

bool penstock::nn::turnsResult(Operation *op) {
  if (auto reduce = dyn_cast<ReduceOp>(op))
    return reduce.getKeepDims();
  if (auto reduce = dyn_cast<ArgReduceOp>(op))
    return reduce.getKeepDims();
  return true;
}

SmallVector<OpOperand *> penstock::nn::getImages(Operation *op) {
  SmallVector<OpOperand *> images;
  for (OpOperand &operand : op->getOpOperands()) {
    bool turns = isElementwise(op)      ? typeOf(operand.get()).getRank() == typeOf(op->getResult(0)).getRank()
                 : isa<ConcatOp>(op)    ? true
                 : isa<TransposeOp>(op) ? false // its turned form is its input
                                        : operand.getOperandNumber() == 0;
    if (turns)
      images.push_back(&operand);
  }
  return images;
}

bool penstock::nn::isPerChannel(RankedTensorType type, int64_t resultRank) {
  int64_t channels = 1 - (resultRank - type.getRank());
  for (auto [axis, extent] : llvm::enumerate(type.getShape()))
    if (extent != 1 && static_cast<int64_t>(axis) != channels)
      return false;
  return true;
}

namespace {

class LayoutGraph {
public:
  LayoutGraph(Block &block, ArrayRef<int64_t> typical) : block(block), typical(typical) {}

  llvm::DenseSet<Operation *> solve() {
    for (Operation &op : block)
      if (canTurn(&op))
        nodes[&op] = cut.addNode();
    for (auto [op, node] : nodes)
      addOp(op, node);
    for (BlockArgument argument : block.getArguments())
      addValue(argument);
    for (Operation &op : block)
      for (Value result : op.getResults())
        addValue(result);
    std::vector<bool> isLast = cut.solve();
    llvm::DenseSet<Operation *> chosen;
    for (auto [op, node] : nodes)
      if (isLast[node])
        chosen.insert(op);
    return chosen;
  }

private:
  /// Bytes that are moved to read a value once and write it once.
  int64_t costOfCopy(Value value) {
    AffineExpr bytes = getNumBytes(typeOf(value));
    std::optional<int64_t> number = bytes ? evaluate(bytes, typical) : std::nullopt;
    return 2 * std::clamp<int64_t>(number.value_or(0), 0, int64_t(1) << 40);
  }

  /// What turning a value costs: nothing where its elements stay in their order, or a constant is turned beforehand.
  int64_t costOfTurn(Value value) {
    ArrayRef<int64_t> shape = typeOf(value).getShape();
    bool staysInOrder = shape[1] == 1 || llvm::all_of(shape.drop_front(2), [](int64_t extent) { return extent == 1; });
    return staysInOrder || value.getDefiningOp<ConstantOp>() ? 0 : costOfCopy(value);
  }

  /// What an op by itself has from its layout.
  void addOp(Operation *op, int node) {
    bool isConv = isa<ConvOp, ConvTransposeOp>(op);
    if (isConv && typeOf(op->getResult(0)).getElementType().isF32())
      cut.addEdge(node, MinimumCut::kSink, costOfCopy(op->getOperand(0)) + costOfCopy(op->getResult(0)));
    if (isa<PoolOp>(op)) // windows are vectors of channels
      cut.addEdge(node, MinimumCut::kSink, costOfCopy(op->getOperand(0)) / 2);
    if (auto transpose = dyn_cast<TransposeOp>(op)) // turned, it is its input
      cut.addEdge(node, MinimumCut::kSink, costOfTurn(transpose.getResult()));
    if (!isElementwise(op))
      return;
    int64_t rank = typeOf(op->getResult(0)).getRank();
    for (Value operand : op->getOperands())
      if (typeOf(operand).getRank() < rank && !isPerChannel(typeOf(operand), rank) &&
          !operand.getDefiningOp<ConstantOp>())
        cut.addEdge(MinimumCut::kSource, node, costOfCopy(operand));
  }

  int getProducer(Value value) {
    Operation *op = value.getDefiningOp();
    auto found = op ? nodes.find(op) : nodes.end();
    return found != nodes.end() && turnsResult(op) ? found->second : MinimumCut::kSource;
  }

  /// A value is moved once, whoever wants it in the other layout.
  void addValue(Value value) {
    if (!isa<RankedTensorType>(value.getType()) || !isImage(value))
      return;
    int producer = getProducer(value);
    int64_t cost = costOfTurn(value);
    if (cost == 0)
      return;
    SmallVector<int> readers;
    for (OpOperand &use : value.getUses()) {
      Operation *user = use.getOwner();
      auto transpose = dyn_cast<TransposeOp>(user);
      bool isSwap = transpose && isToChannelsLast(transpose.getPerm());
      if (isSwap) // falls away behind a channels-last value
        cut.addEdge(producer, MinimumCut::kSink, cost);
      if (isSwap || (transpose && !isFromChannelsLast(transpose.getPerm())))
        continue; // moves its elements anyway
      auto found = nodes.find(user);
      bool turns = found != nodes.end() && llvm::is_contained(getImages(user), &use);
      readers.push_back(turns ? found->second : MinimumCut::kSource);
    }
    if (readers.empty())
      return;
    int toLast = cut.addNode(), toRows = cut.addNode();
    cut.addEdge(producer, toLast, cost);
    cut.addEdge(toRows, producer, cost);
    for (int reader : readers) {
      cut.addEdge(toLast, reader, MinimumCut::kForbidden);
      cut.addEdge(reader, toRows, MinimumCut::kForbidden);
    }
  }

  Block &block;
  ArrayRef<int64_t> typical;
  MinimumCut cut;
  llvm::MapVector<Operation *, int> nodes;
};

} // namespace

llvm::DenseSet<Operation *> penstock::nn::chooseChannelsLast(Block &block, ArrayRef<int64_t> typical) {
  return LayoutGraph(block, typical).solve();
}
