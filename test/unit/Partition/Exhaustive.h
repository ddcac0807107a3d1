//===- Exhaustive.h - The oracle of the partition tests ---------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Tries every assignment of kernels to stages of a small problem and prices each by itself. It knows the data of
// Problem.h and the formulas of docs/Partition.md, and calls no function of the library.
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_TEST_UNIT_PARTITION_EXHAUSTIVE_H
#define PENSTOCK_TEST_UNIT_PARTITION_EXHAUSTIVE_H

#include "penstock/Partition/Problem.h"

namespace penstock::partition::test {

struct Best {
  bool isFeasible = false;
  double bottleneck = 0;
  /// Least traffic among the plans of that bottleneck.
  int64_t trafficBytes = 0;
  int64_t numPlans = 0; ///< that obey all constraints
};

Best solveExhaustively(const Problem &problem);

} // namespace penstock::partition::test

#endif // PENSTOCK_TEST_UNIT_PARTITION_EXHAUSTIVE_H
