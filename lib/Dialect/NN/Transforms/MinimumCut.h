//===- MinimumCut.h - Splits a graph at least cost -------------*- C++ -*-===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_LIB_DIALECT_NN_TRANSFORMS_MINIMUMCUT_H
#define PENSTOCK_LIB_DIALECT_NN_TRANSFORMS_MINIMUMCUT_H

#include <cstddef>
#include <cstdint>
#include <vector>

namespace penstock::nn {

/// Nodes are put on one of two sides; an edge costs its weight when it begins on the source's side and ends on the
/// sink's. Nodes 0 and 1 are source and sink. Weights are never negative; sums must fit into 64 bits.
class MinimumCut {
public:
  static constexpr int kSource = 0, kSink = 1;
  static constexpr int64_t kForbidden = int64_t(1) << 60; ///< the weight of an edge that is never cut

  MinimumCut() : edgesOf(2) {}

  int addNode();
  void addEdge(int from, int to, int64_t weight);

  /// One flag per node: is it on the sink's side? Of all cheapest answers, the one with the fewest such nodes.
  std::vector<bool> solve();

private:
  struct Edge {
    int to;
    int64_t capacity;
  };

  bool findLevels();
  int64_t push();

  std::vector<Edge> edges; ///< an edge and its reverse are neighbours
  std::vector<std::vector<int>> edgesOf;
  std::vector<int> levels;
  std::vector<size_t> nexts;
};

} // namespace penstock::nn

#endif // PENSTOCK_LIB_DIALECT_NN_TRANSFORMS_MINIMUMCUT_H
