//===- Moves.cpp - Improving a plan by moving units --------------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Steepest descent on (bottleneck, sum of squares): the sum lets moves that even out the rest prepare the next gain.
//===----------------------------------------------------------------------===//
#include "Moves.h"

#include <algorithm>
#include <limits>

using namespace penstock::partition;

namespace {

struct Score {
  double bottleneck = std::numeric_limits<double>::infinity();
  double squares = std::numeric_limits<double>::infinity();
  int worst = 0;

  bool isBetterThan(const Score &other) const {
    constexpr double tiny = 1e-12;
    if (bottleneck < other.bottleneck * (1 - tiny))
      return true;
    return bottleneck <= other.bottleneck && squares < other.squares * (1 - tiny);
  }
};

class Mover {
public:
  Mover(const Core &core, std::vector<int> &stageOf, int64_t maxTrials)
      : core(core), stageOf(stageOf), trialsLeft(maxTrials), numStages(core.numStages) {
    for (int s = 0; s < numStages; ++s)
      pricers.emplace_back(core, s);
  }

  double run() {
    Score best = score();
    while (trialsLeft > 0) {
      Score next = best;
      int unit = -1, stage = -1;
      for (int u : candidates(best.worst))
        tryUnit(u, next, unit, stage);
      if (unit < 0)
        break;
      stageOf[unit] = stage;
      best = next;
    }
    return best.bottleneck;
  }

private:
  const Core &core;
  std::vector<int> &stageOf;
  int64_t trialsLeft;
  int numStages;
  std::vector<StagePricer> pricers;

  /// Units of the worst stage, and those that touch it.
  std::vector<int> candidates(int worst) const {
    std::vector<int> result;
    for (int u = 0; u < core.numUnits(); ++u) {
      bool touches = stageOf[u] == worst;
      for (int pred : core.units[u].preds)
        touches |= stageOf[pred] == worst;
      for (int succ : core.units[u].succs)
        touches |= stageOf[succ] == worst;
      if (touches)
        result.push_back(u);
    }
    return result;
  }

  void tryUnit(int u, Score &best, int &unit, int &stage) {
    int first = core.units[u].earliest, last = core.units[u].latest, home = stageOf[u];
    for (int pred : core.units[u].preds)
      first = std::max(first, stageOf[pred]);
    for (int succ : core.units[u].succs)
      last = std::min(last, stageOf[succ]);
    for (int to = std::max(first, home - 1); to <= std::min(last, home + 1) && trialsLeft > 0; ++to) {
      if (to == home)
        continue;
      --trialsLeft;
      stageOf[u] = to;
      Score trial = score();
      if (trial.isBetterThan(best)) {
        best = trial;
        unit = u;
        stage = to;
      }
    }
    stageOf[u] = home;
  }

  bool keepsCuts() const {
    for (const FreeCut &cut : core.freeCuts) {
      int last = -1, first = numStages;
      for (int u = 0; u < core.numUnits(); ++u) {
        if (cut.before.test(u))
          last = std::max(last, stageOf[u]);
        if (cut.after.test(u))
          first = std::min(first, stageOf[u]);
      }
      if (last >= first)
        return false;
    }
    return true;
  }

  /// Infinite if a constraint is broken.
  Score score() const {
    std::vector<Segment> segments(numStages);
    std::vector<double> loads(size_t(numStages) * core.numClasses, 0.0), links(numStages, 0.0);
    std::vector<int> numUnits(numStages, 0);
    addUnits(segments, loads, numUnits);
    if (!core.allowsEmpty && std::count(numUnits.begin(), numUnits.end(), 0))
      return Score();
    addMessages(segments, links);
    addShared(segments, loads);
    Score result{0, 0, 0};
    for (int s = 0; s < numStages; ++s) {
      if (!pricers[s].fits(segments[s]))
        return Score();
      double cost = std::max(pricers[s].cost(segments[s], &loads[size_t(s) * core.numClasses]), links[s]);
      result.squares += cost * cost;
      if (cost > result.bottleneck) {
        result.bottleneck = cost;
        result.worst = s;
      }
    }
    return keepsCuts() ? result : Score();
  }

  void addUnits(std::vector<Segment> &segments, std::vector<double> &loads, std::vector<int> &numUnits) const {
    for (int u = 0; u < core.numUnits(); ++u) {
      const Unit &unit = core.units[u];
      int s = stageOf[u];
      ++numUnits[s];
      for (int c = 0; c < core.numClasses; ++c)
        loads[size_t(s) * core.numClasses + c] += unit.load[c];
      segments[s].weightBytes += unit.weightBytes;
      segments[s].residentBytes += unit.residentBytes;
      segments[s].workspaceBytes = std::max(segments[s].workspaceBytes, unit.workspaceBytes);
      segments[s].sinkCount += unit.sinkCount;
      segments[s].sinkBytes += unit.sinkBytes;
    }
  }

  void addMessages(std::vector<Segment> &segments, std::vector<double> &linkTimes) const {
    const auto &links = core.problem->links;
    std::vector<char> isRead(numStages);
    for (const Message &message : core.messages) {
      int from = message.producer == kSource ? -1 : stageOf[message.producer], last = -1;
      std::fill(isRead.begin(), isRead.end(), 0);
      for (int user : message.users)
        if (stageOf[user] != from) {
          isRead[stageOf[user]] = 1;
          last = std::max(last, stageOf[user]);
        }
      for (int s = 0; s < numStages; ++s)
        if (isRead[s]) {
          (from < 0 ? segments[s].sourceCount : segments[s].recvCount) += 1;
          (from < 0 ? segments[s].sourceBytes : segments[s].recvBytes) += message.numBytes;
        }
      if (from < 0)
        continue;
      if (last >= 0) {
        ++segments[from].sendCount;
        segments[from].sendBytes += message.numBytes;
      }
      if (last >= 0 || message.isOutput)
        segments[from].outBytes += message.numBytes;
      for (int b = from; b < last && !links.empty() && core.problem->balance == Balance::Time; ++b)
        if (links[b].isShared)
          linkTimes[b] += linkSeconds(links[b], 1, message.numBytes);
    }
  }

  void addShared(std::vector<Segment> &segments, std::vector<double> &loads) const {
    std::vector<char> isUsed(numStages);
    for (const SharedItem &item : core.shared) {
      std::fill(isUsed.begin(), isUsed.end(), 0);
      for (int user : item.users)
        isUsed[stageOf[user]] = 1;
      for (int s = 0; s < numStages; ++s) {
        if (!isUsed[s])
          continue;
        segments[s].weightBytes += item.weightBytes;
        segments[s].residentBytes += item.residentBytes;
        segments[s].workspaceBytes = std::max(segments[s].workspaceBytes, item.workspaceBytes);
        for (size_t c = 0; c < item.load.size(); ++c)
          loads[size_t(s) * core.numClasses + c] += item.load[c];
      }
    }
  }
};

} // namespace

double penstock::partition::improveByMoves(const Core &core, std::vector<int> &stageOfUnit, int64_t maxTrials) {
  return Mover(core, stageOfUnit, maxTrials).run();
}
