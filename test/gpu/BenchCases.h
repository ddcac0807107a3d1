//===- BenchCases.h - Kernels that are timed on a GPU --------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_TEST_GPU_BENCHCASES_H
#define PENSTOCK_TEST_GPU_BENCHCASES_H

#include <string>
#include <vector>

namespace penstock::test {

/// A kernel of fixed shapes.
struct BenchCase {
  std::string name; ///< "product: bert_base up, batch 32, bf16"; what kind it is comes first
  std::string text; ///< an `nn.kernel_def`
};

/// The kernels of resnet50, vit_b_16, bert_base and gpt2 whose speed is promised, with batches of 1 and 32, in f32 and
/// bf16. `isSmall`: the same ones, of models so small that they can be played on the host, with a batch of 1.
std::vector<BenchCase> listBenchCases(bool isSmall);

} // namespace penstock::test

#endif // PENSTOCK_TEST_GPU_BENCHCASES_H
