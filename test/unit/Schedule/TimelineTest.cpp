//===- TimelineTest.cpp - Predicted timelines and their traces -*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Builders.h"

using namespace penstock::schedule;

namespace {
// K equal stages, M microbatches: T = (M + K - 1) t and utilization M / (M + K - 1), for 1 to 17 stages.
TEST(Timeline, FillDrainFormula) {
  for (int64_t numStages = 1; numStages <= 17; ++numStages) {
    Problem problem = makeChain(std::vector<int64_t>(numStages, 100));
    Schedule schedule = scheduleOf(problem);
    for (int64_t numMicrobatches : {1, 2, 3, 7, 13, 64}) {
      Timeline timeline = simulated(problem, schedule, numMicrobatches);
      EXPECT_EQ(timeline.endNs, (numMicrobatches + numStages - 1) * 100);
      EXPECT_NEAR(1 - timeline.bubble,
                  static_cast<double>(numMicrobatches) / static_cast<double>(numMicrobatches + numStages - 1), 1e-12);
      EXPECT_EQ(timeline.fillEndNs, (numStages - 1) * 100);
      EXPECT_EQ(timeline.drainBeginNs, std::max(numMicrobatches, numStages - 1) * 100);
      for (const StageTimes &stage : timeline.stages) {
        EXPECT_EQ(stage.busyNs, numMicrobatches * 100);
        EXPECT_EQ(stage.waitNs, 0);
      }
    }
  }
}

// Looped over R roles with v stages each: M t + (R - 1) t / v, where M is a multiple of R.
TEST(Timeline, LoopedFormula) {
  for (int64_t numRoles = 2; numRoles <= 5; ++numRoles)
    for (int64_t numLoops = 2; numLoops <= 3; ++numLoops) {
      Problem problem = makeChain(std::vector<int64_t>(numRoles * numLoops, 100), static_cast<int32_t>(numRoles));
      Schedule schedule = scheduleOf(problem);
      for (int64_t groups : {1, 2, 5}) {
        int64_t numMicrobatches = groups * numRoles;
        EXPECT_EQ(simulated(problem, schedule, numMicrobatches).endNs,
                  (numMicrobatches * numLoops + numRoles - 1) * 100);
      }
      for (int64_t numMicrobatches : {1, 3, 7}) // also where the last round is not full
        EXPECT_EQ(simulated(problem, schedule, numMicrobatches).resultNs.size(), static_cast<size_t>(numMicrobatches));
    }
}

// Without microbatches nothing happens.
TEST(Timeline, Nothing) {
  Problem problem = makeChain({5, 5});
  Timeline timeline = simulated(problem, scheduleOf(problem), 0);
  EXPECT_TRUE(timeline.spans.empty());
  EXPECT_EQ(timeline.endNs, 0);
  EXPECT_EQ(timeline.bubble, 0);
  EXPECT_EQ(timeline.stages.size(), 2u);
}

// A slow stage makes its successor wait for data and its predecessor for slots; spans of a stage never overlap.
TEST(Timeline, WaitsAndSends) {
  Problem problem = makeChain({10, 40, 10});
  Timeline timeline = simulated(problem, scheduleOf(problem), 6);
  int numWaits = 0, numSends = 0;
  for (size_t i = 0; i < timeline.spans.size(); ++i) {
    const Span &span = timeline.spans[i];
    ASSERT_LT(span.startNs, span.endNs);
    if (i > 0 && timeline.spans[i - 1].stage == span.stage)
      ASSERT_LE(timeline.spans[i - 1].endNs, span.startNs);
    if (span.kind == Span::Kind::kWait && span.microbatch > 0) {
      ++numWaits;
      EXPECT_EQ(span.stage, 2);
      EXPECT_EQ(span.channel, 2);
    }
    if (span.kind == Span::Kind::kSend) {
      ++numSends;
      EXPECT_EQ(span.stage, 0);
      EXPECT_EQ(span.channel, 1);
    }
  }
  EXPECT_EQ(numWaits, 5);
  EXPECT_GT(numSends, 2);
  EXPECT_EQ(timeline.stages[2].waitNs, 5 * 30);
  EXPECT_EQ(timeline.endNs, 10 + 6 * 40 + 10);
}

// A receive that would get another microbatch than it needs is an error, even where the numbers of messages agree.
TEST(Timeline, MixedUpMessages) {
  Problem problem = makeChain({10, 10});
  Schedule schedule;
  for (int32_t stage : {0, 1}) {
    Program program;
    program.role = stage;
    program.period = 2;
    for (int64_t microbatch : {stage, 1 - stage})
      for (const Step &step : stepsOf(problem, stage, microbatch))
        program.steady.push_back(step);
    schedule.programs.push_back(program);
  }
  Timeline timeline;
  std::string error;
  EXPECT_FALSE(simulate(problem, schedule, 2, timeline, error));
  EXPECT_EQ(error, "stage 1 needs channel 'c0' ('t_c0') of microbatch 1 and gets that of microbatch 0");
}

// The trace of two stages and two microbatches, in full.
TEST(Timeline, ChromeTrace) {
  Problem problem = makeChain({1500, 2001});
  problem.channels[1].tensor = "a\"\\\n\xc3\xa4";
  Timeline timeline = simulated(problem, scheduleOf(problem), 2);
  TraceOptions options;
  options.microbatchesPerRequest = 1;
  EXPECT_EQ(toChromeTrace(problem, timeline, options),
            R"({"displayTimeUnit":"ms","otherData":{"label":"predicted","microbatches":2},"traceEvents":[
{"ph":"M","pid":0,"tid":0,"name":"process_name","args":{"name":"stage 0"}},
{"ph":"M","pid":0,"tid":0,"name":"process_sort_index","args":{"sort_index":0}},
{"ph":"M","pid":1,"tid":0,"name":"process_name","args":{"name":"stage 1"}},
{"ph":"M","pid":1,"tid":0,"name":"process_sort_index","args":{"sort_index":1}},
{"ph":"X","pid":0,"tid":0,"ts":0.000,"dur":1.500,"name":"microbatch 0","cat":"run","args":{"request":0,"microbatch":0,"phase":"fill"}},
{"ph":"X","pid":0,"tid":0,"ts":1.500,"dur":1.500,"name":"microbatch 1","cat":"run","args":{"request":1,"microbatch":1,"phase":"steady"}},
{"ph":"X","pid":1,"tid":0,"ts":0.000,"dur":1.500,"name":"microbatch 0","cat":"wait","args":{"request":0,"microbatch":0,"phase":"fill","tensor":"a\"\\\u000aä"}},
{"ph":"X","pid":1,"tid":0,"ts":1.500,"dur":2.001,"name":"microbatch 0","cat":"run","args":{"request":0,"microbatch":0,"phase":"steady"}},
{"ph":"X","pid":1,"tid":0,"ts":3.501,"dur":2.001,"name":"microbatch 1","cat":"run","args":{"request":1,"microbatch":1,"phase":"drain"}}
]}
)");
}
} // namespace
