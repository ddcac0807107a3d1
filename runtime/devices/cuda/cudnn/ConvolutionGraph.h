//===- ConvolutionGraph.h - A convolution as cuDNN's operations ---*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_RT_DEVICES_CONVOLUTIONGRAPH_H
#define PENSTOCK_RT_DEVICES_CONVOLUTIONGRAPH_H

#include "CudnnGraph.h"

namespace penstock {
namespace rt {
namespace cuda {

/// The convolution, then the residual, the bias and the activation, in the order in which engines do them.
class ConvolutionGraph : private CudnnGraph {
public:
  /// Names of the tensors that have memory; those between operations come after them.
  enum TensorId : int64_t { kInputId = 1, kFilterId, kBiasId, kResidualId, kResultId, kFirstBetweenId };

  ConvolutionGraph(const dnn::Calls &calls, const ConvolutionProblem &problem, CudnnPlan &plan);
  /// See CudnnGraph::finishGraph.
  dnn::Outcome make(dnn::Handle handle, dnn::Opaque &graph);

private:
  dnn::Opaque addTensor(int64_t id, const ConvolutionProblem::Shape &dims, bool isBetween = false);
  /// What the next operation makes: the result, if it is the last.
  dnn::Opaque addMade();
  void addConvolution();
  void addElementwise(dnn::PointwiseMode mode, dnn::Opaque other);

  const ConvolutionProblem &problem;
  int64_t numLeft, nextId = kFirstBetweenId;
  dnn::Opaque made = nullptr; ///< by the last operation
};

} // namespace cuda
} // namespace rt
} // namespace penstock

#endif // PENSTOCK_RT_DEVICES_CONVOLUTIONGRAPH_H
