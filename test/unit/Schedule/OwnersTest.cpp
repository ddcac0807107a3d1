//===- OwnersTest.cpp - Planted faults in the owners of kernels -*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Builders.h"

using namespace penstock::schedule;

namespace {
/// Two stages of two kernels each; the second stage has a clone of `mask` too.
Problem ownedProblem() {
  Problem problem = makeChain({5, 5});
  problem.kernels = {"mask", "relu", "fc", "out"};
  problem.stages[0].kernels = {{"mask", "t_mask", ""}, {"relu", "t_c0", ""}};
  problem.stages[1].kernels = {{"mask@1", "t_mask", "mask"}, {"fc", "", ""}, {"out", "t_y", ""}};
  return problem;
}

std::vector<std::string> faultsOf(const Problem &problem) { return verify(problem, scheduleOf(problem)).faults; }

TEST(Owners, EachKernelOnceAndClonesMarked) {
  Verdict verdict = verify(ownedProblem(), scheduleOf(ownedProblem()));
  EXPECT_TRUE(verdict.holds());
  EXPECT_TRUE(verdict.proof.live);
  EXPECT_EQ(verdict.proof.period, (Period{5, 1}));
}

TEST(Owners, DuplicatedKernel) {
  Problem problem = ownedProblem();
  problem.stages[1].kernels.push_back(problem.stages[0].kernels[1]);
  EXPECT_EQ(faultsOf(problem), std::vector<std::string>{
                                   "kernel 'relu' ('t_c0') is run by stage 0 and by stage 1; expected one owner, and a "
                                   "mark on each clone; channel 'c0' ('t_c0') carries it from stage 0 to stage 1"});
}

TEST(Owners, KernelTwiceInOneStage) {
  Problem problem = ownedProblem();
  problem.stages[1].kernels.push_back(problem.stages[1].kernels[1]);
  EXPECT_EQ(faultsOf(problem), std::vector<std::string>{"kernel 'fc' is run by stage 1 and by stage 1; expected one "
                                                        "owner, and a mark on each clone"});
}

TEST(Owners, CloneWithoutItsMark) {
  Problem problem = ownedProblem();
  problem.stages[1].kernels[0].cloneOf.clear();
  EXPECT_EQ(faultsOf(problem),
            std::vector<std::string>{"stage 1 runs kernel 'mask@1' ('t_mask'), which is none of the model's 4"});
}

TEST(Owners, LostKernel) {
  Problem problem = ownedProblem();
  problem.stages[1].kernels.pop_back();
  EXPECT_EQ(faultsOf(problem), std::vector<std::string>{"no stage owns kernel 'out'; expected exactly one"});
}

// A clone does not stand in for its original.
TEST(Owners, OnlyClones) {
  Problem problem = ownedProblem();
  problem.stages[0].kernels.erase(problem.stages[0].kernels.begin());
  EXPECT_EQ(faultsOf(problem), std::vector<std::string>{"no stage owns kernel 'mask'; expected exactly one"});
}

TEST(Owners, CloneOfNothing) {
  Problem problem = ownedProblem();
  problem.stages[1].kernels[0].cloneOf = "musk";
  EXPECT_EQ(faultsOf(problem), std::vector<std::string>{"stage 1 runs kernel 'mask@1' ('t_mask'), a clone of 'musk', "
                                                        "which is none of the model's 4"});
}

TEST(Owners, EmptyStage) {
  Problem problem = ownedProblem();
  std::swap(problem.stages[0].kernels, problem.stages[1].kernels);
  for (const Kernel &kernel : problem.stages[1].kernels)
    problem.stages[0].kernels.push_back(kernel);
  problem.stages[1].kernels.clear();
  EXPECT_EQ(faultsOf(problem), std::vector<std::string>{"stage 1 is empty; expected at least one kernel"});
}

TEST(Owners, ListedTwice) {
  Problem problem = ownedProblem();
  problem.kernels.push_back("fc");
  EXPECT_EQ(faultsOf(problem).front(), "the model lists kernel 'fc' twice");
}

// Stages written by hand need not say which kernels they run.
TEST(Owners, NotKnown) {
  Problem problem = ownedProblem();
  problem.kernels.clear();
  problem.stages[1].kernels.clear();
  EXPECT_TRUE(faultsOf(problem).empty());
}

// The faults of what comes first are all told, and nothing is proved.
TEST(Owners, VerifyStopsAtTheFirstKindOfFault) {
  Problem problem = ownedProblem();
  Schedule schedule = scheduleOf(problem);
  problem.stages[1].kernels.clear();
  schedule.programs[0].steady.pop_back();
  schedule.programs[1].steady.pop_back();
  Verdict verdict = verify(problem, schedule);
  EXPECT_EQ(verdict.faults.size(), 2u);
  EXPECT_FALSE(verdict.proof.live);
  problem.channels[1].producer = 7;
  EXPECT_EQ(
      verify(problem, schedule).faults,
      std::vector<std::string>{"channel 'c0' ('t_c0') has producer 7; expected a stage from 0 to 1, or the source"});
}
} // namespace
