//===- PropertyTest.cpp - The planner against enumeration ---------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The oracle tries every offset on the grid for every value and shares no code with the planner.
//
//===----------------------------------------------------------------------===//

#include "penstock/Place/Planner.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

using namespace penstock::place;

namespace {
/// The least peak over all placements, by trying every offset below `limit` in steps of 64.
class GridOracle {
public:
  explicit GridOracle(const std::vector<Lifetime> &values) : values(values), offsets(values.size(), 0) {}

  int64_t leastPeak(int64_t limit) {
    best = limit;
    place(0, 0);
    return best;
  }

private:
  void place(size_t index, int64_t peak) {
    if (peak >= best)
      return;
    if (index == values.size()) {
      best = peak;
      return;
    }
    for (int64_t offset = 0; offset + values[index].numBytes < best; offset += 64) {
      offsets[index] = offset;
      if (fits(index))
        place(index + 1, std::max(peak, offset + values[index].numBytes));
    }
  }

  bool fits(size_t index) const {
    for (size_t other = 0; other < index; ++other) {
      bool together =
          values[other].firstUse <= values[index].lastUse && values[index].firstUse <= values[other].lastUse;
      bool overlap = offsets[other] < offsets[index] + values[index].numBytes &&
                     offsets[index] < offsets[other] + values[other].numBytes;
      if (together && overlap)
        return false;
    }
    return true;
  }

  const std::vector<Lifetime> &values;
  std::vector<int64_t> offsets;
  int64_t best = 0;
};

Problem randomProblem(std::mt19937 &random, int numValues, int numEvents, int maxUnits) {
  auto below = [&](int n) { return static_cast<int64_t>(random() % static_cast<unsigned>(n)); };
  Problem problem;
  for (int i = 0; i < numValues; ++i) {
    Lifetime lifetime;
    lifetime.numBytes = 64 * below(maxUnits + 1);
    lifetime.firstUse = below(numEvents);
    lifetime.lastUse = lifetime.firstUse + below(static_cast<int>(numEvents - lifetime.firstUse));
    problem.values.push_back(lifetime);
  }
  return problem;
}

// On tiny problems the peak lies between the true optimum and, in nearly all cases, equals it.
TEST(PlannerProperty, AgainstEnumeration) {
  std::mt19937 random(11);
  int numProblems = 0, numOptimal = 0;
  for (int round = 0; round < 3000; ++round) {
    Problem problem = randomProblem(random, 1 + static_cast<int>(random() % 7), 6, 4);
    Plan result;
    std::string error;
    ASSERT_TRUE(plan(problem, result, error)) << error;
    ASSERT_TRUE(verify(problem, result, error)) << error;
    int64_t optimum = GridOracle(problem.values).leastPeak(result.noReuse + 64);
    if (result.noReuse == 0)
      optimum = 0;
    ASSERT_LE(result.lowerBound, optimum);
    ASSERT_GE(result.numBytes, optimum);
    ASSERT_LE(result.numBytes, result.noReuse);
    ++numProblems;
    numOptimal += result.numBytes == optimum;
  }
  EXPECT_GE(numOptimal * 1000, numProblems * 995) << numOptimal << " of " << numProblems;
}

// The lower bound is the most bytes live at one event, counted event by event.
TEST(PlannerProperty, LowerBound) {
  std::mt19937 random(12);
  for (int round = 0; round < 300; ++round) {
    Problem problem = randomProblem(random, 40, 30, 9);
    Plan result;
    std::string error;
    ASSERT_TRUE(plan(problem, result, error)) << error;
    int64_t most = 0, atPeak = 0;
    for (int64_t event = 0; event < 30; ++event) {
      int64_t live = 0;
      for (const Lifetime &value : problem.values)
        live += value.firstUse <= event && event <= value.lastUse ? value.numBytes : 0;
      most = std::max(most, live);
      if (event == result.peakEvent)
        atPeak = live;
    }
    ASSERT_EQ(result.lowerBound, most);
    ASSERT_EQ(atPeak, most);
  }
}

// Random aliases: check() accepts exactly those in which no byte is overwritten before its last read, as found by
// comparing all pairs of a group; the accepted ones are planned and verified.
TEST(PlannerProperty, Aliases) {
  std::mt19937 random(13);
  int numAccepted = 0, numRefused = 0;
  for (int round = 0; round < 4000; ++round) {
    Problem problem = randomProblem(random, 6, 8, 3);
    std::sort(problem.values.begin(), problem.values.end(),
              [](const Lifetime &a, const Lifetime &b) { return a.firstUse < b.firstUse; });
    for (int32_t i = 1; i < 6; ++i)
      if (random() % 2 == 0) {
        problem.values[i].aliasOf = static_cast<int32_t>(random() % static_cast<unsigned>(i));
        problem.values[i].sharing = random() % 2 == 0 ? Sharing::kInPlace : Sharing::kView;
      }
    auto ancestors = [&](int32_t value) {
      std::vector<int32_t> chain{value};
      while (problem.values[chain.back()].aliasOf >= 0)
        chain.push_back(problem.values[chain.back()].aliasOf);
      return chain;
    };
    bool expected = true;
    for (int32_t writer = 0; writer < 6; ++writer) {
      if (problem.values[writer].aliasOf < 0 || problem.values[writer].sharing == Sharing::kView)
        continue;
      for (int32_t other = 0; other < 6; ++other) {
        std::vector<int32_t> chain = ancestors(other);
        bool sameBytes = chain.back() == ancestors(writer).back();
        bool madeFromWriter = std::find(chain.begin(), chain.end(), writer) != chain.end();
        if (sameBytes && !madeFromWriter && problem.values[other].lastUse > problem.values[writer].firstUse)
          expected = false;
      }
    }
    std::string error;
    ASSERT_EQ(check(problem, error), expected) << error;
    ++(expected ? numAccepted : numRefused);
    Plan result;
    ASSERT_EQ(plan(problem, result, error), expected) << error;
  }
  EXPECT_GT(numAccepted, 100);
  EXPECT_GT(numRefused, 100);
}

// The same problem gives the same plan, and more work never a larger one.
TEST(PlannerProperty, Deterministic) {
  std::mt19937 random(14);
  for (int round = 0; round < 50; ++round) {
    Problem problem = randomProblem(random, 60, 20, 50);
    Plan first, second, hasty;
    std::string error;
    Options little;
    little.maxWork = 0;
    ASSERT_TRUE(plan(problem, first, error));
    ASSERT_TRUE(plan(problem, second, error));
    ASSERT_TRUE(plan(problem, hasty, error, little));
    EXPECT_EQ(first.offsets, second.offsets);
    EXPECT_LE(first.numBytes, hasty.numBytes);
  }
}
} // namespace
