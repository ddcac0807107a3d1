//===- ScalingTest.cpp - How much the solver looks at ------------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Counts downsets and pairs instead of seconds: the same on every machine. A pair takes about 0.1 us, a downset about 1
// us.
//===----------------------------------------------------------------------===//
#include "Graphs.h"
#include "penstock/Partition/Algorithms.h"

#include <gtest/gtest.h>

#include <algorithm>

using namespace penstock::partition;
using namespace penstock::partition::test;

namespace {

Link link() {
  Link result;
  result.latencySeconds = 0.1;
  result.bytesPerSecond = 16;
  return result;
}

Plan mustSolve(const Problem &problem) {
  Result result = solve(problem);
  EXPECT_TRUE(result.plan.has_value()) << (result.errors.empty() ? "" : result.errors[0]);
  if (!result.plan)
    return Plan();
  for (const std::string &text : verify(problem, *result.plan))
    ADD_FAILURE() << text;
  return *result.plan;
}

/// Bottleneck of equal numbers of kernels per stage, in the order given.
double uniformBottleneck(const Problem &problem) {
  Plan plan;
  size_t n = problem.kernels.size();
  for (size_t i = 0; i < n; ++i)
    plan.stageOf.push_back(static_cast<int>(i * problem.stages.size() / n));
  evaluate(problem, plan);
  return plan.bottleneck;
}

} // namespace

// A transformer of a thousand kernels on sixteen stages is solved exactly, and cheaply.
TEST(PartitionScaling, ThousandKernelsOnSixteenStages) {
  Problem problem = encoder(62).finish(16, link());
  ASSERT_GE(problem.kernels.size(), 990u);
  Plan plan = mustSolve(problem);
  EXPECT_TRUE(plan.isProvedOptimal);
  EXPECT_EQ(plan.method, Method::Exact);
  EXPECT_LT(plan.numDownsets, 10'000);
  EXPECT_LT(plan.numPairs, 500'000);
}

// The work grows about linearly with the number of layers.
TEST(PartitionScaling, WorkIsLinearInLayers) {
  Plan small = mustSolve(encoder(12).finish(4, link()));
  Plan large = mustSolve(encoder(48).finish(16, link()));
  EXPECT_LT(large.numDownsets, 5 * small.numDownsets);
  EXPECT_LT(large.numPairs, 8 * small.numPairs);
}

// Ten thousand kernels in a row.
TEST(PartitionScaling, TenThousandKernels) {
  std::vector<double> costs;
  for (int i = 0; i < 10'000; ++i)
    costs.push_back(1 + i * 7919 % 101);
  Plan plan = mustSolve(chain(costs).finish(16, link()));
  EXPECT_TRUE(plan.isProvedOptimal);
  EXPECT_LT(plan.numPairs, 5'000'000);
}

// Outputs that can be put off double the downsets with each layer; then they are absorbed, and the bound stays within
// 1%.
TEST(PartitionScaling, DeferrableOutputsAreAbsorbed) {
  Problem problem = encoder(24, true).finish(8, link());
  Plan plan = mustSolve(problem);
  EXPECT_EQ(plan.method, Method::Absorbed);
  EXPECT_LT(plan.gap, 0.01);
  EXPECT_LT(plan.numDownsets, 500'000);
}

// A graph too wide for the exact search still gets a plan near a proven bound, within the limits on work.
TEST(PartitionScaling, WideGraphFallsBackToABeam) {
  Problem problem = branching(5, 8, 8).finish(8, link());
  Plan plan = mustSolve(problem);
  EXPECT_EQ(plan.method, Method::Beam);
  EXPECT_GT(plan.lowerBound, 0);
  EXPECT_LT(plan.gap, 0.03);
  EXPECT_LT(plan.numDownsets, 1'000'000);
}

// Never worse than cutting at equal numbers of kernels, and often much better.
TEST(PartitionScaling, BeatsUniformCuts) {
  for (int numStages : {2, 3, 4, 8}) {
    SCOPED_TRACE(numStages);
    for (const Problem &problem :
         {encoder(12).finish(numStages, link()), branching(11, 4, 3).finish(numStages, link())})
      EXPECT_LE(mustSolve(problem).bottleneck, uniformBottleneck(problem));
  }
  Problem problem = encoder(12).finish(8, link());
  EXPECT_LT(mustSolve(problem).bottleneck * 1.05, uniformBottleneck(problem));
}
