//===- ProofTest.cpp - Liveness and periods of known pipelines -*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Builders.h"

using namespace penstock::schedule;

namespace {
// The period of a chain is the time of its slowest stage, for 1 to 17 stages.
TEST(Proof, ChainIsAsFastAsItsSlowestStage) {
  for (int numStages = 1; numStages <= 17; ++numStages) {
    std::vector<int64_t> times(numStages, 10);
    times[numStages / 2] = 25;
    Problem problem = makeChain(times);
    Proof proof = prove(problem, scheduleOf(problem));
    ASSERT_TRUE(proof.live) << proof.message;
    EXPECT_EQ(proof.period, (Period{25, 1}));
    EXPECT_EQ(proof.periodNoLimit, (Period{25, 1}));
    EXPECT_EQ(proof.message, "limited by role " + std::to_string(numStages / 2));
  }
}

// With one slot, producer and consumer take turns: a slot is held from acquire to release.
TEST(Proof, DepthOneSerializesNeighbours) {
  Problem problem = makeChain({10, 30, 20});
  problem.channels[1].depth = 1;
  Schedule schedule = scheduleOf(problem);
  Proof proof = prove(problem, schedule);
  ASSERT_TRUE(proof.live);
  EXPECT_EQ(proof.period, (Period{40, 1}));
  EXPECT_EQ(proof.periodNoLimit, (Period{30, 1}));
  EXPECT_EQ(proof.message,
            "limited by a circle of waits: stage 1 waits for channel 'c0' ('t_c0') from stage 0; stage 0 "
            "waits for a free slot of channel 'c0' ('t_c0'), depth 1, held by stage 1");
  std::vector<DepthLoss> losses = lossOfDepths(problem, schedule);
  ASSERT_EQ(losses.size(), 1u);
  EXPECT_EQ(losses[0].channel, 1);
  EXPECT_EQ(losses[0].period, (Period{40, 1}));
  EXPECT_EQ(losses[0].periodDefault, (Period{30, 1}));
  EXPECT_EQ(losses[0].message.substr(0, 96),
            "channel 'c0' ('t_c0') has depth 1 instead of 2: a period of 40 ns instead of 30 ns, limited by a");
}

// A skip over several stages needs the default depth; one slot less costs time, and is reported.
TEST(Proof, SkipEdgeNeedsItsDefaultDepth) {
  for (int32_t numStages = 3; numStages <= 8; ++numStages) {
    Problem problem = makeChain(std::vector<int64_t>(numStages, 10));
    problem.channels[1].consumers = {1, numStages - 1};
    Schedule schedule = scheduleOf(problem);
    EXPECT_EQ(prove(problem, schedule).period, (Period{10, 1}));
    EXPECT_TRUE(lossOfDepths(problem, schedule).empty());
    int32_t full = defaultDepth(problem, 1);
    EXPECT_EQ(full, numStages);
    for (int32_t depth = 1; depth < full; ++depth) {
      problem.channels[1].depth = depth;
      // A message passes `full` stages of 10 ns, of which `depth` are under way at once.
      EXPECT_EQ(prove(problem, schedule).period, (Period{10 * full, depth}));
      EXPECT_EQ(lossOfDepths(problem, schedule).size(), 1u);
    }
  }
}

// A depth below the default that costs nothing is listed as such.
TEST(Proof, DepthWithoutLoss) {
  Problem problem = makeChain({10, 5, 4});
  problem.channels[2].depth = 1;
  std::vector<DepthLoss> losses = lossOfDepths(problem, scheduleOf(problem));
  ASSERT_EQ(losses.size(), 1u);
  EXPECT_EQ(losses[0].message, "channel 'c1' ('t_c1') has depth 1 instead of 2: no loss in the steady part");
}

// A state that is fed back with delay 1 bounds the period by the time of the stages it spans.
TEST(Proof, Loopback) {
  Problem problem = makeChain({10, 20, 30});
  problem.channels.push_back(makeChannel("state", 1, {1}, 0, 1));
  EXPECT_EQ(prove(problem, scheduleOf(problem)).period, (Period{30, 1}));
  problem.channels.push_back(makeChannel("back", 2, {0}, 0, 1));
  Proof proof = prove(problem, scheduleOf(problem));
  EXPECT_EQ(proof.period, (Period{60, 1}));
  problem.channels.back().delay = 2;
  EXPECT_EQ(prove(problem, scheduleOf(problem)).period, (Period{30, 1}));
}

// A link that is busy longer than any stage is the limit; latency alone is not, with slots enough.
TEST(Proof, Links) {
  Problem problem = makeChain({10, 10});
  problem.channels[1].transferNs = 15;
  Proof proof = prove(problem, scheduleOf(problem));
  EXPECT_EQ(proof.periodNoLimit, (Period{15, 1}));
  problem.channels[1].depth = 4;
  proof = prove(problem, scheduleOf(problem));
  EXPECT_EQ(proof.period, (Period{15, 1}));
  EXPECT_EQ(proof.message, "limited by the link of channel 'c0' ('t_c0') to stage 1");
  problem.channels[1].transferNs = 0;
  problem.channels[1].latencyNs = 100;
  EXPECT_EQ(prove(problem, scheduleOf(problem)).period, (Period{120, 4}));
  problem.channels[1].depth = 12;
  EXPECT_EQ(prove(problem, scheduleOf(problem)).period, (Period{10, 1}));
}

// The source and the sink can be the limit, and so can the number of microbatches in flight.
TEST(Proof, SourceSinkAndFlight) {
  Problem problem = makeChain({10, 10});
  problem.sourceNs = 50;
  EXPECT_EQ(prove(problem, scheduleOf(problem)).message, "limited by the source");
  problem.sinkNs = 60;
  EXPECT_EQ(prove(problem, scheduleOf(problem)).message, "limited by the sink");
  problem.sourceNs = problem.sinkNs = 0;
  problem.maxInFlight = 1;
  Proof proof = prove(problem, scheduleOf(problem));
  EXPECT_EQ(proof.period, (Period{20, 1}));
  EXPECT_NE(proof.message.find("at most 1 microbatches in flight"), std::string::npos) << proof.message;
  problem.maxInFlight = 2;
  EXPECT_EQ(prove(problem, scheduleOf(problem)).period, (Period{10, 1}));
}

// Stages without times are proved all the same.
TEST(Proof, NoTimes) {
  Problem problem = makeChain({0, 0, 0});
  Proof proof = prove(problem, scheduleOf(problem));
  EXPECT_TRUE(proof.live);
  EXPECT_EQ(proof.period.ns(), 0);
  EXPECT_EQ(proof.message, "no stage has a time");
}

// A loop over R roles is as fast as if each role had one stage of the summed time.
TEST(Proof, LoopedRoles) {
  for (int32_t numRoles = 1; numRoles <= 5; ++numRoles)
    for (int32_t numLoops = 2; numLoops <= 3; ++numLoops) {
      Problem problem = makeChain(std::vector<int64_t>(numRoles * numLoops, 10), numRoles);
      Schedule schedule = scheduleOf(problem);
      Proof proof = prove(problem, schedule);
      ASSERT_TRUE(proof.live) << proof.message;
      EXPECT_EQ(proof.period, (Period{10 * numLoops, 1})) << numRoles << " roles, " << numLoops << " loops";
    }
}

// Roles that are no regular loop: the role with stages 0 and 3 works on the latter two microbatches later, since the
// others need 35 ns from the end of stage 0 and a round has 20.
TEST(Proof, LagsWherePassingOnTakesLonger) {
  Problem problem = makeChain({10, 10, 10, 10});
  for (int32_t stage = 0; stage < 4; ++stage)
    problem.stages[stage].role = stage == 1 || stage == 2;
  problem.channels[1].latencyNs = 5;
  Schedule schedule = scheduleOf(problem);
  EXPECT_EQ(prove(problem, schedule).period, (Period{20, 1}));
  const Program &program = schedule.programs[0];
  EXPECT_EQ(program.period, 1);
  EXPECT_EQ(program.firstBase, 2);
  EXPECT_EQ(program.steady.back().microbatch, -2);
  // Stage 0 alone for microbatches 0 and 1, then both, then stage 3 alone for the last two.
  EXPECT_EQ(program.prologue.size(), 6u);
  EXPECT_EQ(program.epilogue.size(), 6u);
  EXPECT_EQ(expand(program, 7).size(), 7u * 6);
  EXPECT_EQ(expand(program, 1).size(), 6u);
}

// A role that runs a later stage first waits for itself, however deep the channels are.
TEST(Proof, WrongOrderInARole) {
  Problem problem = makeChain({10, 10, 10}, 2);
  problem.channels[1].depth = problem.channels[2].depth = 100;
  Schedule schedule = scheduleOf(problem);
  Program &program = schedule.programs[0];
  program = Program();
  for (int32_t stage : {2, 0})
    for (const Step &step : stepsOf(problem, stage, 0))
      program.steady.push_back(step);
  ASSERT_TRUE(match(problem, schedule).empty());
  Proof proof = prove(problem, schedule);
  EXPECT_FALSE(proof.live);
  EXPECT_EQ(proof.message.substr(0, 10), "deadlock: ");
  for (const char *part :
       {"stage 2 waits for channel 'c1' ('t_c1') from stage 1", "stage 1 waits for channel 'c0' ('t_c0') from stage 0"})
    EXPECT_NE(proof.message.find(part), std::string::npos) << proof.message;
  Timeline timeline;
  std::string error;
  EXPECT_TRUE(simulate(problem, schedule, 0, timeline, error));
  EXPECT_FALSE(simulate(problem, schedule, 1, timeline, error));
  EXPECT_EQ(error, "stuck: stage 2, microbatch 0, waits for channel 'c1' ('t_c1') from stage 1; stage 1, microbatch 0, "
                   "waits for channel 'c0' ('t_c0') from stage 0; sink, microbatch 0, waits for channel 'y' ('t_y') "
                   "from stage 2");
}

// Two microbatches of a stage in a row, before the stage that frees the slots: depth 1 is a deadlock, 2 is enough.
TEST(Proof, DepthTooSmallForTheProgram) {
  Problem problem = makeChain({10, 10}, 1);
  problem.channels[1].depth = 1;
  Program program;
  program.period = 2;
  for (int32_t stage : {0, 1})
    for (int64_t microbatch : {0, 1})
      for (const Step &step : stepsOf(problem, stage, microbatch))
        program.steady.push_back(step);
  for (int32_t stage : {0, 1})
    for (const Step &step : stepsOf(problem, stage, 0))
      program.epilogue.push_back(step);
  ASSERT_TRUE(match(problem, {{program}}).empty());
  Proof proof = prove(problem, {{program}});
  EXPECT_FALSE(proof.live);
  EXPECT_EQ(proof.message,
            "deadlock: stage 0 waits for a free slot of channel 'c0' ('t_c0'), depth 1, held by stage 1");
  problem.channels[1].depth = 2;
  EXPECT_TRUE(prove(problem, {{program}}).live);
  // The scheduler does not choose such an order.
  problem.channels[1].depth = 1;
  EXPECT_TRUE(prove(problem, scheduleOf(problem)).live);
}
} // namespace
