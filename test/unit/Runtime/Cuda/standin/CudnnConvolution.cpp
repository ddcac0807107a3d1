//===- CudnnConvolution.cpp - Convolutions of the cuDNN that is not there -*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "CudnnConvolution.h"

namespace standin {
namespace dnn {

static constexpr int64_t kRoomyBytes = int64_t(1) << 40; ///< more than anybody gives

//===----------------------------------------------------------------------===//
// Rules
//===----------------------------------------------------------------------===//

Outcome checkTensor(const State &tensor) {
  std::vector<int64_t> dims = tensor.numbers(kTensorDims), strides = tensor.numbers(kTensorStrides);
  if (dims.size() != 4 || strides.size() != 4 || *std::min_element(dims.begin(), dims.end()) < 1 ||
      !tensor.has({kTensorType, kTensorId, kTensorAlignment}))
    return kBadParameter;
  return *std::min_element(strides.begin(), strides.end()) > 0 ? kSuccess : kBadParameter;
}

/// In one of the two orders that images may have.
static bool isImage(const std::shared_ptr<State> &tensor) {
  std::vector<int64_t> dims = tensor->numbers(kTensorDims), strides = tensor->numbers(kTensorStrides);
  std::vector<int64_t> packed = {dims[1] * dims[2] * dims[3], dims[2] * dims[3], dims[3], 1};
  std::vector<int64_t> channelsLast = {packed[0], 1, dims[3] * dims[1], dims[1]};
  return strides == packed || strides == channelsLast;
}

Outcome checkConvolution(const State &convolution) {
  for (Attribute attribute : {kConvolutionDilations, kConvolutionStrides, kConvolutionPrePads, kConvolutionPostPads})
    if (convolution.numbers(attribute).size() != 2)
      return kBadParameter;
  return convolution.number<int64_t>(kConvolutionSpatialDims) == 2 &&
                 convolution.number<ConvolutionMode>(kConvolutionModeOf) == kCrossCorrelation &&
                 convolution.number<DataType>(kConvolutionPrecision) == kFloat32
             ? kSuccess
             : kBadParameter;
}

static std::vector<int64_t> dimsOf(const std::shared_ptr<State> &tensor) {
  return tensor ? tensor->numbers(kTensorDims) : std::vector<int64_t>();
}

Outcome checkForward(const State &operation) {
  std::shared_ptr<State> convolution = operation.part(kForwardConvolution);
  std::vector<int64_t> x = dimsOf(operation.part(kForwardInput)), w = dimsOf(operation.part(kForwardFilter)),
                       y = dimsOf(operation.part(kForwardResult));
  if (!convolution || x.empty() || w.empty() || y.empty() || x[1] % w[1] != 0 || w[0] % (x[1] / w[1]) != 0 ||
      y[0] != x[0] || y[1] != w[0] || operation.number<float>(kForwardAlpha) != 1 ||
      operation.number<float>(kForwardBeta) != 0)
    return kBadParameter;
  std::vector<int64_t> strides = convolution->numbers(kConvolutionStrides),
                       dilations = convolution->numbers(kConvolutionDilations),
                       before = convolution->numbers(kConvolutionPrePads),
                       after = convolution->numbers(kConvolutionPostPads);
  for (size_t i = 0; i < 2; ++i)
    if (y[i + 2] != (x[i + 2] + before[i] + after[i] - dilations[i] * (w[i + 2] - 1) - 1) / strides[i] + 1)
      return kBadParameter;
  return kSuccess;
}

static PointwiseMode modeOf(const State &operation) {
  return operation.part(kOperationPointwise)->number<PointwiseMode>(kPointwiseModeOf);
}

Outcome checkPointwise(const State &operation) {
  std::vector<int64_t> x = dimsOf(operation.part(kOperationInput)), y = dimsOf(operation.part(kOperationResult));
  std::vector<int64_t> other = dimsOf(operation.part(kOperationOther));
  if (!operation.part(kOperationPointwise) || x.empty() || x != y)
    return kBadParameter;
  bool isUnary = modeOf(operation) == kRelu || modeOf(operation) == kExponential || modeOf(operation) == kLogarithm;
  if (isUnary != other.empty())
    return kBadParameter;
  for (size_t i = 0; i < other.size(); ++i)
    if (other[i] != 1 && other[i] != y[i])
      return kBadParameter;
  return kSuccess;
}

/// What has one number per step along an axis lies the same in any order.
static bool isChannelsLast(const std::shared_ptr<State> &tensor) {
  std::vector<int64_t> dims = dimsOf(tensor);
  return dims[1] > 1 && dims[2] * dims[3] > 1 && tensor->numbers(kTensorStrides)[1] == 1;
}
static bool isChannelsFirst(const std::shared_ptr<State> &tensor) {
  std::vector<int64_t> dims = dimsOf(tensor);
  return dims[1] > 1 && dims[2] * dims[3] > 1 && tensor->numbers(kTensorStrides)[1] != 1;
}

/// One convolution, and a chain of what follows it.
Outcome checkGraph(const State &graph) {
  auto found = graph.parts.find(kGraphOperations);
  if (found == graph.parts.end() || found->second.empty() || !graph.has({kGraphHandle}))
    return kBadParameter;
  std::shared_ptr<State> made;
  bool hasLast = false, hasFirst = false, areImages = true;
  for (const std::shared_ptr<State> &operation : found->second)
    for (Attribute attribute : {kForwardInput, kForwardFilter, kForwardResult, kOperationOther, kOperationResult})
      if (std::shared_ptr<State> tensor = operation->part(attribute))
        hasLast |= isChannelsLast(tensor), hasFirst |= isChannelsFirst(tensor), areImages &= isImage(tensor);
  if (!areImages || (hasLast && hasFirst))
    return kNotSupported; // engines read all of a graph in one order
  for (const std::shared_ptr<State> &operation : found->second) {
    bool isForward = operation->kind == kConvolutionForward;
    if (isForward != !made || (made && operation->part(kOperationInput) != made))
      return kNotSupported;
    made = operation->part(isForward ? kForwardResult : kOperationResult);
    bool isLast = operation == found->second.back();
    if (made->number<bool>(kTensorIsVirtual) == isLast || (!isLast && made->number<DataType>(kTensorType) != kFloat32))
      return kNotSupported;
  }
  return kSuccess;
}

//===----------------------------------------------------------------------===//
// Engines
//===----------------------------------------------------------------------===//

static bool isBias(const State &operation) {
  int64_t numFilters = dimsOf(operation.part(kOperationResult))[1];
  return modeOf(operation) == kAdd &&
         dimsOf(operation.part(kOperationOther)) == std::vector<int64_t>{1, numFilters, 1, 1};
}

static bool isResidual(const State &operation) {
  return modeOf(operation) == kAdd &&
         dimsOf(operation.part(kOperationOther)) == dimsOf(operation.part(kOperationResult));
}

/// What the precompiled engines do: nothing, or a residual or none, a bias, relu or nothing.
static bool isKnownPattern(const State &graph) {
  std::string pattern;
  for (const std::shared_ptr<State> &operation : graph.parts.at(kGraphOperations))
    if (operation->kind == kPointwiseOperation)
      pattern += modeOf(*operation) == kRelu ? 'r' : isBias(*operation) ? 'b' : isResidual(*operation) ? 'a' : '?';
  for (const char *known : {"", "b", "br", "ab", "abr"})
    if (pattern == known)
      return true;
  return false;
}

static const State &convolutionOf(const State &graph) {
  return *graph.parts.at(kGraphOperations).front()->part(kForwardConvolution);
}

std::vector<Engine> enginesFor(const State &graph, HeuristicMode mode) {
  if (!isKnownPattern(graph))
    return {};
  const State &convolution = convolutionOf(graph);
  bool isSymmetric = convolution.numbers(kConvolutionPrePads) == convolution.numbers(kConvolutionPostPads);
  if (mode == kHeuristicFallback)
    return {Engine::kFallback};
  return isSymmetric ? std::vector<Engine>{Engine::kTf32, Engine::kUnordered, Engine::kRoomy, Engine::kPlain}
                     : std::vector<Engine>{Engine::kUnordered};
}

std::vector<Note> notesOf(Engine engine) {
  switch (engine) {
  case Engine::kTf32:
    return {kTensorCore};
  case Engine::kUnordered:
    return {kNondeterministic};
  default:
    return {};
  }
}

/// A copy of the result, for engines that need any.
int64_t workspaceOf(const State &graph, Engine engine) {
  if (engine == Engine::kFallback)
    return 0;
  std::vector<int64_t> dims = dimsOf(graph.parts.at(kGraphOperations).front()->part(kForwardResult));
  return engine == Engine::kRoomy ? kRoomyBytes : dims[0] * dims[1] * dims[2] * dims[3] * 4;
}

bool canDo(const State &graph, Engine engine) {
  const State &convolution = convolutionOf(graph);
  // The heuristic does not know all of it: filters that are spread out need another engine.
  return engine != Engine::kTf32 || convolution.numbers(kConvolutionDilations) == std::vector<int64_t>{1, 1};
}

//===----------------------------------------------------------------------===//
// Numbers
//===----------------------------------------------------------------------===//

Outcome Convolution::bind(const State &graph, const std::map<int64_t, char *> &data) {
  Binder binder(data);
  const std::vector<std::shared_ptr<State>> &operations = graph.parts.at(kGraphOperations);
  const State &forward = *operations.front(), &convolution = convolutionOf(graph);
  input = binder.take(forward.part(kForwardInput)), filter = binder.take(forward.part(kForwardFilter));
  std::shared_ptr<State> last = forward.part(kForwardResult);
  for (size_t i = 1; i < operations.size(); ++i) {
    last = operations[i]->part(kOperationResult);
    if (modeOf(*operations[i]) == kRelu)
      hasRelu = true;
    else
      summands.push_back(binder.take(operations[i]->part(kOperationOther)));
  }
  result = binder.take(last);
  strides = convolution.numbers(kConvolutionStrides), dilations = convolution.numbers(kConvolutionDilations);
  pads = convolution.numbers(kConvolutionPrePads);
  roundsFactors = engine == Engine::kTf32 && input.type == Float::kF32;
  return binder.isComplete() ? kSuccess : kBadParameter;
}

std::vector<Access> Convolution::accesses() const {
  std::vector<Access> all = {{input.data, input.numBytes(), false},
                             {filter.data, filter.numBytes(), false},
                             {result.data, result.numBytes(), true}};
  for (const Tensor &summand : summands)
    all.push_back({summand.data, summand.numBytes(), false});
  return all;
}

void Convolution::checkPlaces() const {
  std::vector<const Tensor *> read = {&input, &filter};
  for (const Tensor &summand : summands)
    read.push_back(&summand);
  checkPlacesOf("a convolution", read, result);
}

double Convolution::sumAt(int64_t n, int64_t k, int64_t h, int64_t w) const {
  int64_t groupFilters = filter.dims[0] / (input.dims[1] / filter.dims[1]);
  int64_t firstChannel = k / groupFilters * filter.dims[1];
  auto factor = [this](float value) { return double(roundsFactors ? roundToTf32(value) : value); };
  double sum = 0;
  for (int64_t c = 0; c < filter.dims[1]; ++c)
    for (int64_t i = 0; i < filter.dims[2]; ++i)
      for (int64_t j = 0; j < filter.dims[3]; ++j) {
        int64_t row = h * strides[0] - pads[0] + i * dilations[0], column = w * strides[1] - pads[1] + j * dilations[1];
        if (row >= 0 && row < input.dims[2] && column >= 0 && column < input.dims[3])
          sum += factor(input.get({n, firstChannel + c, row, column})) * factor(filter.get({k, c, i, j}));
      }
  return sum;
}

void Convolution::run() const {
  for (int64_t n = 0; n < result.dims[0]; ++n)
    for (int64_t k = 0; k < result.dims[1]; ++k)
      for (int64_t h = 0; h < result.dims[2]; ++h)
        for (int64_t w = 0; w < result.dims[3]; ++w) {
          double sum = sumAt(n, k, h, w);
          for (const Tensor &summand : summands)
            sum += summand.dims == result.dims ? summand.get({n, k, h, w}) : summand.get({0, k, 0, 0});
          store(result.at({n, k, h, w}), result.type, hasRelu && sum < 0 ? 0 : sum);
        }
}

} // namespace dnn
} // namespace standin
