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
int64_t largestCount = 0, lastCount = 0;

/// Cuts as the runtime does, but whatever the grain, and runs the last part first.
template <int numThreads>
void runBackwards(void *, int64_t count, int64_t grain, PartFunction function, void *argument) {
  ++numCalls;
  largestCount = std::max(largestCount, count);
  lastCount = count;
  EXPECT_GE(grain, 1);
  int64_t numParts = std::min<int64_t>(numThreads, count);
  for (int64_t part = numParts - 1; part >= 0; --part)
    function(argument, part * count / numParts, (part + 1) * count / numParts, static_cast<int32_t>(part));
}

void runOnThreads(void *, int64_t count, int64_t, PartFunction function, void *argument) {
  ++numCalls;
  lastCount = count;
  std::vector<std::thread> threads;
  for (int64_t part = 0; part < 4; ++part)
    threads.emplace_back(function, argument, part * count / 4, (part + 1) * count / 4, static_cast<int32_t>(part));
  for (std::thread &thread : threads)
    thread.join();
}

using ParallelFor = void (*)(void *, int64_t, int64_t, PartFunction, void *);
constexpr ParallelFor kWays[] = {runBackwards<1>, runBackwards<2>, runBackwards<3>, runBackwards<7>, runOnThreads};
ParallelFor way = kWays[0];

/// What kernels are linked to: one object runs in all ways.
void runThatWay(void *context, int64_t count, int64_t grain, PartFunction function, void *argument) {
  way(context, count, grain, function, argument);
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
  Kernel shared(text, parallelProfile(), nullptr, {{"rt_parallel_for", reinterpret_cast<void *>(runThatWay)}});
  ASSERT_TRUE(shared.ok()) << shared.error;
  EXPECT_NE(shared.compiled.hash, serial.compiled.hash);
  for (ParallelFor function : kWays) {
    way = function;
    numCalls = 0;
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

void expectProduct(const std::string &lhs, const std::string &rhs, const std::string &result, int64_t count,
                   const std::vector<int64_t> &symbols = {0, 0, 0, 0}, const std::string &element = "f32") {
  std::string left = tensorType(lhs, element), right = tensorType(rhs, element);
  expectSameBits({{left, right}, "%r = nn.matmul %0, %1 : " + left + ", " + right, {tensorType(result, element)}},
                 symbols);
  EXPECT_EQ(lastCount, count) << lhs << " " << rhs; // what fills the result comes before
}

/// Columns of one tile of sums.
int64_t tileOf(int64_t elementBytes = 4) {
  unsigned bits = hostProfile().vectorBits;
  return (bits == 512 ? 4 : 2) * bits / 8 / elementBytes;
}

// Columns that many rows read are copied, by each thread for itself, as many products at a time as its stack holds.
TEST(Parallel, copiedColumns) {
  expectProduct("70x40", "40x1100", "70x1100", 1100 / tileOf());
  expectProduct("70x700", "700x1100", "70x1100", 1100 / tileOf());
  expectProduct("1x70x700", "700x1100", "1x70x1100", 1100 / tileOf());
  expectProduct("50x513", "513x1030", "50x1030", 1030 / tileOf(8), {0, 0, 0, 0}, "f64");
  expectProduct("3x64x300", "3x300x130", "3x64x130", 3);
}

// Few columns: blocks of rows are shared.
TEST(Parallel, rowsOfFewColumns) {
  expectProduct("1001x300", "300x70", "1001x70", 28);
  expectProduct("1001x300", "300x5", "1001x5", 28);
}

TEST(Parallel, productsOfFreeExtents) {
  for (std::vector<int64_t> symbols : {std::vector<int64_t>{1, 70, 300, 1100}, {2, 33, 65, 1030}, {1, 5, 700, 520}}) {
    expectProduct("s1xs2", "s2xs3", "s1xs3", symbols[3] / tileOf(), symbols);
    expectProduct("s0xs1xs2", "s0xs2x96", "s0xs1x96", symbols[0], symbols);
  }
}

/// A convolution with `stride`, `group` and 3x3 weights.
void expectConvolution(const std::string &image, const std::string &filter, const std::string &result, int64_t group,
                       const std::vector<int64_t> &symbols = {0, 0, 0, 0}) {
  expectSameBits({{tensorType(image), tensorType(filter)},
                  "%r = nn.conv %0, %1 {strides = array<i64: 2, 2>, dilations = array<i64: 1, 1>, pads = array<i64: 0, "
                  "0, 0, 0>, group = " +
                      std::to_string(group) + " : i64} : " + tensorType(image) + ", " + tensorType(filter),
                  {tensorType(result)}},
                 symbols);
}

// Every second column is copied; several reductions go through one panel.
TEST(Parallel, copiedEverySecondColumn) {
  expectConvolution("1x24x41x83", "40x24x3x3", "1x40x20x41", 1);
  expectConvolution("2x12x41x83", "96x6x3x3", "2x96x20x41", 2);
}

void expectReduction(const std::string &input, const std::string &op, const std::string &result, int64_t count,
                     const std::vector<int64_t> &symbols = {0, 0, 0, 0}) {
  largestCount = 0;
  expectSameBits({{tensorType(input)}, "%r = nn." + op + " : " + tensorType(input), {tensorType(result)}}, symbols);
  EXPECT_EQ(largestCount, count) << input << " " << op;
}

// The results of a reduction along leading axes are shared in blocks.
TEST(Parallel, leadingAxes) {
  expectReduction("301x1100", "reduce sum %0 axes [0]", "1100", 9);
  expectReduction("301x7000", "reduce max %0 axes [0]", "7000", 28);
  expectReduction("1x301x700", "reduce mean %0 axes [1]", "1x700", 11);
  expectReduction("90x33x70", "reduce sum %0 axes [0, 2]", "33", 33);
  expectReduction("40x50x700", "reduce sum %0 axes [0, 1]", "700", 40);
  expectReduction("301x100x10", "reduce prod %0 axes [0]", "100x10", 17);
  expectReduction("301x700", "softmax %0 axis 0", "301x700", 301);
}

TEST(Parallel, positionsOfExtremes) {
  std::string type = tensorType("301x700");
  largestCount = 0;
  expectSameBits({{type}, "%r = nn.arg_reduce max %0 axis 0 : " + type, {tensorType("700", "i64")}});
  EXPECT_EQ(largestCount, 11);
}

// Both what fills the result and the reduction are shared.
TEST(Parallel, leadingAxesOfFreeExtents) {
  std::string type = tensorType("s0xs1xs2");
  for (std::vector<int64_t> symbols : {std::vector<int64_t>{1, 301, 700, 0}, {3, 17, 1, 0}, {2, 1, 257, 0}}) {
    expectSameBits({{type}, "%r = nn.reduce sum %0 axes [1] : " + type, {tensorType("s0xs2")}}, symbols);
    EXPECT_EQ(numCalls, 2);
  }
}

// One sum of everything has one order of additions, and so one thread.
TEST(Parallel, sumsOfEverythingStaySerial) {
  std::string type = tensorType("1000x1000");
  Kernel kernel(KernelText{{type}, "%r = nn.reduce sum %0 axes [0, 1] : " + type, {"tensor<f32>"}}.str(),
                parallelProfile());
  ASSERT_TRUE(kernel.ok()) << kernel.error;
  EXPECT_EQ(kernel.compiled.object.find("rt_parallel_for"), std::string::npos);
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
