//===- MatchTest.cpp - Planted faults in role programs -*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Builders.h"

using namespace penstock::schedule;

namespace {
/// Three stages, one skip edge from stage 0 to stages 1 and 2.
Problem skipProblem() {
  Problem problem = makeChain({5, 5, 5});
  problem.channels[1].consumers = {1, 2};
  problem.stages[2].name = "head";
  return problem;
}

/// Changes the program of one role and returns the first fault.
template <typename Change> std::string faultAfter(int32_t role, Change change) {
  Problem problem = skipProblem();
  Schedule schedule = scheduleOf(problem);
  change(schedule.programs[role]);
  std::vector<std::string> faults = match(problem, schedule);
  return faults.empty() ? "no fault" : faults.front();
}

// What makeSchedule() writes for one stage per role: receive, run, send, and nothing around the steady part.
TEST(Match, ProgramOfOneStage) {
  Schedule schedule = scheduleOf(skipProblem());
  ASSERT_EQ(schedule.programs.size(), 3u);
  const Program &program = schedule.programs[2];
  EXPECT_TRUE(program.prologue.empty());
  EXPECT_TRUE(program.epilogue.empty());
  EXPECT_EQ(program.period, 1);
  EXPECT_EQ(program.firstBase, 0);
  ASSERT_EQ(program.steady.size(), 4u);
  EXPECT_EQ(program.steady[0].kind, Step::Kind::kReceive);
  EXPECT_EQ(program.steady[0].channel, 1);
  EXPECT_EQ(program.steady[1].channel, 2);
  EXPECT_EQ(program.steady[2].kind, Step::Kind::kRun);
  EXPECT_EQ(program.steady[3].kind, Step::Kind::kSend);
  EXPECT_EQ(program.steady[3].type, "tensor<4xf32>");
  EXPECT_EQ(expand(program, 0).size(), 0u);
  EXPECT_EQ(expand(program, 3).size(), 12u);
}

TEST(Match, DroppedSend) {
  EXPECT_EQ(faultAfter(0, [](Program &p) { p.steady.pop_back(); }),
            "stage 0 does not send channel 'c0' ('t_c0'), which stage 1 waits for, for microbatch 0 (of 1)");
}

TEST(Match, DroppedReceive) {
  EXPECT_EQ(faultAfter(2, [](Program &p) { p.steady.erase(p.steady.begin()); }),
            "stage 2 ('head') runs microbatch 0 before it has received channel 'c0' ('t_c0') from stage 0 (of 1)");
}

TEST(Match, DroppedRun) {
  EXPECT_EQ(faultAfter(1, [](Program &p) { p.steady.erase(p.steady.begin() + 1); }),
            "stage 1 sends channel 'c1' ('t_c1') to stage 2 ('head') for microbatch 0 before it has run it (of 1)");
}

TEST(Match, DuplicateSend) {
  EXPECT_EQ(
      faultAfter(0, [](Program &p) { p.steady.push_back(p.steady.back()); }),
      "stage 0 sends channel 'c0' ('t_c0') to stage 1 and stage 2 ('head') for microbatch 0 a second time (of 1)");
}

TEST(Match, DuplicateReceive) {
  EXPECT_EQ(faultAfter(1, [](Program &p) { p.steady.insert(p.steady.begin(), p.steady.front()); }),
            "stage 1 receives channel 'c0' ('t_c0') from stage 0 for microbatch 0 a second time (of 1)");
}

TEST(Match, SwappedSteps) {
  EXPECT_EQ(faultAfter(1, [](Program &p) { std::swap(p.steady[0], p.steady[1]); }),
            "stage 1 runs microbatch 0 before it has received channel 'c0' ('t_c0') from stage 0 (of 1)");
  EXPECT_EQ(faultAfter(1, [](Program &p) { std::swap(p.steady[1], p.steady[2]); }),
            "stage 1 sends channel 'c1' ('t_c1') to stage 2 ('head') for microbatch 0 before it has run it (of 1)");
}

// Two microbatches in one round, sent the other way round.
TEST(Match, SwappedMicrobatches) {
  Problem problem = makeChain({5, 5});
  auto round = [&](int32_t stage, std::vector<int64_t> microbatches) {
    Program program;
    program.role = stage;
    program.period = 2;
    for (int64_t microbatch : microbatches)
      for (const Step &step : stepsOf(problem, stage, microbatch))
        program.steady.push_back(step);
    program.epilogue = stepsOf(problem, stage, 0);
    return program;
  };
  EXPECT_TRUE(match(problem, {{round(0, {0, 1}), round(1, {0, 1})}}).empty());
  std::vector<std::string> faults = match(problem, {{round(0, {0, 1}), round(1, {1, 0})}});
  ASSERT_FALSE(faults.empty());
  EXPECT_EQ(faults.front(),
            "stage 1 receives channel 'c0' ('t_c0') from stage 0 for microbatch 1 where 0 is next (of 2)");
}

TEST(Match, WrongType) {
  EXPECT_EQ(faultAfter(1, [](Program &p) { p.steady.front().type = "tensor<4xf16>"; }),
            "stage 1 receives channel 'c0' ('t_c0') from stage 0 as tensor<4xf16>; the channel carries tensor<4xf32>");
}

TEST(Match, WrongTensor) {
  EXPECT_EQ(faultAfter(1, [](Program &p) { p.steady.front().tensor = "t_c1"; }),
            "stage 1 receives channel 'c0' ('t_c0') from stage 0 as tensor 't_c1'; the channel carries 't_c0'");
}

TEST(Match, WrongEnds) {
  EXPECT_EQ(faultAfter(1, [](Program &p) { p.steady.back().channel = 0; }),
            "stage 1 sends channel 'x' ('t_x') to stage 0, but its producer is source");
  EXPECT_EQ(faultAfter(1, [](Program &p) { p.steady.front().channel = 3; }),
            "stage 1 receives channel 'y' ('t_y') from stage 2 ('head'), but is not among its consumers");
  EXPECT_EQ(faultAfter(1, [](Program &p) { p.steady.front().channel = 9; }),
            "stage 1 receives on channel 9, which does not exist");
  EXPECT_EQ(faultAfter(1, [](Program &p) { p.steady.front().stage = 2; }),
            "the program of role 1 has a step of stage 2 ('head'), which belongs to role 2");
  EXPECT_EQ(faultAfter(1, [](Program &p) { p.steady.front().stage = -1; }),
            "the program of role 1 names stage -1; the stages are 0 to 2");
}

TEST(Match, WrongRounds) {
  EXPECT_EQ(faultAfter(1, [](Program &p) { p.period = 0; }), "the program of role 1 has period 0; expected 1 to 256");
  EXPECT_EQ(faultAfter(1, [](Program &p) { p.firstBase = -1; }),
            "the program of role 1 begins its steady part at microbatch -1; expected 0 to 256");
  EXPECT_EQ(faultAfter(1, [](Program &p) { p.steady.front().microbatch = 1; }),
            "the program of role 1 has microbatch 1 in its steady part; expected 0 to 0");
  EXPECT_EQ(faultAfter(1, [](Program &p) { p.firstBase = 1; }), "stage 1 does not run for microbatch 0 (of 1)");
  EXPECT_EQ(faultAfter(1, [](Program &p) { p.role = 0; }), "the program of role 0 has a step of stage 1, which belongs "
                                                           "to role 1");
  EXPECT_EQ(faultAfter(1, [](Program &p) { p.role = 8; }), "there is a program for role 8; the roles are 0 to 2");
}

// Two stages of one role, two microbatches a round. With an odd number of them, the last round is cut off: a stage that
// comes first in it would wait for the one behind it, which no round of the steady part shows.
TEST(Match, EpilogueInAnOrderOfItsOwn) {
  Problem problem = makeChain({5, 5}, 1);
  auto steps = [&](std::vector<std::pair<int32_t, int64_t>> runs) {
    std::vector<Step> result;
    for (auto [stage, microbatch] : runs)
      for (const Step &step : stepsOf(problem, stage, microbatch))
        result.push_back(step);
    return result;
  };
  Program program;
  program.period = 2;
  program.steady = steps({{0, 0}, {0, 1}, {1, 0}, {1, 1}});
  program.epilogue = steps({{0, 0}, {1, 0}});
  EXPECT_TRUE(match(problem, {{program}}).empty());
  program.epilogue = steps({{1, 0}, {0, 0}});
  EXPECT_TRUE(prove(problem, {{program}}).live);
  Timeline timeline;
  std::string error;
  EXPECT_TRUE(simulate(problem, {{program}}, 2, timeline, error));
  EXPECT_FALSE(simulate(problem, {{program}}, 3, timeline, error));
  std::vector<std::string> faults = match(problem, {{program}});
  ASSERT_FALSE(faults.empty());
  EXPECT_EQ(faults.front(),
            "the program of role 0 is not its steady part cut off: of 1 microbatches, step 0 is 'stage 1 "
            "receives channel 'c0' ('t_c0') from stage 0 microbatch 0'; expected 'stage 0 receives "
            "channel 'x' ('t_x') from source microbatch 0'");
}

TEST(Match, MissingProgram) {
  Problem problem = skipProblem();
  Schedule schedule = scheduleOf(problem);
  schedule.programs.pop_back();
  EXPECT_EQ(match(problem, schedule), std::vector<std::string>{"role 2 has 0 programs; expected one"});
  schedule.programs.push_back(schedule.programs.front());
  EXPECT_EQ(match(problem, schedule).front(), "role 0 has 2 programs; expected one");
}

// All faults of a program are reported, not only the first.
TEST(Match, AllAtOnce) {
  Problem problem = skipProblem();
  Schedule schedule = scheduleOf(problem);
  schedule.programs[0].steady.pop_back();
  schedule.programs[2].steady.pop_back();
  EXPECT_EQ(match(problem, schedule).size(), 2u);
}
} // namespace
