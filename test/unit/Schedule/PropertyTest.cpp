//===- PropertyTest.cpp - Proof, simulation and random problems -*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The simulation moves messages through queues and knows nothing of the marked graph: where the two agree on random
// problems and random programs, both are right or both wrong in the same way.
//
//===----------------------------------------------------------------------===//

#include "Builders.h"

#include <random>

using namespace penstock::schedule;

namespace {
using Random = std::mt19937;

int64_t below(Random &random, int64_t bound) { return static_cast<int64_t>(random() % static_cast<uint64_t>(bound)); }

/// A connected pipeline with skip edges to several consumers, states, and depths that may be small.
Problem randomProblem(Random &random, int32_t numStages, int32_t numRoles) {
  Problem problem = makeChain(std::vector<int64_t>(numStages, 1));
  for (int32_t i = 0; i < numStages; ++i) {
    problem.stages[i].timeNs = 1 + below(random, 100);
    problem.stages[i].role = i < numRoles ? i : static_cast<int32_t>(below(random, numRoles)); // every role has a stage
  }
  int64_t numSkips = below(random, numStages + 1);
  for (int64_t k = 0; k < numSkips; ++k) {
    int32_t producer = static_cast<int32_t>(below(random, numStages + 1)) - 1;
    std::vector<int32_t> consumers;
    for (int32_t j = producer + 1; j < numStages; ++j)
      if (below(random, 3) == 0)
        consumers.push_back(j);
    if (consumers.empty() || below(random, 4) == 0)
      consumers.push_back(kSink);
    if (producer < 0 && consumers.front() == kSink)
      continue;
    problem.channels.push_back(makeChannel("s" + std::to_string(k), producer, consumers));
  }
  if (below(random, 3) == 0) {
    int32_t from = static_cast<int32_t>(below(random, numStages)), to = static_cast<int32_t>(below(random, from + 1));
    problem.channels.push_back(makeChannel("back", from, {to}, 0, static_cast<int32_t>(1 + below(random, 3))));
  }
  for (Channel &channel : problem.channels) {
    channel.depth = static_cast<int32_t>(below(random, 4));
    channel.latencyNs = below(random, 3) == 0 ? below(random, 50) : 0;
    channel.transferNs = below(random, 3) == 0 ? below(random, 50) : 0;
  }
  problem.sourceNs = below(random, 20);
  problem.sinkNs = below(random, 20);
  problem.maxInFlight = static_cast<int32_t>(below(random, 3) == 0 ? 1 + below(random, 2 * numStages) : 0);
  return problem;
}

/// Any order of the stages of a role, each behind by any number of microbatches. The steady part may begin in the
/// middle of a round.
Program randomProgram(Random &random, const Problem &problem, int32_t role, int64_t period) {
  std::vector<std::pair<int32_t, int64_t>> items;
  int64_t lag = 0;
  for (size_t i = 0; i < problem.stages.size(); ++i) {
    int64_t behind = below(random, 2) == 0 ? below(random, 4) : 0;
    if (problem.stages[i].role == role)
      for (int64_t offset = 0; offset < period; ++offset)
        items.push_back({static_cast<int32_t>(i), offset - behind});
    lag = std::max(lag, behind);
  }
  if (below(random, 2) == 0)
    std::shuffle(items.begin(), items.end(), random);
  // Each stage still takes its microbatches in order.
  for (size_t a = 0; a < items.size(); ++a)
    for (size_t b = a + 1; b < items.size(); ++b)
      if (items[a].first == items[b].first && items[a].second > items[b].second)
        std::swap(items[a].second, items[b].second);
  Program program;
  program.role = role;
  program.period = period;
  program.firstBase = lag + below(random, 3);
  auto append = [&](std::vector<Step> &part, int64_t base) {
    for (auto [stage, offset] : items)
      for (const Step &step : stepsOf(problem, stage, base + offset))
        part.push_back(step);
  };
  for (int64_t base = program.firstBase % period - period; base < program.firstBase; base += period)
    append(program.prologue, base);
  append(program.steady, 0);
  for (int64_t base = 0; base < lag + period; base += period)
    append(program.epilogue, base);
  return program;
}

// Random programs: the simulation gets stuck for some number of microbatches exactly when the graph has a dead cycle.
TEST(ScheduleProperty, StuckExactlyWhenNotLive) {
  Random random(21);
  int numLive = 0, numDead = 0;
  for (int round = 0; round < 1500; ++round) {
    int32_t numStages = static_cast<int32_t>(1 + below(random, 8));
    int32_t numRoles = static_cast<int32_t>(1 + below(random, numStages));
    Problem problem = randomProblem(random, numStages, numRoles);
    int64_t period = below(random, 2) == 0 ? 1 + below(random, 4) : 1;
    Schedule schedule;
    for (int32_t role = 0; role < numRoles; ++role)
      schedule.programs.push_back(randomProgram(random, problem, role, period));
    std::vector<std::string> faults = match(problem, schedule);
    ASSERT_TRUE(faults.empty()) << faults.front();
    Proof proof = prove(problem, schedule);
    bool ends = true;
    std::string error;
    for (int64_t numMicrobatches : {0, 1, 2, 3, 5, 7, 12, 13, 60, 61}) {
      Timeline timeline;
      ends &= simulate(problem, schedule, numMicrobatches, timeline, error);
    }
    ASSERT_EQ(proof.live, ends) << proof.message << "\n" << error;
    ++(ends ? numLive : numDead);
  }
  EXPECT_GT(numLive, 300);
  EXPECT_GT(numDead, 300);
}

// What makeSchedule() chooses is live for any depths, and results come at the predicted period.
TEST(ScheduleProperty, SimulatedPeriodConverges) {
  Random random(22);
  for (int round = 0; round < 300; ++round) {
    int32_t numStages = static_cast<int32_t>(1 + round % 17);
    int32_t numRoles = static_cast<int32_t>(below(random, 2) == 0 ? numStages : 1 + below(random, numStages));
    Problem problem = randomProblem(random, numStages, numRoles);
    Schedule schedule = scheduleOf(problem);
    Proof proof = prove(problem, schedule);
    ASSERT_TRUE(proof.live) << proof.message;
    ASSERT_FALSE(proof.period < proof.periodNoLimit);
    constexpr int64_t kMany = 600;
    Timeline timeline = simulated(problem, schedule, kMany);
    double measured = static_cast<double>(timeline.resultNs[kMany - 20] - timeline.resultNs[kMany / 2]) /
                      static_cast<double>(kMany - 20 - kMany / 2);
    ASSERT_NEAR(measured, proof.period.ns(), 0.02 * proof.period.ns() + 0.5) << proof.message;
  }
}

// More slots never make a pipeline slower, and unlimited ones give the period without limit.
TEST(ScheduleProperty, MoreSlotsAreNeverSlower) {
  Random random(23);
  for (int round = 0; round < 200; ++round) {
    int32_t numStages = static_cast<int32_t>(2 + below(random, 6));
    Problem problem = randomProblem(random, numStages, numStages);
    Schedule schedule = scheduleOf(problem);
    Proof before = prove(problem, schedule);
    Problem deeper = problem;
    for (Channel &channel : deeper.channels)
      channel.depth += static_cast<int32_t>(1 + below(random, 3));
    for (size_t c = 0; c < problem.channels.size(); ++c)
      deeper.channels[c].depth = depthOf(problem, static_cast<int32_t>(c)) + deeper.channels[c].depth;
    ASSERT_FALSE(before.period < prove(deeper, schedule).period);
    for (Channel &channel : deeper.channels)
      channel.depth = 100000;
    ASSERT_EQ(prove(deeper, schedule).period, before.periodNoLimit);
  }
}

// With default depths, free links and a host that costs nothing, no slot is ever missing: the rule is sufficient.
TEST(ScheduleProperty, DefaultDepthsCostNothing) {
  Random random(24);
  for (int round = 0; round < 300; ++round) {
    int32_t numStages = static_cast<int32_t>(1 + round % 17);
    Problem problem = randomProblem(random, numStages, numStages);
    for (Channel &channel : problem.channels)
      channel.depth = 0, channel.latencyNs = 0, channel.transferNs = 0;
    problem.sourceNs = problem.sinkNs = problem.maxInFlight = 0;
    Proof proof = prove(problem, scheduleOf(problem));
    ASSERT_EQ(proof.period, proof.periodNoLimit) << proof.message;
  }
}
} // namespace
