//===- Cudnn.h - cuDNN of this machine ----------------------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Part of libpenstock-cuda.so. A convolution and what follows it is one graph of operations, and so is an attention.
// The library's heuristic lists engines for a graph; the first is taken that is deterministic, computes in f32 as far
// as was asked, and needs no more scratch memory than is allowed.
//
// Threads: any, one call at a time. Errors: cuDNN's codes, which wordsOf() explains.
//
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_RT_DEVICES_CUDNN_H
#define PENSTOCK_RT_DEVICES_CUDNN_H

#include "CudnnApi.h"
#include "Dnn.h"

#include <memory>
#include <string>
#include <vector>

namespace penstock {
namespace rt {
namespace cuda {

/// A descriptor of the library. A call that fails is remembered, and the ones after it do nothing.
class CudnnDescriptor {
public:
  CudnnDescriptor(const dnn::Calls &calls, dnn::Kind kind);
  ~CudnnDescriptor();
  CudnnDescriptor(const CudnnDescriptor &) = delete;
  CudnnDescriptor &operator=(const CudnnDescriptor &) = delete;

  template <typename Value> void set(dnn::Attribute attribute, dnn::ValueType type, const Value &value) {
    setMany(attribute, type, 1, &value);
  }
  template <typename List> void setList(dnn::Attribute attribute, const List &values) {
    setMany(attribute, dnn::kTypeInt64, int64_t(values.size()), values.data());
  }
  void setMany(dnn::Attribute attribute, dnn::ValueType type, int64_t count, const void *values);
  /// At most `room` values; `count`: how many there are.
  void get(dnn::Attribute attribute, dnn::ValueType type, int64_t room, int64_t &count, void *values);
  void finish();

  dnn::Outcome outcome = dnn::kSuccess;
  dnn::Opaque opaque = nullptr;

private:
  const dnn::Calls &calls;
};

/// A graph of operations with its engine.
class CudnnPlan {
public:
  explicit CudnnPlan(const DnnProblem &problem) : problem(problem) {}
  int64_t workspaceBytes() const { return usedBytes; }
  const DnnProblem problem;

private:
  friend class Cudnn;
  friend class CudnnGraph;
  std::vector<std::unique_ptr<CudnnDescriptor>> parts; ///< those that the plan refers to
  dnn::Opaque plan = nullptr;                          ///< one of them
  int64_t usedBytes = 0;
};

class Cudnn {
public:
  /// Opens the library for the current context. Null: `error` says what is missing and what to do.
  static std::unique_ptr<Cudnn> open(std::string &error);
  /// Opens the library in the file `path` for a device that need not be there, as cuDNN writes its properties down
  /// (since version 9.8): it makes plans, and runs none.
  static std::unique_ptr<Cudnn> openWithout(const char *path, const std::string &properties, std::string &error);
  ~Cudnn();
  Cudnn(const Cudnn &) = delete;
  Cudnn &operator=(const Cudnn &) = delete;

  /// `next`, if given: the first so many engines that are listed are passed over; one beyond the taken one, then.
  /// dnn::kNotSupported: no engine does it.
  dnn::Outcome make(const DnnProblem &problem, std::unique_ptr<CudnnPlan> &plan, int64_t *next = nullptr) const;
  /// `buffers`: of the problem's kind.
  dnn::Outcome run(const CudnnPlan &plan, const DnnBuffers &buffers, Stream stream) const;
  const char *wordsOf(dnn::Outcome outcome) const { return calls.outcomeString(outcome); }

private:
  Cudnn() = default;
  static std::unique_ptr<Cudnn> load(const char *path, std::string &error);
  /// What an engine may do.
  struct Limits {
    int64_t workspaceBytes = 0;
    bool allowsTensorCores = true;
  };
  /// Tensors that have memory, by their ids.
  using Operands = std::vector<std::pair<int64_t, const void *>>;
  static Limits limitsOf(const ConvolutionProblem &problem);
  static Limits limitsOf(const AttentionProblem &problem) { return {problem.workspaceBytes}; }
  static Operands operandsOf(const CudnnPlan &plan, const ConvolutionBuffers &buffers);
  static Operands operandsOf(const CudnnPlan &plan, const AttentionBuffers &buffers);
  dnn::Outcome choose(CudnnPlan &plan, const Limits &limits, dnn::Opaque graph, dnn::HeuristicMode mode, int64_t first,
                      int64_t &number) const;
  void tryEngine(CudnnPlan &plan, const Limits &limits, std::unique_ptr<CudnnDescriptor> config) const;
  dnn::Outcome allows(const Limits &limits, CudnnDescriptor &config, bool &isAllowed) const;

  dnn::Calls calls;
  dnn::Handle handle = nullptr;
  std::unique_ptr<CudnnDescriptor> device; ///< null: that of the handle
};

} // namespace cuda
} // namespace rt
} // namespace penstock

#endif // PENSTOCK_RT_DEVICES_CUDNN_H
