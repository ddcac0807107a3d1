//===- InvalidTest.cpp - What the partitioner refuses, and its words ---*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Each case breaks one thing in a problem that is otherwise sound.
//===----------------------------------------------------------------------===//
#include "Graphs.h"
#include "penstock/Partition/Algorithms.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>

using namespace penstock::partition;
using namespace penstock::partition::test;

namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInf = std::numeric_limits<double>::infinity();

Problem sound() {
  Problem problem = chain({1, 2, 3, 4}).finish(2);
  problem.weights = {{"w", 100}};
  problem.kernels[0].weights = {0};
  return problem;
}

Cut cutAt(int kernel, std::optional<int> boundary = std::nullopt) {
  Cut cut;
  cut.name = "v" + std::to_string(kernel);
  cut.before = {kernel};
  cut.after = {kernel + 1};
  cut.boundary = boundary;
  return cut;
}

struct Case {
  const char *name;
  const char *message;
  std::function<void(Problem &)> spoil;
};

class PartitionInvalid : public testing::TestWithParam<Case> {};

const Case kCases[] = {
    {"NoKernel", "there is no kernel to place", [](Problem &p) { p.kernels.clear(), p.values.clear(); }},
    {"NoStage", "the number of stages is 0; expected at least 1",
     [](Problem &p) { p.stages.clear(), p.links.clear(); }},
    {"MoreStagesThanKernels", "cannot make 5 stages from 4 kernels; each stage needs at least one",
     [](Problem &p) { p.stages.resize(5), p.links.clear(); }},
    {"NoDeviceClass", "there is no device class; expected at least 1", [](Problem &p) { p.deviceClasses.clear(); }},
    {"CostsOfWrongLength", "kernel 'k1' has costs for 2 device classes; expected 1",
     [](Problem &p) { p.kernels[1].seconds = {1, 1}; }},
    {"NanCost", "kernel 'k1' has a cost in seconds of nan; expected a finite number, not negative",
     [](Problem &p) { p.kernels[1].seconds[0] = kNan; }},
    {"NegativeCost", "kernel 'k1' has a cost in seconds of -1; expected a finite number, not negative",
     [](Problem &p) { p.kernels[1].seconds[0] = -1; }},
    {"InfiniteCost", "kernel 'k1' has a cost in seconds of inf; expected a finite number, not negative",
     [](Problem &p) { p.kernels[1].seconds[0] = kInf; }},
    {"UnnamedKernel", "kernel #1 has a cost in seconds of -1; expected a finite number, not negative",
     [](Problem &p) { p.kernels[1].seconds[0] = -1, p.kernels[1].name.clear(); }},
    {"CostsThatOverflow", "the costs of all kernels together are not finite",
     [](Problem &p) { p.kernels[0].seconds[0] = p.kernels[1].seconds[0] = 1.7e308; }},
    {"NegativeResident", "kernel 'k2' has resident memory of -1 bytes; expected 0 to 2^56",
     [](Problem &p) { p.kernels[2].residentBytes = -1; }},
    {"NegativeWorkspace", "kernel 'k2' has a workspace of -8 bytes; expected 0 to 2^56",
     [](Problem &p) { p.kernels[2].workspaceBytes = -8; }},
    {"NegativeWeight", "weight 'w' has a length of -5 bytes; expected 0 to 2^56",
     [](Problem &p) { p.weights[0].numBytes = -5; }},
    {"HugeWeight", "weight 'w' has a length of 9223372036854775807 bytes; expected 0 to 2^56",
     [](Problem &p) { p.weights[0].numBytes = kUnlimited; }},
    {"SumOfBytesOverflows",
     "all weights, values and workspaces together have about 2.30584e+18 bytes; expected at most 2e+18",
     [](Problem &p) { p.weights.assign(32, Weight{"big", int64_t(1) << 56}); }},
    {"UnknownWeight", "kernel 'k0' names weight 7, but there are 1", [](Problem &p) { p.kernels[0].weights = {7}; }},
    {"NegativeValue", "value 'v1' has a length of -2 bytes; expected 0 to 2^56",
     [](Problem &p) { p.values[1].numBytes = -2; }},
    {"UnknownProducer", "value 'v1' names as producer kernel 9, but there are 4",
     [](Problem &p) { p.values[1].producer = 9; }},
    {"UnknownConsumer", "value 'v1' names as consumer kernel -1, but there are 4",
     [](Problem &p) { p.values[1].consumers = {-1}; }},
    {"OwnResult", "kernel 'k1' reads its own result 'v1'; expected a graph without cycles",
     [](Problem &p) { p.values[1].consumers = {1}; }},
    {"Cycle", "the kernels form a cycle: 'k3' -> 'k1' -> 'k2' -> 'k3'",
     [](Problem &p) { p.values[3].consumers = {1}; }},
    {"UnknownDeviceClass", "stage 1 names device class 3, but there are 1",
     [](Problem &p) { p.stages[1].deviceClass = 3; }},
    {"NoMemory", "stage 1 has a memory limit of 0 bytes; expected more than 0",
     [](Problem &p) { p.stages[1].memoryLimitBytes = 0; }},
    {"TooManyLinks", "there are 2 links for 2 stages; expected one per boundary, or none",
     [](Problem &p) { p.links.resize(2); }},
    {"NanLatency", "the link at boundary 0 has a latency in seconds of nan; expected a finite number, not negative",
     [](Problem &p) { p.links[0].latencySeconds = kNan; }},
    {"NoBandwidth", "the link at boundary 0 has a bandwidth of 0 bytes per second; expected more than 0",
     [](Problem &p) { p.links[0].bytesPerSecond = 0; }},
    {"NanSourceBandwidth", "the link from the source has a bandwidth of nan bytes per second; expected more than 0",
     [](Problem &p) { p.sourceLink.bytesPerSecond = kNan; }},
    {"NegativeSinkLatency",
     "the link to the sink has a latency in seconds of -1; expected a finite number, not negative",
     [](Problem &p) { p.sinkLink.latencySeconds = -1; }},
    {"NegativeSlots", "slots per value are -2 sent and 0 received; expected 0 to 4096",
     [](Problem &p) { p.slotsPerSentValue = -2; }},
    {"NegativeReceivedSlots", "slots per value are 2 sent and -2 received; expected 0 to 4096",
     [](Problem &p) { p.slotsPerSentValue = 2, p.slotsPerReceivedValue = -2; }},
    {"NegativeDepth", "the depth of channels is limited to -1; expected at least 1, or 0",
     [](Problem &p) { p.maxDepth = -1; }},
    {"PinOfUnknownKernel", "pin #0 names kernel 4, but there are 4", [](Problem &p) { p.pins = {{4, 0}}; }},
    {"PinToUnknownStage", "pin #0 names stage 2, but there are 2", [](Problem &p) { p.pins = {{0, 2}}; }},
    {"PinnedTwice", "kernel 'k0' is pinned to stage 0 and to stage 1", [](Problem &p) { p.pins = {{0, 0}, {0, 1}}; }},
    {"PinsAgainstTheFlow",
     "kernel 'k1' cannot be placed: it must be in stage 1 or later because kernel 'k1' is pinned to stage 1, and in "
     "stage "
     "0 or earlier because kernel 'k3' is pinned to stage 0",
     [](Problem &p) { p.pins = {{1, 1}, {3, 0}}; }},
    {"PinsThatEmptyAStage", "stage 1 would be empty: pins and cuts place every kernel elsewhere",
     [](Problem &p) { p.pins = {{3, 0}}; }},
    {"PinsThatCrowdAStage", "no plan of 4 stages obeys the pins and cuts: some stage would be empty",
     [](Problem &p) {
       p.stages.resize(4), p.links.clear();
       p.pins = {{1, 0}, {3, 3}};
     }},
    {"CutOfNothing", "cut 'v0' names no kernel that comes before it",
     [](Problem &p) { p.cuts = {cutAt(0)}, p.cuts[0].before.clear(); }},
    {"CutOfUnknownKernel", "cut 'v7' names kernel 7, but there are 4", [](Problem &p) { p.cuts = {cutAt(7)}; }},
    {"CutAtUnknownBoundary", "cut 'v0' names boundary 1, but there are 1", [](Problem &p) { p.cuts = {cutAt(0, 1)}; }},
    {"CutAtTheEnd", "cut 'v3' leaves nothing after it: all 4 kernels come before",
     [](Problem &p) { p.cuts = {cutAt(3)}, p.cuts[0].after.clear(); }},
    {"CutWithSidesSwapped", "cut 'v2' is contradictory: kernel 'k1' would be on both sides of it",
     [](Problem &p) { p.cuts = {cutAt(2)}, p.cuts[0].after = {1}; }},
    {"TooManyCuts", "2 cuts need at least 3 stages, but there are 2",
     [](Problem &p) { p.cuts = {cutAt(0), cutAt(1)}; }},
    {"CutsOutOfOrder",
     "cut 'v1' is at boundary 0, but cut 'v0', which lies inside it, is at boundary 1; expected a later one",
     [](Problem &p) {
       p.stages.resize(4), p.links.clear();
       p.cuts = {cutAt(0, 1), cutAt(1, 0)};
     }},
    {"CutNotOneForOne",
     "cut 'v0' is at boundary 1, but as number 1 of 2 nested cuts of 3 stages it can only be at boundary 0",
     [](Problem &p) {
       p.stages.resize(3), p.links.clear();
       p.cuts = {cutAt(0, 1), cutAt(1)};
     }},
    {"ColocationOfUnknownKernel", "colocation group 'state' names kernel 8, but there are 4",
     [](Problem &p) { p.colocations = {{"state", {0, 8}}}; }},
    {"ColocationLeavesTooFew",
     "cannot make 2 stages: the 4 kernels form only 1 units that can be separated (kernels that share a state, and "
     "what "
     "lies between them, stay together)",
     [](Problem &p) { p.colocations = {{"state", {0, 3}}}; }},
    {"ColocationAcrossACut", "cut 'v1' is contradictory: kernel 'k0' would be on both sides of it",
     [](Problem &p) {
       p.colocations = {{"state", {0, 2}}};
       p.cuts = {cutAt(1)};
     }},
    {"ColocationPinnedApart",
     "kernel 'k0' cannot be placed: it must be in stage 1 or later because kernel 'k1' is pinned to stage 1, and in "
     "stage "
     "0 or earlier because kernel 'k0' is pinned to stage 0",
     [](Problem &p) {
       p.colocations = {{"state", {0, 1}}};
       p.pins = {{0, 0}, {1, 1}};
     }},
};

} // namespace

// Each broken problem is refused with its own words, by check() where the data show it and by solve() in any case.
TEST_P(PartitionInvalid, IsRefusedWithAClearMessage) {
  ASSERT_TRUE(sound().check().empty());
  Problem problem = sound();
  GetParam().spoil(problem);
  Result result = solve(problem);
  EXPECT_FALSE(result.plan.has_value());
  ASSERT_FALSE(result.errors.empty());
  EXPECT_EQ(result.errors.front(), GetParam().message);
}

INSTANTIATE_TEST_SUITE_P(Cases, PartitionInvalid, testing::ValuesIn(kCases),
                         [](const testing::TestParamInfo<Case> &info) { return info.param.name; });

// Two cuts in parallel branches: neither contains the other.
TEST(PartitionInvalidCuts, CutsThatAreNotNested) {
  GraphBuilder graph;
  int root = graph.kernel(1, {}), left = graph.kernel(1, {root}), right = graph.kernel(1, {root});
  graph.kernel(1, {left, right});
  Problem problem = graph.finish(4);
  Cut a, b;
  a.name = "left";
  a.before = {left};
  b.name = "right";
  b.before = {right};
  problem.cuts = {a, b};
  std::vector<std::string> errors = problem.check();
  ASSERT_EQ(errors.size(), 1u);
  EXPECT_EQ(errors[0], "cuts 'left' and 'right' are not nested: kernel 'k1' comes before the first but not before the "
                       "second, and kernel 'k2' the other way round");
}

// All problems are told at once, up to a limit.
TEST(PartitionInvalidMany, ErrorsAreListedTogether) {
  Problem problem = sound();
  problem.kernels[0].seconds = {-1};
  problem.kernels[2].seconds = {kNan};
  problem.values[1].numBytes = -1;
  EXPECT_EQ(problem.check().size(), 3u);
  for (Kernel &kernel : problem.kernels)
    kernel.weights.assign(100, 99);
  EXPECT_LE(problem.check().size(), 20u);
}

// Options out of range are an error, not a crash.
TEST(PartitionInvalidOptions, OptionsOutOfRange) {
  SolveOptions options;
  options.trafficSlack = kNan;
  Result result = solve(sound(), options);
  ASSERT_EQ(result.errors.size(), 1u);
  EXPECT_NE(result.errors[0].find("out of range"), std::string::npos);
  options = SolveOptions();
  options.maxDownsets = 0;
  EXPECT_EQ(solve(sound(), options).errors.size(), 1u);
}

// verify() finds each figure that was tampered with.
TEST(PartitionVerify, FindsTamperedPlans) {
  Problem problem = sound();
  problem.links[0].latencySeconds = 1;
  Plan plan = *solve(problem).plan;
  ASSERT_TRUE(verify(problem, plan).empty());
  const std::pair<const char *, std::function<void(Plan &)>> cases[] = {
      {"the plan places 3 kernels; expected 4", [](Plan &p) { p.stageOf.pop_back(); }},
      {"kernel 'k0' is in stage 5; expected 0 to 1", [](Plan &p) { p.stageOf[0] = 5; }},
      {"stage 1 is empty", [](Plan &p) { p.stageOf = {0, 0, 0, 0}; }},
      {"kernel 'k1' is in stage 0 but reads 'v0', which is made in stage 1", [](Plan &p) { p.stageOf = {1, 0, 1, 1}; }},
      {"kernel 'k0' is cloned into stage 1 but is not cloneable", [](Plan &p) { p.clones = {{0, 1}}; }},
      {"the bottleneck is given as 1; expected 6", [](Plan &p) { p.bottleneck = p.lowerBound = 1; }},
      {"stage 0: send time is given as 0; expected 1", [](Plan &p) { p.stages[0].sendSeconds = 0; }},
      {"stage 0: bytes of memory is given as 0; expected 132", [](Plan &p) { p.stages[0].memoryBytes = 0; }},
      {"the channels do not agree with the kernels' stages", [](Plan &p) { p.channels.clear(); }},
      {"the plan claims to be optimal, but its gap is 1", [](Plan &p) { p.lowerBound = 3, p.gap = 1; }},
      {"the lower bound 7 is not between 0 and the bottleneck 6", [](Plan &p) { p.lowerBound = 7; }},
  };
  for (const auto &[message, tamper] : cases) {
    Plan changed = plan;
    tamper(changed);
    std::vector<std::string> errors = verify(problem, changed);
    EXPECT_NE(std::find(errors.begin(), errors.end(), message), errors.end())
        << message << (errors.empty() ? "" : "\ngot: " + errors[0]);
  }
  problem.stages[0].memoryLimitBytes = 10;
  EXPECT_EQ(verify(problem, plan).size(), 1u);
  EXPECT_EQ(verify(problem, plan)[0], "stage 0 needs 132 bytes; its limit is 10");
}
