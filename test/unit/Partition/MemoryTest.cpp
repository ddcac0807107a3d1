//===- MemoryTest.cpp - Memory limits, and what to do when nothing fits -*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#include "Exhaustive.h"
#include "Graphs.h"
#include "RandomProblem.h"
#include "penstock/Partition/Algorithms.h"

#include <gtest/gtest.h>

using namespace penstock::partition;
using namespace penstock::partition::test;

namespace {

Problem heavy(int numStages, int64_t limit, const std::vector<int64_t> &weights) {
  GraphBuilder graph = chain(std::vector<double>(weights.size(), 1.0));
  for (size_t i = 0; i < weights.size(); ++i)
    graph.weigh(static_cast<int>(i), weights[i]);
  Problem problem = graph.finish(numStages);
  for (Device &stage : problem.stages)
    stage.memoryLimitBytes = limit;
  for (Value &value : problem.values)
    value.numBytes = 0;
  return problem;
}

} // namespace

// A limit overrules the balance of time.
TEST(PartitionMemory, LimitMovesTheCut) {
  Problem problem = heavy(2, 1000, {100, 100, 100, 600, 300, 0});
  Result result = solve(problem);
  ASSERT_TRUE(result.plan.has_value()) << result.errors[0];
  EXPECT_TRUE(verify(problem, *result.plan).empty());
  EXPECT_TRUE(result.plan->isProvedOptimal);
  problem.stages[0].memoryLimitBytes = 250;
  result = solve(problem);
  ASSERT_TRUE(result.plan.has_value()) << result.errors[0];
  EXPECT_EQ(result.plan->stages[0].kernels.size(), 2u);
  EXPECT_EQ(result.plan->bottleneck, 4);
}

// The message names the stage, the excess, and a number of stages that fits.
TEST(PartitionMemory, SuggestsMoreStages) {
  Problem problem = heavy(2, 1024, {512, 512, 512, 512, 512});
  Result result = solve(problem);
  ASSERT_EQ(result.errors.size(), 1u);
  EXPECT_EQ(result.errors[0],
            "stage 1 needs 1.50 KiB, 512 B more than its limit of 1.00 KiB (in the plan that exceeds the limits least: "
            "weights 1.50 KiB, resident 0 B, workspace 0 B, slots 0 B); no plan of 2 stages fits, at any depth; 3 "
            "stages fit: "
            "cut after 'k0', 'k2'");
  ASSERT_TRUE(result.suggestion.has_value());
  problem.stages.resize(3, problem.stages[0]);
  problem.links.resize(2);
  EXPECT_TRUE(verify(problem, *result.suggestion).empty());
}

// When it is the user's own cut that does not fit, one that does is named.
TEST(PartitionMemory, SuggestsAnotherCut) {
  Problem problem = heavy(2, 1024, {512, 512, 512, 512});
  Cut cut;
  cut.name = "v2";
  cut.before = {2};
  cut.after = {3};
  problem.cuts = {cut};
  Result result = solve(problem);
  ASSERT_EQ(result.errors.size(), 1u);
  EXPECT_NE(result.errors[0].find("stage 0 needs 1.50 KiB, 512 B more than its limit of 1.00 KiB"), std::string::npos)
      << result.errors[0];
  EXPECT_NE(result.errors[0].find("; without the given cuts and pins a plan fits: cut after 'k1'"), std::string::npos)
      << result.errors[0];
  problem.cuts.clear();
  EXPECT_TRUE(verify(problem, result.suggestion.value()).empty());
}

// A kernel that no device can hold alone: no number of stages helps, and the message says so.
TEST(PartitionMemory, NamesTheKernelThatNeverFits) {
  Result result = solve(heavy(2, 1024, {10, 4096, 10}));
  ASSERT_EQ(result.errors.size(), 1u);
  EXPECT_NE(result.errors[0].find("kernel 'k1' alone needs 4.00 KiB, so no number of stages fits within 1.00 KiB each"),
            std::string::npos)
      << result.errors[0];
}

// Fewer slots per channel are a way out too: the largest number that fits is named, with the plan for it.
TEST(PartitionMemory, SuggestsADepth) {
  Problem problem = heavy(3, 720, {500, 500, 500});
  problem.values[0].numBytes = problem.values[1].numBytes = 100;
  problem.values[0].consumers = {1, 2}; // three slots in stage 0
  Result result = solve(problem);
  ASSERT_EQ(result.errors.size(), 1u);
  EXPECT_EQ(result.errors[0].rfind("stage 0 needs 800 B, 80 B more than its limit of 720 B", 0), 0u)
      << result.errors[0];
  EXPECT_NE(result.errors[0].find("; with channels of at most 2 slots (--depth 2) a plan fits: cut after 'k0', 'k1'"),
            std::string::npos)
      << result.errors[0];
  problem.maxDepth = 2;
  EXPECT_TRUE(verify(problem, result.suggestion.value()).empty());
  EXPECT_TRUE(solve(problem).plan.has_value());
}

// That no depth helps is proved, and said.
TEST(PartitionMemory, NoDepthFits) {
  Problem problem = heavy(2, 1024, {1000, 1000});
  problem.values[0].numBytes = 100;
  Result result = solve(problem);
  ASSERT_EQ(result.errors.size(), 1u);
  EXPECT_NE(result.errors[0].find("; no plan of 2 stages fits, at any depth; "), std::string::npos) << result.errors[0];
  problem.maxDepth = 1;
  EXPECT_FALSE(solveExhaustively(problem).isFeasible);
}

// When only larger limits help, they are named.
TEST(PartitionMemory, SuggestsALargerLimit) {
  Problem problem = heavy(2, 1024, {1000, 1000});
  problem.values[0].numBytes = 100; // two slots in stage 0
  Result result = solve(problem);
  ASSERT_EQ(result.errors.size(), 1u);
  EXPECT_NE(result.errors[0].find("; it fits with each limit raised by 176 B: cut after 'k0'"), std::string::npos)
      << result.errors[0];
  for (Device &stage : problem.stages)
    stage.memoryLimitBytes += 176;
  EXPECT_TRUE(solve(problem).plan.has_value());
  for (Device &stage : problem.stages)
    stage.memoryLimitBytes -= 1;
  EXPECT_FALSE(solve(problem).plan.has_value());
}

// With limits that differ, the stage named is the one whose limit is passed, and the excess is the least possible.
TEST(PartitionMemory, ExcessIsLeastOverUnequalLimits) {
  int numInfeasible = 0;
  for (unsigned seed = 0; seed < 400; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Problem problem = RandomProblem(seed).make(2 + static_cast<int>(seed % 2), 9, true);
    if (!problem.check().empty())
      continue;
    for (size_t s = 0; s < problem.stages.size(); ++s)
      problem.stages[s].memoryLimitBytes = 30 + 25 * static_cast<int64_t>((seed + s) % 3);
    Result result = solve(problem);
    if (result.plan)
      continue;
    ++numInfeasible;
    EXPECT_FALSE(solveExhaustively(problem).isFeasible);
    // Raise all limits together until the oracle finds a plan: that is the excess.
    Problem raised = problem;
    int64_t excess = 0;
    auto raise = [&](int64_t by) {
      for (size_t s = 0; s < raised.stages.size(); ++s)
        raised.stages[s].memoryLimitBytes = problem.stages[s].memoryLimitBytes + by;
      return solveExhaustively(raised).isFeasible;
    };
    if (!raise(1 << 20)) {
      EXPECT_NE(result.errors[0].find("obeys the pins and cuts"), std::string::npos) << result.errors[0];
      continue;
    }
    int64_t low = 0, high = 1 << 20;
    while (high - low > 1)
      (raise((low + high) / 2) ? high : low) = (low + high) / 2;
    excess = high;
    std::string expected =
        excess < 1024 ? " " + std::to_string(excess) + " B more than its limit" : "more than its limit";
    EXPECT_NE(result.errors[0].find(expected), std::string::npos) << excess << ": " << result.errors[0];
    EXPECT_TRUE(result.suggestion.has_value() || result.errors[0].find("alone needs") != std::string::npos);
  }
  EXPECT_GT(numInfeasible, 100);
}
