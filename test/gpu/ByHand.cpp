//===- ByHand.cpp - What the libraries reach by themselves ---*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ByHand.h"

#include "Stage.h"

using namespace penstock;
using namespace penstock::test;
using rt::Status;

static constexpr size_t kMaxAlgorithms = 32;

namespace {

/// Where the tensors of one run lie.
class Layout {
public:
  int64_t add(int64_t numBytes) {
    int64_t offset = total;
    total += rt::alignForDevice(numBytes);
    return offset;
  }
  int64_t total = 0;
};

} // namespace

template <typename Library> static Status openLibrary(std::unique_ptr<Library> &library) {
  std::string words;
  if (!library)
    library = Library::open(words);
  return library ? Status() : rt::fail(rt::Code::kSystem, "%s", words.c_str());
}

Status ByHand::find(const rt::ProductProblem &problem, Ways &ways) {
  if (Status status = openLibrary(blas); !status.ok())
    return status;
  std::vector<rt::ProductChoice> choices;
  if (int32_t outcome = blas->list(problem, kMaxAlgorithms, choices))
    return rt::fail(rt::Code::kSystem, "cuBLASLt lists no algorithm: %s", blas->wordsOf(outcome));
  bool isNarrow = problem.type == rt::ProductType::kF16 || problem.type == rt::ProductType::kBF16;
  int64_t factorBytes = problem.type == rt::ProductType::kF32 ? 4 : 2, resultBytes = isNarrow ? 2 : 4;
  int64_t numResults = problem.batch * problem.rows * problem.columns;
  Layout layout;
  int64_t lhs = layout.add((problem.repeatsLhs ? 1 : problem.batch) * problem.rows * problem.inner * factorBytes);
  int64_t rhs = layout.add((problem.repeatsRhs ? 1 : problem.batch) * problem.inner * problem.columns * factorBytes);
  int64_t bias = problem.hasBias ? layout.add(problem.columns * resultBytes) : 0;
  int64_t residual = problem.hasResidual ? layout.add(numResults * resultBytes) : 0;
  int64_t result = layout.add(numResults * resultBytes);
  ways.setBytes = layout.total;
  ways.flops = 2 * numResults * problem.inner;
  for (rt::ProductChoice &choice : choices) {
    std::unique_ptr<rt::cuda::ProductPlan> made;
    if (blas->make(problem, choice, made))
      continue;
    ways.list.push_back(
        [=, plan = std::shared_ptr(std::move(made)), library = blas.get()](char *tensors, void *scratch, void *stream) {
          rt::ProductBuffers buffers;
          buffers.lhs = tensors + lhs, buffers.rhs = tensors + rhs, buffers.result = tensors + result;
          buffers.bias = problem.hasBias ? tensors + bias : nullptr;
          buffers.residual = problem.hasResidual ? tensors + residual : nullptr;
          buffers.workspace = scratch;
          return library->run(*plan, buffers, static_cast<rt::cuda::Stream>(stream));
        });
  }
  return Status();
}

static int64_t numElements(const rt::ConvolutionProblem::Shape &shape) {
  return shape[0] * shape[1] * shape[2] * shape[3];
}

ByHand::Place ByHand::describe(const rt::ConvolutionProblem &problem, Ways &ways) {
  int64_t bytes = problem.type == rt::ConvolutionType::kF32 ? 4 : 2;
  Layout layout;
  int64_t input = layout.add(numElements(problem.input) * bytes);
  int64_t filter = layout.add(numElements(problem.filter) * bytes);
  int64_t bias = problem.hasBias ? layout.add(problem.filter[0] * bytes) : 0;
  int64_t residual = problem.hasResidual ? layout.add(numElements(problem.result) * bytes) : 0;
  int64_t result = layout.add(numElements(problem.result) * bytes);
  ways.setBytes = layout.total;
  ways.flops = 2 * numElements(problem.result) * problem.filter[1] * problem.filter[2] * problem.filter[3];
  return [=](char *tensors) {
    rt::ConvolutionBuffers buffers;
    buffers.input = tensors + input, buffers.filter = tensors + filter, buffers.result = tensors + result;
    buffers.bias = problem.hasBias ? tensors + bias : nullptr;
    buffers.residual = problem.hasResidual ? tensors + residual : nullptr;
    return buffers;
  };
}

/// Of 16-bit numbers that lie that far apart.
static int64_t numBytes(const rt::AttentionProblem::Strides &strides, std::array<int64_t, 3> extents,
                        int64_t features) {
  int64_t last = features - 1;
  for (size_t i = 0; i < extents.size(); ++i)
    last += (extents[i] - 1) * strides[i];
  return 2 * (last + 1);
}

ByHand::Place ByHand::describe(const rt::AttentionProblem &problem, Ways &ways) {
  const rt::AttentionProblem &p = problem;
  Layout layout;
  int64_t query = layout.add(numBytes(p.query, {p.batch, p.heads, p.rows}, p.features));
  int64_t key = layout.add(numBytes(p.key, {p.batch, p.keyHeads, p.positions}, p.features));
  int64_t value = layout.add(numBytes(p.value, {p.batch, p.keyHeads, p.positions}, p.valueFeatures));
  int64_t mask = p.hasMask ? layout.add(2 * p.mask[0] * p.mask[1] * p.mask[2] * p.positions) : 0;
  int64_t result = layout.add(numBytes(p.result, {p.batch, p.heads, p.rows}, p.valueFeatures));
  ways.setBytes = layout.total;
  ways.flops = 2 * p.batch * p.heads * p.rows * p.positions * (p.features + p.valueFeatures);
  return [=](char *tensors) {
    rt::AttentionBuffers buffers;
    buffers.query = tensors + query, buffers.key = tensors + key, buffers.value = tensors + value;
    buffers.mask = problem.hasMask ? tensors + mask : nullptr;
    buffers.result = tensors + result;
    return buffers;
  };
}

Status ByHand::find(const rt::DnnProblem &problem, Ways &ways) {
  if (Status status = openLibrary(dnn); !status.ok())
    return status;
  Place place = std::visit([&](const auto &kind) { return describe(kind, ways); }, problem.kinds());
  for (int64_t next = 0;;) {
    std::unique_ptr<rt::cuda::CudnnPlan> made;
    int32_t outcome = dnn->make(problem, made, &next);
    if (outcome && ways.list.empty())
      return rt::fail(rt::Code::kSystem, "cuDNN lists no engine: %s", dnn->wordsOf(outcome));
    if (outcome)
      return Status();
    ways.list.push_back([place, plan = std::shared_ptr(std::move(made)),
                         library = dnn.get()](char *tensors, void *scratch, void *stream) {
      rt::DnnBuffers buffers = place(tensors);
      std::visit([&](auto &kind) { kind.workspace = scratch; }, buffers.kinds());
      return library->run(*plan, buffers, static_cast<rt::cuda::Stream>(stream));
    });
  }
}
