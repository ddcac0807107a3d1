//===- Verify.cpp - The figures of a plan, from the problem alone ----*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Shares nothing with the solver: it follows each value from the copy of its producer to the copies of its consumers.
//===----------------------------------------------------------------------===//
#include "penstock/Partition/Problem.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

using namespace penstock::partition;

namespace {

double seconds(const Link &link, int64_t numBytes) {
  return link.latencySeconds + static_cast<double>(numBytes) / link.bytesPerSecond;
}

class Evaluator {
public:
  Evaluator(const Problem &problem, Plan &plan) : problem(problem), plan(plan), numStages(problem.numStages()) {}

  void run() {
    placeKernels();
    routeValues();
    addMemory();
    addCosts();
  }

private:
  const Problem &problem;
  Plan &plan;
  int numStages;
  std::vector<std::vector<int>> stagesOf; ///< per kernel, where it runs; owner first

  void placeKernels() {
    plan.stages.assign(numStages, StageCost());
    plan.linkSeconds.assign(numStages > 0 ? numStages - 1 : 0, 0.0);
    plan.channels.clear();
    plan.trafficBytes = 0;
    stagesOf.assign(problem.kernels.size(), {});
    for (size_t k = 0; k < problem.kernels.size(); ++k) {
      stagesOf[k].push_back(plan.stageOf[k]);
      plan.stages[plan.stageOf[k]].kernels.push_back(static_cast<int>(k));
    }
    for (const Clone &clone : plan.clones) {
      stagesOf[clone.kernel].push_back(clone.stage);
      plan.stages[clone.stage].clones.push_back(clone.kernel);
    }
    for (StageCost &stage : plan.stages)
      std::sort(stage.clones.begin(), stage.clones.end());
  }

  const Link *linkAt(int boundary) const { return problem.links.empty() ? nullptr : &problem.links[boundary]; }

  void routeValues() {
    for (size_t v = 0; v < problem.values.size(); ++v) {
      const Value &value = problem.values[v];
      bool isFromSource = value.producer == kSource;
      std::vector<char> isMadeHere(numStages, 0), isReadHere(numStages, 0);
      if (!isFromSource)
        for (int stage : stagesOf[value.producer])
          isMadeHere[stage] = 1;
      for (int consumer : value.consumers)
        for (int stage : stagesOf[consumer])
          isReadHere[stage] = 1;
      ChannelUse channel;
      channel.value = static_cast<int>(v);
      channel.from = isFromSource ? kSource : plan.stageOf[value.producer];
      for (int s = 0; s < numStages; ++s)
        if (isReadHere[s] && !isMadeHere[s])
          channel.to.push_back(s);
      channel.toSink = value.isOutput;
      if (channel.to.empty() && !channel.toSink)
        continue;
      charge(channel, value.numBytes);
      plan.channels.push_back(std::move(channel));
    }
  }

  void charge(const ChannelUse &channel, int64_t numBytes) {
    bool isFromSource = channel.from == kSource;
    // kSource is -1
    int depth = problem.slotsByDepth((channel.toSink ? numStages : channel.to.back()) - channel.from + 1);
    if (!isFromSource) {
      StageCost &sender = plan.stages[channel.from];
      if (!channel.to.empty()) {
        sender.sendBytes += numBytes;
        if (channel.from + 1 < numStages && linkAt(channel.from))
          sender.sendSeconds += seconds(*linkAt(channel.from), numBytes);
        for (int boundary = channel.from; boundary < channel.to.back(); ++boundary)
          if (linkAt(boundary) && linkAt(boundary)->isShared)
            plan.linkSeconds[boundary] += seconds(*linkAt(boundary), numBytes);
      }
      if (channel.toSink) {
        sender.sendBytes += numBytes;
        sender.sendSeconds += seconds(problem.sinkLink, numBytes);
      }
      sender.slotBytes += (problem.slotsPerSentValue == kSlotsByDepth ? depth : problem.slotsPerSentValue) * numBytes;
    }
    for (int to : channel.to) {
      StageCost &receiver = plan.stages[to];
      receiver.recvBytes += numBytes;
      plan.trafficBytes += numBytes;
      receiver.slotBytes +=
          (problem.slotsPerReceivedValue == kSlotsByDepth ? depth : problem.slotsPerReceivedValue) * numBytes;
      if (isFromSource)
        receiver.recvSeconds += seconds(problem.sourceLink, numBytes);
      else if (to > 0 && linkAt(to - 1))
        receiver.recvSeconds += seconds(*linkAt(to - 1), numBytes);
    }
  }

  void addMemory() {
    for (int s = 0; s < numStages; ++s) {
      StageCost &stage = plan.stages[s];
      std::vector<char> holdsWeight(problem.weights.size(), 0);
      for (const auto *list : {&stage.kernels, &stage.clones})
        for (int k : *list) {
          const Kernel &kernel = problem.kernels[k];
          stage.computeSeconds += kernel.seconds[problem.stages[s].deviceClass];
          stage.residentBytes += kernel.residentBytes;
          stage.workspaceBytes = std::max(stage.workspaceBytes, kernel.workspaceBytes);
          for (int weight : kernel.weights)
            holdsWeight[weight] = 1;
        }
      for (size_t w = 0; w < problem.weights.size(); ++w)
        if (holdsWeight[w])
          stage.weightBytes += problem.weights[w].numBytes;
      stage.memoryBytes = stage.weightBytes + stage.residentBytes + stage.workspaceBytes + stage.slotBytes +
                          problem.stages[s].reservedBytes;
    }
  }

  double costOf(const StageCost &stage) const {
    switch (problem.balance) {
    case Balance::Time:
      return problem.isOverlapped ? std::max({stage.computeSeconds, stage.sendSeconds, stage.recvSeconds})
                                  : stage.computeSeconds + stage.sendSeconds + stage.recvSeconds;
    case Balance::Params:
      return static_cast<double>(stage.weightBytes);
    case Balance::Memory:
      return static_cast<double>(stage.memoryBytes);
    case Balance::Uniform:
      return static_cast<double>(stage.kernels.size() + stage.clones.size());
    }
    return 0;
  }

  void addCosts() {
    plan.bottleneck = 0;
    plan.bottleneckStage = 0;
    for (int s = 0; s < numStages; ++s) {
      plan.stages[s].cost = costOf(plan.stages[s]);
      double cost = plan.stages[s].cost;
      if (problem.balance == Balance::Time && s + 1 < numStages)
        cost = std::max(cost, plan.linkSeconds[s]);
      if (cost > plan.bottleneck) {
        plan.bottleneck = cost;
        plan.bottleneckStage = s;
      }
    }
  }
};

class Verifier {
public:
  Verifier(const Problem &problem, const Plan &plan) : problem(problem), plan(plan), numStages(problem.numStages()) {}

  std::vector<std::string> run() {
    if (!checkShape())
      return std::move(errors);
    checkStagesAndEdges();
    checkConstraints();
    Plan fresh;
    fresh.stageOf = plan.stageOf;
    fresh.clones = plan.clones;
    evaluate(problem, fresh);
    compare(fresh);
    checkMemory(fresh);
    checkCertificate();
    return std::move(errors);
  }

private:
  const Problem &problem;
  const Plan &plan;
  int numStages;
  std::vector<std::string> errors;

  std::string kernelName(int k) const {
    const std::string &name = problem.kernels[k].name;
    return name.empty() ? "kernel #" + std::to_string(k) : "kernel '" + name + "'";
  }
  static std::string number(double value) {
    char text[40];
    std::snprintf(text, sizeof text, "%.9g", value);
    return text;
  }

  bool checkShape() {
    if (plan.stageOf.size() != problem.kernels.size())
      errors.push_back("the plan places " + std::to_string(plan.stageOf.size()) + " kernels; expected " +
                       std::to_string(problem.kernels.size()));
    else
      for (size_t k = 0; k < plan.stageOf.size(); ++k)
        if (plan.stageOf[k] < 0 || plan.stageOf[k] >= numStages)
          errors.push_back(kernelName(static_cast<int>(k)) + " is in stage " + std::to_string(plan.stageOf[k]) +
                           "; expected 0 to " + std::to_string(numStages - 1));
    for (const Clone &clone : plan.clones)
      if (clone.kernel < 0 || clone.kernel >= static_cast<int>(problem.kernels.size()) || clone.stage < 0 ||
          clone.stage >= numStages)
        errors.push_back("the plan has a clone of kernel " + std::to_string(clone.kernel) + " in stage " +
                         std::to_string(clone.stage) + ", which does not exist");
    return errors.empty();
  }

  void checkStagesAndEdges() {
    std::vector<int> numOwned(numStages, 0);
    for (int stage : plan.stageOf)
      ++numOwned[stage];
    for (int s = 0; s < numStages; ++s)
      if (!numOwned[s])
        errors.push_back("stage " + std::to_string(s) + " is empty");
    std::vector<std::vector<int>> stagesOf(problem.kernels.size());
    for (size_t k = 0; k < problem.kernels.size(); ++k)
      stagesOf[k].push_back(plan.stageOf[k]);
    for (const Clone &clone : plan.clones) {
      if (!problem.kernels[clone.kernel].cloneable)
        errors.push_back(kernelName(clone.kernel) + " is cloned into stage " + std::to_string(clone.stage) +
                         " but is not cloneable");
      if (clone.stage <= plan.stageOf[clone.kernel])
        errors.push_back("the clone of " + kernelName(clone.kernel) + " in stage " + std::to_string(clone.stage) +
                         " does not come after its owner stage " + std::to_string(plan.stageOf[clone.kernel]));
      auto &stages = stagesOf[clone.kernel];
      if (std::count(stages.begin() + 1, stages.end(), clone.stage))
        errors.push_back(kernelName(clone.kernel) + " is cloned twice into stage " + std::to_string(clone.stage));
      stages.push_back(clone.stage);
    }
    for (const Value &value : problem.values) {
      if (value.producer == kSource)
        continue;
      for (int consumer : value.consumers)
        for (int stage : stagesOf[consumer])
          if (plan.stageOf[value.producer] > stage)
            errors.push_back(kernelName(consumer) + " is in stage " + std::to_string(stage) + " but reads '" +
                             value.name + "', which is made in stage " + std::to_string(plan.stageOf[value.producer]));
    }
  }

  void checkConstraints() {
    for (const Pin &pin : problem.pins)
      if (plan.stageOf[pin.kernel] != pin.stage)
        errors.push_back(kernelName(pin.kernel) + " is in stage " + std::to_string(plan.stageOf[pin.kernel]) +
                         " but is pinned to stage " + std::to_string(pin.stage));
    for (const Colocation &group : problem.colocations)
      for (int k : group.kernels)
        if (plan.stageOf[k] != plan.stageOf[group.kernels[0]])
          errors.push_back("colocation group '" + group.name + "' is split: " + kernelName(k) + " is in stage " +
                           std::to_string(plan.stageOf[k]) + ", " + kernelName(group.kernels[0]) + " in stage " +
                           std::to_string(plan.stageOf[group.kernels[0]]));
    std::vector<std::pair<int, int>> ranges; // boundaries that separate a cut's sides
    for (const Cut &cut : problem.cuts) {
      int first = 0, last = numStages - 2;
      for (int k : cut.before)
        first = std::max(first, plan.stageOf[k]);
      for (int k : cut.after)
        last = std::min(last, plan.stageOf[k] - 1);
      if (cut.boundary && first <= *cut.boundary && *cut.boundary <= last)
        first = last = *cut.boundary;
      else if (cut.boundary || first > last)
        errors.push_back("cut '" + cut.name + "' is not kept: " +
                         (cut.boundary ? "boundary " + std::to_string(*cut.boundary) : std::string("no boundary")) +
                         " separates its sides");
      ranges.push_back({first, last});
    }
    if (static_cast<int>(ranges.size()) != numStages - 1 || !errors.empty())
      return;
    std::sort(ranges.begin(), ranges.end());
    for (int i = 0; i < static_cast<int>(ranges.size()); ++i)
      if (i < ranges[i].first || i > ranges[i].second)
        errors.push_back("the " + std::to_string(ranges.size()) + " cuts do not take one boundary each");
  }

  void differ(const std::string &what, double has, double expected) {
    if (std::abs(has - expected) > 1e-9 * std::max(std::abs(has), std::abs(expected)))
      errors.push_back(what + " is given as " + number(has) + "; expected " + number(expected));
  }
  void differ(const std::string &what, int64_t has, int64_t expected) {
    if (has != expected)
      errors.push_back(what + " is given as " + std::to_string(has) + "; expected " + std::to_string(expected));
  }

  void compare(const Plan &fresh) {
    if (plan.stages.size() != fresh.stages.size() || plan.linkSeconds.size() != fresh.linkSeconds.size()) {
      errors.push_back("the plan gives figures for " + std::to_string(plan.stages.size()) + " stages and " +
                       std::to_string(plan.linkSeconds.size()) + " links; expected " +
                       std::to_string(fresh.stages.size()) + " and " + std::to_string(fresh.linkSeconds.size()));
      return;
    }
    for (int s = 0; s < numStages; ++s) {
      const StageCost &has = plan.stages[s], &expected = fresh.stages[s];
      std::string stage = "stage " + std::to_string(s) + ": ";
      if (has.kernels != expected.kernels || has.clones != expected.clones)
        errors.push_back(stage + "its list of kernels does not agree with the kernels' stages");
      differ(stage + "compute time", has.computeSeconds, expected.computeSeconds);
      differ(stage + "send time", has.sendSeconds, expected.sendSeconds);
      differ(stage + "receive time", has.recvSeconds, expected.recvSeconds);
      differ(stage + "cost", has.cost, expected.cost);
      differ(stage + "bytes sent", has.sendBytes, expected.sendBytes);
      differ(stage + "bytes received", has.recvBytes, expected.recvBytes);
      differ(stage + "bytes of weights", has.weightBytes, expected.weightBytes);
      differ(stage + "resident bytes", has.residentBytes, expected.residentBytes);
      differ(stage + "bytes of workspace", has.workspaceBytes, expected.workspaceBytes);
      differ(stage + "bytes of slots", has.slotBytes, expected.slotBytes);
      differ(stage + "bytes of memory", has.memoryBytes, expected.memoryBytes);
    }
    for (size_t i = 0; i < fresh.linkSeconds.size(); ++i)
      differ("the time of link " + std::to_string(i), plan.linkSeconds[i], fresh.linkSeconds[i]);
    differ("the traffic", plan.trafficBytes, fresh.trafficBytes);
    differ("the bottleneck", plan.bottleneck, fresh.bottleneck);
    differ("the stage of the bottleneck", int64_t(plan.bottleneckStage), int64_t(fresh.bottleneckStage));
    bool isSame = plan.channels.size() == fresh.channels.size();
    for (size_t c = 0; isSame && c < fresh.channels.size(); ++c) {
      const ChannelUse &has = plan.channels[c], &expected = fresh.channels[c];
      isSame = has.value == expected.value && has.from == expected.from && has.to == expected.to &&
               has.toSink == expected.toSink;
    }
    if (!isSame)
      errors.push_back("the channels do not agree with the kernels' stages");
  }

  void checkMemory(const Plan &fresh) {
    for (int s = 0; s < numStages; ++s)
      if (fresh.stages[s].memoryBytes > problem.stages[s].memoryLimitBytes)
        errors.push_back("stage " + std::to_string(s) + " needs " + std::to_string(fresh.stages[s].memoryBytes) +
                         " bytes; its limit is " + std::to_string(problem.stages[s].memoryLimitBytes));
  }

  void checkCertificate() {
    if (!(plan.lowerBound >= 0) || plan.lowerBound > plan.bottleneck * (1 + 1e-9))
      errors.push_back("the lower bound " + number(plan.lowerBound) + " is not between 0 and the bottleneck " +
                       number(plan.bottleneck));
    double gap = plan.lowerBound > 0   ? plan.bottleneck / plan.lowerBound - 1
                 : plan.bottleneck > 0 ? std::numeric_limits<double>::infinity()
                                       : 0;
    if (!(plan.gap == gap) && std::abs(plan.gap - gap) > 1e-9)
      errors.push_back("the gap is given as " + number(plan.gap) + "; expected " + number(gap));
    if (plan.isProvedOptimal && !(gap <= 1e-9))
      errors.push_back("the plan claims to be optimal, but its gap is " + number(gap));
  }
};

} // namespace

void penstock::partition::evaluate(const Problem &problem, Plan &plan) { Evaluator(problem, plan).run(); }

std::vector<std::string> penstock::partition::verify(const Problem &problem, const Plan &plan) {
  return Verifier(problem, plan).run();
}
