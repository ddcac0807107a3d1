//===- KnownCasesTest.cpp - Plans that can be checked by hand ----------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#include "Graphs.h"
#include "penstock/Partition/Algorithms.h"

#include <gtest/gtest.h>

using namespace penstock::partition;
using namespace penstock::partition::test;

namespace {

Plan mustSolve(const Problem &problem, const SolveOptions &options = {}) {
  Result result = solve(problem, options);
  EXPECT_TRUE(result.plan.has_value()) << (result.errors.empty() ? "" : result.errors[0]);
  if (!result.plan)
    return Plan();
  for (const std::string &text : verify(problem, *result.plan))
    ADD_FAILURE() << text;
  return *result.plan;
}

std::vector<int> sizes(const Plan &plan) {
  std::vector<int> result;
  for (const StageCost &stage : plan.stages)
    result.push_back(static_cast<int>(stage.kernels.size()));
  return result;
}

const ChannelUse *channelOf(const Plan &plan, int value) {
  for (const ChannelUse &channel : plan.channels)
    if (channel.value == value)
      return &channel;
  return nullptr;
}

} // namespace

// Five equal kernels on four stages: a known planner returns the bounds 0, 2, 4, 5, 5, whose last stage is empty.
TEST(PartitionKnown, FiveOnesOnFourStagesLeaveNoneEmpty) {
  Plan plan = mustSolve(chain({1, 1, 1, 1, 1}).finish(4));
  EXPECT_EQ(plan.bottleneck, 2);
  EXPECT_TRUE(plan.isProvedOptimal);
  for (int size : sizes(plan))
    EXPECT_GE(size, 1);
}

// Kernels of no cost fill stages too.
TEST(PartitionKnown, ZeroCostKernelsStillFillEveryStage) {
  Plan plan = mustSolve(chain({0, 0, 0, 0}).finish(4));
  EXPECT_EQ(sizes(plan), (std::vector<int>{1, 1, 1, 1}));
  EXPECT_EQ(plan.bottleneck, 0);
  EXPECT_TRUE(plan.isProvedOptimal);
}

// One heavy kernel sets the bottleneck, and the bound says that nothing beats it.
TEST(PartitionKnown, HeaviestKernelIsTheBound) {
  Plan plan = mustSolve(chain({1, 1, 50, 1, 1}).finish(3));
  EXPECT_EQ(plan.bottleneck, 50);
  EXPECT_EQ(plan.lowerBound, 50);
  EXPECT_EQ(plan.gap, 0);
}

// A value read two and three stages later has one channel, sent once and received once by each reader.
TEST(PartitionKnown, SkipConnectionIsOneChannelStraightToItsReaders) {
  GraphBuilder graph;
  int a = graph.kernel(10, {}, 100);
  int b = graph.kernel(10, {a}, 7);
  int c = graph.kernel(10, {b, a}, 7);
  graph.kernel(10, {c, a}, 7);
  Link link;
  link.bytesPerSecond = 100;
  Problem problem = graph.finish(4, link);
  Plan plan = mustSolve(problem);
  const ChannelUse *skip = channelOf(plan, a);
  ASSERT_NE(skip, nullptr);
  EXPECT_EQ(skip->from, 0);
  EXPECT_EQ(skip->to, (std::vector<int>{1, 2, 3}));
  EXPECT_EQ(plan.stages[0].sendBytes, 100);
  EXPECT_EQ(plan.stages[1].recvBytes, 100);
  EXPECT_EQ(plan.stages[2].recvBytes, 107);
  EXPECT_DOUBLE_EQ(plan.stages[3].recvSeconds, 1.07);
  EXPECT_EQ(plan.trafficBytes, 100 + 107 + 107);
  // Two readers in one stage receive it once.
  problem.pins = {{1, 1}, {2, 1}};
  problem.stages.resize(3);
  problem.links.resize(2);
  EXPECT_EQ(mustSolve(problem).stages[1].recvBytes, 100);
}

// A slow link moves the cut to a thin edge, although compute is then less even.
TEST(PartitionKnown, SlowLinkMovesTheCutToAThinEdge) {
  GraphBuilder graph;
  int at = graph.kernel(4, {}, 1);
  at = graph.kernel(3, {at}, 1000);
  at = graph.kernel(3, {at}, 1000);
  graph.kernel(4, {at}, 1);
  Link slow;
  slow.bytesPerSecond = 100;
  EXPECT_EQ(sizes(mustSolve(graph.finish(2))), (std::vector<int>{2, 2}));
  EXPECT_EQ(sizes(mustSolve(graph.finish(2, slow))), (std::vector<int>{1, 3}));
}

// Without overlap the times of a role add up.
TEST(PartitionKnown, TimesAddUpWithoutOverlap) {
  Link link;
  link.latencySeconds = 1;
  Problem problem = chain({3, 3}).finish(2, link);
  EXPECT_EQ(mustSolve(problem).bottleneck, 3);
  problem.isOverlapped = false;
  EXPECT_EQ(mustSolve(problem).bottleneck, 4);
}

// A cheap mask read everywhere is repeated in each stage; its small input travels instead of its large result.
TEST(PartitionKnown, CheapProducerIsClonedIntoEachReader) {
  GraphBuilder graph;
  int mask = graph.kernel(0.5, {}, 1000);
  int a = graph.kernel(10, {mask});
  int b = graph.kernel(10, {a, mask});
  graph.kernel(10, {b, mask});
  Problem problem = graph.finish(3);
  Value input;
  input.name = "attention_mask";
  input.consumers = {mask};
  input.numBytes = 4;
  problem.values.push_back(input);
  problem.kernels[mask].cloneable = true;
  Plan plan = mustSolve(problem);
  EXPECT_EQ(plan.stageOf[mask], 0);
  ASSERT_EQ(plan.clones.size(), 2u);
  EXPECT_EQ(plan.clones[0].stage, 1);
  EXPECT_EQ(plan.clones[1].stage, 2);
  EXPECT_EQ(plan.bottleneck, 10.5);
  EXPECT_EQ(channelOf(plan, mask), nullptr);
  const ChannelUse *channel = channelOf(plan, static_cast<int>(problem.values.size()) - 1);
  ASSERT_NE(channel, nullptr);
  EXPECT_EQ(channel->to, (std::vector<int>{0, 1, 2}));
  // As many stages as kernels: then it has to be a stage of its own.
  problem.stages.resize(4);
  problem.links.resize(3);
  EXPECT_TRUE(mustSolve(problem).clones.empty());
}

// A weight tied between two kernels is held once by a stage that has both, and by each stage that has one.
TEST(PartitionKnown, TiedWeightIsHeldOncePerStage) {
  Problem problem = chain({5, 5, 5}).finish(3);
  problem.weights = {{"embedding", 1000}};
  problem.kernels[0].weights = {0};
  problem.kernels[2].weights = {0};
  Plan apart = mustSolve(problem);
  EXPECT_EQ(apart.stages[0].weightBytes, 1000);
  EXPECT_EQ(apart.stages[1].weightBytes, 0);
  EXPECT_EQ(apart.stages[2].weightBytes, 1000);
  problem.stages.resize(1);
  problem.links.clear();
  EXPECT_EQ(mustSolve(problem).stages[0].weightBytes, 1000);
}

// Readers and writers of a state share a stage, and so does what lies between them.
TEST(PartitionKnown, ColocatedKernelsAndWhatLiesBetweenStayTogether) {
  Problem problem = chain({1, 1, 1, 1, 1}).finish(3);
  problem.colocations = {{"state", {1, 3}}};
  Plan plan = mustSolve(problem);
  EXPECT_EQ(plan.stageOf, (std::vector<int>{0, 1, 1, 1, 2}));
  EXPECT_EQ(plan.bottleneck, 3);
}

// A cut at a tensor puts its producer before the boundary and its consumers after; the solver places the rest.
TEST(PartitionKnown, CutIsKeptAndTheRestIsPlaced) {
  Problem problem = chain({1, 1, 1, 1, 1, 1}).finish(2);
  Cut cut;
  cut.name = "v0";
  cut.before = {0};
  cut.after = {1};
  problem.cuts = {cut};
  EXPECT_EQ(sizes(mustSolve(problem)), (std::vector<int>{1, 5}));
  problem.stages.resize(3);
  problem.links.resize(2);
  Plan plan = mustSolve(problem);
  EXPECT_NE(plan.stageOf[0], plan.stageOf[1]);
  EXPECT_EQ(plan.bottleneck, 3);
  problem.cuts[0].boundary = 1;
  problem.cuts[0].before = {2};
  problem.cuts[0].after = {3};
  plan = mustSolve(problem);
  EXPECT_EQ(plan.stageOf[2], 1);
  EXPECT_EQ(plan.stageOf[3], 2);
}

// Cuts may be given in any order; as many as boundaries, they take one each.
TEST(PartitionKnown, CutsAreOrderedByNesting) {
  Problem problem = chain({1, 1, 1, 1, 1, 1}).finish(3);
  Cut late, early;
  late.name = "v4";
  late.before = {4};
  late.after = {5};
  early.name = "v0";
  early.before = {0};
  early.after = {1};
  problem.cuts = {late, early};
  EXPECT_EQ(sizes(mustSolve(problem)), (std::vector<int>{1, 4, 1}));
}

// Stages of different speed get work in proportion, in the order given.
TEST(PartitionKnown, FasterDeviceGetsMoreWork) {
  GraphBuilder graph = chain(std::vector<double>(12, 1.0));
  Problem problem = graph.finish(2);
  problem.deviceClasses = {"cpu", "gpu"};
  for (Kernel &kernel : problem.kernels)
    kernel.seconds = {1.0, 0.5};
  problem.stages[1].deviceClass = 1;
  Plan plan = mustSolve(problem);
  EXPECT_EQ(sizes(plan), (std::vector<int>{4, 8}));
  EXPECT_EQ(plan.bottleneck, 4);
  EXPECT_TRUE(plan.isProvedOptimal);
}

// The other criteria: weights, memory, number of kernels.
TEST(PartitionKnown, OtherBalances) {
  GraphBuilder graph = chain({100, 1, 1, 1, 1, 1});
  for (int i = 0; i < 6; ++i)
    graph.weigh(i, i == 5 ? 500 : 100);
  Problem problem = graph.finish(2);
  EXPECT_EQ(sizes(mustSolve(problem)), (std::vector<int>{1, 5}));
  problem.balance = Balance::Params;
  Plan byParams = mustSolve(problem);
  EXPECT_EQ(sizes(byParams), (std::vector<int>{5, 1}));
  EXPECT_EQ(byParams.bottleneck, 500);
  problem.balance = Balance::Uniform;
  Plan uniform = mustSolve(problem);
  EXPECT_EQ(sizes(uniform), (std::vector<int>{3, 3}));
  EXPECT_EQ(uniform.bottleneck, 3);
  problem.balance = Balance::Memory;
  problem.kernels[1].residentBytes = 1000;
  EXPECT_EQ(mustSolve(problem).bottleneck, 100 + 100 + 1000 + 2 * 16);
}

// A shared link is paid by all that crosses it, also by what only passes.
TEST(PartitionKnown, SharedLinkIsABottleneckOfItsOwn) {
  GraphBuilder graph;
  int a = graph.kernel(1, {}, 100), b = graph.kernel(1, {a}, 100);
  graph.kernel(1, {a, b}, 100);
  Problem problem = graph.finish(3);
  problem.links[1].bytesPerSecond = 10;
  Plan own = mustSolve(problem);
  EXPECT_EQ(own.bottleneck, 20); // stage 2 receives both
  problem.links[1].isShared = true;
  EXPECT_EQ(mustSolve(problem).linkSeconds[1], 20);
  problem.links[0].bytesPerSecond = 5;
  problem.links[0].isShared = true;
  EXPECT_EQ(mustSolve(problem).linkSeconds[0], 20);
}

// Among plans of one bottleneck, the one that moves fewer bytes.
TEST(PartitionKnown, TiesGoToLessTraffic) {
  GraphBuilder graph;
  int at = graph.kernel(4, {}, 500);
  at = graph.kernel(1, {at}, 8);
  at = graph.kernel(1, {at}, 300);
  graph.kernel(9, {at});
  Plan plan = mustSolve(graph.finish(3));
  EXPECT_EQ(plan.bottleneck, 9);
  EXPECT_EQ(plan.stageOf, (std::vector<int>{0, 0, 1, 2}));
  EXPECT_EQ(plan.trafficBytes, 8 + 300);
}

// Prime numbers of kernels and of stages, up to seventeen stages and more.
TEST(PartitionKnown, PrimesAndManyStages) {
  for (int numKernels : {2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 97})
    for (int numStages : {1, 2, 3, 5, 7, 11, 13, 17, 23}) {
      if (numStages > numKernels)
        continue;
      SCOPED_TRACE(std::to_string(numKernels) + " kernels, " + std::to_string(numStages) + " stages");
      Plan plan = mustSolve(chain(std::vector<double>(numKernels, 1.0)).finish(numStages));
      EXPECT_EQ(plan.bottleneck, (numKernels + numStages - 1) / numStages);
      EXPECT_TRUE(plan.isProvedOptimal);
    }
  Plan plan = mustSolve(encoder(12).finish(17));
  EXPECT_EQ(plan.stages.size(), 17u);
  EXPECT_TRUE(plan.isProvedOptimal);
}

// The same problem gives the same plan, in every detail.
TEST(PartitionKnown, SolvingIsDeterministic) {
  Problem problem = branching(6, 4, 3).finish(5);
  Plan a = mustSolve(problem), b = mustSolve(problem);
  EXPECT_EQ(a.stageOf, b.stageOf);
  EXPECT_EQ(a.numPairs, b.numPairs);
  EXPECT_EQ(a.numDownsets, b.numDownsets);
}
