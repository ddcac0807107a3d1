//===- CudnnAttentionMatch.cpp - Attentions as cuDNN sees them -*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "CudnnAttentionMatch.h"
#include "LibraryMatcher.h"
#include "StridedView.h"
#include "penstock/Target/LibraryObject.h"

namespace penstock::cuda {
using namespace mlir;
using namespace nn;

namespace {

/// An operand in an input of the kernel.
struct Place {
  BlockArgument input;
  StridedView view;
};

/// Follows reshapes, transposes and slices up to an input. `note`: gets them.
std::optional<Place> findPlace(Value value, function_ref<void(Operation *)> note) {
  if (auto argument = dyn_cast<BlockArgument>(value))
    return Place{argument, StridedView(typeOf(argument))};
  Operation *op = value.getDefiningOp();
  if (!isa<ReshapeOp, TransposeOp, SliceOp>(op))
    return std::nullopt;
  std::optional<Place> place = findPlace(op->getOperand(0), note);
  if (!place || !place->view.apply(op))
    return std::nullopt;
  note(op);
  return place;
}

/// Offset, then strides of images, heads and rows. Nothing if the library cannot go that way.
std::optional<SmallVector<AffineExpr>> getWay(const StridedView &view, RankedTensorType type) {
  int64_t rank = type.getRank();
  AffineExpr features = getExtent(type, rank - 1);
  if (view.getStride(rank - 1) != getAffineConstantExpr(1, type.getContext()))
    return std::nullopt;
  SmallVector<AffineExpr> way{view.getOffset()};
  for (int64_t axis = rank - 4; axis < rank - 1; ++axis) {
    AffineExpr stride = axis < 0 ? features : view.getStride(axis);
    // Nobody goes along an axis of one element, but the library wants to be told how.
    way.push_back(stride && getConstant(stride) == 0 ? features : stride);
  }
  for (AffineExpr word : way)
    if (!word || !isSafeExtent(word) || !word.isMultipleOf(RT_CUDA_ATTENTION_MULTIPLE))
      return std::nullopt;
  return way;
}

/// Where the library leaves the result of an attention.
struct Exit {
  Value value;
  SmallVector<AffineExpr> way;
  SmallVector<Operation *> ops; ///< from the attention to the value
};

/// The last of those that have its elements, only they, and for which there is a way.
Exit findExit(AttentionOp op) {
  Exit found;
  SmallVector<Operation *> behind;
  for (Value value = op.getResult();; value = behind.back()->getResult(0)) {
    StridedView view(typeOf(value));
    if (llvm::all_of(llvm::reverse(behind), [&](Operation *maker) { return view.applyInverse(maker); }))
      if (std::optional<SmallVector<AffineExpr>> way = getWay(view, typeOf(op.getResult())))
        found = {value, *way, behind};
    Operation *user = value.hasOneUse() ? *value.user_begin() : nullptr;
    if (!isa_and_nonnull<ReshapeOp, TransposeOp>(user))
      return found;
    behind.push_back(user);
  }
}

/// A mask is as it lies, perhaps seen in another shape; null: something computes it. `note`: gets the reshapes.
BlockArgument findMaskInput(Value mask, function_ref<void(Operation *)> note) {
  while (auto reshape = mask.getDefiningOp<ReshapeOp>()) {
    note(reshape);
    mask = reshape.getInput();
  }
  return dyn_cast<BlockArgument>(mask);
}

class Matcher {
public:
  explicit Matcher(Block &body) : body(body), context(body.getParentOp()->getContext()) {
    desc().version = RT_CUDA_ATTENTION_VERSION;
    desc().mask = -1;
    desc().result = body.getNumArguments();
    desc().workspace = desc().result + 1;
  }

  std::optional<CudnnAttention> run() {
    auto attentions = body.getOps<AttentionOp>();
    Operation *yield = body.getTerminator();
    if (!llvm::hasSingleElement(attentions) || yield->getNumOperands() != 1)
      return std::nullopt;
    AttentionOp op = *attentions.begin();
    seen.insert(op);
    seen.insert(yield);
    if (!canBeCudnns(op) || op.getZeroMaskedRows() || !takeShape(op) || !takeOperand(op.getQuery(), desc().query) ||
        !takeOperand(op.getKey(), desc().key) || !takeOperand(op.getValue(), desc().value) ||
        !takeResult(op, yield->getOperand(0)) || !takeMask(op))
      return std::nullopt;
    for (Operation &other : body)
      if (!seen.contains(&other))
        return std::nullopt;
    return std::move(result);
  }

private:
  rt_cuda_attention_desc &desc() { return result.desc; }

  /// Of an axis counted from the last one; 1 if there is none.
  AffineExpr extentOf(Value value, int64_t fromLast) {
    int64_t rank = typeOf(value).getRank();
    return fromLast < rank ? getExtent(typeOf(value), rank - 1 - fromLast) : getAffineConstantExpr(1, context);
  }

  bool takeShape(AttentionOp op) {
    desc().type = typeOf(op.getQuery()).getElementType().isF16() ? RT_CUDA_ATTENTION_F16 : RT_CUDA_ATTENTION_BF16;
    desc().scale = op.getScale().convertToDouble();
    result.extents = {extentOf(op.getQuery(), 3), extentOf(op.getQuery(), 2), extentOf(op.getKey(), 2),
                      extentOf(op.getQuery(), 1), extentOf(op.getKey(), 1),   extentOf(op.getQuery(), 0),
                      extentOf(op.getValue(), 0)};
    return llvm::all_of(result.extents, [](AffineExpr extent) { return extent && isSafeExtent(extent); });
  }

  bool takeOperand(Value operand, int64_t &buffer) {
    std::optional<Place> place = findPlace(operand, [&](Operation *op) { seen.insert(op); });
    std::optional<SmallVector<AffineExpr>> way =
        place ? getWay(place->view, typeOf(operand)) : std::optional<SmallVector<AffineExpr>>();
    if (!way)
      return false;
    buffer = place->input.getArgNumber();
    result.extents.append(*way);
    return true;
  }

  bool takeResult(AttentionOp op, Value made) {
    Exit exit = findExit(op);
    if (exit.value != made)
      return false;
    seen.insert(exit.ops.begin(), exit.ops.end());
    result.extents.append(exit.way);
    return true;
  }

  /// Each axis is the attention's, or the same for all.
  bool takeMask(AttentionOp op) {
    Value mask = op.getMask();
    if (!mask) {
      result.extents.append(3, getAffineConstantExpr(1, context));
      return true;
    }
    if (typeOf(mask).getElementType() != typeOf(op.getQuery()).getElementType())
      return false; // a condition
    constexpr int kAxes[] = {RT_CUDA_ATTENTION_BATCH, RT_CUDA_ATTENTION_HEADS, RT_CUDA_ATTENTION_ROWS};
    SmallVector<AffineExpr> extents;
    for (auto [i, axis] : llvm::enumerate(kAxes)) {
      extents.push_back(extentOf(mask, 3 - i));
      if (!isOne(extents.back()) && extents.back() != result.extents[axis])
        return false;
    }
    if (typeOf(mask).getRank() > 4 || extentOf(mask, 0) != result.extents[RT_CUDA_ATTENTION_POSITIONS])
      return false;
    result.extents.append(extents);
    BlockArgument argument = findMaskInput(mask, [&](Operation *reshape) { seen.insert(reshape); });
    if (!argument)
      return false;
    desc().mask = argument.getArgNumber();
    return true;
  }

  Block &body;
  MLIRContext *context;
  CudnnAttention result;
  llvm::SmallPtrSet<Operation *, 16> seen;
};

} // namespace

bool canBeCudnns(AttentionOp op) {
  RankedTensorType query = typeOf(op.getQuery()), value = typeOf(op.getValue());
  Type element = query.getElementType();
  if (query.getRank() > 4 || (!element.isF16() && !element.isBF16()))
    return false;
  for (RankedTensorType type : {query, value})
    if (int64_t features = getConstant(getExtent(type, type.getRank() - 1)).value_or(0);
        features <= 0 || features % RT_CUDA_ATTENTION_MULTIPLE != 0)
      return false;
  return true;
}

std::optional<CudnnAttention> matchCudnnAttention(Block &body) { return Matcher(body).run(); }

bool isReadByCudnn(Value operand) {
  std::optional<Place> place = findPlace(operand, [](Operation *) {});
  return place && getWay(place->view, typeOf(operand));
}

Value findCudnnResult(AttentionOp op) { return findExit(op).value; }

bool isMaskReadByCudnn(Value mask) {
  return findMaskInput(mask, [](Operation *) {}) != BlockArgument();
}

} // namespace penstock::cuda
