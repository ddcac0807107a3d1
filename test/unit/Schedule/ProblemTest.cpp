//===- ProblemTest.cpp - Well-formed problems and default depths -*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Builders.h"

using namespace penstock::schedule;

namespace {
std::string errorOf(const Problem &problem) {
  std::string error;
  EXPECT_FALSE(check(problem, error));
  Schedule schedule;
  std::string same;
  EXPECT_FALSE(makeSchedule(problem, schedule, same));
  EXPECT_EQ(error, same);
  return error;
}

// A slot on an edge from stage i to stage j is held for j - i + 1 periods; source and sink stand before and after.
TEST(Problem, DefaultDepth) {
  Problem problem = makeChain({1, 1, 1, 1});
  problem.channels.push_back(makeChannel("skip", 0, {1, 3}));
  problem.channels.push_back(makeChannel("late", kSource, {2}));
  problem.channels.push_back(makeChannel("early", 1, {kSink, 2}));
  problem.channels.push_back(makeChannel("state", 1, {1}, 0, 1));
  problem.channels.push_back(makeChannel("back", 3, {0}, 0, 1));
  std::vector<int32_t> depths;
  for (size_t c = 0; c < problem.channels.size(); ++c)
    depths.push_back(defaultDepth(problem, static_cast<int32_t>(c)));
  EXPECT_EQ(depths, (std::vector<int32_t>{2, 2, 2, 2, 2, 4, 4, 4, 1, 1}));
  problem.channels[5].depth = 3;
  EXPECT_EQ(depthOf(problem, 5), 3);
  EXPECT_EQ(depthOf(problem, 6), 4);
}

// What is wrong is named, with what was expected.
TEST(Problem, Errors) {
  EXPECT_EQ(errorOf({}), "there is no stage");
  Problem good = makeChain({1, 1});
  good.stages[1].name = "head";
  auto changed = [&](auto change) {
    Problem problem = good;
    change(problem);
    return errorOf(problem);
  };
  EXPECT_EQ(changed([](Problem &p) { p.stages[1].role = 5; }), "stage 1 ('head') has role 5; expected 0 to 1");
  EXPECT_EQ(changed([](Problem &p) { p.stages[0].role = 1; }), "role 0 has no stage; roles are numbered without a gap");
  EXPECT_EQ(changed([](Problem &p) { p.stages[1].timeNs = -1; }),
            "time of stage 1 ('head') is -1 ns; expected 0 to 35184372088832");
  EXPECT_EQ(changed([](Problem &p) { p.channels[1].producer = 7; }),
            "channel 'c0' ('t_c0') has producer 7; expected a stage from 0 to 1, or the source");
  EXPECT_EQ(changed([](Problem &p) { p.channels[1].producer = kSink; }),
            "channel 'c0' ('t_c0') has producer -2; expected a stage from 0 to 1, or the source");
  EXPECT_EQ(changed([](Problem &p) { p.channels[1].consumers = {}; }), "channel 'c0' ('t_c0') has no consumer");
  EXPECT_EQ(changed([](Problem &p) { p.channels[1].consumers = {-1}; }),
            "channel 'c0' ('t_c0') has consumer -1; expected a stage from 0 to 1, or the sink");
  EXPECT_EQ(changed([](Problem &p) { p.channels[1].consumers = {1, 1}; }),
            "channel 'c0' ('t_c0') lists stage 1 ('head') twice");
  EXPECT_EQ(changed([](Problem &p) { p.channels[1].depth = -1; }),
            "channel 'c0' ('t_c0') has depth -1; expected 0 (the default) to 1048576");
  EXPECT_EQ(changed([](Problem &p) { p.channels[1].delay = -1; }),
            "channel 'c0' ('t_c0') has delay -1; expected 0 to 1048576");
  EXPECT_EQ(changed([](Problem &p) { p.channels[0].delay = 1; }),
            "channel 'x' ('t_x') has delay 1; expected 0 on a channel of the source or the sink");
  EXPECT_EQ(changed([](Problem &p) { p.channels[1].latencyNs = -4; }),
            "latency of channel 'c0' ('t_c0') is -4 ns; expected 0 to 35184372088832");
  EXPECT_EQ(changed([](Problem &p) { p.maxInFlight = -1; }),
            "at most -1 microbatches in flight; expected 1 or more, or 0 for no limit");
}

// Data may flow back only with a delay.
TEST(Problem, CycleWithoutDelay) {
  Problem problem = makeChain({1, 1, 1});
  problem.channels.push_back(makeChannel("back", 2, {1}));
  EXPECT_EQ(errorOf(problem), "data flows in a cycle without delay: stage 1 -> channel 'c1' ('t_c1') -> stage 2 -> "
                              "channel 'back' ('t_back') -> stage 1");
  problem.channels.back().delay = 1;
  std::string error;
  EXPECT_TRUE(check(problem, error)) << error;
  problem.channels.push_back(makeChannel("self", 0, {0}));
  EXPECT_EQ(errorOf(problem), "data flows in a cycle without delay: stage 0 -> channel 'self' ('t_self') -> stage 0");
}

// Stages may be numbered against the flow; the programs still follow it.
TEST(Problem, StagesNumberedBackwards) {
  Problem problem = makeChain({1, 1});
  problem.channels[0].consumers = {1};
  problem.channels[1].producer = 1;
  problem.channels[1].consumers = {0};
  problem.channels[2].producer = 0;
  EXPECT_EQ(simulated(problem, scheduleOf(problem), 5).endNs, 6);
  problem.stages[1].role = 0;
  EXPECT_EQ(simulated(problem, scheduleOf(problem), 5).endNs, 10);
}
} // namespace
