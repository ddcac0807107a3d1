//===- CycleRatio.cpp - Cycles of a marked graph -*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Both questions come down to finding a cycle of positive length, by Bellman and Ford's relaxation with a look for a
// cycle among the parents after each round. Lengths are exact: 128-bit integers, times are bounded by check().
//
//===----------------------------------------------------------------------===//

#include "Graph.h"

#include <algorithm>

using namespace penstock::schedule;

namespace {
using Wide = __int128;

/// A cycle of edges whose lengths add up to more than 0, or nothing.
template <typename Length> std::vector<int32_t> findPositiveCycle(const Graph &graph, Length lengthOf) {
  size_t numEvents = graph.events.size();
  std::vector<Wide> lengths;
  lengths.reserve(graph.edges.size());
  for (const Edge &edge : graph.edges)
    lengths.push_back(lengthOf(edge));
  std::vector<Wide> distance(numEvents, 0);
  std::vector<int32_t> parent(numEvents, -1); // edge by which an event was reached last
  auto cycleAmongParents = [&]() -> std::vector<int32_t> {
    std::vector<int32_t> seenFrom(numEvents, -1);
    for (size_t root = 0; root < numEvents; ++root) {
      int32_t at = static_cast<int32_t>(root);
      while (seenFrom[at] < 0 && parent[at] >= 0) {
        seenFrom[at] = static_cast<int32_t>(root);
        at = graph.edges[parent[at]].from;
      }
      if (parent[at] < 0 || seenFrom[at] != static_cast<int32_t>(root))
        continue;
      std::vector<int32_t> cycle;
      for (int32_t from = at;;) {
        cycle.push_back(parent[from]);
        from = graph.edges[parent[from]].from;
        if (from == at)
          break;
      }
      std::reverse(cycle.begin(), cycle.end());
      return cycle;
    }
    return {};
  };
  for (bool changed = true; changed;) {
    changed = false;
    for (size_t i = 0; i < graph.edges.size(); ++i) {
      const Edge &edge = graph.edges[i];
      Wide reached = distance[edge.from] + lengths[i];
      if (reached > distance[edge.to]) {
        distance[edge.to] = reached;
        parent[edge.to] = static_cast<int32_t>(i);
        changed = true;
      }
    }
    // A cycle among the parents has positive length, and without one the relaxation ends.
    if (changed)
      if (std::vector<int32_t> cycle = cycleAmongParents(); !cycle.empty())
        return cycle;
  }
  return {};
}

Period ratioOf(const Graph &graph, const std::vector<int32_t> &cycle) {
  Period ratio{0, 0};
  for (int32_t edge : cycle) {
    ratio.numerator += graph.edges[edge].timeNs;
    ratio.denominator += graph.edges[edge].tokens;
  }
  return ratio;
}
} // namespace

std::vector<int32_t> penstock::schedule::findDeadCycle(const Graph &graph) {
  // Lengths 1 - tokens * (n + 1) on a simple cycle of at most n edges: positive exactly when the tokens add up to 0 or
  // less.
  Wide factor = static_cast<Wide>(graph.events.size()) + 1;
  return findPositiveCycle(graph, [&](const Edge &edge) { return 1 - factor * edge.tokens; });
}

Period penstock::schedule::maxCycleRatio(const Graph &graph, std::vector<int32_t> &cycle) {
  cycle.clear();
  Period ratio;
  for (;;) {
    std::vector<int32_t> better = findPositiveCycle(graph, [&](const Edge &edge) {
      return static_cast<Wide>(edge.timeNs) * ratio.denominator - static_cast<Wide>(edge.tokens) * ratio.numerator;
    });
    if (better.empty())
      return ratio;
    cycle = better;
    ratio = ratioOf(graph, cycle);
  }
}

bool Period::operator<(const Period &other) const {
  return static_cast<Wide>(numerator) * other.denominator < static_cast<Wide>(other.numerator) * denominator;
}

bool Period::operator==(const Period &other) const {
  return static_cast<Wide>(numerator) * other.denominator == static_cast<Wide>(other.numerator) * denominator;
}
