//===- Engine.cpp - From a core to a placed core ------------------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// See Engine.h and docs/Partition.md.
//===----------------------------------------------------------------------===//
#include "Engine.h"
#include "Absorb.h"
#include "Bounds.h"
#include "ChainSearch.h"
#include "Moves.h"

#include <algorithm>
#include <numeric>

using namespace penstock::partition;

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
/// Room for rounding where two sums of the same costs are compared.
constexpr double kRounding = 1e-10;

class Engine {
public:
  Engine(const Core &core, const SolveOptions &options) : core(core), options(options) {}

  Placement run() {
    result.lowerBound = simpleBound(core);
    orders = makeOrders(core);
    searchOrders();
    if (searchAll())
      return result;
    result.isProvedInfeasible = false;
    if (!searchAbsorbed())
      searchBeam();
    if (result.isFound) {
      std::vector<int> moved = result.stageOfUnit;
      double bottleneck = improveByMoves(core, moved, maxMoves());
      if (bottleneck < result.bottleneck)
        accept(moved, bottleneck);
    }
    raiseBound();
    return result;
  }

private:
  const Core &core;
  const SolveOptions &options;
  Placement result;
  std::vector<std::vector<int>> orders;

  double upperBound() const { return result.isFound ? result.bottleneck * (1 + kRounding) : kInfinity; }

  int64_t maxMoves() const {
    int64_t perTrial = 1 + core.numUnits() + static_cast<int64_t>(core.messages.size()) * core.numStages;
    return std::max<int64_t>(200, int64_t(100'000'000) / perTrial);
  }

  void accept(std::vector<int> stageOfUnit, double bottleneck) {
    result.isFound = true;
    result.stageOfUnit = std::move(stageOfUnit);
    result.bottleneck = bottleneck;
  }

  ChainOptions chainOptions(double limit, bool minimisesTraffic = false) const {
    ChainOptions chain;
    chain.limit = limit;
    chain.maxPairs = options.maxPairs;
    chain.maxTableBytes = options.maxTableBytes;
    chain.minimisesTraffic = minimisesTraffic;
    return chain;
  }

  ChainResult search(const Core &c, const Lattice &lattice, const ChainOptions &chain) {
    ChainResult found = searchChain(c, lattice, chain);
    result.numPairs += found.numPairs;
    return found;
  }

  bool enumerate(const Core &c, Lattice &lattice, int beamWidth, std::vector<std::vector<int>> seeds = {},
                 int64_t divisor = 1) {
    LatticeOptions latticeOptions;
    // A few orders always fit: without them there would be no plan at all.
    latticeOptions.maxNodes =
        beamWidth < 0 ? options.maxDownsets / divisor : std::max(options.maxDownsets, int64_t(8) * (c.numUnits() + 1));
    latticeOptions.maxBytes = options.maxTableBytes;
    latticeOptions.beamWidth = beamWidth;
    latticeOptions.orders = std::move(seeds);
    bool isDone = lattice.enumerate(c, latticeOptions);
    result.numDownsets += lattice.numNodes();
    return isDone;
  }

  /// The best plan whose boundaries lie on a few topological orders. A ladder of guesses keeps each search narrow.
  void searchOrders() {
    Lattice lattice;
    if (orders.empty() || !enumerate(core, lattice, 0, orders))
      return;
    for (double factor : {1.02, 1.1, 1.3, 2.0, 4.0, 16.0, kInfinity}) {
      double limit = result.lowerBound > 0 ? result.lowerBound * factor : kInfinity;
      ChainResult found = search(core, lattice, chainOptions(limit));
      if (!found.isFinished)
        return;
      if (found.isFound) {
        accept(found.stageOfUnit, found.bottleneck);
        return;
      }
      if (limit == kInfinity)
        return;
    }
  }

  /// Looks at every plan. True if that came to an end; then the result is final.
  bool searchAll() {
    Lattice lattice;
    if (!enumerate(core, lattice, -1))
      return false;
    ChainResult best = search(core, lattice, chainOptions(upperBound()));
    if (!best.isFinished)
      return false;
    result.method = Method::Exact;
    if (!best.isFound) {
      result.isProvedInfeasible = !result.isFound;
      result.lowerBound = std::max(result.lowerBound, result.bottleneck);
      return true;
    }
    accept(best.stageOfUnit, best.bottleneck);
    result.lowerBound = best.bottleneck;
    preferLessTraffic(core, lattice, {});
    return true;
  }

  /// Among plans about as good, one with less traffic.
  void preferLessTraffic(const Core &c, const Lattice &lattice, const std::vector<int> &unitOf) {
    double limit = result.bottleneck * (1 + options.trafficSlack) * (1 + kRounding);
    ChainResult found = search(c, lattice, chainOptions(limit, true));
    if (found.isFinished && found.isFound)
      accept(expand(found.stageOfUnit, unitOf), found.bottleneck);
  }

  /// Stages of the units of `core`, from those of a merged core.
  std::vector<int> expand(const std::vector<int> &stageOfMerged, const std::vector<int> &unitOf) const {
    if (unitOf.empty())
      return stageOfMerged;
    std::vector<int> stageOfUnit(core.numUnits());
    for (int u = 0; u < core.numUnits(); ++u)
      stageOfUnit[u] = stageOfMerged[unitOf[u]];
    return stageOfUnit;
  }

  bool searchAbsorbed() {
    Core merged;
    std::vector<int> unitOf;
    Lattice lattice;
    if (!absorbDeferrable(core, merged, unitOf) || !enumerate(merged, lattice, -1))
      return false;
    ChainResult found = search(merged, lattice, chainOptions(upperBound()));
    if (!found.isFinished)
      return false;
    result.method = Method::Absorbed;
    if (found.isFound) {
      accept(expand(found.stageOfUnit, unitOf), found.bottleneck);
      preferLessTraffic(merged, lattice, unitOf);
    }
    return true;
  }

  void searchBeam() {
    result.method = Method::Beam;
    for (int width = options.beamWidth; width >= 1; width /= 4) {
      Lattice lattice;
      if (!enumerate(core, lattice, width, orders))
        continue;
      ChainResult found = search(core, lattice, chainOptions(upperBound()));
      if (!found.isFinished)
        continue;
      if (found.isFound) {
        accept(found.stageOfUnit, found.bottleneck);
        preferLessTraffic(core, lattice, {});
      }
      return;
    }
  }

  /// Drops units until the exact search of the rest is affordable: first the deferrable ones, then ever more of the
  /// light.
  void raiseBound() {
    if (!result.isFound)
      return;
    std::vector<int> root, byLoad(core.numUnits());
    std::vector<char> isDeferrable = findDeferrable(core, root);
    std::iota(byLoad.begin(), byLoad.end(), 0);
    auto load = [&](int u) { return *std::min_element(core.units[u].load.begin(), core.units[u].load.end()); };
    std::sort(byLoad.begin(), byLoad.end(),
              [&](int a, int b) { return std::make_pair(load(a), a) < std::make_pair(load(b), b); });
    for (double share : {0.0, 0.5, 0.9}) {
      std::vector<char> isKept(core.numUnits(), 1);
      for (int u = 0; u < core.numUnits(); ++u)
        isKept[u] = !isDeferrable[u];
      for (size_t i = 0; i < static_cast<size_t>(share * core.numUnits()); ++i)
        isKept[byLoad[i]] = 0;
      if (std::count(isKept.begin(), isKept.end(), 1) == 0)
        return;
      Core rest = dropUnits(core, isKept);
      Lattice lattice;
      if (!enumerate(rest, lattice, -1, {}, share > 0 ? 4 : 1))
        continue;
      ChainResult found = search(rest, lattice, chainOptions(upperBound()));
      if (!found.isFinished)
        continue;
      // The plan at hand is one of the rest as well, so the search finds something.
      if (found.isFound)
        result.lowerBound = std::max(result.lowerBound, std::min(found.bottleneck, result.bottleneck));
      return;
    }
  }
};

} // namespace

Placement penstock::partition::place(const Core &core, const SolveOptions &options) {
  return Engine(core, options).run();
}
