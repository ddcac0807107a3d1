//===- Exhaustive.cpp - The oracle of the partition tests --------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Written for plainness, not speed: sets are std::set, and each plan is priced from nothing.
//===----------------------------------------------------------------------===//
#include "Exhaustive.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

using namespace penstock::partition;
using namespace penstock::partition::test;

namespace {

class Oracle {
public:
  explicit Oracle(const Problem &p) : p(p), n(static_cast<int>(p.kernels.size())), k(p.numStages()) {
    operands.resize(n);
    for (size_t v = 0; v < p.values.size(); ++v)
      for (int c : p.values[v].consumers)
        operands[c].insert(static_cast<int>(v));
    sortKernels();
    for (const Cut &cut : p.cuts) {
      before.push_back(closure(cut.before, true));
      after.push_back(closure(cut.after, false));
    }
    chooseCopied();
  }

  Best run() {
    obeysAll = false;
    anyPlan = false;
    enumerate(0);
    if (!anyPlan)
      copied.clear(); // fewer pieces than stages: copies are placed like the rest
    obeysAll = true;
    best = Best();
    enumerate(0);
    return best;
  }

private:
  const Problem &p;
  int n, k;
  std::vector<std::set<int>> operands; ///< values read by each kernel
  std::vector<int> order;
  std::vector<std::set<int>> before, after; ///< per cut, closed
  std::set<int> copied;                     ///< kernels repeated where needed
  std::map<int, int> stage;                 ///< of placed kernels
  bool obeysAll = false, anyPlan = false;
  Best best;

  void sortKernels() {
    std::set<int> done;
    while (static_cast<int>(order.size()) < n)
      for (int i = 0; i < n; ++i) {
        bool ready = !done.count(i);
        for (int v : operands[i])
          ready = ready && (p.values[v].producer == kSource || done.count(p.values[v].producer));
        if (ready) {
          done.insert(i);
          order.push_back(i);
        }
      }
  }

  std::set<int> closure(const std::vector<int> &seed, bool up) const {
    std::set<int> result(seed.begin(), seed.end());
    for (int round = 0; round < n; ++round)
      for (const Value &value : p.values)
        for (int c : value.consumers) {
          if (value.producer == kSource)
            continue;
          if (up && result.count(c))
            result.insert(value.producer);
          if (!up && result.count(value.producer))
            result.insert(c);
        }
    return result;
  }

  void chooseCopied() {
    for (int i = 0; i < n; ++i) {
      bool named = !p.kernels[i].cloneable, read = false;
      for (const Value &value : p.values)
        if (value.producer == i) {
          read = read || !value.consumers.empty();
          named = named || value.isOutput;
        }
      for (const Pin &pin : p.pins)
        named = named || pin.kernel == i;
      for (const Colocation &group : p.colocations)
        named = named || std::count(group.kernels.begin(), group.kernels.end(), i);
      for (const Cut &cut : p.cuts)
        named = named || std::count(cut.before.begin(), cut.before.end(), i) ||
                std::count(cut.after.begin(), cut.after.end(), i);
      if (read && !named)
        copied.insert(i);
    }
  }

  /// The earliest stage at which all that `kernel` reads exists.
  int earliest(int kernel) const {
    int result = 0;
    for (int v : operands[kernel]) {
      int producer = p.values[v].producer;
      if (producer == kSource)
        continue;
      result = std::max(result, copied.count(producer) ? earliest(producer) : stage.at(producer));
    }
    return result;
  }

  void enumerate(int position) {
    if (position == n)
      return finish();
    int kernel = order[position];
    if (copied.count(kernel))
      return enumerate(position + 1);
    for (int s = earliest(kernel); s < k; ++s) {
      stage[kernel] = s;
      enumerate(position + 1);
    }
    stage.erase(kernel);
  }

  bool staysTogether() const {
    std::set<int> used;
    for (auto [kernel, s] : stage)
      used.insert(s);
    for (const Colocation &group : p.colocations)
      for (int kernel : group.kernels)
        if (stage.at(kernel) != stage.at(group.kernels[0]))
          return false;
    return static_cast<int>(used.size()) == k;
  }

  bool separates(size_t cut, int boundary) const {
    for (auto [kernel, s] : stage)
      if ((before[cut].count(kernel) && s > boundary) || (after[cut].count(kernel) && s <= boundary))
        return false;
    return true;
  }

  bool obeysConstraints() const {
    for (const Pin &pin : p.pins)
      if (stage.at(pin.kernel) != pin.stage)
        return false;
    // As many cuts as boundaries: the innermost is the first, and so on.
    std::vector<size_t> sorted(p.cuts.size());
    for (size_t c = 0; c < sorted.size(); ++c)
      sorted[c] = c;
    std::sort(sorted.begin(), sorted.end(), [&](size_t a, size_t b) {
      return std::make_pair(before[a].size(), a) < std::make_pair(before[b].size(), b);
    });
    for (size_t i = 0; i < sorted.size(); ++i) {
      bool found = false;
      for (int b = 0; b + 1 < k; ++b) {
        if (p.cuts[sorted[i]].boundary && *p.cuts[sorted[i]].boundary != b)
          continue;
        if (static_cast<int>(sorted.size()) == k - 1 && static_cast<int>(i) != b)
          continue;
        found = found || separates(sorted[i], b);
      }
      if (!found)
        return false;
    }
    return true;
  }

  double seconds(const Link &link, int64_t bytes) const {
    return link.latencySeconds + double(bytes) / link.bytesPerSecond;
  }

  void addCopies(int kernel, std::set<int> &here) const {
    here.insert(kernel);
    for (int v : operands[kernel])
      if (copied.count(p.values[v].producer))
        addCopies(p.values[v].producer, here);
  }

  /// Prices the plan; false if a memory limit is passed.
  bool price(double &bottleneck, int64_t &traffic) const {
    std::vector<std::set<int>> here(k), reads(k);
    for (auto [kernel, s] : stage)
      addCopies(kernel, here[s]);
    for (int s = 0; s < k; ++s)
      for (int kernel : here[s])
        for (int v : operands[kernel])
          if (!here[s].count(p.values[v].producer))
            reads[s].insert(v);
    bottleneck = 0;
    traffic = 0;
    // Stages that a value passes from its maker to its last reader, both included; source and sink are stages too.
    auto atMost = [&](int depth) { return p.maxDepth > 0 ? std::min(p.maxDepth, depth) : depth; };
    auto onTheWay = [&](const Value &value, int v) {
      int from = value.producer == kSource ? -1 : stage.at(value.producer), last = from;
      for (int t = 0; t < k; ++t)
        if (reads[t].count(v))
          last = t;
      return atMost((value.isOutput ? k : last) - from + 1);
    };
    for (int s = 0; s < k; ++s) {
      double compute = 0, send = 0, recv = 0;
      int64_t weights = 0, resident = 0, workspace = 0, slots = 0;
      std::set<int> heldWeights;
      for (int kernel : here[s]) {
        const Kernel &info = p.kernels[kernel];
        compute += info.seconds[p.stages[s].deviceClass];
        resident += info.residentBytes;
        workspace = std::max(workspace, info.workspaceBytes);
        heldWeights.insert(info.weights.begin(), info.weights.end());
      }
      for (int w : heldWeights)
        weights += p.weights[w].numBytes;
      for (int v : reads[s]) {
        const Value &value = p.values[v];
        slots += (p.slotsPerReceivedValue >= 0 ? p.slotsPerReceivedValue : onTheWay(value, v)) * value.numBytes;
        traffic += value.numBytes;
        if (value.producer == kSource)
          recv += seconds(p.sourceLink, value.numBytes);
        else if (!p.links.empty())
          recv += seconds(p.links[s - 1], value.numBytes);
      }
      for (size_t v = 0; v < p.values.size(); ++v) {
        const Value &value = p.values[v];
        if (value.producer == kSource || copied.count(value.producer) || stage.at(value.producer) != s)
          continue;
        bool leaves = false;
        int last = s;
        for (int t = s + 1; t < k; ++t)
          if (reads[t].count(static_cast<int>(v))) {
            leaves = true;
            last = t;
          }
        if (leaves && !p.links.empty())
          send += seconds(p.links[s], value.numBytes);
        if (value.isOutput)
          send += seconds(p.sinkLink, value.numBytes);
        if (leaves || value.isOutput)
          slots += (p.slotsPerSentValue >= 0 ? p.slotsPerSentValue : atMost((value.isOutput ? k : last) - s + 1)) *
                   value.numBytes;
      }
      int64_t memory = p.stages[s].reservedBytes + weights + resident + workspace + slots;
      if (memory > p.stages[s].memoryLimitBytes)
        return false;
      double cost = p.isOverlapped ? std::max({compute, send, recv}) : compute + send + recv;
      if (p.balance == Balance::Params)
        cost = double(weights);
      if (p.balance == Balance::Memory)
        cost = double(memory);
      if (p.balance == Balance::Uniform)
        cost = double(here[s].size());
      bottleneck = std::max(bottleneck, cost);
    }
    for (int b = 0; b + 1 < k && !p.links.empty() && p.balance == Balance::Time; ++b) {
      double crossing = 0;
      for (size_t v = 0; v < p.values.size(); ++v) {
        const Value &value = p.values[v];
        if (value.producer == kSource || copied.count(value.producer) || stage.at(value.producer) > b)
          continue;
        bool isReadBeyond = false;
        for (int t = b + 1; t < k; ++t)
          isReadBeyond = isReadBeyond || reads[t].count(static_cast<int>(v));
        if (isReadBeyond)
          crossing += seconds(p.links[b], value.numBytes);
      }
      if (p.links[b].isShared)
        bottleneck = std::max(bottleneck, crossing);
    }
    return true;
  }

  void finish() {
    if (!staysTogether())
      return;
    anyPlan = true;
    double bottleneck = 0;
    int64_t traffic = 0;
    if (!obeysAll || !obeysConstraints() || !price(bottleneck, traffic))
      return;
    ++best.numPlans;
    bool isSame = best.isFeasible && std::abs(bottleneck - best.bottleneck) <= 1e-9 * best.bottleneck;
    if (!best.isFeasible || (!isSame && bottleneck < best.bottleneck)) {
      best.isFeasible = true;
      best.bottleneck = bottleneck;
      best.trafficBytes = traffic;
    } else if (isSame) {
      best.trafficBytes = std::min(best.trafficBytes, traffic);
    }
  }
};

} // namespace

Best penstock::partition::test::solveExhaustively(const Problem &problem) { return Oracle(problem).run(); }
