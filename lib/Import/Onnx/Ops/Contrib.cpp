//===- Contrib.cpp - Operators of ONNX Runtime's own domain -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Fused operators that ONNX Runtime's optimizer and quantizer write into published models.
//===----------------------------------------------------------------------===//
#include "Contrib.h"
#include "Families.h"
#include "Products.h"
#include "penstock/Import/Onnx/OperatorRegistry.h"

namespace penstock::onnximport {
namespace {

using nn::UnaryKind;

Value addOptional(NodeContext &n, Value value, int index) {
  return n.hasInput(index) ? n.add(value, n.getInput(index)) : value;
}

/// A function of the input and an optional bias.
Converter biased(UnaryKind kind) {
  return [kind](NodeContext &n) { return n.setOutput(0, n.unary(kind, addOptional(n, n.getInput(0), 1))); };
}

LogicalResult convertQuickGelu(NodeContext &n) {
  Value input = n.getInput(0);
  if (!input)
    return failure();
  Value scaled = n.mul(input, n.scalar(n.getFloat("alpha", 1.702f), n.elementOf(input)));
  return n.setOutput(0, n.mul(input, n.unary(UnaryKind::sigmoid, scaled)));
}

/// alpha * A' * B', where a prime swaps the last two axes.
LogicalResult convertFusedMatMul(NodeContext &n) {
  Value lhs = n.getInput(0), rhs = n.getInput(1);
  if (!lhs || !rhs)
    return failure();
  if (n.getInt("transBatchA", 0) || n.getInt("transBatchB", 0))
    return n.emitError() << "transBatchA and transBatchB are not supported";
  auto swap = [&](Value value, StringRef name) {
    int64_t numDims = n.typeOf(value).getRank();
    if (!n.getInt(name, 0) || numDims < 2)
      return value;
    Ints perm;
    for (int64_t axis = 0; axis < numDims; ++axis)
      perm.push_back(axis);
    std::swap(perm[numDims - 1], perm[numDims - 2]);
    return n.transpose(value, perm);
  };
  Value product = multiplyMatrices(n, swap(lhs, "transA"), swap(rhs, "transB"));
  double alpha = n.getFloat("alpha", 1.0);
  return n.setOutput(0, alpha == 1.0 || !product ? product : n.mul(product, n.scalar(alpha, n.elementOf(product))));
}

/// Layer normalization of input + skip + bias; the sum is the fourth output.
LogicalResult convertSkipNorm(NodeContext &n, bool rms) {
  Value sum = n.add(n.getInput(0), n.getInput(1));
  sum = addOptional(n, sum, rms ? 3 : 4);
  if (!sum)
    return failure();
  for (int i : {1, 2})
    if (n.hasOutput(i))
      return n.emitError() << "output " << i << " is not supported";
  SmallVector<Value> operands{sum, n.getInput(2)};
  if (!rms && n.hasInput(3))
    operands.push_back(n.getInput(3));
  SmallVector<NamedAttribute> attributes{n.integer("axis", n.typeOf(sum).getRank() - 1),
                                         n.number("epsilon", n.getFloat("epsilon", 1e-12f))};
  if (rms)
    attributes.push_back(n.unit("rms"));
  if (failed(n.setOutput(0, n.make<nn::LayerNormOp>(operands, attributes))))
    return failure();
  return n.setOutput(3, sum);
}

} // namespace

void registerContribOperators(OperatorRegistry &r) {
  constexpr llvm::StringLiteral kDomain("com.microsoft");
  r.add(kDomain, "Gelu", 1, biased(UnaryKind::gelu));
  r.add(kDomain, "BiasGelu", 1, biased(UnaryKind::gelu));
  r.add(kDomain, "FastGelu", 1, biased(UnaryKind::gelu_tanh));
  r.add(kDomain, "QuickGelu", 1, convertQuickGelu);
  r.add(kDomain, "FusedMatMul", 1, convertFusedMatMul);
  r.add(kDomain, "SkipLayerNormalization", 1, [](NodeContext &n) { return convertSkipNorm(n, /*rms=*/false); });
  r.add(kDomain, "SkipSimplifiedLayerNormalization", 1,
        [](NodeContext &n) { return convertSkipNorm(n, /*rms=*/true); });
  registerContribAttention(r);
}

} // namespace penstock::onnximport
