//===- Engine.h - From a core to a placed core -------------------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The order of methods: an upper bound from a few topological orders; the exact search; where that is too large, the
// exact search without deferrable units; where that is too large, a beam and moves. Private to lib/Partition.
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_LIB_PARTITION_ENGINE_H
#define PENSTOCK_LIB_PARTITION_ENGINE_H

#include "Core.h"
#include "penstock/Partition/Algorithms.h"

namespace penstock::partition {

struct Placement {
  bool isFound = false;
  /// Not found, and all plans were considered.
  bool isProvedInfeasible = false;
  std::vector<int> stageOfUnit;
  double bottleneck = 0, lowerBound = 0;
  Method method = Method::Exact;
  int64_t numDownsets = 0, numPairs = 0;
};

Placement place(const Core &core, const SolveOptions &options);

} // namespace penstock::partition

#endif // PENSTOCK_LIB_PARTITION_ENGINE_H
