//===- SinkTransposes.cpp - Transposes down to the attention that looks through them -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
// Between the transpose that brings heads together and the attention an exporter may rotate them: products, sums,
// slices and concatenations. All of these can be done before the transpose.
//===----------------------------------------------------------------------===//
#include "SinkTransposes.h"
#include "penstock/Dialect/NN/Transforms/Passes.h"

namespace penstock::nn {
namespace {

RankedTensorType typeOf(Value value) { return cast<RankedTensorType>(value.getType()); }

/// Longer chains than any rotation.
constexpr int kMaxDepth = 10;

/// Every use of the value ends in an attention.
bool onlyFeedsAttention(Value value, int depth = kMaxDepth) {
  return depth > 0 && !value.use_empty() && llvm::all_of(value.getUsers(), [&](Operation *user) {
           return isa<AttentionOp>(user) || (isa<UnaryOp, BinaryOp, SliceOp, ConcatOp, TransposeOp, ReshapeOp>(user) &&
                                             onlyFeedsAttention(user->getResult(0), depth - 1));
         });
}

/// What lay along axis i lies along axis perm[i].
template <typename T> SmallVector<T> turnedBack(ArrayRef<T> values, ArrayRef<int64_t> perm) {
  SmallVector<T> result(values);
  for (auto [i, axis] : llvm::enumerate(perm))
    result[axis] = values[i];
  return result;
}

class SinkTranspose : public RewritePattern {
public:
  explicit SinkTranspose(MLIRContext *context) : RewritePattern(MatchAnyOpTypeTag(), /*benefit=*/1, context) {}

  LogicalResult matchAndRewrite(Operation *op, PatternRewriter &rewriter) const override {
    if (!isa<UnaryOp, BinaryOp, SliceOp, ConcatOp>(op) || !onlyFeedsAttention(op->getResult(0)))
      return failure();
    TransposeOp first;
    for (Value operand : op->getOperands())
      if (!first)
        first = operand.getDefiningOp<TransposeOp>();
    RankedTensorType type = typeOf(op->getResult(0));
    if (!first || first.getPerm().size() != static_cast<size_t>(type.getRank()))
      return failure();
    SmallVector<int64_t> perm(first.getPerm());
    SmallVector<Value> operands;
    for (Value operand : op->getOperands()) {
      auto [source, extents] = findSource(operand, perm);
      if (!source)
        return failure();
      operands.push_back(extents.empty()
                             ? source
                             : rewriter.create<ReshapeOp>(
                                   op->getLoc(), getTensorType(extents, typeOf(source).getElementType()), source));
    }
    OperationState state(op->getLoc(), op->getName());
    state.addOperands(operands);
    state.addTypes(getTensorType(turnedBack<AffineExpr>(getExtents(type), perm), type.getElementType()));
    state.addAttributes(attributesOf(op, perm));
    Value made = rewriter.create(state)->getResult(0);
    auto moved = rewriter.replaceOpWithNewOp<TransposeOp>(op, type, made, rewriter.getDenseI64ArrayAttr(perm));
    if (Attribute tensor = state.attributes.get(kTensorAttr)) {
      made.getDefiningOp()->removeAttr(kTensorAttr);
      moved->setAttr(kTensorAttr, tensor);
    }
    return success();
  }

private:
  /// The operand before the transpose, and the shape that it must get if that is not its own; null if it has none.
  static std::pair<Value, SmallVector<AffineExpr>> findSource(Value operand, ArrayRef<int64_t> perm) {
    if (auto transpose = operand.getDefiningOp<TransposeOp>())
      return {transpose.getPerm() == perm ? transpose.getInput() : Value(), {}};
    SmallVector<AffineExpr> own = getExtents(typeOf(operand));
    if (own.size() > perm.size())
      return {};
    AffineExpr one = getAffineConstantExpr(1, operand.getContext());
    SmallVector<AffineExpr> padded(perm.size() - own.size(), one);
    padded.append(own);
    SmallVector<AffineExpr> back = turnedBack<AffineExpr>(padded, perm);
    // Only axes of extent 1 may change places with others: then the elements stay where they are.
    auto isLong = [](AffineExpr extent) { return getConstant(extent) != 1; };
    if (!llvm::equal(llvm::make_filter_range(padded, isLong), llvm::make_filter_range(back, isLong)))
      return {};
    bool isScalar = llvm::none_of(own, isLong);
    return {operand, isScalar ? SmallVector<AffineExpr>() : back};
  }

  static SmallVector<NamedAttribute> attributesOf(Operation *op, ArrayRef<int64_t> perm) {
    Builder builder(op->getContext());
    NamedAttrList attributes(op->getAttrs());
    if (auto slice = dyn_cast<SliceOp>(op)) {
      attributes.set(slice.getStartsAttrName(),
                     ExtentsAttr::get(op->getContext(), turnedBack<AffineExpr>(slice.getStarts().getExprs(), perm)));
      attributes.set(slice.getStepsAttrName(),
                     builder.getDenseI64ArrayAttr(turnedBack<int64_t>(slice.getSteps(), perm)));
    } else if (auto concat = dyn_cast<ConcatOp>(op)) {
      attributes.set(concat.getAxisAttrName(), builder.getI64IntegerAttr(perm[concat.getAxis()]));
    }
    return SmallVector<NamedAttribute>(attributes.getAttrs());
  }
};

} // namespace

void populateSinkTransposePatterns(RewritePatternSet &patterns) { patterns.add<SinkTranspose>(patterns.getContext()); }

} // namespace penstock::nn
