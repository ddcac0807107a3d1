//===- Absorb.cpp - Small subtrees beside their neighbour --------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What only makes an output of the model, or only feeds one unit, can be put off to any later (earlier) stage, and each
// such unit doubles the number of downsets. Small ones are put beside the unit they hang on.
//===----------------------------------------------------------------------===//
#include "Absorb.h"

#include <algorithm>
#include <numeric>

using namespace penstock::partition;

namespace {

/// A subtree may hold at most this share of the load of an average stage.
constexpr double kMaxShare = 0.05;

double largestLoad(const Unit &unit) { return *std::max_element(unit.load.begin(), unit.load.end()); }

class DeferrableFinder {
public:
  DeferrableFinder(const Core &core, std::vector<int> &root)
      : core(core), root(root), n(core.numUnits()), isDeferrable(n, 0), hanging(n) {
    for (int u = 0; u < n; ++u) {
      hanging[u] = largestLoad(core.units[u]);
      mostHanging += kMaxShare * hanging[u] / core.numStages;
    }
    root.resize(n);
    std::iota(root.begin(), root.end(), 0);
  }

  std::vector<char> run() {
    findTowardsOutputs();
    findTowardsInputs();
    return isDeferrable;
  }

private:
  const Core &core;
  std::vector<int> &root;
  int n;
  std::vector<char> isDeferrable;
  std::vector<double> hanging; ///< load of the unit and of all that hangs on it
  double mostHanging = 0;

  /// All that reads it hangs too. It sits beside the last of the units that it waits for.
  void findTowardsOutputs() {
    for (int u = n - 1; u >= 0; --u) {
      const Unit &unit = core.units[u];
      bool isFree = std::all_of(unit.succs.begin(), unit.succs.end(), [&](int succ) { return isDeferrable[succ]; });
      if (!isFree || unit.preds.empty() || hanging[u] > mostHanging)
        continue;
      isDeferrable[u] = 1;
      hanging[unit.preds.back()] += hanging[u];
    }
    for (int u = 0; u < n; ++u)
      if (isDeferrable[u]) {
        root[u] = 0;
        for (int pred : core.units[u].preds)
          root[u] = std::max(root[u], root[pred]);
      }
  }

  /// It feeds one unit only, and so does all that feeds it.
  void findTowardsInputs() {
    std::vector<char> feedsOne(n, 0);
    for (int u = 0; u < n; ++u) {
      const Unit &unit = core.units[u];
      bool isFree = std::all_of(unit.preds.begin(), unit.preds.end(), [&](int pred) { return feedsOne[pred]; });
      if (isDeferrable[u] || !isFree || unit.succs.size() != 1 || hanging[u] > mostHanging ||
          root[unit.succs.front()] == u)
        continue;
      feedsOne[u] = 1;
      hanging[unit.succs.front()] += hanging[u];
    }
    for (int u = n - 1; u >= 0; --u)
      if (feedsOne[u]) {
        root[u] = root[core.units[u].succs.front()];
        isDeferrable[u] = 1;
      }
  }
};

} // namespace

std::vector<char> penstock::partition::findDeferrable(const Core &core, std::vector<int> &root) {
  return DeferrableFinder(core, root).run();
}

bool penstock::partition::absorbDeferrable(const Core &core, Core &result, std::vector<int> &unitOf) {
  std::vector<int> root;
  std::vector<char> isDeferrable = findDeferrable(core, root);
  if (std::count(isDeferrable.begin(), isDeferrable.end(), 1) == 0)
    return false;
  int n = core.numUnits();
  std::vector<int> groupOf(n, -1);
  int numGroups = 0;
  for (int u = 0; u < n; ++u)
    if (root[u] == u)
      groupOf[u] = numGroups++;
  for (int u = 0; u < n; ++u)
    groupOf[u] = groupOf[root[u]];
  if (numGroups < core.numStages)
    return false;
  result = mergeUnits(core, groupOf, numGroups, unitOf);
  for (const Unit &unit : result.units)
    if (unit.earliest > unit.latest)
      return false;
  return true;
}
