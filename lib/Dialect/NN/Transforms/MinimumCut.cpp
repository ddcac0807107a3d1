//===- MinimumCut.cpp - Splits a graph at least cost -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
// Dinic's maximum flow: all shortest paths that can take flow are filled before longer ones are looked for.
//===----------------------------------------------------------------------===//
#include "MinimumCut.h"

#include <algorithm>

using namespace penstock::nn;

int MinimumCut::addNode() {
  edgesOf.emplace_back();
  return static_cast<int>(edgesOf.size()) - 1;
}

void MinimumCut::addEdge(int from, int to, int64_t weight) {
  if (weight <= 0 || from == to)
    return;
  edgesOf[from].push_back(static_cast<int>(edges.size()));
  edges.push_back({to, weight});
  edgesOf[to].push_back(static_cast<int>(edges.size()));
  edges.push_back({from, 0});
}

/// Distances from the source over edges that can still take flow; false if the sink is out of reach.
bool MinimumCut::findLevels() {
  levels.assign(edgesOf.size(), -1);
  levels[kSource] = 0;
  std::vector<int> queue{kSource};
  for (size_t i = 0; i < queue.size(); ++i)
    for (int edge : edgesOf[queue[i]])
      if (edges[edge].capacity > 0 && levels[edges[edge].to] < 0) {
        levels[edges[edge].to] = levels[queue[i]] + 1;
        queue.push_back(edges[edge].to);
      }
  return levels[kSink] >= 0;
}

/// Sends what fits from the source along one shortest path; returns how much.
int64_t MinimumCut::push() {
  std::vector<int> path; // edges from the source to `node`
  int node = kSource;
  while (node != kSink) {
    bool advanced = false;
    for (size_t &next = nexts[node]; next < edgesOf[node].size(); ++next) {
      const Edge &edge = edges[edgesOf[node][next]];
      if (edge.capacity > 0 && levels[edge.to] == levels[node] + 1) {
        path.push_back(edgesOf[node][next]);
        node = edge.to;
        advanced = true;
        break;
      }
    }
    if (advanced)
      continue;
    if (path.empty())
      return 0;
    node = edges[path.back() ^ 1].to; // a dead end
    ++nexts[node];
    path.pop_back();
  }
  int64_t limit = kForbidden;
  for (int edge : path)
    limit = std::min(limit, edges[edge].capacity);
  for (int edge : path) {
    edges[edge].capacity -= limit;
    edges[edge ^ 1].capacity += limit;
  }
  return limit;
}

std::vector<bool> MinimumCut::solve() {
  while (findLevels()) {
    nexts.assign(edgesOf.size(), 0);
    while (push() > 0) {
    }
  }
  // What can still reach the sink is on its side in every cheapest answer.
  std::vector<bool> reaches(edgesOf.size(), false);
  reaches[kSink] = true;
  std::vector<int> queue{kSink};
  for (size_t i = 0; i < queue.size(); ++i)
    for (int edge : edgesOf[queue[i]]) {
      int from = edges[edge].to;
      if (edges[edge ^ 1].capacity > 0 && !reaches[from]) {
        reaches[from] = true;
        queue.push_back(from);
      }
    }
  return reaches;
}
