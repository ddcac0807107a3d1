//===- Solve.cpp - A plan with its certificate, or why there is none ----*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Checks, builds the core, places it, and when memory limits leave no plan looks for the change that does.
//===----------------------------------------------------------------------===//
#include "Engine.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

using namespace penstock::partition;

namespace {

std::string formatBytes(int64_t numBytes) {
  const char *units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  double value = static_cast<double>(numBytes);
  int unit = 0;
  for (; unit < 4 && std::abs(value) >= 1024; ++unit)
    value /= 1024;
  char text[48];
  std::snprintf(text, sizeof text, unit ? "%.2f %s" : "%.0f %s", value, units[unit]);
  return text;
}

std::string kernelName(const Problem &problem, int k) {
  const std::string &name = problem.kernels[k].name;
  return name.empty() ? "#" + std::to_string(k) : "'" + name + "'";
}

void certify(Plan &plan, double lowerBound) {
  // Sums in another order differ in the last bits; the bound is about the figures shown.
  plan.lowerBound = lowerBound >= plan.bottleneck * (1 - 1e-9) ? plan.bottleneck : lowerBound;
  plan.gap = plan.lowerBound > 0   ? plan.bottleneck / plan.lowerBound - 1
             : plan.bottleneck > 0 ? std::numeric_limits<double>::infinity()
                                   : 0;
  plan.isProvedOptimal = plan.gap <= 1e-9;
}

Plan finish(const Core &core, const Placement &placement) {
  Plan plan = makePlan(core, placement.stageOfUnit);
  certify(plan, placement.lowerBound);
  plan.method = placement.method;
  plan.numDownsets = placement.numDownsets;
  plan.numPairs = placement.numPairs;
  return plan;
}

/// Bytes above the limit of stage s; negative: room left.
int64_t excess(const Problem &problem, const Plan &plan, size_t s) {
  int64_t limit = problem.stages[s].memoryLimitBytes;
  return limit == kUnlimited ? std::numeric_limits<int64_t>::min() : plan.stages[s].memoryBytes - limit;
}

bool fits(const Problem &problem, const Plan &plan) {
  for (size_t s = 0; s < plan.stages.size(); ++s)
    if (excess(problem, plan, s) > 0)
      return false;
  return true;
}

/// place() counts two slots for a value on its way to stages further off, whose number it cannot know. Where the true
/// number does not fit, the stage gets that much less, and the search is repeated. The first lower bound holds for all.
Placement placeWithin(Core &core, const SolveOptions &options, Plan &plan) {
  constexpr int maxRounds = 12;
  Placement placement = place(core, options);
  double lowerBound = placement.lowerBound;
  core.memoryReserve.assign(core.numStages, 0);
  for (int round = 0; placement.isFound; ++round) {
    plan = finish(core, placement);
    certify(plan, lowerBound);
    if (fits(*core.problem, plan))
      return placement;
    placement.isFound = false;
    if (round == maxRounds)
      break;
    for (int s = 0; s < core.numStages; ++s)
      core.memoryReserve[s] += std::max<int64_t>(0, excess(*core.problem, plan, s));
    placement = place(core, options);
    placement.isProvedInfeasible = false;
  }
  placement.lowerBound = lowerBound;
  return placement;
}

std::optional<Plan> tryPlan(const Problem &problem, const SolveOptions &options) {
  Core core;
  Plan plan;
  if (!problem.check().empty() || !buildCore(problem, core).empty() || !placeWithin(core, options, plan).isFound)
    return std::nullopt;
  return plan;
}

/// What fewer slots than all channels would have do for the memory.
struct Shallower {
  std::optional<Plan> plan; ///< fits at `depth`, the largest that was found to do
  int depth = 0;
  bool isExcluded = false; ///< it is proved that nothing fits even with one slot per channel
};

Shallower findDepth(Problem problem, const SolveOptions &options) {
  Shallower found;
  if (problem.slotsPerSentValue != kSlotsByDepth && problem.slotsPerReceivedValue != kSlotsByDepth)
    return found;
  // From the first stage to the sink, and from the source to the last stage, a value is on its way longest.
  int low = 0, high = problem.slotsByDepth(problem.numStages() + 1);
  while (high - low > 1) {
    problem.maxDepth = low == 0 ? 1 : low + (high - low) / 2;
    std::optional<Plan> plan = tryPlan(problem, options);
    if (!plan && low == 0)
      break;
    (plan ? low : high) = problem.maxDepth;
    if (plan)
      found.plan = std::move(plan), found.depth = low;
  }
  problem.maxDepth = 1;
  Core core;
  found.isExcluded = !found.plan && buildCore(problem, core).empty() && place(core, options).isProvedInfeasible;
  return found;
}

/// Explains why no plan obeys the memory limits, and what would help.
class MemoryAdvisor {
public:
  MemoryAdvisor(const Problem &problem, const SolveOptions &options, const Placement &placement)
      : problem(problem), options(options), isProved(placement.isProvedInfeasible), lowerBound(placement.lowerBound) {}

  Result run() {
    Result result;
    Plan least;
    if (!findLeastExcess(least)) {
      result.errors.push_back("no plan of " + std::to_string(problem.numStages()) +
                              " stages obeys the pins and cuts: some stage would be empty");
      return result;
    }
    if (fits(problem, least)) { // the search for the best plan missed this one
      evaluate(problem, least);
      certify(least, lowerBound);
      result.plan = std::move(least);
      return result;
    }
    size_t worst = worstStage(least);
    int64_t needed = least.stages[worst].memoryBytes, limit = problem.stages[worst].memoryLimitBytes;
    int64_t reserved = problem.stages[worst].reservedBytes;
    std::string text =
        "stage " + std::to_string(worst) + " needs " + formatBytes(needed) + ", " + formatBytes(needed - limit) +
        " more than its limit of " + formatBytes(limit) + " (in the plan that exceeds the limits least: weights " +
        formatBytes(least.stages[worst].weightBytes) + ", resident " + formatBytes(least.stages[worst].residentBytes) +
        ", workspace " + formatBytes(least.stages[worst].workspaceBytes) + ", slots " +
        formatBytes(least.stages[worst].slotBytes) +
        (reserved > 0 ? ", runtime " + formatBytes(reserved) : std::string()) + "); " +
        (isProved ? "no plan of " + std::to_string(problem.numStages()) + " stages fits"
                  : "unproven: no plan that fits was found, though not all were tried");
    Shallower shallower = findDepth(problem, options);
    if (isProved && shallower.isExcluded)
      text += ", at any depth";
    result.errors.push_back(text + advice(least, needed - limit, std::move(shallower), result.suggestion));
    return result;
  }

private:
  const Problem &problem;
  const SolveOptions &options;
  bool isProved;
  double lowerBound;

  size_t worstStage(const Plan &plan) const {
    size_t worst = 0;
    for (size_t s = 1; s < plan.stages.size(); ++s)
      if (excess(problem, plan, s) > excess(problem, plan, worst))
        worst = s;
    return worst;
  }

  /// The plan whose largest excess over a limit is least.
  bool findLeastExcess(Plan &plan) {
    Problem free = problem;
    free.balance = Balance::Memory;
    // Limits beyond all that there is count as no limit.
    int64_t largest = 0;
    for (Device &stage : free.stages) {
      if (stage.memoryLimitBytes < (int64_t(1) << 61))
        largest = std::max(largest, stage.memoryLimitBytes);
      stage.memoryLimitBytes = kUnlimited;
    }
    Core core;
    if (!buildCore(free, core).empty())
      return false;
    for (const Device &stage : problem.stages)
      core.memoryHandicap.push_back(std::max<int64_t>(0, largest - stage.memoryLimitBytes));
    Placement placement = place(core, options);
    if (!placement.isFound)
      return false;
    plan = finish(core, placement);
    isProved |= placement.lowerBound > static_cast<double>(largest);
    return true;
  }

  std::string advice(const Plan &least, int64_t leastExcess, Shallower shallower,
                     std::optional<Plan> &suggestion) const {
    std::string text;
    if (!problem.cuts.empty() || !problem.pins.empty()) {
      Problem free = problem;
      free.cuts.clear();
      free.pins.clear();
      if ((suggestion = tryPlan(free, options)))
        return "; without the given cuts and pins a plan fits" + describeCuts(*suggestion);
    }
    std::string alone = kernelTooLarge();
    if (!alone.empty())
      return "; " + alone;
    if (shallower.plan) {
      suggestion = std::move(shallower.plan);
      return "; with channels of at most " + std::to_string(shallower.depth) +
             (shallower.depth == 1 ? " slot" : " slots") + " (--depth " + std::to_string(shallower.depth) +
             ") a plan fits" + describeCuts(*suggestion);
    }
    if (problem.cuts.empty() && problem.pins.empty())
      for (int numStages : moreStages()) {
        Problem larger = problem;
        larger.stages.resize(numStages, problem.stages.back());
        if (!larger.links.empty())
          larger.links.resize(numStages - 1, problem.links.back());
        if ((suggestion = tryPlan(larger, options)))
          return "; " + std::to_string(numStages) + " stages fit" + describeCuts(*suggestion);
      }
    suggestion = least;
    return "; it fits with each limit raised by " + formatBytes(leastExcess) + describeCuts(least);
  }

  std::vector<int> moreStages() const {
    std::vector<int> result;
    int numKernels = static_cast<int>(problem.kernels.size()), k = problem.numStages();
    for (int more : {k + 1, k + 2, k + 3, 2 * k, 3 * k, 4 * k})
      if (more <= std::min(numKernels, 64) && (result.empty() || more > result.back()))
        result.push_back(more);
    return result;
  }

  static bool hasLessRoom(const Device &a, const Device &b) {
    return a.memoryLimitBytes - a.reservedBytes < b.memoryLimitBytes - b.reservedBytes;
  }

  /// Names a kernel that no device can hold by itself.
  std::string kernelTooLarge() const {
    const Device &roomiest = *std::max_element(problem.stages.begin(), problem.stages.end(), hasLessRoom);
    for (size_t k = 0; k < problem.kernels.size(); ++k) {
      const Kernel &kernel = problem.kernels[k];
      int64_t needed = roomiest.reservedBytes + kernel.residentBytes + kernel.workspaceBytes;
      std::vector<int> weights = kernel.weights;
      std::sort(weights.begin(), weights.end());
      weights.erase(std::unique(weights.begin(), weights.end()), weights.end());
      for (int weight : weights)
        needed += problem.weights[weight].numBytes;
      if (needed > roomiest.memoryLimitBytes)
        return "kernel " + kernelName(problem, static_cast<int>(k)) + " alone needs " + formatBytes(needed) +
               ", so no number of stages fits within " + formatBytes(roomiest.memoryLimitBytes) + " each";
    }
    return "";
  }

  /// ": cut after 'a', 'b'": the last kernel of each stage but the last; nothing where that would be a long list.
  std::string describeCuts(const Plan &plan) const {
    constexpr size_t maxNames = 16;
    std::string text = ": cut after";
    if (plan.stages.size() < 2 || plan.stages.size() > maxNames)
      return "";
    for (size_t s = 0; s + 1 < plan.stages.size(); ++s)
      text += (s ? ", " : " ") + kernelName(problem, plan.stages[s].kernels.back());
    return text;
  }
};

} // namespace

Result penstock::partition::solve(const Problem &problem, const SolveOptions &options) {
  Result result;
  result.errors = problem.check();
  if (!result.errors.empty())
    return result;
  if (!(options.trafficSlack >= 0) || std::isinf(options.trafficSlack) || options.maxDownsets < 1 ||
      options.maxPairs < 1 || options.maxTableBytes < 1 || options.beamWidth < 1) {
    result.errors.push_back(
        "an option of the partitioner is out of range; expected positive limits and a slack that is "
        "not negative");
    return result;
  }
  Core core;
  result.errors = buildCore(problem, core);
  if (!result.errors.empty())
    return result;
  Plan plan;
  Placement placement = placeWithin(core, options, plan);
  if (!placement.isFound) {
    bool hasLimit = std::any_of(problem.stages.begin(), problem.stages.end(),
                                [](const Device &stage) { return stage.memoryLimitBytes != kUnlimited; });
    if (hasLimit)
      return MemoryAdvisor(problem, options, placement).run();
    result.errors.push_back(placement.isProvedInfeasible
                                ? "no plan of " + std::to_string(problem.numStages()) +
                                      " stages obeys the pins and cuts: some stage would be empty"
                                : "no plan of " + std::to_string(problem.numStages()) +
                                      " stages was found, though not all were tried; raise the limits on the search");
    return result;
  }
  // The search prices stages by their downsets, evaluate() by following each value; they must agree.
  bool isEstimate = problem.balance == Balance::Memory &&
                    (problem.slotsPerSentValue == kSlotsByDepth || problem.slotsPerReceivedValue == kSlotsByDepth);
  if (!isEstimate && std::abs(plan.bottleneck - placement.bottleneck) > 1e-6 * std::abs(placement.bottleneck))
    result.errors.push_back(
        "internal error: the partitioner's figures do not agree with the plan's; please report this");
  else
    result.plan = std::move(plan);
  return result;
}
