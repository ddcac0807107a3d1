//===- Constraints.cpp - Pins and cuts as windows of stages ----------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A pin, and a cut whose boundary is known, narrow the stages of some units; the windows then follow the edges. A cut
// whose boundary is not known stays as a pair of sets that some boundary has to separate.
//===----------------------------------------------------------------------===//
#include "Constraints.h"

#include <algorithm>
#include <limits>
#include <tuple>

using namespace penstock::partition;

namespace {

class Constrainer {
public:
  Constrainer(Core &core, const std::vector<int> &unitOfKernel)
      : core(core), problem(*core.problem), unitOfKernel(unitOfKernel), earliestFor(core.numUnits(), -1),
        latestFor(core.numUnits(), -1) {}

  std::vector<std::string> run() {
    for (const Pin &pin : problem.pins)
      narrow(unitOfKernel[pin.kernel], pin.stage, pin.stage,
             "kernel " + nameOf(pin.kernel) + " is pinned to stage " + std::to_string(pin.stage));
    if (!closeCuts() || !orderCuts() || !placeCuts() || !propagate())
      return errors;
    checkEachStageHasAUnit();
    core.indexWindows();
    return errors;
  }

private:
  struct ClosedCut {
    int index; ///< into Problem::cuts
    Bits before, after;
    std::optional<int> boundary;
  };

  Core &core;
  const Problem &problem;
  const std::vector<int> &unitOfKernel;
  std::vector<int> earliestFor, latestFor; ///< the reason, an index into `reasons`
  std::vector<std::string> reasons, errors;
  std::vector<ClosedCut> cuts;

  std::string nameOf(int kernel) const {
    const std::string &name = problem.kernels[kernel].name;
    return name.empty() ? "#" + std::to_string(kernel) : "'" + name + "'";
  }
  std::string nameOfUnit(int unit) const { return nameOf(core.units[unit].kernels.front()); }
  std::string cutName(int index) const {
    const std::string &name = problem.cuts[index].name;
    return name.empty() ? "#" + std::to_string(index) : "'" + name + "'";
  }

  void narrow(int unit, int earliest, int latest, std::string reason) {
    reasons.push_back(std::move(reason));
    int index = static_cast<int>(reasons.size()) - 1;
    Unit &u = core.units[unit];
    if (earliest > u.earliest) {
      u.earliest = earliest;
      earliestFor[unit] = index;
    }
    if (latest < u.latest) {
      u.latest = latest;
      latestFor[unit] = index;
    }
    if (u.earliest > u.latest)
      contradict(unit);
  }

  void contradict(int unit) {
    const Unit &u = core.units[unit];
    auto reason = [&](int index) { return index < 0 ? std::string("of the number of stages") : reasons[index]; };
    std::string text = "kernel " + nameOfUnit(unit) + " cannot be placed: it must be in stage " +
                       std::to_string(u.earliest) + " or later because " + reason(earliestFor[unit]) +
                       ", and in stage " + std::to_string(u.latest) + " or earlier because " + reason(latestFor[unit]);
    if (std::find(errors.begin(), errors.end(), text) == errors.end())
      errors.push_back(std::move(text));
  }

  bool closeCuts() {
    for (size_t i = 0; i < problem.cuts.size(); ++i) {
      const Cut &cut = problem.cuts[i];
      ClosedCut closed{static_cast<int>(i), Bits(core.numUnits()), Bits(core.numUnits()), cut.boundary};
      for (int kernel : cut.before)
        closed.before.set(unitOfKernel[kernel]);
      for (int kernel : cut.after)
        closed.after.set(unitOfKernel[kernel]);
      for (int u = core.numUnits() - 1; u >= 0; --u)
        if (closed.before.test(u))
          for (int pred : core.units[u].preds)
            closed.before.set(pred);
      for (int u = 0; u < core.numUnits(); ++u)
        if (closed.after.test(u))
          for (int succ : core.units[u].succs)
            closed.after.set(succ);
      for (int u = 0; u < core.numUnits(); ++u)
        if (closed.before.test(u) && closed.after.test(u)) {
          errors.push_back("cut " + cutName(static_cast<int>(i)) + " is contradictory: kernel " + nameOfUnit(u) +
                           " would be on both sides of it");
          break;
        }
      if (closed.before.count() == core.numUnits())
        errors.push_back("cut " + cutName(static_cast<int>(i)) + " leaves nothing after it: all " +
                         std::to_string(problem.kernels.size()) + " kernels come before");
      cuts.push_back(std::move(closed));
    }
    return errors.empty();
  }

  /// A unit of `a` that is not in `b`, or -1.
  int missing(const Bits &a, const Bits &b) const {
    for (int u = 0; u < core.numUnits(); ++u)
      if (a.test(u) && !b.test(u))
        return u;
    return -1;
  }

  bool orderCuts() {
    auto rank = [](const ClosedCut &cut) {
      return std::make_tuple(cut.before.count(), cut.boundary.value_or(std::numeric_limits<int>::max()), cut.index);
    };
    std::sort(cuts.begin(), cuts.end(), [&](const ClosedCut &a, const ClosedCut &b) { return rank(a) < rank(b); });
    for (size_t i = 1; i < cuts.size(); ++i) {
      const ClosedCut &inner = cuts[i - 1], &outer = cuts[i];
      int unit = missing(inner.before, outer.before);
      if (unit >= 0)
        errors.push_back("cuts " + cutName(inner.index) + " and " + cutName(outer.index) + " are not nested: kernel " +
                         nameOfUnit(unit) + " comes before the first but not before the second, and kernel " +
                         nameOfUnit(missing(outer.before, inner.before)) + " the other way round");
    }
    return errors.empty();
  }

  bool placeCuts() {
    int numBoundaries = core.numStages - 1;
    if (static_cast<int>(cuts.size()) > numBoundaries) {
      errors.push_back(std::to_string(cuts.size()) + " cuts need at least " + std::to_string(cuts.size() + 1) +
                       " stages, but there are " + std::to_string(core.numStages));
      return false;
    }
    bool isOneForOne = static_cast<int>(cuts.size()) == numBoundaries;
    int last = -1, lastCut = -1;
    for (size_t i = 0; i < cuts.size(); ++i) {
      ClosedCut &cut = cuts[i];
      if (cut.boundary && *cut.boundary <= last)
        errors.push_back("cut " + cutName(cut.index) + " is at boundary " + std::to_string(*cut.boundary) +
                         ", but cut " + cutName(lastCut) + ", which lies inside it, is at boundary " +
                         std::to_string(last) + "; expected a later one");
      else if (cut.boundary && isOneForOne && *cut.boundary != static_cast<int>(i))
        errors.push_back("cut " + cutName(cut.index) + " is at boundary " + std::to_string(*cut.boundary) +
                         ", but as number " + std::to_string(i + 1) + " of " + std::to_string(cuts.size()) +
                         " nested cuts of " + std::to_string(core.numStages) + " stages it can only be at boundary " +
                         std::to_string(i));
      if (isOneForOne)
        cut.boundary = static_cast<int>(i);
      if (cut.boundary) {
        last = *cut.boundary;
        lastCut = cut.index;
        applyAt(cut);
      } else if (cut.after.any()) {
        core.freeCuts.push_back({cut.before, cut.after});
      } else {
        std::string reason = "cut " + cutName(cut.index) + " needs a stage after it";
        for (int u = 0; u < core.numUnits(); ++u)
          if (cut.before.test(u))
            narrow(u, 0, core.numStages - 2, reason);
      }
    }
    if (core.freeCuts.size() > 64)
      errors.push_back(std::to_string(core.freeCuts.size()) +
                       " cuts have no boundary number; at most 64 can be placed");
    return errors.empty();
  }

  void applyAt(const ClosedCut &cut) {
    std::string reason = "cut " + cutName(cut.index) + " is at boundary " + std::to_string(*cut.boundary);
    for (int u = 0; u < core.numUnits(); ++u) {
      if (cut.before.test(u))
        narrow(u, 0, *cut.boundary, reason);
      if (cut.after.test(u))
        narrow(u, *cut.boundary + 1, core.numStages - 1, reason);
    }
  }

  bool propagate() {
    if (!errors.empty())
      return false;
    for (int u = 0; u < core.numUnits(); ++u)
      for (int succ : core.units[u].succs)
        if (core.units[u].earliest > core.units[succ].earliest) {
          core.units[succ].earliest = core.units[u].earliest;
          earliestFor[succ] = earliestFor[u];
        }
    for (int u = core.numUnits() - 1; u >= 0; --u)
      for (int pred : core.units[u].preds)
        if (core.units[u].latest < core.units[pred].latest) {
          core.units[pred].latest = core.units[u].latest;
          latestFor[pred] = latestFor[u];
        }
    for (int u = 0; u < core.numUnits() && errors.size() < 8; ++u)
      if (core.units[u].earliest > core.units[u].latest)
        contradict(u);
    return errors.empty();
  }

  void checkEachStageHasAUnit() {
    for (int s = 0; s < core.numStages; ++s) {
      bool hasUnit = false;
      for (const Unit &unit : core.units)
        hasUnit |= unit.earliest <= s && s <= unit.latest;
      if (!hasUnit)
        errors.push_back("stage " + std::to_string(s) + " would be empty: pins and cuts place every kernel elsewhere");
    }
  }
};

} // namespace

std::vector<std::string> penstock::partition::constrain(Core &core, const std::vector<int> &unitOfKernel) {
  return Constrainer(core, unitOfKernel).run();
}
