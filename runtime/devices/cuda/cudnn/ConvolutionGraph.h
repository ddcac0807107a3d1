//===- ConvolutionGraph.h - A convolution as cuDNN's operations ---*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_RT_DEVICES_CONVOLUTIONGRAPH_H
#define PENSTOCK_RT_DEVICES_CONVOLUTIONGRAPH_H

#include "Cudnn.h"

namespace penstock {
namespace rt {
namespace cuda {

/// Names of the tensors that have memory; those between operations come after them.
enum TensorId : int64_t { kInputId = 1, kFilterId, kBiasId, kResidualId, kResultId, kFirstBetweenId };

/// The convolution, then the residual, the bias and the activation, in the order in which engines do them.
class ConvolutionGraph {
public:
  /// Descriptors become parts of the plan.
  ConvolutionGraph(const dnn::Calls &calls, ConvolutionPlan &plan);
  /// `handle`: null for a device that is not there. A failure is that of the first call that failed.
  dnn::Outcome make(dnn::Handle handle, dnn::Opaque &graph);

private:
  CudnnDescriptor &add(dnn::Kind kind);
  void finish(CudnnDescriptor &descriptor);
  dnn::Opaque addTensor(int64_t id, const ConvolutionProblem::Shape &dims, bool isBetween = false);
  /// What the next operation makes: the result, if it is the last.
  dnn::Opaque addMade();
  void addConvolution();
  void addPointwise(dnn::PointwiseMode mode, dnn::Opaque other);

  const dnn::Calls &calls;
  ConvolutionPlan &plan;
  const ConvolutionProblem &problem;
  dnn::Outcome outcome = dnn::kSuccess;
  int64_t numLeft, nextId = kFirstBetweenId;
  dnn::Opaque made = nullptr; ///< by the last operation
  std::vector<dnn::Opaque> operations;
};

} // namespace cuda
} // namespace rt
} // namespace penstock

#endif // PENSTOCK_RT_DEVICES_CONVOLUTIONGRAPH_H
