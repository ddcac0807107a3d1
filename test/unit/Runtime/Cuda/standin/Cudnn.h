//===- Cudnn.h - Descriptors of the cuDNN that is not there -------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_TEST_STANDIN_CUDNN_H
#define PENSTOCK_TEST_STANDIN_CUDNN_H

#include "CudnnApi.h"
#include "Standin.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <set>

namespace standin {
namespace dnn {

using namespace penstock::rt::cuda::dnn;
using penstock::rt::cuda::Stream;

/// How a graph may be done, in the order in which the heuristic lists them.
enum class Engine : uint8_t { kTf32, kUnordered, kRoomy, kPlain, kFallback };

struct State {
  Kind kind = 0;
  bool isFinished = false;
  std::map<Attribute, std::vector<char>> values;
  std::map<Attribute, std::vector<std::shared_ptr<State>>> parts;
  // Of engines and plans.
  std::shared_ptr<State> graph;
  Engine engine = Engine::kPlain;
  mutable bool hasRun = false;

  bool has(std::initializer_list<Attribute> attributes) const {
    return std::all_of(attributes.begin(), attributes.end(), [&](Attribute a) { return values.count(a) > 0; });
  }
  std::vector<int64_t> numbers(Attribute attribute) const {
    auto found = values.find(attribute);
    std::vector<int64_t> result(found == values.end() ? 0 : found->second.size() / sizeof(int64_t));
    if (!result.empty())
      std::memcpy(result.data(), found->second.data(), result.size() * sizeof(int64_t));
    return result;
  }
  template <typename Number> Number number(Attribute attribute) const {
    Number result = {};
    auto found = values.find(attribute);
    if (found != values.end() && found->second.size() >= sizeof(result))
      std::memcpy(&result, found->second.data(), sizeof(result));
    return result;
  }
  std::shared_ptr<State> part(Attribute attribute) const {
    auto found = parts.find(attribute);
    return found == parts.end() || found->second.empty() ? nullptr : found->second.front();
  }
};

/// A graph with buffers.
class BoundGraph {
public:
  virtual ~BoundGraph() = default;
  /// kBadParameter: not the buffers of the graph.
  virtual Outcome bind(const State &graph, const std::map<int64_t, char *> &data) = 0;
  virtual void checkPlaces() const = 0;
  virtual std::vector<Access> accesses() const = 0;
  virtual void run() const = 0;
  virtual const char *name() const = 0;
};

} // namespace dnn
} // namespace standin

template <typename Type> using Declared = Type;
using namespace penstock::rt::cuda::dnn;
using penstock::rt::cuda::Stream;

#pragma GCC visibility push(default)
extern "C" {
#define PENSTOCK_CUDNN_CALL(member, symbol, ...) Declared<__VA_ARGS__> symbol;
#include "CudnnCalls.def"
#undef PENSTOCK_CUDNN_CALL
}
#pragma GCC visibility pop

#endif // PENSTOCK_TEST_STANDIN_CUDNN_H
