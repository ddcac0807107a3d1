//===- AttentionGraph.h - An attention as cuDNN's operations ------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_RT_DEVICES_ATTENTIONGRAPH_H
#define PENSTOCK_RT_DEVICES_ATTENTIONGRAPH_H

#include "CudnnGraph.h"

namespace penstock {
namespace rt {
namespace cuda {

/// The operations by which engines know an attention: a product, the factor, the mask, the softmax step by step, and
/// another product, of weights that are rounded to the operands' type.
class AttentionGraph : private CudnnGraph {
public:
  /// Names of the tensors that have memory, and of the factor; those between operations come after them.
  enum TensorId : int64_t { kQueryId = 1, kKeyId, kValueId, kMaskId, kScaleId, kResultId, kFirstBetweenId };

  AttentionGraph(const dnn::Calls &calls, const AttentionProblem &problem, CudnnPlan &plan)
      : CudnnGraph(calls, plan), problem(problem) {}
  /// See CudnnGraph::finishGraph.
  dnn::Outcome make(dnn::Handle handle, dnn::Opaque &graph);

private:
  dnn::Opaque addTensor(TensorId id, Shape dims, Shape strides, dnn::DataType type, bool isByValue = false);
  dnn::Opaque addBetween(Shape dims, dnn::DataType type = dnn::kFloat32);
  /// One number for each position of each row.
  dnn::Opaque addScores(dnn::DataType type = dnn::kFloat32);
  /// One number for each row.
  dnn::Opaque addRowNumbers();
  void addProduct(dnn::Opaque lhs, dnn::Opaque rhs, dnn::Opaque to);
  dnn::Opaque addReduction(dnn::ReductionMode mode, dnn::Opaque from);
  dnn::Opaque addMask();
  dnn::Opaque addSoftmax(dnn::Opaque scores);

  const AttentionProblem &problem;
  int64_t nextId = kFirstBetweenId;
};

} // namespace cuda
} // namespace rt
} // namespace penstock

#endif // PENSTOCK_RT_DEVICES_ATTENTIONGRAPH_H
