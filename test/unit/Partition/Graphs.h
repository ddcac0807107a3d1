//===- Graphs.h - Graphs of known shape for the partition tests -------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Chains, transformer encoders and branching networks at the granularity of fused kernels, with made-up costs.
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_TEST_UNIT_PARTITION_GRAPHS_H
#define PENSTOCK_TEST_UNIT_PARTITION_GRAPHS_H

#include "penstock/Partition/Problem.h"

#include <string>
#include <vector>

namespace penstock::partition::test {

/// Builds a problem kernel by kernel; each kernel makes one value.
class GraphBuilder {
public:
  Problem problem;

  /// A kernel that reads the results of `operands`; returns its index.
  int kernel(double seconds, const std::vector<int> &operands, int64_t numBytes = 16) {
    int index = static_cast<int>(problem.kernels.size());
    Kernel kernel;
    kernel.name = "k" + std::to_string(index);
    kernel.seconds = {seconds};
    problem.kernels.push_back(kernel);
    Value value;
    value.name = "v" + std::to_string(index);
    value.producer = index;
    value.numBytes = numBytes;
    problem.values.push_back(value);
    for (int operand : operands)
      problem.values[operand].consumers.push_back(index);
    return index;
  }
  /// Gives kernel `index` weights of its own.
  void weigh(int index, int64_t numBytes) {
    problem.kernels[index].weights.push_back(static_cast<int>(problem.weights.size()));
    problem.weights.push_back({"w" + std::to_string(index), numBytes});
  }
  Problem finish(int numStages, Link link = {}) {
    Problem result = problem;
    for (Value &value : result.values)
      value.isOutput = value.consumers.empty();
    result.stages.assign(numStages, Device());
    result.links.assign(numStages > 0 ? numStages - 1 : 0, link);
    return result;
  }
};

/// One kernel after the other.
inline GraphBuilder chain(const std::vector<double> &seconds) {
  GraphBuilder graph;
  for (size_t i = 0; i < seconds.size(); ++i)
    graph.kernel(seconds[i], i ? std::vector<int>{static_cast<int>(i) - 1} : std::vector<int>{});
  return graph;
}

/// Layers of attention and feed-forward with residuals; `hasCacheOutputs` adds two kernels per layer that only make
/// outputs.
inline GraphBuilder encoder(int numLayers, bool hasCacheOutputs = false) {
  GraphBuilder graph;
  int x = graph.kernel(3, {});
  for (int layer = 0; layer < numLayers; ++layer) {
    int q = graph.kernel(9, {x}), k = graph.kernel(9, {x}), v = graph.kernel(9, {x});
    int qt = graph.kernel(1, {q}), kt = graph.kernel(1, {k}), vt = graph.kernel(1, {v});
    if (hasCacheOutputs) {
      graph.kernel(0.01, {kt});
      graph.kernel(0.01, {vt});
    }
    int scores = graph.kernel(4, {qt, kt}, 48), soft = graph.kernel(2, {scores}, 48);
    int context = graph.kernel(4, {soft, vt}), merged = graph.kernel(1, {context});
    int sum = graph.kernel(10, {merged, x}), norm = graph.kernel(1.5, {sum});
    int up = graph.kernel(35, {norm}, 64), gelu = graph.kernel(4, {up}, 64);
    int down = graph.kernel(36, {gelu, norm});
    x = graph.kernel(1.5, {down});
  }
  return graph;
}

/// Blocks of parallel branches that are joined again.
inline GraphBuilder branching(int numBlocks, int numBranches, int branchLength) {
  GraphBuilder graph;
  int x = graph.kernel(2, {});
  for (int block = 0; block < numBlocks; ++block) {
    std::vector<int> ends;
    for (int branch = 0; branch < numBranches; ++branch) {
      int at = x;
      for (int i = 0; i < branchLength; ++i)
        at = graph.kernel(1 + (branch * 3 + i * 2 + block) % 5, {at});
      ends.push_back(at);
    }
    x = graph.kernel(1, ends);
  }
  return graph;
}

} // namespace penstock::partition::test

#endif // PENSTOCK_TEST_UNIT_PARTITION_GRAPHS_H
