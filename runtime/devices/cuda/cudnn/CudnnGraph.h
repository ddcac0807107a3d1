//===- CudnnGraph.h - Operations of a graph of cuDNN --------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_RT_DEVICES_CUDNNGRAPH_H
#define PENSTOCK_RT_DEVICES_CUDNNGRAPH_H

#include "Cudnn.h"

#include <array>

namespace penstock {
namespace rt {
namespace cuda {

/// What graphs of all problems share. Descriptors become parts of the plan.
class CudnnGraph {
protected:
  using Shape = std::array<int64_t, 4>;
  struct Tensor {
    int64_t id = 0;
    Shape dims = {}, strides = {};
    dnn::DataType type = dnn::kFloat32;
    bool isBetween = false; ///< has no memory
    bool isByValue = false; ///< a number of the host
    dnn::Opaque opaque = nullptr;
  };

  CudnnGraph(const dnn::Calls &calls, CudnnPlan &plan) : calls(calls), plan(plan) {}

  CudnnDescriptor &add(dnn::Kind kind);
  void finish(CudnnDescriptor &descriptor);
  /// Sets its descriptor.
  void add(Tensor &tensor);
  /// The next operation of the graph.
  void finishOperation(CudnnDescriptor &operation);
  /// Computed in f32. `other`: null for one that has one operand.
  void addPointwise(dnn::PointwiseMode mode, dnn::Opaque from, dnn::Opaque other, dnn::Opaque to);
  /// `handle`: null for a device that is not there. A failure is that of the first call that failed.
  dnn::Outcome finishGraph(dnn::Handle handle, dnn::Opaque &graph);

private:
  const dnn::Calls &calls;
  CudnnPlan &plan;
  dnn::Outcome outcome = dnn::kSuccess;
  std::vector<dnn::Opaque> operations;
};

} // namespace cuda
} // namespace rt
} // namespace penstock

#endif // PENSTOCK_RT_DEVICES_CUDNNGRAPH_H
