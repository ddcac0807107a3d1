//===- OracleTest.cpp - The solver against exhaustive search -----------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Properties over random problems; the seed of a failing one is printed.
//===----------------------------------------------------------------------===//
#include "Exhaustive.h"
#include "RandomProblem.h"
#include "penstock/Partition/Algorithms.h"

#include <gtest/gtest.h>

using namespace penstock::partition;
using namespace penstock::partition::test;

namespace {

std::string joined(const std::vector<std::string> &lines) {
  std::string text;
  for (const std::string &line : lines)
    text += line + "\n";
  return text;
}

int maxKernelsFor(int numStages) { return numStages <= 2 ? 12 : numStages == 3 ? 10 : 9; }

void expectOptimal(const Problem &problem, const Result &result, const Best &best) {
  if (!best.isFeasible) {
    EXPECT_FALSE(result.plan.has_value());
    EXPECT_FALSE(result.errors.empty());
    return;
  }
  ASSERT_TRUE(result.plan.has_value()) << joined(result.errors);
  const Plan &plan = *result.plan;
  EXPECT_EQ(joined(verify(problem, plan)), "");
  EXPECT_NEAR(plan.bottleneck, best.bottleneck, 1e-9 * best.bottleneck);
  EXPECT_EQ(plan.trafficBytes, best.trafficBytes);
  EXPECT_TRUE(plan.isProvedOptimal);
  EXPECT_EQ(plan.method, Method::Exact);
}

} // namespace

// On plain graphs, with nothing but costs, the plan is the best there is.
TEST(PartitionOracle, PlainGraphs) {
  for (unsigned seed = 0; seed < 800; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    int numStages = 1 + static_cast<int>(seed % 4);
    Problem problem = RandomProblem(seed).make(numStages, maxKernelsFor(numStages), false);
    expectOptimal(problem, solve(problem), solveExhaustively(problem));
  }
}

// With links, limits, clones, tied weights, pins, cuts and colocation as well; some of these have no plan.
TEST(PartitionOracle, RichGraphs) {
  int numFeasible = 0, numInfeasible = 0, numRefused = 0, numWithClones = 0;
  for (unsigned seed = 1000; seed < 3400; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    int numStages = 1 + static_cast<int>(seed % 4);
    Problem problem = RandomProblem(seed).make(numStages, maxKernelsFor(numStages), true);
    Best best = solveExhaustively(problem);
    Result result = solve(problem);
    expectOptimal(problem, result, best);
    numRefused += !problem.check().empty();
    best.isFeasible ? ++numFeasible : ++numInfeasible;
    numWithClones += result.plan && !result.plan->clones.empty();
  }
  // The mix is worth its name.
  EXPECT_GT(numFeasible, 1500);
  EXPECT_GT(numInfeasible, 200);
  EXPECT_LT(numRefused, 600);
  EXPECT_GT(numWithClones, 150);
}

// When the exact search is not allowed to finish, the bound stays below the optimum and "optimal" is claimed only when
// true.
TEST(PartitionOracle, BoundsAreHonest) {
  int numClaimed = 0, numUnclaimed = 0, numInexact = 0, numMissed = 0;
  for (unsigned seed = 4000; seed < 5000; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    int numStages = 2 + static_cast<int>(seed % 3);
    Problem problem = RandomProblem(seed).make(numStages, maxKernelsFor(numStages), seed % 2);
    Best best = solveExhaustively(problem);
    SolveOptions options;
    options.maxDownsets = 6 + seed % 11;
    options.beamWidth = 1;
    Result result = solve(problem, options);
    if (!best.isFeasible) {
      EXPECT_FALSE(result.plan.has_value());
      continue;
    }
    if (!result.plan) {
      ++numMissed;
      EXPECT_FALSE(result.errors.empty());
      continue;
    }
    const Plan &plan = *result.plan;
    EXPECT_EQ(joined(verify(problem, plan)), "");
    EXPECT_GE(plan.bottleneck, best.bottleneck * (1 - 1e-9));
    EXPECT_LE(plan.lowerBound, best.bottleneck * (1 + 1e-9));
    if (plan.isProvedOptimal) {
      EXPECT_NEAR(plan.bottleneck, best.bottleneck, 1e-9 * best.bottleneck);
      ++numClaimed;
    } else {
      ++numUnclaimed;
    }
    numInexact += plan.method != Method::Exact;
  }
  EXPECT_GT(numInexact, 150);
  EXPECT_GT(numUnclaimed, 40);
  EXPECT_GT(numClaimed, 100);
  EXPECT_LT(numMissed, 20);
}

// With slots by depth the memory of a stage depends on plans further on, and the search is no longer exact: still every
// plan fits, the bound is below the optimum, and the optimum is nearly always met.
TEST(PartitionOracle, SlotsByDepth) {
  int numFound = 0, numMissed = 0, numOptimal = 0, numTight = 0;
  for (unsigned seed = 7000; seed < 8200; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    int numStages = 2 + static_cast<int>(seed % 3);
    Problem problem = RandomProblem(seed).make(numStages, maxKernelsFor(numStages), true);
    problem.slotsPerSentValue = kSlotsByDepth;
    bool isReceivedToo = seed % 5 < 2;
    problem.slotsPerReceivedValue = isReceivedToo ? kSlotsByDepth : problem.slotsPerReceivedValue;
    problem.maxDepth = seed % 7 < 4 ? 0 : static_cast<int>(seed % 7 - 3);
    for (Device &stage : problem.stages)
      stage.memoryLimitBytes = 100 + seed % 250;
    Best best = solveExhaustively(problem);
    Result result = solve(problem);
    problem.slotsPerSentValue = 2;
    Best loose = solveExhaustively(problem);
    problem.slotsPerSentValue = kSlotsByDepth;
    numTight += best.isFeasible && best.bottleneck > loose.bottleneck * (1 + 1e-9);
    if (!best.isFeasible) {
      EXPECT_FALSE(result.plan.has_value());
      continue;
    }
    if (!result.plan) {
      ++numMissed;
      EXPECT_EQ(joined(result.errors).find("no plan of"), std::string::npos) << joined(result.errors);
      continue;
    }
    ++numFound;
    EXPECT_EQ(joined(verify(problem, *result.plan)), "");
    EXPECT_LE(result.plan->lowerBound, best.bottleneck * (1 + 1e-9));
    EXPECT_GE(result.plan->bottleneck, best.bottleneck * (1 - 1e-9));
    bool isOptimal = result.plan->bottleneck <= best.bottleneck * (1 + 1e-9);
    numOptimal += isOptimal;
    EXPECT_LE(result.plan->isProvedOptimal, isOptimal);
  }
  EXPECT_GT(numTight, 40);
  EXPECT_LT(numMissed, 10);
  EXPECT_GT(numFound, 600);
  EXPECT_GT(numOptimal, numFound * 97 / 100);
}

// A slack on the bottleneck buys less traffic, and the certificate says what it cost.
TEST(PartitionOracle, SlackIsWithinItsBound) {
  int numCheaper = 0;
  for (unsigned seed = 6000; seed < 6300; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Problem problem = RandomProblem(seed).make(3, 9, true);
    Result strict = solve(problem);
    SolveOptions options;
    options.trafficSlack = 0.2;
    Result slack = solve(problem, options);
    ASSERT_EQ(strict.plan.has_value(), slack.plan.has_value());
    if (!strict.plan)
      continue;
    EXPECT_EQ(joined(verify(problem, *slack.plan)), "");
    EXPECT_LE(slack.plan->bottleneck, strict.plan->bottleneck * 1.2 * (1 + 1e-9));
    EXPECT_LE(slack.plan->trafficBytes, strict.plan->trafficBytes);
    EXPECT_NEAR(slack.plan->lowerBound, strict.plan->bottleneck, 1e-9 * strict.plan->bottleneck);
    EXPECT_EQ(slack.plan->isProvedOptimal, slack.plan->bottleneck <= strict.plan->bottleneck * (1 + 1e-9));
    numCheaper += slack.plan->trafficBytes < strict.plan->trafficBytes;
  }
  EXPECT_GT(numCheaper, 10);
}
