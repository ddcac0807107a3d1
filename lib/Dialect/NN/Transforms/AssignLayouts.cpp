//===- AssignLayouts.cpp - nn-assign-layouts -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
// LayoutGraph.h decides; here the chosen ops turn one after the other. Behind each stands a transpose back, before each
// operand that is not turned yet one there; what meets its inverse is gone at once, and what nobody reads in the end.
//===----------------------------------------------------------------------===//
#include "LayoutGraph.h"

#include "penstock/Dialect/NN/IR/Layouts.h"
#include "penstock/Dialect/NN/Transforms/Passes.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace penstock::nn {
#define GEN_PASS_DEF_ASSIGNLAYOUTSPASS
#include "penstock/Dialect/NN/Transforms/Passes.h.inc"

namespace {

RankedTensorType getTurnedType(RankedTensorType type) {
  return getImageType(getExtents(type), type.getElementType(), /*channelsLast=*/true);
}

/// Where an axis is after turning.
int64_t getTurnedAxis(int64_t axis, int64_t rank) { return axis == 0 ? 0 : axis == 1 ? rank - 1 : axis - 1; }

class Turner {
public:
  /// Replaces `op` by its channels-last form.
  void turn(Operation *op) {
    OpBuilder builder(op);
    if (auto transpose = dyn_cast<TransposeOp>(op)) // from channels-last: the input is the turned result
      return replace(op, transpose.getInput(), builder);
    SmallVector<std::pair<unsigned, Value>> operands;
    for (OpOperand *image : getImages(op))
      operands.push_back({image->getOperandNumber(), getTurned(image->get())});
    int64_t rank = typeOf(op->getResult(0)).getRank();
    if (isa<BinaryOp, CompareOp, SelectOp>(op))
      for (OpOperand &operand : op->getOpOperands())
        if (typeOf(operand.get()).getRank() < rank)
          operands.push_back({operand.getOperandNumber(), getTurnedBroadcast(operand.get(), rank, builder)});
    Operation *turned = builder.clone(*op);
    for (auto [number, value] : operands)
      turned->setOperand(number, value);
    turnAttributes(turned, typeOf(op->getOperand(0)).getRank());
    if (!turnsResult(op)) {
      op->replaceAllUsesWith(turned);
      return op->erase();
    }
    turned->getResult(0).setType(getTurnedType(typeOf(op->getResult(0))));
    replace(op, turned->getResult(0), builder);
  }

private:
  /// `turned` is the result of `op`, channels-last.
  void replace(Operation *op, Value turned, OpBuilder &builder) {
    Value back = builder.create<TransposeOp>(op->getLoc(), op->getResult(0).getType(), turned,
                                             getFromChannelsLast(typeOf(turned).getRank()));
    turnedOf[back] = turned;
    op->getResult(0).replaceAllUsesWith(back);
    op->erase();
  }

  /// The image with its channels last; made where the image is made, for all that read it.
  Value getTurned(Value value) {
    Value &turned = turnedOf[value];
    if (turned)
      return turned;
    OpBuilder builder(value.getContext());
    builder.setInsertionPointAfterValue(value);
    SmallVector<int64_t> perm = getToChannelsLast(typeOf(value).getRank());
    if (auto constant = value.getDefiningOp<ConstantOp>())
      turned = builder.create<ConstantOp>(constant.getLoc(), turnConstant(constant.getValue(), perm));
    else
      turned = builder.create<TransposeOp>(value.getLoc(), getTurnedType(typeOf(value)), value, perm);
    return turned;
  }

  static ElementsAttr turnConstant(ElementsAttr value, ArrayRef<int64_t> perm) {
    auto elements = cast<DenseElementsAttr>(value);
    RankedTensorType type = getTurnedType(cast<RankedTensorType>(value.getType()));
    if (elements.isSplat())
      return elements.reshape(type);
    ArrayRef<int64_t> shape = cast<ShapedType>(value.getType()).getShape();
    SmallVector<int64_t> strides(shape.size(), 1), index(shape.size(), 0);
    for (int64_t i = shape.size() - 2; i >= 0; --i)
      strides[i] = strides[i + 1] * shape[i + 1];
    SmallVector<Attribute> all = llvm::to_vector(elements.getValues<Attribute>()), turned;
    for (size_t count = 0; count < all.size(); ++count) {
      int64_t position = 0;
      for (auto [i, axis] : llvm::enumerate(perm))
        position += index[i] * strides[axis];
      turned.push_back(all[position]);
      for (int64_t i = perm.size() - 1; i >= 0 && ++index[i] == type.getDimSize(i); --i)
        index[i] = 0;
    }
    return DenseElementsAttr::get(type, turned);
  }

  /// An operand with fewer axes than the result: one number per channel becomes one axis, anything else an image.
  Value getTurnedBroadcast(Value value, int64_t rank, OpBuilder &builder) {
    RankedTensorType type = typeOf(value);
    bool isOne = llvm::all_of(type.getShape(), [](int64_t extent) { return extent == 1; });
    if (isOne && type.getRank() <= 1)
      return value;
    SmallVector<AffineExpr> extents = getExtents(type);
    AffineExpr one = getAffineConstantExpr(1, value.getContext());
    if (isPerChannel(type, rank)) {
      extents = {isOne ? one : extents[1 - (rank - type.getRank())]};
      return reshape(value, extents, builder);
    }
    extents.insert(extents.begin(), rank - type.getRank(), one);
    return getTurned(reshape(value, extents, builder));
  }

  Value reshape(Value value, ArrayRef<AffineExpr> extents, OpBuilder &builder) {
    RankedTensorType type = getTensorType(extents, typeOf(value).getElementType());
    if (auto constant = value.getDefiningOp<ConstantOp>())
      return builder.create<ConstantOp>(constant.getLoc(), cast<DenseElementsAttr>(constant.getValue()).reshape(type));
    return builder.create<ReshapeOp>(value.getLoc(), type, value);
  }

  static void turnAttributes(Operation *op, int64_t rank) {
    Builder builder(op->getContext());
    auto turned = [&](ExtentsAttr attribute) {
      return ExtentsAttr::get(op->getContext(), permute(attribute.getExprs(), getToChannelsLast(rank)));
    };
    llvm::TypeSwitch<Operation *>(op)
        .Case<ConvOp, ConvTransposeOp, PoolOp>([](auto image) { image.setChannelsLast(true); })
        .Case<ConcatOp, SoftmaxOp, LogSoftmaxOp, ArgReduceOp>(
            [&](auto along) { along.setAxis(getTurnedAxis(along.getAxis(), rank)); })
        .Case([&](ReduceOp reduce) {
          SmallVector<int64_t> axes;
          for (int64_t axis : reduce.getAxes())
            axes.push_back(getTurnedAxis(axis, rank));
          llvm::sort(axes);
          reduce.setAxes(axes);
        })
        .Case([&](PadOp pad) {
          pad.setLowAttr(turned(pad.getLow()));
          pad.setHighAttr(turned(pad.getHigh()));
        })
        .Case([&](SliceOp slice) {
          slice.setStartsAttr(turned(slice.getStarts()));
          slice.setSteps(permute(slice.getSteps(), getToChannelsLast(rank)));
        })
        .Case([&](ResizeOp resize) { resize.setScales(permute(resize.getScales(), getToChannelsLast(rank))); });
  }

  DenseMap<Value, Value> turnedOf;
};

struct AssignLayoutsPass : impl::AssignLayoutsPassBase<AssignLayoutsPass> {
  using AssignLayoutsPassBase::AssignLayoutsPassBase;

  void runOnOperation() override {
    auto function = getOperation().lookupSymbol<func::FuncOp>(kEntryName);
    if (!function || !llvm::hasSingleElement(function.getBody())) {
      getOperation().emitError() << "has no function '" << kEntryName << "' of one block; expected an imported model";
      return signalPassFailure();
    }
    Block &body = function.getBody().front();
    bool hasConvolution = llvm::any_of(body, [](Operation &op) { return isa<ConvOp, ConvTransposeOp>(op); });
    if (!channelsLast || !hasConvolution)
      return;
    llvm::DenseSet<Operation *> chosen =
        chooseChannelsLast(body, getTypicalValues(getOperation(), function.getArgumentTypes()));
    Turner turner;
    for (Operation &op : llvm::make_early_inc_range(body))
      if (chosen.contains(&op)) {
        numTurned += 1;
        turner.turn(&op);
      }
    for (Operation &op : llvm::make_early_inc_range(llvm::reverse(body)))
      if (isOpTriviallyDead(&op))
        op.erase();
  }
};

} // namespace
} // namespace penstock::nn
