//===- AttentionGraph.cpp - An attention as cuDNN's operations ----*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "AttentionGraph.h"

namespace penstock {
namespace rt {
namespace cuda {

using namespace dnn;

static DataType toDataType(AttentionType type) { return type == AttentionType::kF16 ? kFloat16 : kBFloat16; }

Opaque AttentionGraph::addTensor(TensorId id, Shape dims, Shape strides, DataType type, bool isByValue) {
  Tensor tensor{id, dims, strides, type, /*isBetween=*/false, isByValue};
  add(tensor);
  return tensor.opaque;
}

Opaque AttentionGraph::addBetween(Shape dims, DataType type) {
  Tensor tensor{nextId++, dims, {dims[1] * dims[2] * dims[3], dims[2] * dims[3], dims[3], 1}, type, /*isBetween=*/true};
  add(tensor);
  return tensor.opaque;
}

Opaque AttentionGraph::addScores(DataType type) {
  return addBetween({problem.batch, problem.heads, problem.rows, problem.positions}, type);
}

Opaque AttentionGraph::addRowNumbers() { return addBetween({problem.batch, problem.heads, problem.rows, 1}); }

void AttentionGraph::addProduct(Opaque lhs, Opaque rhs, Opaque to) {
  CudnnDescriptor &product = add(kProduct);
  product.set(kProductPrecision, kTypeDataType, DataType(kFloat32));
  finish(product);
  CudnnDescriptor &operation = add(kProductOperation);
  operation.set(kOperationProduct, kTypeDescriptor, product.opaque);
  operation.set(kOperationLhs, kTypeDescriptor, lhs);
  operation.set(kOperationRhs, kTypeDescriptor, rhs);
  operation.set(kOperationMade, kTypeDescriptor, to);
  finishOperation(operation);
}

Opaque AttentionGraph::addReduction(ReductionMode mode, Opaque from) {
  CudnnDescriptor &reduction = add(kReduction);
  reduction.set(kReductionModeOf, kTypeReductionMode, mode);
  reduction.set(kReductionPrecision, kTypeDataType, DataType(kFloat32));
  finish(reduction);
  Opaque to = addRowNumbers();
  CudnnDescriptor &operation = add(kReductionOperation);
  operation.set(kOperationReduction, kTypeDescriptor, reduction.opaque);
  operation.set(kOperationReduced, kTypeDescriptor, from);
  operation.set(kOperationReducedTo, kTypeDescriptor, to);
  finishOperation(operation);
  return to;
}

Opaque AttentionGraph::addMask() {
  auto [images, heads, rows] = problem.mask;
  int64_t row = problem.positions, head = rows * row;
  return addTensor(kMaskId, {images, heads, rows, row}, {heads * head, head, row, 1}, toDataType(problem.type));
}

Opaque AttentionGraph::addSoftmax(Opaque scores) {
  Opaque top = addReduction(kReduceMax, scores);
  Opaque below = addScores(), exponentials = addScores();
  addPointwise(kSubtract, scores, top, below);
  addPointwise(kExponential, below, nullptr, exponentials);
  Opaque sum = addReduction(kReduceAdd, exponentials);
  // Nobody reads what training would need, but without it engines do not know the pattern.
  Opaque logarithm = addRowNumbers(), statistics = addRowNumbers();
  addPointwise(kLogarithm, sum, nullptr, logarithm);
  addPointwise(kAdd, logarithm, top, statistics);
  Opaque weights = addScores(toDataType(problem.type));
  addPointwise(kDivide, exponentials, sum, weights);
  return weights;
}

Outcome AttentionGraph::make(Handle handle, Opaque &graph) {
  const AttentionProblem &p = problem;
  DataType type = toDataType(p.type);
  auto rowsOf = [](const AttentionProblem::Strides &s) { return Shape{s[0], s[1], s[2], 1}; };
  Opaque query = addTensor(kQueryId, {p.batch, p.heads, p.rows, p.features}, rowsOf(p.query), type);
  Opaque key =
      addTensor(kKeyId, {p.batch, p.keyHeads, p.features, p.positions}, {p.key[0], p.key[1], 1, p.key[2]}, type);
  Opaque scores = addScores();
  addProduct(query, key, scores);
  Opaque scale = addTensor(kScaleId, {1, 1, 1, 1}, {1, 1, 1, 1}, kFloat32, /*isByValue=*/true);
  Opaque scaled = addScores();
  addPointwise(kMultiply, scores, scale, scaled);
  scores = scaled;
  if (p.hasMask) {
    Opaque mask = addMask(), masked = addScores();
    addPointwise(kAdd, scores, mask, masked);
    scores = masked;
  }
  Opaque weights = addSoftmax(scores);
  Opaque value = addTensor(kValueId, {p.batch, p.keyHeads, p.positions, p.valueFeatures}, rowsOf(p.value), type);
  Opaque result = addTensor(kResultId, {p.batch, p.heads, p.rows, p.valueFeatures}, rowsOf(p.result), type);
  addProduct(weights, value, result);
  return finishGraph(handle, graph);
}

} // namespace cuda
} // namespace rt
} // namespace penstock
