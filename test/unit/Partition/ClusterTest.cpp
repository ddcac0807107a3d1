//===- ClusterTest.cpp - Cluster files -----------------------------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#include "penstock/Partition/Cluster.h"
#include "Graphs.h"
#include "penstock/Partition/Algorithms.h"

#include <gtest/gtest.h>

#include <fstream>

using namespace penstock::partition;
using namespace penstock::partition::test;

namespace {

const char *const kTwoHosts = R"(
[[class]]
name = "zen4"
threads = 8
gigahertz = 3.5
vector_bits = 512
bandwidth = "40 GB/s"

[[class]]
name = "gpu"
target = "cuda"
peak = { f32 = 6e13, bf16 = 9e14 }
bandwidth = "4.8 TB/s"
launch = "3 us"

[[device]]
name = "left"
class = "zen4"
host = "a"
memory = "16 GiB"
count = 2

[[device]]
name = "right"
class = "gpu"
host = "b"

[link.same_host]
latency = "1 us"
bandwidth = "10 GB/s"

[link.other_host]
latency = 15e-6
bandwidth = "3 GB/s"
transport = "nccl"

[link.sink]
latency = "2 ms"
)";

std::string firstError(const std::string &text) {
  ClusterResult result = parseCluster(text, "c.toml");
  EXPECT_EQ(result.cluster.has_value(), result.errors.empty());
  return result.errors.empty() ? "" : result.errors[0];
}

} // namespace

// A full file: classes, repeated devices, links by kind.
TEST(Cluster, ReadsAFullFile) {
  ClusterResult result = parseCluster(kTwoHosts, "c.toml");
  ASSERT_TRUE(result.cluster.has_value()) << result.errors[0];
  const Cluster &cluster = *result.cluster;
  ASSERT_EQ(cluster.classes.size(), 2u);
  EXPECT_EQ(cluster.classes[1].target, "cuda");
  EXPECT_EQ(cluster.classes[1].profile.peak.at(Precision::BF16), 9e14);
  EXPECT_DOUBLE_EQ(cluster.classes[1].profile.launchSeconds, 3e-6);
  EXPECT_DOUBLE_EQ(cluster.classes[0].profile.bytesPerSecond, 40e9);
  ASSERT_EQ(cluster.devices.size(), 3u);
  EXPECT_EQ(cluster.devices[1].name, "left1");
  EXPECT_EQ(cluster.devices[1].memoryLimitBytes, int64_t(16) << 30);
  EXPECT_EQ(cluster.devices[2].memoryLimitBytes, kUnlimited);
  EXPECT_FALSE(cluster.sameHost.isShared);
  EXPECT_TRUE(cluster.otherHost.isShared);
  EXPECT_DOUBLE_EQ(cluster.sink.latencySeconds, 2e-3);
  EXPECT_EQ(cluster.sameHostTransport + ", " + cluster.otherHostTransport, "host, nccl");
}

// Applied to a problem, each boundary gets the link of its two hosts, and the problem is solved with them.
TEST(Cluster, AppliesToAProblem) {
  Cluster cluster = *parseCluster(kTwoHosts, "c.toml").cluster;
  Problem problem = chain({1, 1, 1, 1}).finish(1);
  for (Kernel &kernel : problem.kernels)
    kernel.seconds = {1.0, 0.1};
  ASSERT_TRUE(applyCluster(cluster, 3, problem).empty());
  EXPECT_EQ(problem.deviceClasses, (std::vector<std::string>{"zen4", "gpu"}));
  EXPECT_DOUBLE_EQ(problem.links[0].bytesPerSecond, 10e9);
  EXPECT_DOUBLE_EQ(problem.links[1].bytesPerSecond, 3e9);
  EXPECT_TRUE(problem.links[1].isShared);
  Result result = solve(problem);
  ASSERT_TRUE(result.plan.has_value()) << result.errors[0];
  EXPECT_EQ(result.plan->bottleneck, 1);
  EXPECT_EQ(applyCluster(cluster, 4, problem), (std::vector<std::string>{"the cluster has 3 devices; 4 stages need as "
                                                                         "many"}));
  EXPECT_EQ(applyCluster(cluster, 0, problem), (std::vector<std::string>{"the number of stages is 0; expected at least "
                                                                         "1"}));
}

// What goes to a device and comes from one is copied there, beside what the link takes.
TEST(Cluster, StagingIsPartOfTheLinks) {
  std::string text = kTwoHosts, launch = "launch = \"3 us\"\n";
  text.insert(text.find(launch), "staging = { latency = \"10 us\", bandwidth = \"6 GB/s\" }\n");
  Cluster cluster = *parseCluster(text, "c.toml").cluster;
  Problem problem = chain({1, 1, 1, 1}).finish(1);
  ASSERT_TRUE(applyCluster(cluster, 3, problem).empty());
  EXPECT_EQ(problem.links[0].bytesPerSecond, 10e9);
  EXPECT_EQ(problem.links[0].latencySeconds, 1e-6);
  EXPECT_DOUBLE_EQ(problem.links[1].bytesPerSecond, 2e9);
  EXPECT_DOUBLE_EQ(problem.links[1].latencySeconds, 25e-6);
  cluster.devices[1].deviceClass = 1; // from one device to the next: twice
  ASSERT_TRUE(applyCluster(cluster, 3, problem).empty());
  EXPECT_DOUBLE_EQ(problem.links[1].bytesPerSecond, 1.5e9);
  EXPECT_DOUBLE_EQ(problem.links[1].latencySeconds, 35e-6);
}

// Without a file: equal devices, free links.
TEST(Cluster, LocalCluster) {
  Cluster cluster = makeLocalCluster(4, makeCpuProfile("cpu", CpuTraits()), 1000);
  Problem problem = chain({1, 1, 1, 1}).finish(1);
  ASSERT_TRUE(applyCluster(cluster, 4, problem).empty());
  EXPECT_EQ(problem.links.size(), 3u);
  EXPECT_EQ(problem.stages[3].memoryLimitBytes, 1000);
  EXPECT_TRUE(problem.check().empty());
}

// A profile is looked for beside the cluster file.
TEST(Cluster, ProfileBesideTheFile) {
  std::string folder = testing::TempDir();
  std::string profile = folder + "/penstock-cluster-profile.json", file = folder + "/penstock-cluster.toml";
  CpuTraits traits;
  traits.bytesPerSecond = 123;
  std::ofstream(profile) << toJson(makeCpuProfile("mine", traits));
  std::ofstream(file) << "[[class]]\nname = 'a'\nprofile = 'penstock-cluster-profile.json'\n[[device]]\n";
  ClusterResult result = readCluster(file);
  ASSERT_TRUE(result.cluster.has_value()) << result.errors[0];
  EXPECT_EQ(result.cluster->classes[0].profile.bytesPerSecond, 123);
  std::ofstream(profile) << "{";
  result = readCluster(file);
  ASSERT_FALSE(result.cluster.has_value());
  EXPECT_EQ(result.errors[0], file + ":1:1: class 'a': " + profile + ": is not JSON");
  std::remove(profile.c_str());
  std::remove(file.c_str());
}

// Mistakes are named with their place.
TEST(Cluster, MistakesAreNamedWithTheirPlace) {
  const std::string head = "[[class]]\nname = 'a'\n[[device]]\n";
  EXPECT_EQ(firstError(head), "");
  EXPECT_EQ(firstError("[[class]\n").substr(0, 9), "c.toml:1:");
  EXPECT_EQ(firstError(""), "c.toml:1:1: no [[class]] is given; expected at least one");
  EXPECT_EQ(firstError("[[class]]\nname = 'a'\n"), "c.toml:1:1: no [[device]] is given; expected one per stage");
  EXPECT_EQ(firstError(head + "memory = 'lots'\n"),
            "c.toml:4:10: 'memory' is \"lots\"; expected a size such as \"16 GiB\"");
  EXPECT_EQ(firstError(head + "memory = -1\n"), "c.toml:4:10: 'memory' is -1; expected a size such as \"16 GiB\"");
  EXPECT_EQ(firstError(head + "memory = '9e30 GiB'\n"),
            "c.toml:4:10: 'memory' is \"9e30 GiB\"; expected a size such as \"16 GiB\"");
  EXPECT_EQ(firstError(head + "count = 0\n"), "c.toml:4:9: 'count' is 0; expected a whole number from 1 to 4096");
  EXPECT_EQ(firstError(head + "count = 99999999999\n"),
            "c.toml:4:9: 'count' is 99999999999; expected a whole number from 1 to 4096");
  EXPECT_EQ(firstError(head + "class = 'b'\nname = 'd'\n"), "c.toml:3:1: device 'd' has class 'b'; expected one of: a");
  EXPECT_EQ(firstError(head + "memroy = 1\n"), "c.toml:4:1: unknown key 'memroy' in a device");
  EXPECT_EQ(firstError("device = 3\n" + std::string("[[class]]\nname = 'a'\n")),
            "c.toml:1:10: 'device' is 3; expected tables [[device]]");
  EXPECT_EQ(firstError(head + "[linkk]\n"), "c.toml:4:2: unknown key 'linkk'; expected class, device or link");
  EXPECT_EQ(firstError(head + "[link.far]\n"),
            "c.toml:4:7: unknown link 'far'; expected same_host, other_host, source or sink");
  EXPECT_EQ(firstError(head + "[link.sink]\nshared = true\n"), "c.toml:5:1: unknown key 'shared' in link.sink");
  EXPECT_EQ(firstError(head + "[link.same_host]\nbandwidth = '10 GB'\n"),
            "c.toml:5:13: 'bandwidth' is \"10 GB\"; expected a rate such as \"10 GB/s\"");
  EXPECT_EQ(firstError(head + "[link.same_host]\nbandwidth = 0\n"),
            "c.toml:5:13: 'bandwidth' is 0; expected a rate such as \"10 GB/s\"");
  EXPECT_EQ(firstError(head + "[link.same_host]\nlatency = '2 furlongs'\n"),
            "c.toml:5:11: 'latency' is \"2 furlongs\"; expected a time such as \"2 us\"");
  EXPECT_EQ(firstError(head + "[link.same_host]\ntransport = 'pigeon'\n"),
            "c.toml:5:13: 'transport' is \"pigeon\"; expected \"host\" or \"nccl\"");
  EXPECT_EQ(firstError(head + "[link.same_host]\nshared = 1\n"), "c.toml:5:10: 'shared' is 1; expected true or false");
  EXPECT_EQ(firstError("[[class]]\n[[device]]\n"), "c.toml:1:1: a class has no name");
  EXPECT_EQ(firstError("[[class]]\nname = 'a'\n[[class]]\nname = 'a'\n[[device]]\nclass = 'a'\n"),
            "c.toml:3:1: class 'a' is given twice");
  EXPECT_EQ(firstError("[[class]]\nname = 'a'\ntarget = 'tpu'\n[[device]]\n"),
            "c.toml:3:10: 'target' is \"tpu\"; expected \"cpu\" or \"cuda\"");
  EXPECT_EQ(firstError("[[class]]\nname = 'a'\ntarget = 'cuda'\n[[device]]\n"),
            "c.toml:1:1: class 'a' has neither a profile nor a peak; a cuda class needs one");
  EXPECT_EQ(firstError("[[class]]\nname = 'a'\nstaging = { latency = '1 us' }\n[[device]]\n"),
            "c.toml:1:1: class 'a' has staging, which is for devices with memory of their own; expected target = "
            "\"cuda\"");
  EXPECT_EQ(firstError("[[class]]\nname = 'a'\nthreads = 2\npeak = { f32 = 1 }\n[[device]]\n"),
            "c.toml:1:1: class 'a' has more than one of: a profile, a peak, and what a CPU offers on paper (threads, "
            "gigahertz, ...)");
  EXPECT_EQ(firstError("[[class]]\nname = 'a'\npeak = { f99 = 1 }\n[[device]]\n"),
            "c.toml:3:10: unknown precision 'f99'; expected f32, f16, bf16, i8 or f64");
  EXPECT_EQ(firstError("[[class]]\nname = 'a'\npeak = { f32 = 1 }\n[[device]]\n"),
            "c.toml:1:1: device profile 'a': the bandwidth is 0; expected a finite number above 0");
  EXPECT_EQ(firstError("[[class]]\nname = 'a'\ngigahertz = 'fast'\n[[device]]\n"),
            "c.toml:3:13: 'gigahertz' is \"fast\"; expected a number above 0");
  EXPECT_EQ(readCluster("/nonexistent.toml").errors[0], "/nonexistent.toml: cannot be read: No such file or directory");
}

// A key that begins with a letter from elsewhere is a mistake with a place like any other.
TEST(Cluster, LettersBeyondAscii) {
  EXPECT_NE(firstError("\xcf\xb6 = 1\n").find("c.toml:1:"), std::string::npos);
  EXPECT_NE(firstError("caf\xc3\xa9 = 1\n").find("c.toml:1:"), std::string::npos);
}

// Sizes as people write them.
TEST(Cluster, ByteSizes) {
  EXPECT_EQ(parseByteSize("8GiB"), int64_t(8) << 30);
  EXPECT_EQ(parseByteSize("1.5 kB"), 1500);
  EXPECT_EQ(parseByteSize("12"), 12);
  EXPECT_EQ(parseByteSize("12 parsecs"), std::nullopt);
  EXPECT_EQ(parseByteSize("-1"), std::nullopt);
  EXPECT_EQ(parseByteSize(""), std::nullopt);
  EXPECT_EQ(parseByteSize("nan"), std::nullopt);
  EXPECT_EQ(parseByteSize("1e30 TiB"), std::nullopt);
}
