//===- ConvolutionGraph.cpp - A convolution as cuDNN's operations -*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "ConvolutionGraph.h"

namespace penstock {
namespace rt {
namespace cuda {

using namespace dnn;

ConvolutionGraph::ConvolutionGraph(const Calls &calls, const ConvolutionProblem &problem, CudnnPlan &plan)
    : CudnnGraph(calls, plan), problem(problem), numLeft(1 + problem.hasResidual + problem.hasBias + problem.hasRelu) {}

static DataType toDataType(ConvolutionType type) {
  return type == ConvolutionType::kF32 ? kFloat32 : type == ConvolutionType::kF16 ? kFloat16 : kBFloat16;
}

Opaque ConvolutionGraph::addTensor(int64_t id, const ConvolutionProblem::Shape &dims, bool isBetween) {
  Tensor tensor{id, dims, {dims[1] * dims[2] * dims[3], dims[2] * dims[3], dims[3], 1}};
  if (problem.isChannelsLast)
    tensor.strides = {tensor.strides[0], 1, dims[3] * dims[1], dims[1]};
  tensor.type = isBetween ? DataType(kFloat32) : toDataType(problem.type);
  tensor.isBetween = isBetween;
  add(tensor);
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
  finishOperation(operation);
}

void ConvolutionGraph::addElementwise(PointwiseMode mode, Opaque other) {
  Opaque from = made;
  made = addMade();
  addPointwise(mode, from, other, made);
}

Outcome ConvolutionGraph::make(Handle handle, Opaque &graph) {
  addConvolution();
  if (problem.hasResidual)
    addElementwise(kAdd, addTensor(kResidualId, problem.result));
  if (problem.hasBias)
    addElementwise(kAdd, addTensor(kBiasId, {1, problem.filter[0], 1, 1}));
  if (problem.hasRelu)
    addElementwise(kRelu, nullptr);
  return finishGraph(handle, graph);
}

} // namespace cuda
} // namespace rt
} // namespace penstock
