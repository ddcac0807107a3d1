//===- CycleRatioTest.cpp - Cycles against enumeration -*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The oracle lists every simple cycle of a small graph by depth-first search.
//
//===----------------------------------------------------------------------===//

#include "Graph.h"

#include <gtest/gtest.h>

#include <functional>
#include <random>

using namespace penstock::schedule;

namespace {
void forEachCycle(const Graph &graph, const std::function<void(int64_t timeNs, int64_t tokens)> &visit) {
  std::vector<bool> onPath(graph.events.size(), false);
  std::function<void(int32_t, int32_t, int64_t, int64_t)> walk = [&](int32_t root, int32_t at, int64_t timeNs,
                                                                     int64_t tokens) {
    for (const Edge &edge : graph.edges) {
      if (edge.from != at || edge.to < root)
        continue;
      if (edge.to == root) {
        visit(timeNs + edge.timeNs, tokens + edge.tokens);
      } else if (!onPath[edge.to]) {
        onPath[edge.to] = true;
        walk(root, edge.to, timeNs + edge.timeNs, tokens + edge.tokens);
        onPath[edge.to] = false;
      }
    }
  };
  for (int32_t root = 0; root < static_cast<int32_t>(graph.events.size()); ++root) {
    onPath[root] = true;
    walk(root, root, 0, 0);
    onPath[root] = false;
  }
}

Graph randomGraph(std::mt19937 &random, int minTokens) {
  Graph graph;
  int numEvents = 1 + static_cast<int>(random() % 7);
  graph.events.resize(numEvents);
  int numEdges = static_cast<int>(random() % 14);
  for (int i = 0; i < numEdges; ++i) {
    Edge edge;
    edge.from = static_cast<int32_t>(random() % static_cast<unsigned>(numEvents));
    edge.to = static_cast<int32_t>(random() % static_cast<unsigned>(numEvents));
    edge.tokens = minTokens + static_cast<int64_t>(random() % static_cast<unsigned>(4 - minTokens));
    edge.timeNs = static_cast<int64_t>(random() % 50);
    graph.edges.push_back(edge);
  }
  return graph;
}

// A dead cycle is found exactly when one exists, and what is returned is one; the ratio of a live graph is the
// greatest over all cycles, and the cycle returned has it. Tokens may be negative.
TEST(CycleRatio, AgainstEnumeration) {
  std::mt19937 random(3);
  int numDead = 0, numWithTime = 0;
  for (int round = 0; round < 20000; ++round) {
    Graph graph = randomGraph(random, round % 3 == 0 ? -1 : round % 3 == 1 ? 0 : 1);
    bool dead = false;
    double greatest = 0;
    forEachCycle(graph, [&](int64_t timeNs, int64_t tokens) {
      dead |= tokens <= 0;
      if (tokens > 0)
        greatest = std::max(greatest, static_cast<double>(timeNs) / static_cast<double>(tokens));
    });
    auto sums = [&](const std::vector<int32_t> &cycle) {
      std::pair<int64_t, int64_t> sum{0, 0};
      for (size_t i = 0; i < cycle.size(); ++i) {
        const Edge &edge = graph.edges[cycle[i]];
        EXPECT_EQ(edge.to, graph.edges[cycle[(i + 1) % cycle.size()]].from);
        sum.first += edge.timeNs;
        sum.second += edge.tokens;
      }
      return sum;
    };
    std::vector<int32_t> cycle = findDeadCycle(graph);
    ASSERT_EQ(!cycle.empty(), dead);
    if (dead) {
      ++numDead;
      ASSERT_LE(sums(cycle).second, 0);
      continue;
    }
    Period ratio = maxCycleRatio(graph, cycle);
    ASSERT_DOUBLE_EQ(ratio.ns(), greatest);
    ASSERT_EQ(cycle.empty(), greatest == 0);
    if (!cycle.empty()) {
      ++numWithTime;
      auto [timeNs, tokens] = sums(cycle);
      ASSERT_DOUBLE_EQ(static_cast<double>(timeNs) / static_cast<double>(tokens), greatest);
    }
  }
  EXPECT_GT(numDead, 2000);
  EXPECT_GT(numWithTime, 2000);
}

// Fractions are compared exactly, also where doubles are equal.
TEST(CycleRatio, ExactComparison) {
  Period a{int64_t(1) << 62, 3}, b{(int64_t(1) << 62) + 1, 3};
  EXPECT_EQ(a.ns(), b.ns());
  EXPECT_TRUE(a < b);
  EXPECT_FALSE(a == b);
  EXPECT_TRUE((Period{2, 4} == Period{1, 2}));
}
} // namespace
