//===- CudnnAttention.cpp - Attentions of the cuDNN that is not there -*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "CudnnAttention.h"

#include <numeric>

namespace standin {
namespace dnn {

using Part = std::shared_ptr<State>;

static std::vector<int64_t> dimsOf(const Part &tensor) {
  return tensor ? tensor->numbers(kTensorDims) : std::vector<int64_t>(4, 0);
}

//===----------------------------------------------------------------------===//
// Rules
//===----------------------------------------------------------------------===//

/// Of matrices, whose first axes the right side may have fewer of.
Outcome checkProduct(const State &operation) {
  std::vector<int64_t> a = dimsOf(operation.part(kOperationLhs)), b = dimsOf(operation.part(kOperationRhs)),
                       c = dimsOf(operation.part(kOperationMade));
  bool fits = operation.part(kOperationProduct) && a[0] > 0 && a[0] == b[0] && b[1] > 0 && a[1] % b[1] == 0 &&
              a[3] == b[2] && c == std::vector<int64_t>{a[0], a[1], a[2], b[3]};
  return fits ? kSuccess : kBadParameter;
}

Outcome checkReduction(const State &operation) {
  std::vector<int64_t> x = dimsOf(operation.part(kOperationReduced)), y = dimsOf(operation.part(kOperationReducedTo));
  bool fits = operation.part(kOperationReduction) && x[0] > 0 && y == std::vector<int64_t>{x[0], x[1], x[2], 1};
  return fits ? kSuccess : kBadParameter;
}

static const std::vector<Part> &operationsOf(const State &graph) { return graph.parts.at(kGraphOperations); }

bool isAttention(const State &graph) {
  auto found = graph.parts.find(kGraphOperations);
  return found != graph.parts.end() && !found->second.empty() && found->second.front()->kind == kProductOperation;
}

namespace {

/// Takes one operation after the other.
class Reader {
public:
  explicit Reader(const State &graph) : operations(operationsOf(graph)) {}

  Part product(const Part &lhs, Part &left, Part &right) {
    const State *op = next(kProductOperation);
    left = op ? op->part(kOperationLhs) : nullptr, right = op ? op->part(kOperationRhs) : nullptr;
    return take(op, kOperationMade, !lhs || left == lhs);
  }
  Part pointwise(PointwiseMode mode, const Part &from, const Part &with = nullptr) {
    const State *op = next(kPointwiseOperation);
    fits &= op && op->part(kOperationPointwise)->number<PointwiseMode>(kPointwiseModeOf) == mode;
    other = op ? op->part(kOperationOther) : nullptr;
    return take(op, kOperationResult, op && op->part(kOperationInput) == from && (!with || other == with));
  }
  Part reduction(ReductionMode mode, const Part &from) {
    const State *op = next(kReductionOperation);
    fits &= op && op->part(kOperationReduction)->number<ReductionMode>(kReductionModeOf) == mode;
    return take(op, kOperationReducedTo, op && op->part(kOperationReduced) == from);
  }
  /// Is there a sum in front of the first reduction?
  bool hasMask() const { return at < operations.size() && operations[at]->kind == kPointwiseOperation; }
  bool isDone() const { return fits && at == operations.size(); }

  Part other; ///< of the last elementwise operation
  std::vector<Part> made;

private:
  const State *next(Kind kind) {
    bool is = at < operations.size() && operations[at]->kind == kind;
    fits &= is;
    return is ? operations[at++].get() : nullptr;
  }
  Part take(const State *op, Attribute result, bool isRight) {
    fits &= isRight;
    made.push_back(op ? op->part(result) : nullptr);
    fits &= made.back() != nullptr;
    return made.back();
  }

  const std::vector<Part> &operations;
  size_t at = 0;
  bool fits = true;
};

struct Parts {
  Part query, key, value, mask, scale, result;
};

bool read(const State &graph, Parts &parts) {
  Reader reader(graph);
  Part scores = reader.product(nullptr, parts.query, parts.key);
  scores = reader.pointwise(kMultiply, scores);
  parts.scale = reader.other;
  if (reader.hasMask()) {
    scores = reader.pointwise(kAdd, scores);
    parts.mask = reader.other;
  }
  Part top = reader.reduction(kReduceMax, scores);
  Part exponentials = reader.pointwise(kExponential, reader.pointwise(kSubtract, scores, top));
  Part sum = reader.reduction(kReduceAdd, exponentials);
  reader.pointwise(kAdd, reader.pointwise(kLogarithm, sum), top);
  Part weights = reader.pointwise(kDivide, exponentials, sum), left;
  parts.result = reader.product(weights, left, parts.value);
  if (!reader.isDone())
    return false;
  for (const Part &made : reader.made) {
    DataType type = made->number<DataType>(kTensorType);
    bool isLast = made == parts.result, isWeights = made == weights;
    if (made->number<bool>(kTensorIsVirtual) == isLast ||
        type != (isLast || isWeights ? parts.query->number<DataType>(kTensorType) : DataType(kFloat32)))
      return false;
  }
  return parts.scale && parts.scale->number<bool>(kTensorIsByValue) &&
         parts.query->number<DataType>(kTensorType) != kFloat32;
}

} // namespace

Outcome checkAttention(const State &graph) {
  Parts parts;
  return graph.has({kGraphHandle}) && read(graph, parts) ? kSuccess : kNotSupported;
}

std::vector<Engine> attentionEnginesFor(HeuristicMode mode) {
  if (mode == kHeuristicFallback)
    return {Engine::kFallback};
  return {Engine::kUnordered, Engine::kRoomy, Engine::kPlain};
}

bool canAttend(const State &graph) {
  Parts parts;
  if (!read(graph, parts))
    return false;
  auto isWide = [](const Part &tensor, size_t features) {
    std::vector<int64_t> strides = tensor->numbers(kTensorStrides);
    bool wide = tensor->numbers(kTensorDims)[features] % 8 == 0 && strides[features] == 1;
    for (size_t i = 0; i < 4; ++i)
      wide &= i == features || strides[i] % 8 == 0;
    return wide;
  };
  return isWide(parts.query, 3) && isWide(parts.key, 2) && isWide(parts.value, 3) && isWide(parts.result, 3);
}

//===----------------------------------------------------------------------===//
// Numbers
//===----------------------------------------------------------------------===//

Outcome Attention::bind(const State &graph, const std::map<int64_t, char *> &data) {
  Parts parts;
  if (!read(graph, parts))
    return kBadParameter;
  Binder binder(data);
  query = binder.take(parts.query), key = binder.take(parts.key), value = binder.take(parts.value);
  result = binder.take(parts.result);
  hasMask = parts.mask != nullptr;
  if (hasMask)
    mask = binder.take(parts.mask);
  Tensor factor = binder.take(parts.scale);
  if (!binder.isComplete())
    return kBadParameter;
  std::memcpy(&scale, factor.data, sizeof(scale)); // of the host, read before the call returns
  return kSuccess;
}

std::vector<Access> Attention::accesses() const {
  std::vector<Access> all = {{query.data, query.numBytes(), false},
                             {key.data, key.numBytes(), false},
                             {value.data, value.numBytes(), false},
                             {result.data, result.numBytes(), true}};
  if (hasMask)
    all.push_back({mask.data, mask.numBytes(), false});
  return all;
}

void Attention::checkPlaces() const {
  std::vector<const Tensor *> read = {&query, &key, &value};
  if (hasMask)
    read.push_back(&mask);
  checkPlacesOf("an attention", read, result);
}

/// What each position has in a row, rounded as engines round it.
std::vector<double> Attention::weigh(int64_t image, int64_t head, int64_t row) const {
  int64_t numPositions = key.dims[3], shared = head / (query.dims[1] / key.dims[1]);
  std::vector<double> weights;
  for (int64_t k = 0; k < numPositions; ++k) {
    double sum = 0;
    for (int64_t i = 0; i < query.dims[3]; ++i)
      sum += double(query.get({image, head, row, i})) * double(key.get({image, shared, i, k}));
    weights.push_back(sum * scale + (hasMask ? mask.get({image, head, row, k}) : 0));
  }
  double top = *std::max_element(weights.begin(), weights.end());
  for (double &weight : weights)
    weight = std::exp(weight - top);
  double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
  for (double &weight : weights) {
    char rounded[4];
    store(rounded, query.type, weight / sum);
    weight = load(rounded, query.type);
  }
  return weights;
}

void Attention::run() const {
  for (int64_t n = 0; n < result.dims[0]; ++n)
    for (int64_t h = 0; h < result.dims[1]; ++h)
      for (int64_t row = 0; row < result.dims[2]; ++row) {
        std::vector<double> weights = weigh(n, h, row);
        for (int64_t i = 0; i < result.dims[3]; ++i) {
          double sum = 0;
          for (size_t k = 0; k < weights.size(); ++k)
            sum += weights[k] * double(value.get({n, h / (query.dims[1] / key.dims[1]), int64_t(k), i}));
          store(result.at({n, h, row, i}), result.type, sum);
        }
      }
}

} // namespace dnn
} // namespace standin
