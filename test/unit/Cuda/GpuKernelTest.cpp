//===- GpuKernelTest.cpp - Every case on the played GPU ---------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Every kernel that a case of this program runs on the CPU runs on the machine too.
//
//===----------------------------------------------------------------------===//

#include "GpuHarness.h"

using namespace penstock;
using namespace penstock::test;

namespace {

/// What is kept of a kernel between its runs.
struct Kept {
  std::unique_ptr<GpuKernel> gpu;
};

void compare(Kernel &kernel, const std::vector<Array> &inputs, const std::vector<int64_t> &symbols,
             const std::vector<Array> &results) {
  if (!kernel.observed) {
    auto kept = std::make_shared<Kept>();
    auto made = GpuKernel::create(kernel.op);
    if (made)
      kept->gpu = std::move(*made);
    else
      ADD_FAILURE() << llvm::toString(made.takeError()) << getText(kernel);
    kernel.observed = kept;
  }
  auto &kept = *std::static_pointer_cast<Kept>(kernel.observed);
  if (!kept.gpu)
    return;
  std::string finding;
  std::vector<Array> got = runOnMachine(kernel, *kept.gpu, inputs, symbols, finding);
  EXPECT_EQ(finding, "") << getText(kernel);
  if (finding.empty())
    expectResults(kernel, inputs, got, results);
}

const testing::Environment *const environment = observeAll(compare);

} // namespace
