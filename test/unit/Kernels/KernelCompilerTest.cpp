//===- KernelCompilerTest.cpp - Objects of kernels --------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "KernelHarness.h"

using namespace penstock;
using namespace penstock::test;

static const char *const kRelu = R"(
nn.kernel_def @relu(%a: tensor<2x?xf32, #nn.extents<[s0]>>) -> (tensor<2x?xf32, #nn.extents<[s0]>>) symbols 1 {
  %0 = nn.unary relu %a : tensor<2x?xf32, #nn.extents<[s0]>>
  nn.yield %0 : tensor<2x?xf32, #nn.extents<[s0]>>
})";

TEST(KernelCompiler, RunsOneKernel) {
  Kernel kernel(kRelu);
  ASSERT_TRUE(kernel.ok()) << kernel.error;
  for (int64_t extent : {0, 1, 7, 64, 129}) {
    std::vector<Array> inputs = kernel.randomInputs({extent});
    std::vector<Array> results = kernel.run(inputs, {extent});
    ASSERT_EQ(results[0].dims, (std::vector<int64_t>{2, extent}));
    for (int64_t i = 0; i < results[0].size(); ++i)
      EXPECT_EQ(results[0].values[i], std::max(inputs[0].values[i], 0.0));
  }
}
