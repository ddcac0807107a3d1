//===- Prove.cpp - Liveness and period -*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Graph.h"

using namespace penstock::schedule;

namespace {
/// The waits on a cycle, as one sentence each. Program order goes without saying.
std::string describe(const Problem &problem, const Graph &graph, const std::vector<int32_t> &cycle) {
  std::string text;
  auto add = [&](const std::string &sentence) { text += (text.empty() ? "" : "; ") + sentence; };
  for (int32_t index : cycle) {
    const Edge &edge = graph.edges[index];
    const Event &from = graph.events[edge.from], &to = graph.events[edge.to];
    std::string channel = to.channel >= 0 ? channelName(problem, to.channel) : std::string();
    switch (edge.kind) {
    case Edge::Kind::kProgram:
    case Edge::Kind::kLink:
      break;
    case Edge::Kind::kData:
      if (to.kind == Event::Kind::kWait)
        add(stageName(problem, to.stage) + " waits for " + channel + " from " +
            stageName(problem, problem.channels[to.channel].producer));
      break;
    case Edge::Kind::kSlot:
      add(stageName(problem, to.stage) + " waits for a free slot of " + channel + ", depth " +
          std::to_string(depthOf(problem, to.channel)) + ", held by " + stageName(problem, from.stage));
      break;
    case Edge::Kind::kInFlight:
      add("the source waits for the sink, with at most " + std::to_string(problem.maxInFlight) +
          " microbatches in flight");
      break;
    }
  }
  return text;
}

/// Microbatches per round of the graph: how often one stage runs in it.
int64_t microbatchesPerRound(const Graph &graph) {
  int64_t count = 0;
  for (const Event &event : graph.events)
    count += event.kind == Event::Kind::kRun && event.stage == kSource;
  return count;
}

/// A role that is always busy with this period, or -1.
int32_t findBusyRole(const Problem &problem, const Graph &graph, const Period &period) {
  std::vector<int64_t> timeNs(numRoles(problem), 0);
  for (const Event &event : graph.events)
    if (event.kind == Event::Kind::kRun && event.stage >= 0)
      timeNs[problem.stages[event.stage].role] += event.timeNs;
  for (size_t role = 0; role < timeNs.size(); ++role)
    if (Period{timeNs[role], microbatchesPerRound(graph)} == period)
      return static_cast<int32_t>(role);
  return -1;
}

/// What the cycle with the greatest ratio consists of: one role, one link, or a circle of waits. Where several have it,
/// a role says most.
std::string describeLimit(const Problem &problem, const Graph &graph, const std::vector<int32_t> &cycle,
                          const Period &period) {
  if (cycle.empty())
    return "no stage has a time";
  if (int32_t role = findBusyRole(problem, graph, period); role >= 0)
    return "limited by role " + std::to_string(role);
  std::string waits = describe(problem, graph, cycle);
  if (!waits.empty())
    return "limited by a circle of waits: " + waits;
  const Event &event = graph.events[graph.edges[cycle.front()].from];
  if (event.kind == Event::Kind::kTransfer)
    return "limited by the link of " + channelName(problem, event.channel) + " to " + stageName(problem, event.stage);
  return "limited by the " + stageName(problem, event.stage);
}

Period periodOf(const Graph &graph, std::vector<int32_t> &cycle) {
  Period period = maxCycleRatio(graph, cycle);
  period.denominator *= microbatchesPerRound(graph);
  return period;
}
} // namespace

Proof penstock::schedule::prove(const Problem &problem, const Schedule &schedule) {
  Proof proof;
  Graph graph = makeGraph(problem, schedule, /*limitDepths=*/true);
  std::vector<int32_t> cycle = findDeadCycle(graph);
  if (!cycle.empty()) {
    std::string waits = describe(problem, graph, cycle);
    proof.message = "deadlock: " + (waits.empty() ? "a program runs a stage after what depends on it" : waits);
    return proof;
  }
  proof.live = true;
  proof.period = periodOf(graph, cycle);
  proof.message = describeLimit(problem, graph, cycle, proof.period);
  proof.periodNoLimit = periodOf(makeGraph(problem, schedule, /*limitDepths=*/false), cycle);
  return proof;
}

Verdict penstock::schedule::verify(const Problem &problem, const Schedule &schedule) {
  Verdict verdict;
  std::string error;
  if (!check(problem, error)) {
    verdict.faults.push_back(error);
    return verdict;
  }
  verdict.faults = match(problem, schedule);
  if (verdict.holds())
    verdict.faults = checkOwners(problem);
  if (!verdict.holds())
    return verdict;
  verdict.proof = prove(problem, schedule);
  if (!verdict.proof.live)
    verdict.faults.push_back(verdict.proof.message);
  return verdict;
}

std::vector<DepthLoss> penstock::schedule::lossOfDepths(const Problem &problem, const Schedule &schedule) {
  Problem defaults = problem;
  for (Channel &channel : defaults.channels)
    channel.depth = 0;
  std::vector<DepthLoss> losses;
  Proof atDefaults;
  for (size_t c = 0; c < problem.channels.size(); ++c) {
    int32_t index = static_cast<int32_t>(c);
    DepthLoss loss;
    loss.channel = index;
    loss.depth = depthOf(problem, index);
    loss.defaultDepth = defaultDepth(problem, index);
    if (loss.depth >= loss.defaultDepth)
      continue;
    if (losses.empty())
      atDefaults = prove(defaults, schedule);
    defaults.channels[c].depth = loss.depth;
    Proof proof = prove(defaults, schedule);
    defaults.channels[c].depth = 0;
    loss.live = proof.live;
    loss.period = proof.period;
    loss.periodDefault = atDefaults.period;
    loss.message = channelName(problem, index) + " has depth " + std::to_string(loss.depth) + " instead of " +
                   std::to_string(loss.defaultDepth) + ": ";
    if (!proof.live)
      loss.message += proof.message;
    else if (loss.periodDefault < loss.period)
      loss.message +=
          "a period of " + std::to_string(loss.period.numerator / loss.period.denominator) + " ns instead of " +
          std::to_string(loss.periodDefault.numerator / loss.periodDefault.denominator) + " ns, " + proof.message;
    else
      loss.message += "no loss in the steady part";
    losses.push_back(loss);
  }
  return losses;
}
