//===- SplitAttention.cpp - cuda-split-attention -------------- -*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Kernels are cut around what a library shall do: the attention itself, or the products that stand for it. That is
// tried on a copy first, for only the parts show whether the library does them.
//
//===----------------------------------------------------------------------===//

#include "CublasLtMatch.h"
#include "CudnnAttentionMatch.h"
#include "CutKernel.h"
#include "penstock/Dialect/NN/IR/Extents.h"
#include "penstock/Dialect/NN/Transforms/Passes.h"
#include "penstock/Target/Cuda/Passes.h"

#include <limits>

namespace penstock::cuda {
#define GEN_PASS_DEF_CUDASPLITATTENTIONPASS
#include "penstock/Target/Cuda/Passes.h.inc"

using namespace mlir;
using namespace nn;

namespace {

RankedTensorType typeOf(Value value) { return cast<RankedTensorType>(value.getType()); }

Value makeNumber(OpBuilder &b, Location loc, Type element, double number) {
  auto type = RankedTensorType::get({}, element);
  return b.create<ConstantOp>(loc, DenseElementsAttr::get(type, b.getFloatAttr(element, number)));
}

/// What is added to the score of a position that is not seen.
constexpr double kHidden = -std::numeric_limits<double>::infinity();

/// `value`, or zeros in the rows of which `scores` hides every position.
SelectOp zeroHiddenRows(OpBuilder &b, Location loc, Value scores, Value value) {
  auto max = ReduceKindAttr::get(b.getContext(), ReduceKind::max);
  auto last = b.getDenseI64ArrayAttr(typeOf(scores).getRank() - 1);
  Value top = b.create<ReduceOp>(loc, max, scores, last, b.getUnitAttr());
  auto equal = CompareKindAttr::get(b.getContext(), CompareKind::eq);
  Value hidden = b.create<CompareOp>(loc, equal, top, makeNumber(b, loc, typeOf(scores).getElementType(), kHidden));
  Value zero = makeNumber(b, loc, typeOf(value).getElementType(), 0);
  return b.create<SelectOp>(loc, hidden, zero, value);
}

/// The ops of an attention that stand for it.
class Products {
public:
  explicit Products(AttentionOp op)
      : op(op), b(op), loc(op.getLoc()), element(typeOf(op.getQuery()).getElementType()),
        numDims(typeOf(op.getQuery()).getRank()) {}

  void run() {
    SmallVector<AffineExpr> extents = getExtents(typeOf(op.getQuery()));
    extents.back() = getExtent(typeOf(op.getKey()), numDims - 2);
    Value query = widen(joinHeads(op.getQuery())), key = widen(op.getKey());
    scores = scale(b.create<MatmulOp>(loc, query, key, UnitAttr(), b.getUnitAttr()));
    // A mask may know an extent by another expression.
    Value masked = reshape(addMask(reshape(scores, extents)), extents);
    weights = joinHeads(narrow(normalize(masked)));
    Value product = b.create<MatmulOp>(loc, weights, op.getValue(), UnitAttr(), UnitAttr());
    Value result = reshape(product, getExtents(typeOf(op.getResult())));
    if (Attribute tensor = op->getAttr(kTensorAttr))
      result.getDefiningOp()->setAttr(kTensorAttr, tensor);
    op.replaceAllUsesWith(result);
    op.erase();
  }

  Value scores;  ///< all heads' rows x positions, f32, times the scale
  Value weights; ///< what each position has in a row, of the operands' type

private:
  Value reshape(Value value, ArrayRef<AffineExpr> extents) {
    RankedTensorType type = getTensorType(extents, typeOf(value).getElementType());
    return type == value.getType() ? value : b.create<ReshapeOp>(loc, type, value).getResult();
  }

  /// The rows of the heads that share a head of the key, one after the other.
  Value joinHeads(Value value) {
    SmallVector<AffineExpr> extents = getExtents(typeOf(value));
    if (numDims < 3)
      return value;
    AffineExpr heads = getExtent(typeOf(op.getKey()), numDims - 3);
    if (heads == extents[numDims - 3])
      return value;
    int64_t group = *getConstant(extents[numDims - 3]) / *getConstant(heads);
    extents[numDims - 3] = heads;
    extents[numDims - 2] = simplifyExtent(extents[numDims - 2] * group);
    return reshape(value, extents);
  }

  Value convert(Value value, Type to) {
    if (typeOf(value).getElementType() == to)
      return value;
    return b.create<CastOp>(loc, value, TypeAttr::get(to), UnitAttr());
  }
  Value widen(Value value) { return convert(value, b.getF32Type()); }
  Value narrow(Value value) { return convert(value, element); }

  Value constant(double number) { return makeNumber(b, loc, b.getF32Type(), number); }
  Value binary(BinaryKind kind, Value lhs, Value rhs) {
    return b.create<BinaryOp>(loc, BinaryKindAttr::get(b.getContext(), kind), lhs, rhs);
  }

  Value scale(Value value) {
    double factor = op.getScale().convertToDouble();
    return factor == 1 ? value : binary(BinaryKind::mul, value, constant(factor));
  }

  Value addMask(Value value) {
    Value mask = op.getMask();
    if (!mask)
      return value;
    if (!typeOf(mask).getElementType().isInteger(1))
      return binary(BinaryKind::add, value, widen(mask));
    return b.create<SelectOp>(loc, mask, value, constant(kHidden));
  }

  Value normalize(Value value) {
    auto axis = b.getI64IntegerAttr(numDims - 1);
    Value result = b.create<SoftmaxOp>(loc, value, axis);
    if (!op.getZeroMaskedRows())
      return result;
    return zeroHiddenRows(b, loc, value, result);
  }

  AttentionOp op;
  OpBuilder b;
  Location loc;
  Type element;
  int64_t numDims;
};

/// The library reads 16-bit numbers and f32; how many heads share one of the key's has to be a number.
bool canBeProducts(AttentionOp op) {
  RankedTensorType query = typeOf(op.getQuery()), key = typeOf(op.getKey());
  Type element = query.getElementType();
  if (!element.isF32() && !element.isF16() && !element.isBF16())
    return false;
  for (Value operand : {op.getQuery(), op.getKey(), op.getValue()})
    if (llvm::is_contained(getExtents(typeOf(operand)), AffineExpr()))
      return false;
  if (query.getRank() < 3)
    return true;
  AffineExpr heads = getExtent(query, query.getRank() - 3), shared = getExtent(key, query.getRank() - 3);
  return heads == shared || (getConstant(heads) && getConstant(shared).value_or(0) > 0);
}

/// The only one of a kernel.
AttentionOp getAttention(KernelOp kernel) {
  auto attentions = kernel.getBody().front().getOps<AttentionOp>();
  return llvm::hasSingleElement(attentions) ? *attentions.begin() : AttentionOp();
}

/// Cuts a kernel into parts, which know its name.
class Splitter {
public:
  explicit Splitter(KernelOp kernel) : kernel(kernel) {}

protected:
  void cut(Value value, const char *part) { cuts.push_back({value, (kernel.getName() + part).str()}); }
  void cutOperand(Value operand, const char *part, function_ref<bool(Value)> isRead) {
    bool isCut = llvm::any_of(cuts, [&](const Cut &other) { return other.value == operand; });
    if (!isCut && !isa<BlockArgument>(operand) && !isRead(operand))
      cut(operand, part);
  }
  void cutOperands(AttentionOp op, function_ref<bool(Value)> isRead) {
    cutOperand(op.getQuery(), ".query", isRead);
    cutOperand(op.getKey(), ".key", isRead);
    cutOperand(op.getValue(), ".value", isRead);
  }

  KernelOp kernel;
  SmallVector<Cut> cuts;
};

/// Leaves the attention to cuDNN.
class AttentionSplitter : public Splitter {
public:
  using Splitter::Splitter;

  /// The kernels that stand for `kernel`, which is gone.
  SmallVector<KernelOp> run() {
    AttentionOp op = getAttention(kernel);
    addMask(op);
    guardRows(op);
    cutOperands(op, isReadByCudnn);
    if (op.getMask())
      cutOperand(op.getMask(), ".mask", isMaskReadByCudnn);
    attentionPart = cuts.size();
    Value made = findCudnnResult(op);
    if (!llvm::is_contained(kernel.getBody().front().getTerminator()->getOperands(), made))
      cut(made, ".attention");
    return cutKernel(kernel, cuts);
  }

  bool isLibrarys(MutableArrayRef<KernelOp> parts) const {
    return matchCudnnAttention(parts[attentionPart].getBody().front()).has_value();
  }

private:
  /// The library adds masks, so that a condition has to become one.
  static void addMask(AttentionOp op) {
    Value mask = op.getMask();
    if (!mask || !typeOf(mask).getElementType().isInteger(1))
      return;
    OpBuilder b(op);
    Type element = typeOf(op.getQuery()).getElementType();
    Value seen = makeNumber(b, op.getLoc(), element, 0), hidden = makeNumber(b, op.getLoc(), element, kHidden);
    op.getMaskMutable().assign(b.create<SelectOp>(op.getLoc(), mask, seen, hidden).getResult());
  }

  /// What the library gives for rows that see no position is nobody's to know. The mask tells which these are.
  static void guardRows(AttentionOp op) {
    if (!op.getZeroMaskedRows())
      return;
    op.removeZeroMaskedRowsAttr();
    Value mask = op.getMask();
    if (!mask)
      return;
    OpBuilder b(op->getContext());
    b.setInsertionPointAfter(op);
    SelectOp guarded = zeroHiddenRows(b, op.getLoc(), mask, op.getResult());
    if (Attribute tensor = op->removeAttr(kTensorAttr))
      guarded->setAttr(kTensorAttr, tensor);
    op.getResult().replaceAllUsesExcept(guarded.getResult(), guarded);
  }

  size_t attentionPart = 0;
};

/// Makes the attention two products of cuBLASLt.
class ProductSplitter : public Splitter {
public:
  using Splitter::Splitter;

  SmallVector<KernelOp> run() {
    AttentionOp op = getAttention(kernel);
    cutOperands(op, isReadByCublasLt);
    Products products(op);
    products.run();
    scoresPart = cuts.size();
    cut(products.scores, ".scores");
    cut(products.weights, ".weights");
    return cutKernel(kernel, cuts);
  }

  /// Whether the library does both products of what run() gave.
  bool isLibrarys(MutableArrayRef<KernelOp> parts) const {
    return matchCublasLt(parts[scoresPart].getBody().front(), /*allowsTf32=*/false) &&
           findCublasLtEnd(parts.back().getBody().front()).value;
  }

private:
  size_t scoresPart = 0;
};

struct CudaSplitAttentionPass : impl::CudaSplitAttentionPassBase<CudaSplitAttentionPass> {
  void runOnOperation() override {
    SmallVector<KernelOp> kernels;
    getOperation().walk([&](KernelOp kernel) { kernels.push_back(kernel); });
    for (KernelOp kernel : kernels)
      numSplit += !kernel.getDefines() && split(kernel);
  }

private:
  static bool split(KernelOp kernel) {
    AttentionOp attention = getAttention(kernel);
    return attention && ((canBeCudnns(attention) && split<AttentionSplitter>(kernel)) ||
                         (canBeProducts(attention) && split<ProductSplitter>(kernel)));
  }

  template <typename SplitterT> static bool split(KernelOp kernel) {
    SplitterT trial(cast<KernelOp>(OpBuilder(kernel).clone(*kernel)));
    SmallVector<KernelOp> parts = trial.run();
    bool isLibrarys = trial.isLibrarys(parts);
    for (KernelOp part : llvm::reverse(parts))
      part.erase();
    if (isLibrarys)
      SplitterT(kernel).run();
    return isLibrarys;
  }
};

} // namespace
} // namespace penstock::cuda
