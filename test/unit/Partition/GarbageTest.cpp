//===- GarbageTest.cpp - Arbitrary data end in a plan or in words -------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Run under sanitizers too: what matters is that nothing is read or written out of bounds.
//===----------------------------------------------------------------------===//
#include "RandomProblem.h"
#include "penstock/Partition/Algorithms.h"
#include "penstock/Partition/Cluster.h"

#include <gtest/gtest.h>

using namespace penstock::partition;
using namespace penstock::partition::test;

namespace {

/// Sets one number of the problem to something odd.
class Spoiler {
public:
  explicit Spoiler(unsigned seed) : random(seed) {}

  void spoil(Problem &p) {
    switch (random() % 16) {
    case 0:
      return put(p.kernels, [&](Kernel &k) { k.seconds.assign(random() % 3, oddNumber()); });
    case 1:
      return put(p.kernels, [&](Kernel &k) { k.weights.push_back(oddIndex()); });
    case 2:
      return put(p.kernels, [&](Kernel &k) { k.residentBytes = oddBytes(); });
    case 3:
      return put(p.kernels, [&](Kernel &k) { k.workspaceBytes = oddBytes(); });
    case 4:
      return put(p.weights, [&](Weight &w) { w.numBytes = oddBytes(); });
    case 5:
      return put(p.values, [&](Value &v) { v.producer = oddIndex(); });
    case 6:
      return put(p.values, [&](Value &v) { v.consumers.push_back(oddIndex()); });
    case 7:
      return put(p.values, [&](Value &v) { v.numBytes = oddBytes(); });
    case 8:
      return put(p.stages, [&](Device &d) { d.deviceClass = oddIndex(); });
    case 9:
      return put(p.stages, [&](Device &d) { d.memoryLimitBytes = oddBytes(); });
    case 10:
      return put(p.links, [&](Link &l) { l.bytesPerSecond = oddNumber(); });
    case 11:
      return p.pins.push_back({oddIndex(), oddIndex()});
    case 12:
      return p.colocations.push_back({"g", {oddIndex(), oddIndex()}});
    case 13:
      return p.cuts.push_back({"c", {oddIndex()}, {oddIndex()}, oddIndex()});
    case 14:
      return p.links.resize(random() % 5);
    default:
      p.slotsPerSentValue = oddIndex();
    }
  }

private:
  std::mt19937 random;

  template <typename T, typename Change> void put(std::vector<T> &list, Change change) {
    if (!list.empty())
      change(list[random() % list.size()]);
  }
  int oddIndex() {
    constexpr int choices[] = {-2147483647 - 1, -2, -1, 0, 1, 2, 3, 5, 100, 2147483647};
    return choices[random() % 10];
  }
  int64_t oddBytes() {
    constexpr int64_t choices[] = {kUnlimited, -kUnlimited - 1, -1, 0, 1, 50, int64_t(1) << 56, (int64_t(1) << 56) + 1};
    return choices[random() % 8];
  }
  double oddNumber() {
    constexpr double inf = std::numeric_limits<double>::infinity();
    constexpr double choices[] = {0, -0.0, -1, 1e-320, 1e300, inf, -inf, std::numeric_limits<double>::quiet_NaN()};
    return choices[random() % 8];
  }
};

const char *const kCluster =
    "[[class]]\nname = 'zen4'\nthreads = 8\nbandwidth = \"40 GB/s\"\n[[device]]\nclass = 'zen4'\n"
    "memory = \"16 GiB\"\ncount = 3\n[link.other_host]\nlatency = 15e-6\nshared = true\n";

std::string mutate(std::string text, std::mt19937 &random) {
  for (unsigned i = 0, count = 1 + random() % 4; i < count && !text.empty(); ++i) {
    size_t at = random() % text.size();
    switch (random() % 3) {
    case 0:
      text[at] = static_cast<char>(random() % 256);
      break;
    case 1:
      text.erase(at, 1 + random() % 8);
      break;
    default:
      text.insert(at, text.substr(random() % text.size(), random() % 12));
    }
  }
  return text;
}

} // namespace

// A problem with numbers set at random is solved and verifies, or is refused in words.
TEST(PartitionGarbage, SpoiltProblems) {
  int numSolved = 0, numRefused = 0;
  for (unsigned seed = 0; seed < 20000; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Problem problem = RandomProblem(seed % 997).make(1 + static_cast<int>(seed % 4), 8, true);
    Spoiler spoiler(seed);
    for (unsigned i = 0; i <= seed % 3; ++i)
      spoiler.spoil(problem);
    Result result = solve(problem);
    ASSERT_NE(result.plan.has_value(), !result.errors.empty());
    result.plan ? ++numSolved : ++numRefused;
    if (result.plan) {
      std::vector<std::string> errors = verify(problem, *result.plan);
      ASSERT_TRUE(errors.empty()) << errors[0];
    }
  }
  EXPECT_GT(numSolved, 2000);
  EXPECT_GT(numRefused, 2000);
}

// Cluster files and profiles with bytes changed at random are read or refused in words.
TEST(PartitionGarbage, SpoiltFiles) {
  std::mt19937 random(1);
  std::string profile = toJson(makeCpuProfile("cpu", CpuTraits()));
  ASSERT_TRUE(parseCluster(kCluster, "c.toml").cluster.has_value());
  int numRefused = 0;
  for (int i = 0; i < 5000; ++i) {
    ClusterResult cluster = parseCluster(mutate(kCluster, random), "c.toml");
    ASSERT_NE(cluster.cluster.has_value(), !cluster.errors.empty());
    Calibration read = parseProfile(mutate(profile, random), "p.json");
    ASSERT_NE(read.profile.has_value(), !read.errors.empty());
    numRefused += !cluster.cluster + !read.profile;
  }
  EXPECT_GT(numRefused, 5000);
}
