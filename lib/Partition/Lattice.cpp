//===- Lattice.cpp - Downsets and how they grow ------------------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Breadth first by size: all downsets of size s+1 are those of size s plus a unit of their frontier.
//===----------------------------------------------------------------------===//
#include "Lattice.h"

#include <algorithm>
#include <unordered_map>

using namespace penstock::partition;

namespace {

/// splitmix64: a fixed pseudo-random number per unit, so that hashes are equal on every machine.
uint64_t mix(uint64_t x) {
  x += 0x9e3779b97f4a7c15ull;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
  return x ^ (x >> 31);
}

/// True if windows and cuts let `unit` join `set`, whose units include all its predecessors.
bool mayJoin(const Core &core, int unit, const Word *set, size_t numWords) {
  if (core.hasWindows() && core.units[unit].earliest > 0 &&
      !isSubset(core.mustPrecede[core.units[unit].earliest].data(), set, numWords))
    return false;
  for (const FreeCut &cut : core.freeCuts)
    if (cut.after.test(unit) && !isSubset(cut.before.data(), set, numWords))
      return false;
  return true;
}

} // namespace

namespace penstock::partition {

class LatticeBuilder {
public:
  LatticeBuilder(const Core &core, const LatticeOptions &options, Lattice &lattice)
      : core(core), options(options), lattice(lattice), numUnits(core.numUnits()) {
    for (int u = 0; u < numUnits; ++u) {
      double least = core.units[u].load[core.problem->stages.front().deviceClass];
      for (const Device &stage : core.problem->stages)
        least = std::min(least, core.units[u].load[stage.deviceClass]);
      leastLoad.push_back(least);
    }
  }

  bool run() {
    lattice = Lattice();
    lattice.numWords = numWordsFor(numUnits);
    addRoot();
    for (size_t begin = 0, end = 1; begin < end; begin = end, end = lattice.level.size()) {
      if (!grow(static_cast<int>(begin), static_cast<int>(end)))
        return false;
      if (options.beamWidth >= 0)
        keepBest(static_cast<int>(begin), static_cast<int>(end));
      if (isOverLimit())
        return false;
    }
    lattice.firstEdge.push_back(static_cast<int64_t>(lattice.edges.size()));
    for (int node = 0; node < lattice.numNodes(); ++node)
      findBoundaries(node);
    return true;
  }

private:
  const Core &core;
  const LatticeOptions &options;
  Lattice &lattice;
  int numUnits;
  std::vector<double> leastLoad;
  std::vector<uint64_t> hashes;
  std::vector<std::vector<int>> frontiers; ///< of the current and next size, indexed by node - frontierBase
  std::vector<std::vector<int>> nextFrontiers;
  std::vector<uint64_t> orderHashes; ///< of the orders' prefixes of the current size

  void addRoot() {
    lattice.words.assign(lattice.numWords, 0);
    lattice.level.push_back(0);
    lattice.load.push_back(0);
    lattice.openCount.push_back(0);
    lattice.openBytes.push_back(0);
    hashes.push_back(0);
    frontiers.assign(1, {});
    for (int u = 0; u < numUnits; ++u)
      if (core.units[u].preds.empty())
        frontiers[0].push_back(u);
  }

  bool isOverLimit() const {
    int64_t numNodes = lattice.numNodes();
    int64_t perNode = static_cast<int64_t>(lattice.numWords) * 8 + 80;
    return numNodes > options.maxNodes ||
           numNodes * perNode + static_cast<int64_t>(lattice.edges.size()) * 8 > options.maxBytes;
  }

  bool grow(int begin, int end) {
    std::unordered_multimap<uint64_t, int> byHash;
    nextFrontiers.clear();
    for (int node = begin; node < end; ++node) {
      lattice.firstEdge.push_back(static_cast<int64_t>(lattice.edges.size()));
      for (size_t i = 0; i < frontiers[node - begin].size(); ++i) {
        int unit = frontiers[node - begin][i];
        if (!mayJoin(core, unit, lattice.set(node), lattice.numWords))
          continue;
        int child = findOrAdd(node, begin, unit, byHash);
        lattice.edges.push_back({child, unit});
        if (options.beamWidth < 0 && isOverLimit())
          return false;
      }
    }
    std::swap(frontiers, nextFrontiers);
    return true;
  }

  int findOrAdd(int parent, int base, int unit, std::unordered_multimap<uint64_t, int> &byHash) {
    uint64_t hash = hashes[parent] ^ mix(static_cast<uint64_t>(unit));
    size_t numWords = lattice.numWords;
    std::vector<Word> set(lattice.set(parent), lattice.set(parent) + numWords);
    setBit(set.data(), unit);
    auto range = byHash.equal_range(hash);
    for (auto it = range.first; it != range.second; ++it)
      if (std::equal(set.begin(), set.end(), lattice.set(it->second)))
        return it->second;
    int node = lattice.numNodes();
    byHash.emplace(hash, node);
    hashes.push_back(hash);
    lattice.words.insert(lattice.words.end(), set.begin(), set.end());
    lattice.level.push_back(lattice.level[parent] + 1);
    lattice.load.push_back(lattice.load[parent] + leastLoad[unit]);
    addOpen(parent, unit, set.data());
    std::vector<int> frontier;
    for (int other : frontiers[parent - base])
      if (other != unit)
        frontier.push_back(other);
    for (int succ : core.units[unit].succs) {
      bool isReady = true;
      for (int pred : core.units[succ].preds)
        isReady &= testBit(set.data(), pred);
      if (isReady)
        frontier.push_back(succ);
    }
    nextFrontiers.push_back(std::move(frontier));
    return node;
  }

  void addOpen(int parent, int unit, const Word *set) {
    int64_t count = lattice.openCount[parent], bytes = lattice.openBytes[parent];
    for (int m : core.units[unit].makes)
      if (!core.messages[m].users.empty()) {
        ++count;
        bytes += core.messages[m].numBytes;
      }
    for (int m : core.units[unit].reads) {
      const Message &message = core.messages[m];
      if (message.producer == kSource)
        continue;
      bool isClosed = true;
      for (int user : message.users)
        isClosed &= testBit(set, user);
      if (isClosed) {
        --count;
        bytes -= message.numBytes;
      }
    }
    lattice.openCount.push_back(count);
    lattice.openBytes.push_back(bytes);
  }

  /// Keeps the downsets of the newest size that lie on an order, and the best others; renumbers.
  void keepBest(int parentBegin, int begin) {
    int end = lattice.numNodes(), count = end - begin;
    if (!count)
      return;
    std::vector<char> isSeed(count, 0);
    int size = lattice.level[begin];
    orderHashes.resize(options.orders.size(), 0);
    for (size_t o = 0; o < options.orders.size(); ++o) {
      orderHashes[o] ^= mix(static_cast<uint64_t>(options.orders[o][size - 1]));
      for (int node = begin; node < end; ++node)
        isSeed[node - begin] |= hashes[node] == orderHashes[o];
    }
    std::vector<int> ranked(count);
    for (int i = 0; i < count; ++i)
      ranked[i] = begin + i;
    std::sort(ranked.begin(), ranked.end(), [&](int a, int b) {
      bool seedA = isSeed[a - begin], seedB = isSeed[b - begin];
      if (seedA != seedB)
        return seedA;
      if (lattice.openBytes[a] != lattice.openBytes[b])
        return lattice.openBytes[a] < lattice.openBytes[b];
      return hashes[a] < hashes[b];
    });
    int numSeeds = static_cast<int>(std::count(isSeed.begin(), isSeed.end(), 1));
    ranked.resize(std::min(count, numSeeds + options.beamWidth));
    std::sort(ranked.begin(), ranked.end());
    std::vector<int> newNode(count, -1);
    std::vector<std::vector<int>> kept;
    for (size_t i = 0; i < ranked.size(); ++i) {
      int from = ranked[i], to = begin + static_cast<int>(i);
      newNode[from - begin] = to;
      std::copy_n(lattice.set(from), lattice.numWords, &lattice.words[size_t(to) * lattice.numWords]);
      lattice.load[to] = lattice.load[from];
      lattice.openCount[to] = lattice.openCount[from];
      lattice.openBytes[to] = lattice.openBytes[from];
      hashes[to] = hashes[from];
      kept.push_back(std::move(frontiers[from - begin]));
    }
    frontiers = std::move(kept);
    size_t numNodes = begin + ranked.size();
    lattice.words.resize(numNodes * lattice.numWords);
    lattice.level.resize(numNodes);
    lattice.load.resize(numNodes);
    lattice.openCount.resize(numNodes);
    lattice.openBytes.resize(numNodes);
    hashes.resize(numNodes);
    dropEdges(parentBegin, begin, newNode);
  }

  void dropEdges(int parentBegin, int begin, const std::vector<int> &newNode) {
    int64_t out = lattice.firstEdge[parentBegin];
    for (int parent = parentBegin; parent < begin; ++parent) {
      int64_t first = lattice.firstEdge[parent];
      int64_t last = parent + 1 < begin ? lattice.firstEdge[parent + 1] : static_cast<int64_t>(lattice.edges.size());
      lattice.firstEdge[parent] = out;
      for (int64_t e = first; e < last; ++e) {
        Lattice::Edge edge = lattice.edges[e];
        edge.node = newNode[edge.node - begin];
        if (edge.node >= 0)
          lattice.edges[out++] = edge;
      }
    }
    lattice.edges.resize(out);
  }

  void findBoundaries(int node) {
    const Word *set = lattice.set(node);
    int lowest = 0, highest = core.numStages;
    if (core.hasWindows())
      for (int u = 0; u < numUnits; ++u) {
        if (testBit(set, u))
          lowest = std::max(lowest, core.units[u].earliest + 1);
        else
          highest = std::min(highest, core.units[u].latest);
      }
    lattice.lowest.push_back(lowest);
    lattice.highest.push_back(highest);
    uint64_t lacks = 0, passes = 0;
    for (size_t c = 0; c < core.freeCuts.size(); ++c) {
      if (!isSubset(core.freeCuts[c].before.data(), set, lattice.numWords))
        lacks |= uint64_t(1) << c;
      if (intersects(core.freeCuts[c].after.data(), set, lattice.numWords))
        passes |= uint64_t(1) << c;
    }
    lattice.lacks.push_back(lacks);
    lattice.passes.push_back(passes);
  }
};

} // namespace penstock::partition

bool Lattice::enumerate(const Core &core, const LatticeOptions &options) {
  return LatticeBuilder(core, options, *this).run();
}

namespace {

/// Repeatedly takes the best unit that may come next; `rank` orders them, smaller first.
template <typename Rank> std::vector<int> takeInOrder(const Core &core, Rank rank) {
  int n = core.numUnits();
  size_t numWords = numWordsFor(n);
  Bits done(n);
  std::vector<int> numPending(n), order, ready;
  for (int u = 0; u < n; ++u) {
    numPending[u] = static_cast<int>(core.units[u].preds.size());
    if (!numPending[u])
      ready.push_back(u);
  }
  while (!ready.empty()) {
    size_t best = ready.size();
    decltype(rank(0, done)) bestRank{};
    for (size_t i = 0; i < ready.size(); ++i) {
      if (!mayJoin(core, ready[i], done.data(), numWords))
        continue;
      auto r = rank(ready[i], done);
      if (best == ready.size() || r < bestRank) {
        best = i;
        bestRank = r;
      }
    }
    if (best == ready.size())
      return {};
    int unit = ready[best];
    ready.erase(ready.begin() + static_cast<std::ptrdiff_t>(best));
    done.set(unit);
    order.push_back(unit);
    for (int succ : core.units[unit].succs)
      if (--numPending[succ] == 0)
        ready.push_back(succ);
  }
  return order;
}

/// Bytes that stay open more when `unit` joins `done`.
int64_t liveChange(const Core &core, int unit, const Bits &done) {
  int64_t change = 0;
  for (int m : core.units[unit].makes)
    if (!core.messages[m].users.empty())
      change += core.messages[m].numBytes;
  for (int m : core.units[unit].reads) {
    const Message &message = core.messages[m];
    bool isLast = message.producer != kSource;
    for (int user : message.users)
      isLast &= user == unit || done.test(user);
    if (isLast)
      change -= message.numBytes;
  }
  return change;
}

} // namespace

std::vector<std::vector<int>> penstock::partition::makeOrders(const Core &core) {
  int n = core.numUnits();
  std::vector<int> level(n, 0), readyAt(n, 0);
  std::vector<double> depth(n, 0);
  for (int u = 0; u < n; ++u)
    for (int pred : core.units[u].preds)
      level[u] = std::max(level[u], level[pred] + 1);
  for (int u = n - 1; u >= 0; --u) {
    for (int succ : core.units[u].succs)
      depth[u] = std::max(depth[u], depth[succ]);
    depth[u] += core.units[u].load[core.problem->stages.front().deviceClass];
  }
  std::vector<std::vector<int>> result;
  auto keep = [&](std::vector<int> order) {
    if (static_cast<int>(order.size()) == n && std::find(result.begin(), result.end(), order) == result.end())
      result.push_back(std::move(order));
  };
  using Rank = std::pair<double, int>;
  keep(takeInOrder(core, [&](int u, const Bits &) { return Rank(0, u); }));
  keep(takeInOrder(core, [&](int u, const Bits &) { return Rank(level[u], u); }));
  // Depth first: go on from what was placed last.
  std::vector<int> placedAt(n, -1);
  int clock = 0;
  keep(takeInOrder(core, [&](int u, const Bits &done) {
    int last = -1;
    for (int pred : core.units[u].preds) {
      if (placedAt[pred] < 0)
        placedAt[pred] = clock++;
      last = std::max(last, placedAt[pred]);
    }
    return Rank(-last, u);
  }));
  keep(takeInOrder(core,
                   [&](int u, const Bits &done) { return Rank(static_cast<double>(liveChange(core, u, done)), u); }));
  keep(takeInOrder(core, [&](int u, const Bits &) { return Rank(-depth[u], u); }));
  return result;
}
