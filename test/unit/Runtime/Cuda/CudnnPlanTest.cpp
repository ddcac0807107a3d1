//===- CudnnPlanTest.cpp - The library's own answers --------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Where cuDNN is installed it makes plans without a device, from a device's properties. So what the compiler gives to
// it is shown to have engines, on every kind of chip. Those of attentions are compiled for the chip: the driver here
// loads what comes out (standin/CodeOnlyDriver.cpp). Nothing is run.
//
//===----------------------------------------------------------------------===//
#include "Cudnn.h"

#include <dlfcn.h>
#include <gtest/gtest.h>

using namespace penstock::rt;
using namespace penstock::rt::cuda;

/// Of what the library allocates for its heuristics, cuBLASLt's handles among it, it does not give all back, and part
/// of it comes from modules that are gone when leaks are looked for. Leaks of the code under test are found by
/// CudnnTest.
extern "C" const char *__lsan_default_options() { return "detect_leaks=0"; }

namespace {

/// A device as cuDNN writes it down; `arch` is 900 for sm_90.
std::string describeDevice(int arch, int numProcessors) {
  return R"({"deviceName": "a device", "deviceVer": )" + std::to_string(arch) + R"(, "multiProcessorCount": )" +
         std::to_string(numProcessors) +
         R"(, "warpSize": 32, "regsPerBlock": 65536, "maxRegistersPerSM": 65536, "maxCtasPerSM": 32,
          "maxThreadsPerBlock": 1024, "maxThreadsPerSM": 2048, "maxGridSize": [2147483647, 65535, 65535],
          "maxBlockSize": [1024, 1024, 64], "maxSharedMemoryPerBlock": 49152, "maxSharedMemoryPerBlockOptin": 166912,
          "reservedSharedMemoryPerBlock": 1024, "smClockRateKHz": 1410000, "memClockRateKHz": 1593000,
          "l2CacheSize": 41943040, "totalGlobalMem": 85899345920, "pciDeviceId": 0, "isTccDriver": 0,
          "supportCoopLaunch": 1, "driverVer": 13000, "cudaDeviceId": 0})";
}

/// Images and filters; the result is as large as they say.
ConvolutionProblem describe(ConvolutionProblem::Shape input, ConvolutionProblem::Shape filter,
                            ConvolutionProblem::Pair strides = {1, 1}, ConvolutionProblem::Pair before = {},
                            ConvolutionProblem::Pair after = {}, ConvolutionProblem::Pair dilations = {1, 1}) {
  ConvolutionProblem problem;
  problem.input = input, problem.filter = filter, problem.strides = strides, problem.dilations = dilations;
  problem.padsBefore = before, problem.padsAfter = after;
  problem.result = {input[0], filter[0], 0, 0};
  for (size_t i = 0; i < 2; ++i)
    problem.result[i + 2] =
        (input[i + 2] + before[i] + after[i] - dilations[i] * (filter[i + 2] - 1) - 1) / strides[i] + 1;
  problem.workspaceBytes = 32 << 20;
  return problem;
}

const ConvolutionProblem kProblems[] = {
    describe({1, 3, 224, 224}, {64, 3, 7, 7}, {2, 2}, {3, 3}, {3, 3}),
    describe({1, 64, 56, 56}, {64, 64, 3, 3}, {1, 1}, {1, 1}, {1, 1}),
    describe({8, 64, 28, 28}, {256, 64, 1, 1}),
    describe({1, 96, 112, 112}, {96, 1, 3, 3}, {2, 2}, {1, 1}, {1, 1}),        // a filter for each channel
    describe({1, 112, 28, 28}, {112, 28, 1, 1}),                               // groups
    describe({2, 16, 20, 20}, {24, 16, 3, 3}, {1, 1}, {2, 2}, {2, 2}, {2, 2}), // spread out
    describe({1, 16, 20, 20}, {24, 16, 3, 3}, {2, 2}, {0, 0}, {1, 1}),         // zeros on one side
    describe({1, 16, 20, 20}, {24, 2, 3, 3}, {2, 1}, {1, 0}, {2, 3}, {1, 2}),  // all at once
    describe({2, 80, 1, 300}, {32, 80, 1, 3}, {1, 2}, {0, 1}, {0, 1}),         // one axis
    describe({3, 7, 9, 11}, {5, 7, 2, 4}, {3, 3}, {2, 2}, {1, 1}),
    describe({1, 1, 1, 1}, {1, 1, 1, 1}),
    describe({1, 3, 5, 5}, {2, 3, 1, 1}, {1, 1}, {3, 3}, {3, 3})};

class CudnnPlans : public testing::TestWithParam<std::pair<int, int>> {
protected:
  void SetUp() override {
    if (std::string(PENSTOCK_TEST_CUDNN).empty())
      GTEST_SKIP() << "no libcudnn.so.9 in /usr/local/cuda";
    ASSERT_TRUE(dlopen(PENSTOCK_TEST_DRIVER, RTLD_NOW | RTLD_GLOBAL)) << dlerror();
    std::string error;
    auto [arch, numProcessors] = GetParam();
    library = Cudnn::openWithout(PENSTOCK_TEST_CUDNN, describeDevice(arch, numProcessors), error);
    ASSERT_TRUE(library) << error;
  }
  /// Empty: there is a plan.
  template <typename Problem> std::string trouble(const Problem &problem) {
    std::unique_ptr<CudnnPlan> plan;
    if (dnn::Outcome outcome = library->make(problem, plan))
      return library->wordsOf(outcome);
    EXPECT_LE(plan->workspaceBytes(), problem.workspaceBytes);
    return "";
  }

  std::unique_ptr<Cudnn> library;
};

// All kinds of convolutions in all types, alone and with what follows them.
TEST_P(CudnnPlans, whatTheCompilerGives) {
  for (ConvolutionProblem problem : kProblems)
    for (ConvolutionType type : {ConvolutionType::kF32, ConvolutionType::kF16, ConvolutionType::kBF16})
      for (int bits : {0, 1, 3, 5, 7}) {
        problem.type = type;
        problem.hasBias = bits & 1, problem.hasResidual = bits & 2, problem.hasRelu = bits & 4;
        EXPECT_EQ(trouble(problem), "") << "problem " << &problem - kProblems << ", type " << int(type) << ", " << bits;
      }
}

// The same with the channels last, for types of tensor cores.
TEST_P(CudnnPlans, channelsLast) {
  for (ConvolutionProblem problem : kProblems)
    for (ConvolutionType type : {ConvolutionType::kF16, ConvolutionType::kBF16})
      for (int bits : {0, 1, 3, 5, 7}) {
        problem.type = type, problem.isChannelsLast = true;
        problem.hasBias = bits & 1, problem.hasResidual = bits & 2, problem.hasRelu = bits & 4;
        EXPECT_EQ(trouble(problem), "") << "problem " << &problem - kProblems << ", type " << int(type) << ", " << bits;
      }
}

// With TF32 allowed there are more engines, and without scratch memory fewer.
TEST_P(CudnnPlans, limits) {
  for (ConvolutionProblem problem : kProblems) {
    problem.allowsTf32 = true;
    EXPECT_EQ(trouble(problem), "");
    problem.allowsTf32 = false, problem.workspaceBytes = 0;
    EXPECT_EQ(trouble(problem), "");
  }
}

// What the compiler leaves to generated code has no engine: a residual or relu without a bias.
TEST_P(CudnnPlans, whatItDoesNot) {
  ConvolutionProblem problem = kProblems[1];
  problem.hasRelu = true;
  EXPECT_EQ(trouble(problem), "CUDNN_STATUS_NOT_SUPPORTED");
  problem.hasResidual = true;
  EXPECT_EQ(trouble(problem), "CUDNN_STATUS_NOT_SUPPORTED");
}

/// Heads beside each other in rows.
AttentionProblem describeAttention(int64_t batch, int64_t heads, int64_t keyHeads, int64_t rows, int64_t positions,
                                   int64_t features, int64_t valueFeatures) {
  auto inRows = [](int64_t numHeads, int64_t numRows, int64_t numFeatures) {
    return AttentionProblem::Strides{numHeads * numRows * numFeatures, numFeatures, numHeads * numFeatures};
  };
  AttentionProblem problem;
  problem.batch = batch, problem.heads = heads, problem.keyHeads = keyHeads, problem.rows = rows;
  problem.positions = positions, problem.features = features, problem.valueFeatures = valueFeatures;
  problem.query = inRows(heads, rows, features), problem.key = inRows(keyHeads, positions, features);
  problem.value = inRows(keyHeads, positions, valueFeatures), problem.result = inRows(heads, rows, valueFeatures);
  problem.workspaceBytes = 32 << 20;
  return problem;
}

const AttentionProblem kAttentions[] = {
    describeAttention(1, 12, 12, 197, 197, 64, 64), describeAttention(32, 12, 12, 128, 128, 64, 64),
    describeAttention(1, 32, 8, 1, 4096, 128, 128), // one token after many
    describeAttention(2, 6, 2, 3, 5, 8, 24),        describeAttention(1, 1, 1, 1, 1, 8, 8),
    describeAttention(3, 4, 1, 17, 1, 256, 256),    describeAttention(1, 2, 2, 33, 2049, 72, 40)};

// Attentions in both types, and with masks that are the same for some axes or for none: another kind for each shape.
TEST_P(CudnnPlans, attentions) {
  size_t number = 0;
  for (AttentionProblem problem : kAttentions) {
    problem.scale = 0.125f;
    for (AttentionType type : {AttentionType::kF16, AttentionType::kBF16}) {
      problem.type = type;
      EXPECT_EQ(trouble(problem), "") << "problem " << number << ", type " << int(type);
    }
    const std::array<int64_t, 3> kMasks[] = {{problem.batch, problem.heads, problem.rows},
                                             {problem.batch, 1, 1},
                                             {1, 1, problem.rows},
                                             {1, problem.heads, 1}};
    problem.hasMask = true, problem.mask = kMasks[number % 4];
    EXPECT_EQ(trouble(problem), "") << "problem " << number << ", with a mask";
    ++number;
  }
}

// Operands that lie in the rows of one product, and by heads.
TEST_P(CudnnPlans, attentionsWhereTheyLie) {
  AttentionProblem problem = describeAttention(2, 12, 12, 128, 128, 64, 64);
  problem.query = problem.key = problem.value = {128 * 2304, 64, 2304};
  EXPECT_EQ(trouble(problem), "");
  problem.query = problem.key = problem.value = {2304, 64, 2 * 2304}; // rows before images
  problem.result = {768, 64, 2 * 768};
  EXPECT_EQ(trouble(problem), "");
  problem.query = problem.key = problem.value = problem.result = {12 * 128 * 64, 128 * 64, 64};
  EXPECT_EQ(trouble(problem), "");
}

// What the compiler leaves to products: features that are not multiples of 8.
TEST_P(CudnnPlans, attentionsItDoesNot) {
  EXPECT_EQ(trouble(describeAttention(1, 2, 2, 16, 16, 12, 12)), "CUDNN_STATUS_NOT_SUPPORTED");
}

INSTANTIATE_TEST_SUITE_P(Chips, CudnnPlans,
                         testing::Values(std::pair(800, 108), std::pair(890, 142), std::pair(900, 132),
                                         std::pair(1000, 148)),
                         [](const auto &info) { return "sm" + std::to_string(info.param.first / 10); });

// A device that the library does not know, and a library that is not one.
TEST(CudnnWithoutDevice, refused) {
  std::string error;
  EXPECT_FALSE(Cudnn::openWithout("libc.so.6", "", error));
  EXPECT_EQ(error, "libc.so.6 has no 'cudnnGetVersion'; install cuDNN 9");
  EXPECT_FALSE(Cudnn::openWithout("libnone.so", "", error));
  EXPECT_EQ(error.substr(0, 20), "no cuDNN: libnone.so");
  if (std::string(PENSTOCK_TEST_CUDNN).empty())
    GTEST_SKIP() << "no libcudnn.so.9 in /usr/local/cuda";
  EXPECT_FALSE(Cudnn::openWithout(PENSTOCK_TEST_CUDNN, "{}", error));
  EXPECT_EQ(error, std::string(PENSTOCK_TEST_CUDNN) + " does not know the device: CUDNN_STATUS_BAD_PARAM");
}

} // namespace
