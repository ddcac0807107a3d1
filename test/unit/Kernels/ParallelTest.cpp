//===- ParallelTest.cpp - Kernels whose loops threads share -----*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The oracle is the kernel for one thread: its bits must come out for any number of parts, in any order, and on
// threads.
//
//===----------------------------------------------------------------------===//

#include "KernelText.h"

#include <algorithm>
#include <thread>

using namespace penstock;
using namespace penstock::test;

namespace {

using PartFunction = void (*)(void *, int64_t, int64_t, int32_t);

/// What the last run's calls of rt_parallel_for looked like.
int numCalls = 0;
int64_t largestCount = 0;

/// Cuts as the runtime does, but whatever the grain, and runs the last part first.
template <int numThreads>
void runBackwards(void *, int64_t count, int64_t grain, PartFunction function, void *argument) {
  ++numCalls;
  largestCount = std::max(largestCount, count);
  EXPECT_GE(grain, 1);
  int64_t numParts = std::min<int64_t>(numThreads, count);
  for (int64_t part = numParts - 1; part >= 0; --part)
    function(argument, part * count / numParts, (part + 1) * count / numParts, static_cast<int32_t>(part));
}

void runOnThreads(void *, int64_t count, int64_t, PartFunction function, void *argument) {
  ++numCalls;
  std::vector<std::thread> threads;
  for (int64_t part = 0; part < 4; ++part)
    threads.emplace_back(function, argument, part * count / 4, (part + 1) * count / 4, static_cast<int32_t>(part));
  for (std::thread &thread : threads)
    thread.join();
}

TargetProfile parallelProfile() {
  TargetProfile profile = hostProfile();
  profile.numThreads = 2;
  return profile;
}

/// The same bits from the kernel for one thread, and from the shared one however it is cut.
void expectSameBits(const KernelText &how, const std::vector<int64_t> &symbols = {0, 0, 0, 0}) {
  std::string text = how.str();
  Kernel serial(text);
  ASSERT_TRUE(serial.ok()) << serial.error;
  std::vector<Array> inputs = serial.randomInputs(symbols);
  std::vector<Array> expected = serial.run(inputs, symbols);
  using Function = void (*)(void *, int64_t, int64_t, PartFunction, void *);
  for (Function function : {Function(runBackwards<1>), Function(runBackwards<2>), Function(runBackwards<3>),
                            Function(runBackwards<7>), Function(runOnThreads)}) {
    numCalls = 0;
    Kernel shared(text, parallelProfile(), nullptr, {{"rt_parallel_for", reinterpret_cast<void *>(function)}});
    ASSERT_TRUE(shared.ok()) << shared.error;
    EXPECT_NE(shared.compiled.hash, serial.compiled.hash);
    std::vector<Array> results = shared.run(inputs, symbols);
    EXPECT_GT(numCalls, 0) << text;
    ASSERT_EQ(results.size(), expected.size());
    for (size_t i = 0; i < results.size(); ++i) {
      EXPECT_EQ(results[i].dims, expected[i].dims);
      EXPECT_EQ(results[i].values, expected[i].values) << text;
    }
  }
}

TEST(Parallel, elementwise) {
  std::string type = tensorType("37x700x5"), bias = tensorType("5");
  expectSameBits({{type, bias},
                  "%a = nn.unary gelu %0 : " + type + "\n  %r = nn.binary add %a, %1 : " + type + ", " + bias,
                  {type}});
  EXPECT_EQ(largestCount, 37);
}

// A batch of one is not what is cut.
TEST(Parallel, leadingDimensionOfOne) {
  std::string type = tensorType("1x300x40");
  largestCount = 0;
  expectSameBits({{type}, "%r = nn.unary tanh %0 : " + type, {type}});
  EXPECT_EQ(largestCount, 300);
}

TEST(Parallel, rowsOfReductions) {
  std::string type = tensorType("96x501"), scale = tensorType("501");
  expectSameBits({{type}, "%r = nn.softmax %0 axis 1 : " + type, {type}});
  expectSameBits(
      {{type, scale}, "%r = nn.layer_norm %0 scale %1 : " + scale + " axis 1 {epsilon = 1.0e-5} : " + type, {type}});
  expectSameBits({{type}, "%r = nn.reduce sum %0 axes [1] : " + type, {tensorType("96")}});
}

TEST(Parallel, movement) {
  std::string type = tensorType("3x130x300"), turned = tensorType("300x3x130");
  expectSameBits({{type}, "%r = nn.transpose %0 [2, 0, 1] : " + type, {turned}});
}

TEST(Parallel, contractions) {
  std::string lhs = tensorType("24x9x40"), rhs = tensorType("24x40x70"), product = tensorType("24x9x70");
  expectSameBits({{lhs, rhs}, "%r = nn.matmul %0, %1 : " + lhs + ", " + rhs, {product}});
  std::string image = tensorType("1x32x30x50"), filter = tensorType("32x1x3x3");
  expectSameBits({{image, filter},
                  "%r = nn.conv %0, %1 {strides = array<i64: 1, 1>, dilations = array<i64: 1, 1>, pads = array<i64: 1, "
                  "1, 1, 1>, group = 32 : i64} : " +
                      image + ", " + filter,
                  {image}});
}

// Unknown extents: the runtime decides by count and grain.
TEST(Parallel, freeExtents) {
  std::string type = tensorType("s0xs1x64");
  for (std::vector<int64_t> symbols : {std::vector<int64_t>{1, 200, 0, 0}, {3, 17, 0, 0}, {1, 1, 0, 0}})
    expectSameBits({{type}, "%r = nn.softmax %0 axis 2 : " + type, {type}}, symbols);
}

// What does not pay is not shared out, and is not even another function.
TEST(Parallel, smallKernelsStaySerial) {
  std::string type = tensorType("20x30");
  Kernel kernel(KernelText{{type}, "%r = nn.unary relu %0 : " + type, {type}}.str(), parallelProfile());
  ASSERT_TRUE(kernel.ok()) << kernel.error;
  EXPECT_EQ(kernel.compiled.object.find("rt_parallel_for"), std::string::npos);
}

// Code for one thread never enters the pool.
TEST(Parallel, oneThreadHasNoCalls) {
  std::string type = tensorType("1000x1000");
  Kernel kernel(KernelText{{type}, "%r = nn.unary relu %0 : " + type, {type}}.str());
  ASSERT_TRUE(kernel.ok()) << kernel.error;
  EXPECT_EQ(kernel.compiled.object.find("rt_parallel_for"), std::string::npos);
}

} // namespace
