//===- Programs.cpp - Choosing and expanding programs -*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Graph.h"
#include "penstock/Schedule/Timeline.h"

#include <algorithm>
#include <cstdint>

using namespace penstock::schedule;

namespace {
/// One run of a stage in a round: microbatch `base + offset`.
struct Item {
  int32_t stage;
  int64_t offset; ///< below the period; negative where the stage lags behind
};

/// The order in which each role runs its stages, and the microbatches per round.
struct Candidate {
  int64_t period = 1;
  std::vector<std::vector<Item>> rounds; ///< per role
};

std::vector<std::vector<int32_t>> stagesOfRoles(const Problem &problem) {
  std::vector<std::vector<int32_t>> stages(numRoles(problem));
  for (size_t i = 0; i < problem.stages.size(); ++i)
    stages[problem.stages[i].role].push_back(static_cast<int32_t>(i));
  return stages;
}

/// Receives of the inputs, the run, sends of the outputs.
void appendItem(const Problem &problem, const Item &item, int64_t base, std::vector<Step> &steps) {
  auto append = [&](Step::Kind kind, int32_t channel) {
    Step step;
    step.kind = kind;
    step.stage = item.stage;
    step.channel = channel;
    step.microbatch = base + item.offset;
    if (channel >= 0)
      step.type = problem.channels[channel].type;
    steps.push_back(std::move(step));
  };
  int32_t numChannels = static_cast<int32_t>(problem.channels.size());
  for (int32_t c = 0; c < numChannels; ++c) {
    const std::vector<int32_t> &consumers = problem.channels[c].consumers;
    if (std::find(consumers.begin(), consumers.end(), item.stage) != consumers.end())
      append(Step::Kind::kReceive, c);
  }
  append(Step::Kind::kRun, -1);
  for (int32_t c = 0; c < numChannels; ++c)
    if (problem.channels[c].producer == item.stage)
      append(Step::Kind::kSend, c);
}

/// Unrolls the rounds that are not complete into prologue and epilogue.
Program makeProgram(const Problem &problem, int32_t role, const std::vector<Item> &round, int64_t period) {
  Program program;
  program.role = role;
  program.period = period;
  int64_t lag = 0;
  for (const Item &item : round)
    lag = std::max(lag, -item.offset);
  program.firstBase = (lag + period - 1) / period * period;
  for (int64_t base = 0; base < program.firstBase; base += period)
    for (const Item &item : round)
      if (base + item.offset >= 0)
        appendItem(problem, item, base, program.prologue);
  for (const Item &item : round)
    appendItem(problem, item, 0, program.steady);
  // At most period - 1 microbatches are begun after the last whole round; the others only have to end.
  for (int64_t base = 0; base < lag + period - 1; base += period)
    for (const Item &item : round)
      if (base + item.offset < period - 1)
        appendItem(problem, item, base, program.epilogue);
  return program;
}

Schedule makePrograms(const Problem &problem, const Candidate &candidate) {
  Schedule schedule;
  for (size_t role = 0; role < candidate.rounds.size(); ++role)
    schedule.programs.push_back(
        makeProgram(problem, static_cast<int32_t>(role), candidate.rounds[role], candidate.period));
  return schedule;
}

/// Each role runs its stages on one microbatch after the other. Live with any depths, since every wait is for an
/// earlier microbatch, or for the same one and an earlier stage.
Candidate inOrder(const Problem &problem, const std::vector<int32_t> &rank) {
  Candidate candidate;
  for (std::vector<int32_t> stages : stagesOfRoles(problem)) {
    std::sort(stages.begin(), stages.end(), [&](int32_t a, int32_t b) { return rank[a] < rank[b]; });
    candidate.rounds.emplace_back();
    for (int32_t stage : stages)
      candidate.rounds.back().push_back({stage, 0});
  }
  return candidate;
}

/// Each role runs its first stage on as many microbatches as there are roles, then its second one, and so on: the order
/// in which a loop has no gaps.
Candidate inGroups(const Problem &problem, const std::vector<int32_t> &rank) {
  Candidate candidate = inOrder(problem, rank);
  candidate.period = numRoles(problem);
  for (std::vector<Item> &round : candidate.rounds) {
    std::vector<Item> grouped;
    for (const Item &item : round)
      for (int64_t offset = 0; offset < candidate.period; ++offset)
        grouped.push_back({item.stage, offset});
    round = std::move(grouped);
  }
  return candidate;
}

/// Modulo scheduling: with the period of the busiest role, each stage starts as soon as its inputs allow in the time
/// that is its own within the role's round; later stages then lag behind by whole microbatches.
Candidate withLags(const Problem &problem, const std::vector<int32_t> &order, const std::vector<int32_t> &rank) {
  auto timeOf = [&](int32_t stage) { return std::max<int64_t>(problem.stages[stage].timeNs, 1); };
  Candidate candidate = inOrder(problem, rank);
  int64_t period = 1;
  for (const std::vector<Item> &round : candidate.rounds) {
    int64_t total = 0;
    for (const Item &item : round)
      total += timeOf(item.stage);
    period = std::max(period, total);
  }
  std::vector<int64_t> start(problem.stages.size(), 0), place(problem.stages.size(), -1);
  for (int32_t stage : order) {
    for (const Channel &channel : problem.channels)
      if (channel.producer >= 0 && channel.delay == 0 &&
          std::find(channel.consumers.begin(), channel.consumers.end(), stage) != channel.consumers.end())
        start[stage] = std::max(start[stage], start[channel.producer] + timeOf(channel.producer) + channel.transferNs +
                                                  channel.latencyNs);
    std::vector<Item> &round = candidate.rounds[problem.stages[stage].role];
    if (place[stage] < 0) { // the first stage of its role fixes where the round begins
      int64_t next = start[stage];
      for (const Item &item : round) {
        place[item.stage] = next;
        next += timeOf(item.stage);
      }
    }
    int64_t late = std::max<int64_t>(start[stage] - place[stage], 0);
    int64_t lag = (late + period - 1) / period;
    start[stage] = place[stage] + lag * period;
    for (Item &item : round)
      if (item.stage == stage)
        item.offset = -lag;
  }
  return candidate;
}

/// The stages in an order in which data without delay flows forward. Expects a checked problem.
std::vector<int32_t> topologicalOrder(const Problem &problem) {
  size_t numStages = problem.stages.size();
  std::vector<int32_t> missing(numStages, 0), order;
  auto forEachEdge = [&](auto visit) {
    for (const Channel &channel : problem.channels)
      if (channel.producer >= 0 && channel.delay == 0)
        for (int32_t consumer : channel.consumers)
          if (consumer >= 0)
            visit(channel.producer, consumer);
  };
  forEachEdge([&](int32_t, int32_t to) { ++missing[to]; });
  std::vector<bool> done(numStages, false);
  while (order.size() < numStages) {
    // The lowest number first, so that well-numbered stages keep their order.
    size_t next = 0;
    while (done[next] || missing[next] > 0)
      ++next;
    done[next] = true;
    order.push_back(static_cast<int32_t>(next));
    forEachEdge([&](int32_t from, int32_t to) { missing[to] -= from == static_cast<int32_t>(next); });
  }
  return order;
}

/// How long a few microbatches take, to choose between orders with the same period.
int64_t timeOfFew(const Problem &problem, const Schedule &schedule) {
  Timeline timeline;
  std::string error;
  int64_t few = 2 * static_cast<int64_t>(numRoles(problem));
  return simulate(problem, schedule, few, timeline, error) ? timeline.endNs : INT64_MAX;
}
} // namespace

bool penstock::schedule::makeSchedule(const Problem &problem, Schedule &schedule, std::string &error) {
  if (!check(problem, error))
    return false;
  std::vector<int32_t> order = topologicalOrder(problem), rank(problem.stages.size());
  for (size_t i = 0; i < order.size(); ++i)
    rank[order[i]] = static_cast<int32_t>(i);
  Schedule best = makePrograms(problem, inOrder(problem, rank));
  Proof bestProof = prove(problem, best);
  if (!bestProof.live) {
    error = bestProof.message;
    return false;
  }
  if (numRoles(problem) < static_cast<int32_t>(problem.stages.size())) {
    int64_t bestTime = timeOfFew(problem, best);
    for (const Candidate &candidate : {inGroups(problem, rank), withLags(problem, order, rank)}) {
      Schedule other = makePrograms(problem, candidate);
      if (!match(problem, other).empty())
        continue; // more roles than a round may have microbatches
      Proof proof = prove(problem, other);
      if (!proof.live || bestProof.period < proof.period)
        continue;
      int64_t time = timeOfFew(problem, other);
      if (proof.period < bestProof.period || time < bestTime) {
        best = std::move(other);
        bestProof = proof;
        bestTime = time;
      }
    }
  }
  schedule = std::move(best);
  return true;
}

std::vector<Step> penstock::schedule::expand(const Program &program, int64_t numMicrobatches) {
  std::vector<Step> steps;
  forEachStep(program, numMicrobatches, [&](const Step &step, int64_t microbatch) {
    steps.push_back(step);
    steps.back().microbatch = microbatch;
  });
  return steps;
}
