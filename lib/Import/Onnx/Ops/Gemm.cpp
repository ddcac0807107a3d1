//===- Gemm.cpp - Products of matrices -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#include "Families.h"
#include "Products.h"
#include "penstock/Import/Onnx/OperatorRegistry.h"

namespace penstock::onnximport {

Value asMatrices(NodeContext &n, Value lhs, Value rhs, llvm::function_ref<Value(Value, Value)> multiply) {
  if (!lhs || !rhs)
    return {};
  int64_t left = n.typeOf(lhs).getRank(), right = n.typeOf(rhs).getRank();
  if (left == 0 || right == 0)
    return (n.emitError() << "an operand is a scalar; expected at least one axis"), Value();
  if (left == 1)
    lhs = n.unsqueeze(lhs, 0);
  if (right == 1)
    rhs = n.unsqueeze(rhs, 1);
  Value product = multiply(lhs, rhs);
  if (!product)
    return {};
  Ints dropped;
  int64_t numDims = n.typeOf(product).getRank();
  if (left == 1)
    dropped.push_back(numDims - 2);
  if (right == 1)
    dropped.push_back(numDims - 1);
  return dropped.empty() ? product : n.squeeze(product, dropped);
}

Value multiplyMatrices(NodeContext &n, Value lhs, Value rhs) {
  return asMatrices(n, lhs, rhs, [&](Value left, Value right) { return n.matmul(left, right); });
}

namespace {

LogicalResult convertMatMul(NodeContext &n) {
  return n.setOutput(0, multiplyMatrices(n, n.getInput(0), n.getInput(1)));
}

/// alpha * A' * B' + beta * C
LogicalResult convertGemm(NodeContext &n) {
  Value lhs = n.getInput(0), rhs = n.getInput(1);
  if (!lhs || !rhs)
    return failure();
  if (n.typeOf(lhs).getRank() != 2 || n.typeOf(rhs).getRank() != 2)
    return n.emitError() << "operands have " << n.typeOf(lhs).getRank() << " and " << n.typeOf(rhs).getRank()
                         << " axes; expected two";
  Type type = n.elementOf(lhs);
  double alpha = n.getFloat("alpha", 1.0), beta = n.getFloat("beta", 1.0);
  Value result = n.matmul(lhs, rhs, n.getInt("transA", 0), n.getInt("transB", 0));
  if (alpha != 1.0)
    result = n.mul(result, n.scalar(alpha, type));
  if (n.hasInput(2) && beta != 0.0) {
    Value addend = n.getInput(2);
    if (beta != 1.0)
      addend = n.mul(addend, n.scalar(beta, type));
    result = n.add(result, addend);
  }
  return n.setOutput(0, result);
}

} // namespace

void registerGemmOperators(OperatorRegistry &r) {
  r.add("MatMul", 1, convertMatMul);
  r.add("Gemm", 1, convertGemm);
}

} // namespace penstock::onnximport
