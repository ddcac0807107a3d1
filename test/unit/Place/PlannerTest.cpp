//===- PlannerTest.cpp - Cases of the memory planner --------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "penstock/Place/Planner.h"

#include <gtest/gtest.h>

#include <limits>
#include <random>

using namespace penstock::place;

namespace {
constexpr int64_t kMax = std::numeric_limits<int64_t>::max();

Lifetime value(int64_t numBytes, int64_t firstUse, int64_t lastUse) {
  Lifetime lifetime;
  lifetime.numBytes = numBytes;
  lifetime.firstUse = firstUse;
  lifetime.lastUse = lastUse;
  return lifetime;
}

Lifetime alias(Lifetime lifetime, int32_t of, Sharing sharing) {
  lifetime.aliasOf = of;
  lifetime.sharing = sharing;
  return lifetime;
}

Lifetime fixed(Lifetime lifetime, int64_t offset) {
  lifetime.fixedOffset = offset;
  return lifetime;
}

Plan planOf(const Problem &problem) {
  Plan result;
  std::string error;
  EXPECT_TRUE(plan(problem, result, error)) << error;
  return result;
}

std::string errorOf(const Problem &problem) {
  Plan result;
  result.numBytes = -7;
  std::string error;
  EXPECT_FALSE(plan(problem, result, error));
  EXPECT_EQ(result.numBytes, -7) << "a failed call must not touch the plan";
  EXPECT_FALSE(check(problem, error));
  return error;
}

// Nothing to place gives an empty arena.
TEST(Planner, NoValues) {
  Plan result = planOf({});
  EXPECT_TRUE(result.offsets.empty());
  EXPECT_EQ(result.numBytes, 0);
  EXPECT_EQ(result.lowerBound, 0);
  EXPECT_EQ(result.noReuse, 0);
}

// In a chain of kernels, each reads the value before and writes the next: two buffers are enough.
TEST(Planner, ChainUsesTwoBuffers) {
  Problem problem;
  for (int64_t i = 0; i < 9; ++i)
    problem.values.push_back(value(1000, i, i + 1));
  Plan result = planOf(problem);
  EXPECT_EQ(result.numBytes, 2048);
  EXPECT_EQ(result.lowerBound, 2048);
  EXPECT_EQ(result.noReuse, 9 * 1024);
  EXPECT_NE(result.offsets[0], result.offsets[1]);
  EXPECT_EQ(result.offsets[0], result.offsets[2]);
}

// Both ends of a lifetime are included: a value that ends where another begins does not share with it.
TEST(Planner, EndsAreIncluded) {
  EXPECT_EQ(planOf({{value(64, 0, 3), value(64, 3, 5)}, 64}).numBytes, 128);
  EXPECT_EQ(planOf({{value(64, 0, 2), value(64, 3, 5)}, 64}).numBytes, 64);
}

// Offsets are multiples of the alignment.
TEST(Planner, Alignment) {
  for (int64_t alignment : {1, 2, 64, 4096}) {
    Problem problem{{value(1, 0, 1), value(65, 0, 1), value(3, 0, 1)}, alignment};
    Plan result = planOf(problem);
    for (int64_t offset : result.offsets)
      EXPECT_EQ(offset % alignment, 0);
    EXPECT_EQ(result.numBytes, result.noReuse);
  }
}

// A value without bytes takes no room, whatever lives with it.
TEST(Planner, ZeroBytes) {
  Plan result = planOf({{value(0, 0, 9), value(128, 0, 9), value(0, 0, 9)}, 64});
  EXPECT_EQ(result.numBytes, 128);
  EXPECT_EQ(planOf({{value(0, 0, 9)}, 64}).numBytes, 0);
}

// The reported event is one at which the lower bound is live.
TEST(Planner, PeakEvent) {
  Plan result = planOf({{value(64, 10, 20), value(64, 15, 30), value(64, 25, 40), value(256, 27, 28)}, 64});
  EXPECT_EQ(result.peakEvent, 27);
  EXPECT_EQ(result.lowerBound, 64 + 64 + 256);
}

// A value in place of another has its offset, and a chain of them is one block.
TEST(Planner, InPlace) {
  Problem problem{{value(256, 0, 3), alias(value(256, 3, 6), 0, Sharing::kInPlace),
                   alias(value(512, 6, 9), 1, Sharing::kInPlace), value(64, 4, 5)},
                  64};
  Plan result = planOf(problem);
  EXPECT_EQ(result.offsets[1], result.offsets[0]);
  EXPECT_EQ(result.offsets[2], result.offsets[0]);
  EXPECT_EQ(result.numBytes, 512 + 64);
}

// Overwriting bytes that something still needs is refused, whether that is the value itself, a view of it, or another
// value made from it.
TEST(Planner, InPlaceMustNotOverwriteWhatIsNeeded) {
  Lifetime named = value(64, 0, 4);
  named.name = "relu_3";
  EXPECT_EQ(errorOf({{named, alias(value(64, 3, 6), 0, Sharing::kInPlace)}, 64}),
            "value 1 overwrites value 0 ('relu_3') at event 3, which is needed until event 4");
  EXPECT_EQ(errorOf({{value(64, 0, 3), alias(value(64, 1, 8), 0, Sharing::kView),
                      alias(value(64, 3, 6), 0, Sharing::kInPlace)},
                     64}),
            "value 2 overwrites value 1 at event 3, which is needed until event 8");
  EXPECT_EQ(errorOf({{value(64, 0, 3), alias(value(64, 3, 6), 0, Sharing::kInPlace),
                      alias(value(64, 3, 6), 0, Sharing::kInPlace)},
                     64}),
            "value 1 overwrites value 2 at event 3, which is needed until event 6");
  EXPECT_EQ(errorOf({{value(64, 5, 7), alias(value(64, 2, 9), 0, Sharing::kView)}, 64}),
            "value 1 begins at event 2, before value 0 whose bytes it shares");
}

// Views may be read side by side, and a value in place of a view may follow when all are done.
TEST(Planner, Views) {
  Problem problem{{value(64, 0, 5), alias(value(64, 1, 6), 0, Sharing::kView),
                   alias(value(64, 6, 9), 1, Sharing::kInPlace), alias(value(64, 7, 9), 2, Sharing::kView),
                   value(64, 9, 9)},
                  64};
  Plan result = planOf(problem);
  EXPECT_EQ(result.numBytes, 128);
}

// Two separate groups of aliases are checked apart.
TEST(Planner, GroupsDoNotMix) {
  Problem problem{{value(64, 0, 20), alias(value(64, 1, 20), 0, Sharing::kView), value(64, 0, 3),
                   alias(value(64, 3, 6), 2, Sharing::kInPlace), value(64, 0, 30)},
                  64};
  EXPECT_EQ(planOf(problem).numBytes, 192);
}

// canOverwrite answers what check() would say.
TEST(Planner, CanOverwrite) {
  Problem problem{
      {value(64, 0, 3), value(64, 3, 6), value(64, 2, 6), alias(value(64, 1, 4), 0, Sharing::kView), value(64, 4, 9)},
      64};
  EXPECT_FALSE(canOverwrite(problem, 0, 1)) << "value 3 is a view of 0 that lives until event 4";
  EXPECT_TRUE(canOverwrite(problem, 0, 4));
  EXPECT_FALSE(canOverwrite(problem, 0, 2));
  EXPECT_FALSE(canOverwrite(problem, 0, 3)) << "already an alias";
  EXPECT_FALSE(canOverwrite(problem, 4, 4));
  EXPECT_FALSE(canOverwrite(problem, -1, 4));
  EXPECT_FALSE(canOverwrite(problem, 0, 99));
  problem.values[4].aliasOf = 3;
  std::string error;
  EXPECT_TRUE(check(problem, error)) << error;
}

// Fixed offsets are kept, and what is free goes around them.
TEST(Planner, FixedOffsets) {
  Problem problem{{fixed(value(128, 0, 5), 256), fixed(value(64, 6, 9), 256), value(256, 0, 9), value(64, 0, 9)}, 64};
  Plan result = planOf(problem);
  EXPECT_EQ(result.offsets[0], 256);
  EXPECT_EQ(result.offsets[1], 256);
  EXPECT_EQ(result.offsets[2], 0);
  EXPECT_EQ(result.offsets[3], 384);
  EXPECT_EQ(planOf({{fixed(value(64, 0, 1), 1024)}, 64}).numBytes, 1088);
  EXPECT_EQ(planOf({{fixed(value(64, 0, 1), 0)}, 64}).numBytes, 64);
}

// Fixed offsets that collide, disagree or are not aligned are refused.
TEST(Planner, FixedOffsetErrors) {
  EXPECT_EQ(errorOf({{fixed(value(128, 0, 5), 0), fixed(value(64, 5, 9), 64)}, 64}),
            "value 0 and value 1 are live together and their fixed offsets 0 and 64 make them overlap");
  EXPECT_EQ(errorOf({{fixed(value(128, 0, 5), 0), fixed(alias(value(64, 5, 9), 0, Sharing::kInPlace), 64)}, 64}),
            "value 1 has fixed offset 64 but shares the bytes of value 0 at offset 0");
  EXPECT_EQ(errorOf({{fixed(value(128, 0, 5), 32)}, 64}), "value 0 has fixed offset 32; expected a multiple of 64");
  EXPECT_EQ(errorOf({{fixed(value(128, 0, 5), -5)}, 64}), "value 0 has fixed offset -5; expected a multiple of 64");
  EXPECT_NE(errorOf({{fixed(value(128, 0, 5), kMax - 63)}, 64}), "");
}

// Malformed values are refused by name.
TEST(Planner, Malformed) {
  EXPECT_EQ(errorOf({{value(-1, 0, 1)}, 64}), "value 0 has -1 bytes; expected 0 or more");
  EXPECT_EQ(errorOf({{value(1, 2, 1)}, 64}), "value 0 is first used at event 2 but last used at event 1");
  EXPECT_EQ(errorOf({{value(1, 0, 1)}, 48}), "alignment is 48; expected a power of two");
  EXPECT_EQ(errorOf({{value(1, 0, 1)}, 0}), "alignment is 0; expected a power of two");
  EXPECT_NE(errorOf({{alias(value(1, 0, 1), 0, Sharing::kView)}, 64}), "");
  EXPECT_NE(errorOf({{alias(value(1, 0, 1), 5, Sharing::kView)}, 64}), "");
  EXPECT_NE(errorOf({{alias(value(1, 0, 1), -2, Sharing::kView)}, 64}), "");
  EXPECT_NE(errorOf({{alias(value(1, 0, 1), 1, Sharing::kView), alias(value(1, 0, 1), 0, Sharing::kView)}, 64}), "");
}

// Sizes near the end of the number range work where they fit, and are refused where their sum does not.
TEST(Planner, HugeSizes) {
  Plan result = planOf({{value(kMax - 63, 0, 1)}, 64});
  EXPECT_EQ(result.numBytes, kMax - 63);
  EXPECT_EQ(errorOf({{value(kMax - 62, 0, 1)}, 64}),
            "value 0 has 9223372036854775745 bytes, which overflows when rounded up to 64");
  EXPECT_EQ(errorOf({{value(int64_t(1) << 62, 0, 1), value(int64_t(1) << 62, 2, 3)}, 64}),
            "the sizes of 2 values add up to more than 2^63 bytes");
  EXPECT_NE(errorOf({{fixed(value(64, 0, 1), int64_t(1) << 62), value(int64_t(1) << 62, 2, 3)}, 64}), "");
}

// Extreme event numbers are only compared, never subtracted.
TEST(Planner, ExtremeEvents) {
  int64_t min = std::numeric_limits<int64_t>::min();
  EXPECT_EQ(planOf({{value(64, min, kMax), value(64, min, min), value(64, kMax, kMax)}, 64}).numBytes, 128);
}

// verify() finds each kind of damage in a plan.
TEST(Planner, VerifyFindsDamage) {
  Problem problem{
      {value(64, 0, 3), value(64, 2, 5), alias(value(64, 5, 6), 1, Sharing::kInPlace), fixed(value(64, 0, 9), 256)},
      64};
  Plan good = planOf(problem);
  std::string error;
  ASSERT_TRUE(verify(problem, good, error)) << error;
  auto damaged = [&](auto damage) {
    Plan bad = good;
    damage(bad);
    error.clear();
    EXPECT_FALSE(verify(problem, bad, error));
    return error;
  };
  EXPECT_EQ(damaged([](Plan &p) { p.offsets[1] = p.offsets[2] = p.offsets[0]; }),
            "value 1 at offset 64 overlaps value 0 at offset 64; both are live at event 2");
  EXPECT_EQ(damaged([](Plan &p) { p.offsets[0] = 8; }), "value 0 is at offset 8; expected a multiple of 64");
  EXPECT_EQ(damaged([](Plan &p) { p.offsets[2] += 64; }), "value 2 is at offset 64; expected 0, that of value 1");
  EXPECT_EQ(damaged([](Plan &p) { p.offsets[3] = 192; }), "value 3 is at offset 192; expected its fixed offset 256");
  EXPECT_EQ(damaged([](Plan &p) { p.offsets.pop_back(); }), "the plan has 3 offsets for 4 values");
  EXPECT_EQ(damaged([](Plan &p) { p.numBytes = 300; }),
            "value 3 at offset 256 with 64 bytes leaves the arena of 300 bytes");
}

// Ten thousand values, short and long lived, are placed near the lower bound.
TEST(Planner, TenThousandValues) {
  std::mt19937_64 random(7);
  Problem problem;
  for (int64_t i = 0; i < 10000; ++i)
    problem.values.push_back(value(static_cast<int64_t>(random() % 1000000), i,
                                   i + 1 + static_cast<int64_t>(random() % 20 == 0 ? random() % 400 : random() % 4)));
  Plan result = planOf(problem);
  EXPECT_LT(static_cast<double>(result.numBytes), 1.05 * static_cast<double>(result.lowerBound));
}

// Ten thousand values that are all live at once cannot share; the plan is still found.
TEST(Planner, AllLiveAtOnce) {
  Problem problem;
  for (int64_t i = 0; i < 10000; ++i)
    problem.values.push_back(value(64 + i, 0, 1));
  Plan result = planOf(problem);
  EXPECT_EQ(result.numBytes, result.noReuse);
  EXPECT_EQ(result.numBytes, result.lowerBound);
}

// A chain of ten thousand values in place of one another is one block.
TEST(Planner, LongAliasChain) {
  Problem problem;
  for (int32_t i = 0; i < 10000; ++i)
    problem.values.push_back(i == 0 ? value(64, 0, 1) : alias(value(64, i, i + 1), i - 1, Sharing::kInPlace));
  EXPECT_EQ(planOf(problem).numBytes, 64);
}
} // namespace
