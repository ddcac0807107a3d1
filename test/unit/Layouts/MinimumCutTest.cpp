//===- MinimumCutTest.cpp - Against every split -----------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "MinimumCut.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <random>

using namespace penstock::nn;

namespace {

struct Edge {
  int from, to;
  int64_t weight;
};

int64_t costOf(const std::vector<Edge> &edges, const std::vector<bool> &onSink) {
  int64_t cost = 0;
  for (const Edge &edge : edges)
    if (!onSink[edge.from] && onSink[edge.to])
      cost += edge.weight;
  return cost;
}

/// The least cost, and of its answers the fewest nodes on the sink's side.
std::pair<int64_t, int> enumerate(int numNodes, const std::vector<Edge> &edges) {
  std::pair<int64_t, int> best{std::numeric_limits<int64_t>::max(), 0};
  for (int mask = 0; mask < 1 << (numNodes - 2); ++mask) {
    std::vector<bool> onSink(numNodes);
    onSink[MinimumCut::kSink] = true;
    int count = 1;
    for (int i = 2; i < numNodes; ++i) {
      onSink[i] = mask >> (i - 2) & 1;
      count += onSink[i];
    }
    best = std::min(best, {costOf(edges, onSink), count});
  }
  return best;
}

} // namespace

TEST(MinimumCut, TiesStayOnTheSide) {
  MinimumCut cut;
  int node = cut.addNode();
  cut.addEdge(MinimumCut::kSource, node, 7);
  cut.addEdge(node, MinimumCut::kSink, 7);
  std::vector<bool> sides = cut.solve();
  EXPECT_FALSE(sides[MinimumCut::kSource]);
  EXPECT_TRUE(sides[MinimumCut::kSink]);
  EXPECT_FALSE(sides[node]);
}

TEST(MinimumCut, ForbiddenEdgesHold) {
  MinimumCut cut;
  int a = cut.addNode(), b = cut.addNode();
  cut.addEdge(MinimumCut::kSource, a, MinimumCut::kForbidden);
  cut.addEdge(a, b, 3);
  cut.addEdge(b, MinimumCut::kSink, 5);
  std::vector<bool> sides = cut.solve();
  EXPECT_FALSE(sides[a]);
  EXPECT_TRUE(sides[b]);
}

TEST(MinimumCut, EqualsTheBestOfAllSplits) {
  std::mt19937 random(7);
  for (int round = 0; round < 400; ++round) {
    int numNodes = 3 + static_cast<int>(random() % 8);
    MinimumCut cut;
    for (int i = 2; i < numNodes; ++i)
      cut.addNode();
    std::vector<Edge> edges;
    for (int i = 0, n = static_cast<int>(random() % (3 * numNodes)); i < n; ++i) {
      Edge edge{static_cast<int>(random() % numNodes), static_cast<int>(random() % numNodes),
                static_cast<int64_t>(random() % 6)};
      if (edge.from == edge.to || edge.to == MinimumCut::kSource || edge.from == MinimumCut::kSink)
        continue;
      edges.push_back(edge);
      cut.addEdge(edge.from, edge.to, edge.weight);
    }
    std::vector<bool> sides = cut.solve();
    auto [cost, count] = enumerate(numNodes, edges);
    EXPECT_EQ(costOf(edges, sides), cost) << "round " << round;
    EXPECT_EQ(std::count(sides.begin(), sides.end(), true), count) << "round " << round;
  }
}
