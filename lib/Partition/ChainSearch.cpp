//===- ChainSearch.cpp - The best chain of downsets -------------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// table[b][I]: the best way to cover downset I with b stages. Starting from each I' with some finite entry, the lattice
// is walked upwards; each downset I reached is a candidate stage I \ I' for every b at once.
//===----------------------------------------------------------------------===//
#include "ChainSearch.h"

#include <algorithm>

using namespace penstock::partition;

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

struct Entry {
  double bottleneck = kInfinity;
  int64_t traffic = std::numeric_limits<int64_t>::max();
  int from = -1; ///< the downset before; -2: the stage is empty
};

class Searcher {
public:
  Searcher(const Core &core, const Lattice &lattice, const ChainOptions &options)
      : core(core), lattice(lattice), options(options), limit(options.limit), numStages(core.numStages),
        numNodes(lattice.numNodes()), last(numNodes - 1) {
    for (int s = 0; s < numStages; ++s) {
      StagePricer pricer(core, s);
      auto it = std::find(pricers.begin(), pricers.end(), pricer);
      kindOf.push_back(static_cast<int>(it - pricers.begin()));
      if (it == pricers.end())
        pricers.push_back(pricer);
    }
    for (int s = 0; s < numStages; ++s) {
      const auto &links = core.problem->links;
      sharedLink.push_back(
          !links.empty() && s + 1 < numStages && links[s].isShared && core.problem->balance == Balance::Time ? &links[s]
                                                                                                             : nullptr);
    }
  }

  ChainResult run() {
    ChainResult result;
    int64_t tableBytes = int64_t(numNodes) * ((numStages + 1) * int64_t(sizeof(Entry)) + int64_t(sizeof(Segment)) +
                                              int64_t(core.numClasses) * 8 + 8);
    // A beam may have lost its way to the top.
    if (tableBytes > options.maxTableBytes || lattice.level[last] != core.numUnits())
      return result;
    table.assign(size_t(numNodes) * (numStages + 1), Entry());
    stamp.assign(numNodes, -1);
    segments.resize(numNodes);
    loads.resize(size_t(numNodes) * core.numClasses);
    inside.resize(lattice.numWords);
    at(0, 0) = {0, 0, -1};
    for (int node = 0; node <= last; ++node) {
      if (core.allowsEmpty)
        passOn(node);
      if (node < last && !expand(node)) {
        result.numPairs = numPairs;
        return result;
      }
    }
    result.isFinished = true;
    result.numPairs = numPairs;
    const Entry &best = at(last, numStages);
    result.isFound = best.bottleneck < kInfinity;
    if (result.isFound) {
      result.bottleneck = best.bottleneck;
      result.stageOfUnit = readBack();
    }
    return result;
  }

private:
  const Core &core;
  const Lattice &lattice;
  const ChainOptions &options;
  double limit;
  int numStages, numNodes, last;
  std::vector<StagePricer> pricers; ///< the distinct ones
  std::vector<int> kindOf;          ///< per stage, into `pricers`
  std::vector<const Link *> sharedLink;
  std::vector<Entry> table;
  std::vector<int> stamp;
  std::vector<Segment> segments;
  std::vector<double> loads;
  std::vector<Word> inside;
  int64_t numPairs = 0;

  Entry &at(int node, int numCovered) { return table[size_t(node) * (numStages + 1) + numCovered]; }

  bool mayStandAt(int node, int boundary) const {
    if (boundary < lattice.lowest[node] || boundary > lattice.highest[node])
      return false;
    if (core.allowsEmpty)
      return true;
    int level = lattice.level[node];
    return boundary <= level && numStages - boundary <= core.numUnits() - level;
  }

  bool isBetter(const Entry &a, const Entry &b) const {
    if (options.minimisesTraffic && a.traffic != b.traffic)
      return a.traffic < b.traffic;
    return a.bottleneck < b.bottleneck;
  }

  /// An empty stage: the same downset at the next boundary.
  void passOn(int node) {
    for (int b = 0; b < numStages; ++b) {
      Entry entry = at(node, b);
      if (entry.bottleneck == kInfinity || !mayStandAt(node, b + 1))
        continue;
      entry.bottleneck = std::max(entry.bottleneck, linkCost(node, b));
      entry.from = -2;
      if (entry.bottleneck <= limit && isBetter(entry, at(node, b + 1)))
        at(node, b + 1) = entry;
    }
  }

  double linkCost(int node, int stage) const {
    const Link *link = sharedLink[stage];
    return link ? linkSeconds(*link, lattice.openCount[node], lattice.openBytes[node]) : 0;
  }

  /// Tries all stages that start after downset `from`. False if too much work was done.
  bool expand(int from) {
    std::vector<int> active;
    // A bound on what one stage can take, from what is left: only for criteria whose load adds up.
    bool isAdditive = core.problem->balance == Balance::Time || core.problem->balance == Balance::Uniform;
    double left = isAdditive ? lattice.load[last] - lattice.load[from] : 0;
    for (int b = 0; b < numStages; ++b)
      if (at(from, b).bottleneck <= limit && at(from, b).bottleneck < kInfinity &&
          left <= limit * (numStages - b) * (1 + 1e-9))
        active.push_back(b);
    if (active.empty())
      return true;
    bool isLastOnly = active.size() == 1 && active[0] == numStages - 1;
    std::vector<int> queue = {from};
    stamp[from] = from;
    segments[from] = Segment();
    std::fill_n(&loads[size_t(from) * core.numClasses], core.numClasses, 0.0);
    const Word *base = lattice.set(from);
    for (size_t i = 0; i < queue.size(); ++i) {
      int node = queue[i];
      const Word *set = lattice.set(node);
      for (size_t w = 0; w < lattice.numWords; ++w)
        inside[w] = set[w] & ~base[w];
      for (const Lattice::Edge *edge = lattice.edgesBegin(node), *end = lattice.edgesEnd(node); edge != end; ++edge) {
        int child = edge->node;
        if (stamp[child] == from)
          continue;
        stamp[child] = from;
        if (++numPairs > options.maxPairs)
          return false;
        segments[child] = segments[node];
        double *load = &loads[size_t(child) * core.numClasses];
        std::copy_n(&loads[size_t(node) * core.numClasses], core.numClasses, load);
        extend(core, edge->unit, set, inside.data(), segments[child], load);
        if (visit(from, child, active, isLastOnly))
          queue.push_back(child);
      }
    }
    return true;
  }

  /// Offers the stage from \ node to all entries; true if larger stages may still be worth a look.
  bool visit(int from, int node, const std::vector<int> &active, bool isLastOnly) {
    const Segment &segment = segments[node];
    const double *load = &loads[size_t(node) * core.numClasses];
    bool isAlive = false;
    int lastKind = -1;
    bool kindMayGrow = false, kindFits = false;
    double kindCost = 0;
    for (int b : active) {
      if (kindOf[b] != lastKind) {
        lastKind = kindOf[b];
        const StagePricer &pricer = pricers[lastKind];
        kindMayGrow = pricer.mayFit(segment) && pricer.floor(segment, load) <= limit;
        kindFits = kindMayGrow && pricer.fits(segment);
        kindCost = kindFits ? pricer.cost(segment, load) : kInfinity;
      }
      isAlive |= kindMayGrow;
      if (!kindFits || kindCost > limit || (isLastOnly && node != last) || !mayStandAt(node, b + 1) ||
          (lattice.lacks[from] & lattice.passes[node]))
        continue;
      const Entry &before = at(from, b);
      Entry entry{std::max({before.bottleneck, kindCost, linkCost(node, b)}), before.traffic + segment.trafficBytes(),
                  from};
      if (entry.bottleneck <= limit && isBetter(entry, at(node, b + 1)))
        at(node, b + 1) = entry;
    }
    return isAlive;
  }

  std::vector<int> readBack() {
    std::vector<int> stageOfUnit(core.numUnits(), 0);
    int node = last;
    for (int b = numStages; b > 0; --b) {
      int from = at(node, b).from;
      if (from == -2)
        continue;
      for (int u = 0; u < core.numUnits(); ++u)
        if (testBit(lattice.set(node), u) && !testBit(lattice.set(from), u))
          stageOfUnit[u] = b - 1;
      node = from;
    }
    return stageOfUnit;
  }
};

} // namespace

ChainResult penstock::partition::searchChain(const Core &core, const Lattice &lattice, const ChainOptions &options) {
  return Searcher(core, lattice, options).run();
}
