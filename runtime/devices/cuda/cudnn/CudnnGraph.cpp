//===- CudnnGraph.cpp - Operations of a graph of cuDNN ------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "CudnnGraph.h"

#include "penstock/rt/Abi.h"

namespace penstock {
namespace rt {
namespace cuda {

using namespace dnn;

/// What engines may rely on; more brings nothing.
static constexpr int64_t kAlignmentBytes = 16;
static_assert(RT_ALIGNMENT % kAlignmentBytes == 0, "buffers are aligned to this");

CudnnDescriptor &CudnnGraph::add(Kind kind) {
  plan.parts.push_back(std::make_unique<CudnnDescriptor>(calls, kind));
  return *plan.parts.back();
}

void CudnnGraph::finish(CudnnDescriptor &descriptor) {
  descriptor.finish();
  if (outcome == dnn::kSuccess)
    outcome = descriptor.outcome;
}

void CudnnGraph::add(Tensor &tensor) {
  CudnnDescriptor &made = add(kTensor);
  made.set(kTensorType, kTypeDataType, tensor.type);
  made.setList(kTensorDims, tensor.dims);
  made.setList(kTensorStrides, tensor.strides);
  made.set(kTensorId, kTypeInt64, tensor.id);
  made.set(kTensorAlignment, kTypeInt64, kAlignmentBytes);
  made.set(kTensorIsVirtual, kTypeBoolean, tensor.isBetween);
  if (tensor.isByValue)
    made.set(kTensorIsByValue, kTypeBoolean, true);
  finish(made);
  tensor.opaque = made.opaque;
}

void CudnnGraph::finishOperation(CudnnDescriptor &operation) {
  finish(operation);
  operations.push_back(operation.opaque);
}

void CudnnGraph::addPointwise(PointwiseMode mode, Opaque from, Opaque other, Opaque to) {
  CudnnDescriptor &pointwise = add(kPointwise);
  pointwise.set(kPointwiseModeOf, kTypePointwiseMode, mode);
  pointwise.set(kPointwisePrecision, kTypeDataType, DataType(kFloat32));
  finish(pointwise);
  CudnnDescriptor &operation = add(kPointwiseOperation);
  operation.set(kOperationPointwise, kTypeDescriptor, pointwise.opaque);
  operation.set(kOperationInput, kTypeDescriptor, from);
  if (other)
    operation.set(kOperationOther, kTypeDescriptor, other);
  operation.set(kOperationResult, kTypeDescriptor, to);
  finishOperation(operation);
}

Outcome CudnnGraph::finishGraph(Handle handle, Opaque &graph) {
  CudnnDescriptor &whole = add(kOperationGraph);
  whole.setMany(kGraphOperations, kTypeDescriptor, int64_t(operations.size()), operations.data());
  if (handle)
    whole.set(kGraphHandle, kTypeHandle, handle);
  finish(whole);
  graph = whole.opaque;
  return outcome;
}

} // namespace cuda
} // namespace rt
} // namespace penstock
