//===- ContribAttention.cpp - Attention of ONNX Runtime's own domain -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// ONNX's own Attention is expanded to its function body, in which nn-raise-attention recognizes it.
//===----------------------------------------------------------------------===//
#include "../NodeContext.h"
#include "Contrib.h"
#include "penstock/Import/Onnx/OperatorRegistry.h"

#include <cmath>
#include <limits>

namespace penstock::onnximport {
namespace {

/// Operands with rows of all heads: [batch, rows, heads * features].
struct Operands {
  Value query, key, value;
};

/// [batch, rows, heads * features] as [batch, heads, rows, features].
Value splitHeads(NodeContext &n, Value value, int64_t numHeads) {
  if (!value)
    return {};
  Extents extents = n.extentsOf(value);
  Value split = n.reshape(value, {extents[0], extents[1], n.cst(numHeads), extents[2].floorDiv(numHeads)});
  return split ? n.transpose(split, {0, 2, 1, 3}) : Value();
}

/// A summand that is `low` where `hidden` holds.
Value toSummand(NodeContext &n, Value hidden, double low, Type element) {
  return hidden ? n.select(hidden, n.scalar(low, element), n.scalar(0, element)) : Value();
}

/// Which positions are padding, as a summand: [batch, positions] or [batch, rows, positions], 0 hides.
Value paddingMask(NodeContext &n, int index, double low, Type element) {
  Value mask = n.getInput(index);
  if (!mask)
    return {};
  int64_t numDims = n.typeOf(mask).getRank();
  if (numDims != 2 && numDims != 3) {
    n.emitError() << "input " << index << " is a mask of " << numDims
                  << " axes; expected [batch, positions] or [batch, rows, positions]";
    return {};
  }
  Value hidden = n.compare(nn::CompareKind::eq, mask, n.scalar(0, n.elementOf(mask)));
  return hidden ? toSummand(n, n.unsqueeze(hidden, numDims == 2 ? ArrayRef<int64_t>{1, 2} : ArrayRef<int64_t>{1}), low,
                            element)
                : Value();
}

/// Positions behind the row, as a summand.
Value causalMask(NodeContext &n, const Operands &operands, Type element) {
  Extents square{n.extentsOf(operands.query)[1], n.extentsOf(operands.key)[1]};
  RankedTensorType type = nn::getTensorType(square, n.builder().getI64Type());
  Value later = n.compare(nn::CompareKind::gt, n.iota(type, 1), n.iota(type, 0));
  bool isHalf = element.isF16();
  return toSummand(n, later, isHalf ? -65504 : -std::numeric_limits<float>::max(), element);
}

/// Heads apart, attention, heads together again. `padding` and `bias` are indices of inputs.
LogicalResult attend(NodeContext &n, const Operands &operands, int padding, int bias) {
  if (!operands.query || !operands.key || !operands.value)
    return failure();
  int64_t numHeads = n.getInt("num_heads", 0);
  std::optional<int64_t> width = nn::getConstant(n.extentsOf(operands.query)[2]);
  if (numHeads < 1 || !width || *width % numHeads != 0)
    return n.emitError() << "num_heads is " << numHeads << "; expected a divisor of the features";
  Type element = n.elementOf(operands.query);
  SmallVector<Value> masks;
  if (n.hasInput(padding))
    masks.push_back(paddingMask(n, padding, n.getFloat("mask_filter_value", -10000), element));
  if (n.hasInput(bias))
    masks.push_back(n.getInput(bias));
  if (n.getInt("unidirectional", 0))
    masks.push_back(causalMask(n, operands, element));
  SmallVector<Value> values{splitHeads(n, operands.query, numHeads), splitHeads(n, operands.key, numHeads),
                            splitHeads(n, operands.value, numHeads)};
  Value mask;
  for (Value next : masks) {
    if (!next)
      return failure();
    mask = mask ? n.add(mask, next) : next;
  }
  if (mask)
    values.push_back(mask);
  double scale = n.getFloat("scale", 0);
  if (scale == 0)
    scale = 1 / std::sqrt(static_cast<double>(*width / numHeads));
  Value made = n.make<nn::AttentionOp>(values, {n.number("scale", scale)});
  if (!made)
    return failure();
  Value together = n.transpose(made, {0, 2, 1, 3});
  Extents extents = n.extentsOf(together);
  return n.setOutput(0, n.reshape(together, {extents[0], extents[1], extents[2] * extents[3]}));
}

LogicalResult refuse(NodeContext &n, ArrayRef<int> inputs, int numOutputs) {
  for (int index : inputs)
    if (n.hasInput(index))
      return n.emitError() << "input " << index << " is not supported";
  for (int index = numOutputs; index < n.getNumOutputs(); ++index)
    if (n.hasOutput(index))
      return n.emitError() << "output " << index << " is not supported";
  if (n.getInt("do_rotary", 0))
    return n.emitError() << "do_rotary is not supported";
  return success();
}

/// One product makes query, key and value.
LogicalResult convertAttention(NodeContext &n) {
  if (failed(refuse(n, {4, 6}, 1)))
    return failure();
  Value packed = n.matmul(n.getInput(0), n.getInput(1));
  if (packed && n.hasInput(2))
    packed = n.add(packed, n.getInput(2));
  if (!packed)
    return failure();
  std::optional<int64_t> width = nn::getConstant(n.extentsOf(packed)[2]);
  Ints sizes = n.getInts("qkv_hidden_sizes").value_or(Ints(3, width.value_or(0) / 3));
  if (sizes.size() != 3 || sizes[0] + sizes[1] + sizes[2] != width)
    return n.emitError() << "qkv_hidden_sizes do not sum up to the columns of the weights";
  Operands operands;
  operands.query = n.sliceAxis(packed, 2, n.cst(0), n.cst(sizes[0]));
  operands.key = n.sliceAxis(packed, 2, n.cst(sizes[0]), n.cst(sizes[1]));
  operands.value = n.sliceAxis(packed, 2, n.cst(sizes[0] + sizes[1]), n.cst(sizes[2]));
  return attend(n, operands, /*padding=*/3, /*bias=*/5);
}

LogicalResult convertMultiHeadAttention(NodeContext &n) {
  if (failed(refuse(n, {6, 7, 8, 9}, 1)))
    return failure();
  Operands operands{n.getInput(0), n.getOptionalInput(1), n.getOptionalInput(2)};
  for (Value *operand : {&operands.query, &operands.key, &operands.value})
    if (!*operand || n.typeOf(*operand).getRank() != 3)
      return n.emitError() << "packed heads are not supported; expected query, key and value of three axes each";
  if (n.hasInput(3)) {
    Value bias = n.getInput(3);
    AffineExpr start = n.cst(0);
    for (Value *operand : {&operands.query, &operands.key, &operands.value}) {
      AffineExpr width = n.extentsOf(*operand)[2];
      Value part = bias ? n.sliceAxis(bias, 0, start, width) : Value();
      *operand = part ? n.add(*operand, part) : Value();
      if (!*operand)
        return failure();
      start = start + width;
    }
  }
  return attend(n, operands, /*padding=*/4, /*bias=*/5);
}

} // namespace

void registerContribAttention(OperatorRegistry &r) {
  constexpr llvm::StringLiteral kDomain("com.microsoft");
  r.add(kDomain, "Attention", 1, convertAttention);
  r.add(kDomain, "MultiHeadAttention", 1, convertMultiHeadAttention);
}

} // namespace penstock::onnximport
