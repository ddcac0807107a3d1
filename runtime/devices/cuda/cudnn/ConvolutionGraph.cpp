//===- ConvolutionGraph.cpp - A convolution as cuDNN's operations -*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "ConvolutionGraph.h"

#include "penstock/rt/Abi.h"

namespace penstock {
namespace rt {
namespace cuda {

using namespace dnn;

/// What engines may rely on; more brings nothing.
static constexpr int64_t kAlignmentBytes = 16;
static_assert(RT_ALIGNMENT % kAlignmentBytes == 0, "buffers are aligned to this");

ConvolutionGraph::ConvolutionGraph(const Calls &calls, ConvolutionPlan &plan)
    : calls(calls), plan(plan), problem(plan.problem),
      numLeft(1 + problem.hasResidual + problem.hasBias + problem.hasRelu) {}

CudnnDescriptor &ConvolutionGraph::add(Kind kind) {
  plan.parts.push_back(std::make_unique<CudnnDescriptor>(calls, kind));
  return *plan.parts.back();
}

void ConvolutionGraph::finish(CudnnDescriptor &descriptor) {
  descriptor.finish();
  if (outcome == dnn::kSuccess)
    outcome = descriptor.outcome;
}

static DataType toDataType(ConvolutionType type) {
  return type == ConvolutionType::kF32 ? kFloat32 : type == ConvolutionType::kF16 ? kFloat16 : kBFloat16;
}

Opaque ConvolutionGraph::addTensor(int64_t id, const ConvolutionProblem::Shape &dims, bool isBetween) {
  ConvolutionProblem::Shape strides = {dims[1] * dims[2] * dims[3], dims[2] * dims[3], dims[3], 1};
  if (problem.isChannelsLast)
    strides = {strides[0], 1, dims[3] * dims[1], dims[1]};
  CudnnDescriptor &tensor = add(kTensor);
  tensor.set(kTensorType, kTypeDataType, isBetween ? DataType(kFloat32) : toDataType(problem.type));
  tensor.setList(kTensorDims, dims);
  tensor.setList(kTensorStrides, strides);
  tensor.set(kTensorId, kTypeInt64, id);
  tensor.set(kTensorAlignment, kTypeInt64, kAlignmentBytes);
  tensor.set(kTensorIsVirtual, kTypeBoolean, isBetween);
  finish(tensor);
  return tensor.opaque;
}

Opaque ConvolutionGraph::addMade() {
  return --numLeft > 0 ? addTensor(nextId++, problem.result, /*isBetween=*/true) : addTensor(kResultId, problem.result);
}

void ConvolutionGraph::addConvolution() {
  CudnnDescriptor &convolution = add(kConvolution);
  convolution.set(kConvolutionPrecision, kTypeDataType, DataType(kFloat32));
  convolution.set(kConvolutionModeOf, kTypeConvolutionMode, ConvolutionMode(kCrossCorrelation));
  convolution.set(kConvolutionSpatialDims, kTypeInt64, int64_t(2));
  convolution.setList(kConvolutionStrides, problem.strides);
  convolution.setList(kConvolutionDilations, problem.dilations);
  convolution.setList(kConvolutionPrePads, problem.padsBefore);
  convolution.setList(kConvolutionPostPads, problem.padsAfter);
  finish(convolution);
  Opaque input = addTensor(kInputId, problem.input), filter = addTensor(kFilterId, problem.filter);
  made = addMade();
  CudnnDescriptor &operation = add(kConvolutionForward);
  operation.set(kForwardConvolution, kTypeDescriptor, convolution.opaque);
  operation.set(kForwardInput, kTypeDescriptor, input);
  operation.set(kForwardFilter, kTypeDescriptor, filter);
  operation.set(kForwardResult, kTypeDescriptor, made);
  operation.set(kForwardAlpha, kTypeFloat, 1.0f);
  operation.set(kForwardBeta, kTypeFloat, 0.0f);
  finish(operation);
  operations.push_back(operation.opaque);
}

void ConvolutionGraph::addPointwise(PointwiseMode mode, Opaque other) {
  CudnnDescriptor &pointwise = add(kPointwise);
  pointwise.set(kPointwiseModeOf, kTypePointwiseMode, mode);
  pointwise.set(kPointwisePrecision, kTypeDataType, DataType(kFloat32));
  finish(pointwise);
  Opaque from = made;
  made = addMade();
  CudnnDescriptor &operation = add(kPointwiseOperation);
  operation.set(kOperationPointwise, kTypeDescriptor, pointwise.opaque);
  operation.set(kOperationInput, kTypeDescriptor, from);
  if (other)
    operation.set(kOperationOther, kTypeDescriptor, other);
  operation.set(kOperationResult, kTypeDescriptor, made);
  finish(operation);
  operations.push_back(operation.opaque);
}

Outcome ConvolutionGraph::make(Handle handle, Opaque &graph) {
  addConvolution();
  if (problem.hasResidual)
    addPointwise(kAdd, addTensor(kResidualId, problem.result));
  if (problem.hasBias)
    addPointwise(kAdd, addTensor(kBiasId, {1, problem.filter[0], 1, 1}));
  if (problem.hasRelu)
    addPointwise(kRelu, nullptr);
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
