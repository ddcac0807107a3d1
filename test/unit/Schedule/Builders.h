//===- Builders.h - Problems for the tests of the scheduler -*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef PENSTOCK_TEST_UNIT_SCHEDULE_BUILDERS_H
#define PENSTOCK_TEST_UNIT_SCHEDULE_BUILDERS_H

#include "penstock/Schedule/Algorithms.h"
#include "penstock/Schedule/Timeline.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace penstock {
namespace schedule {

inline Channel makeChannel(std::string name, int32_t producer, std::vector<int32_t> consumers, int32_t depth = 0,
                           int32_t delay = 0) {
  Channel channel;
  channel.tensor = "t_" + name;
  channel.type = "tensor<4xf32>";
  channel.name = std::move(name);
  channel.producer = producer;
  channel.consumers = std::move(consumers);
  channel.depth = depth;
  channel.delay = delay;
  return channel;
}

/// source -> 0 -> 1 -> ... -> sink, stage i on role i % numRoles.
inline Problem makeChain(const std::vector<int64_t> &timesNs, int32_t numRoles = 0) {
  Problem problem;
  int32_t numStages = static_cast<int32_t>(timesNs.size());
  for (int32_t i = 0; i < numStages; ++i) {
    Stage stage;
    stage.role = numRoles > 0 ? i % numRoles : i;
    stage.timeNs = timesNs[i];
    problem.stages.push_back(stage);
  }
  problem.channels.push_back(makeChannel("x", kSource, {0}));
  for (int32_t i = 0; i + 1 < numStages; ++i)
    problem.channels.push_back(makeChannel("c" + std::to_string(i), i, {i + 1}));
  problem.channels.push_back(makeChannel("y", numStages - 1, {kSink}));
  return problem;
}

inline Schedule scheduleOf(const Problem &problem) {
  Schedule schedule;
  std::string error;
  EXPECT_TRUE(makeSchedule(problem, schedule, error)) << error;
  std::vector<std::string> faults = match(problem, schedule);
  EXPECT_TRUE(faults.empty()) << faults.front();
  return schedule;
}

inline Timeline simulated(const Problem &problem, const Schedule &schedule, int64_t numMicrobatches) {
  Timeline timeline;
  std::string error;
  EXPECT_TRUE(simulate(problem, schedule, numMicrobatches, timeline, error)) << error;
  return timeline;
}

/// Receives, run, sends of one stage for one microbatch.
inline std::vector<Step> stepsOf(const Problem &problem, int32_t stage, int64_t microbatch) {
  std::vector<Step> steps;
  auto add = [&](Step::Kind kind, int32_t channel) {
    Step step;
    step.kind = kind;
    step.stage = stage;
    step.channel = channel;
    step.microbatch = microbatch;
    steps.push_back(step);
  };
  for (size_t c = 0; c < problem.channels.size(); ++c)
    if (const auto &all = problem.channels[c].consumers; std::find(all.begin(), all.end(), stage) != all.end())
      add(Step::Kind::kReceive, static_cast<int32_t>(c));
  add(Step::Kind::kRun, -1);
  for (size_t c = 0; c < problem.channels.size(); ++c)
    if (problem.channels[c].producer == stage)
      add(Step::Kind::kSend, static_cast<int32_t>(c));
  return steps;
}

} // namespace schedule
} // namespace penstock

#endif // PENSTOCK_TEST_UNIT_SCHEDULE_BUILDERS_H
