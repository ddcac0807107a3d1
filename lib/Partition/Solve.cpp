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

Plan finish(const Core &core, const Placement &placement) {
  Plan plan = makePlan(core, placement.stageOfUnit);
  // Sums in another order differ in the last bits; the bound is about the figures shown.
  plan.lowerBound = std::min(placement.lowerBound, plan.bottleneck);
  if (placement.lowerBound >= plan.bottleneck * (1 - 1e-9))
    plan.lowerBound = plan.bottleneck;
  plan.gap = plan.lowerBound > 0   ? plan.bottleneck / plan.lowerBound - 1
             : plan.bottleneck > 0 ? std::numeric_limits<double>::infinity()
                                   : 0;
  plan.isProvedOptimal = plan.gap <= 1e-9;
  plan.method = placement.method;
  plan.numDownsets = placement.numDownsets;
  plan.numPairs = placement.numPairs;
  return plan;
}

std::optional<Plan> tryPlan(const Problem &problem, const SolveOptions &options) {
  Core core;
  if (!problem.check().empty() || !buildCore(problem, core).empty())
    return std::nullopt;
  Placement placement = place(core, options);
  if (!placement.isFound)
    return std::nullopt;
  return finish(core, placement);
}

/// Explains why no plan obeys the memory limits, and what would help.
class MemoryAdvisor {
public:
  MemoryAdvisor(const Problem &problem, const SolveOptions &options, bool isProved)
      : problem(problem), options(options), isProved(isProved) {}

  Result run() {
    Result result;
    Plan least;
    if (!findLeastExcess(least)) {
      result.errors.push_back("no plan of " + std::to_string(problem.numStages()) +
                              " stages obeys the pins and cuts: some stage would be empty");
      return result;
    }
    int worst = worstStage(least);
    int64_t needed = least.stages[worst].memoryBytes, limit = problem.stages[worst].memoryLimitBytes;
    std::string text =
        "stage " + std::to_string(worst) + " needs " + formatBytes(needed) + ", " + formatBytes(needed - limit) +
        " more than its limit of " + formatBytes(limit) + " (in the plan that exceeds the limits least: weights " +
        formatBytes(least.stages[worst].weightBytes) + ", resident " + formatBytes(least.stages[worst].residentBytes) +
        ", workspace " + formatBytes(least.stages[worst].workspaceBytes) + ", slots " +
        formatBytes(least.stages[worst].slotBytes) + "); " +
        (isProved ? "no plan of " + std::to_string(problem.numStages()) + " stages fits"
                  : "no plan that fits was found, though not all were tried");
    result.errors.push_back(text + advice(least, needed - limit, result.suggestion));
    return result;
  }

private:
  const Problem &problem;
  const SolveOptions &options;
  bool isProved;

  int64_t excess(const Plan &plan, int s) const {
    int64_t limit = problem.stages[s].memoryLimitBytes;
    return limit == kUnlimited ? std::numeric_limits<int64_t>::min() : plan.stages[s].memoryBytes - limit;
  }
  int worstStage(const Plan &plan) const {
    int worst = 0;
    for (int s = 1; s < problem.numStages(); ++s)
      if (excess(plan, s) > excess(plan, worst))
        worst = s;
    return worst;
  }

  /// The plan whose largest excess over a limit is least.
  bool findLeastExcess(Plan &plan) const {
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
    if (placement.isFound)
      plan = finish(core, placement);
    return placement.isFound;
  }

  std::string advice(const Plan &least, int64_t leastExcess, std::optional<Plan> &suggestion) const {
    std::string text;
    if (!problem.cuts.empty() || !problem.pins.empty()) {
      Problem free = problem;
      free.cuts.clear();
      free.pins.clear();
      if ((suggestion = tryPlan(free, options)))
        return "; without the given cuts and pins this fits: " + describeCuts(*suggestion);
    }
    std::string alone = kernelTooLarge();
    if (!alone.empty())
      return "; " + alone;
    if (problem.cuts.empty() && problem.pins.empty())
      for (int numStages : moreStages()) {
        Problem larger = problem;
        larger.stages.resize(numStages, problem.stages.back());
        if (!larger.links.empty())
          larger.links.resize(numStages - 1, problem.links.back());
        if ((suggestion = tryPlan(larger, options)))
          return "; " + std::to_string(numStages) + " stages fit: " + describeCuts(*suggestion);
      }
    suggestion = least;
    return "; it fits with each limit raised by " + formatBytes(leastExcess) + ": " + describeCuts(least);
  }

  std::vector<int> moreStages() const {
    std::vector<int> result;
    int numKernels = static_cast<int>(problem.kernels.size()), k = problem.numStages();
    for (int more : {k + 1, k + 2, k + 3, 2 * k, 3 * k, 4 * k})
      if (more <= std::min(numKernels, 64) && (result.empty() || more > result.back()))
        result.push_back(more);
    return result;
  }

  /// Names a kernel that no device can hold by itself.
  std::string kernelTooLarge() const {
    int64_t largest = 0;
    for (const Device &stage : problem.stages)
      largest = std::max(largest, stage.memoryLimitBytes);
    for (size_t k = 0; k < problem.kernels.size(); ++k) {
      const Kernel &kernel = problem.kernels[k];
      int64_t needed = kernel.residentBytes + kernel.workspaceBytes;
      std::vector<int> weights = kernel.weights;
      std::sort(weights.begin(), weights.end());
      weights.erase(std::unique(weights.begin(), weights.end()), weights.end());
      for (int weight : weights)
        needed += problem.weights[weight].numBytes;
      if (needed > largest)
        return "kernel " + kernelName(problem, static_cast<int>(k)) + " alone needs " + formatBytes(needed) +
               ", so no number of stages fits within " + formatBytes(largest) + " each";
    }
    return "";
  }

  /// "cut after 'a', 'b'": the last kernel of each stage but the last.
  std::string describeCuts(const Plan &plan) const {
    std::string text = "cut after";
    for (size_t s = 0; s + 1 < plan.stages.size(); ++s)
      text += (s ? ", " : " ") + kernelName(problem, plan.stages[s].kernels.back());
    return plan.stages.size() > 1 ? text : "one stage";
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
  Placement placement = place(core, options);
  if (!placement.isFound) {
    bool hasLimit = std::any_of(problem.stages.begin(), problem.stages.end(),
                                [](const Device &stage) { return stage.memoryLimitBytes != kUnlimited; });
    if (hasLimit)
      return MemoryAdvisor(problem, options, placement.isProvedInfeasible).run();
    result.errors.push_back(placement.isProvedInfeasible
                                ? "no plan of " + std::to_string(problem.numStages()) +
                                      " stages obeys the pins and cuts: some stage would be empty"
                                : "no plan of " + std::to_string(problem.numStages()) +
                                      " stages was found, though not all were tried; raise the limits on the search");
    return result;
  }
  result.plan = finish(core, placement);
  if (std::abs(result.plan->bottleneck - placement.bottleneck) > 1e-6 * std::abs(placement.bottleneck)) {
    result.plan.reset();
    result.errors.push_back(
        "internal error: the partitioner's figures do not agree with the plan's; please report this");
  }
  return result;
}
