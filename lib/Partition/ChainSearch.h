//===- ChainSearch.h - The best chain of downsets ---------------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A plan is a chain of downsets from nothing to everything. searchChain() finds the best chain within a lattice by
// dynamic programming over (number of stages so far, downset), growing each candidate stage unit by unit and giving up
// where its floor passes the limit.
//
// Units, threads: as in Problem.h. Private to lib/Partition.
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_LIB_PARTITION_CHAINSEARCH_H
#define PENSTOCK_LIB_PARTITION_CHAINSEARCH_H

#include "Lattice.h"
#include "Segment.h"

#include <limits>

namespace penstock::partition {

struct ChainOptions {
  /// Only plans that cost at most this are looked for.
  double limit = std::numeric_limits<double>::infinity();
  int64_t maxPairs = 0;
  int64_t maxTableBytes = 0;
  /// True: least traffic among the plans within the limit. False: least bottleneck.
  bool minimisesTraffic = false;
};

struct ChainResult {
  /// False if a limit on work was reached; then nothing else holds.
  bool isFinished = false;
  /// Whether there is a plan within the limit. In a complete lattice, and when finished, "no" is a proof.
  bool isFound = false;
  double bottleneck = 0;
  std::vector<int> stageOfUnit;
  int64_t numPairs = 0;
};

ChainResult searchChain(const Core &core, const Lattice &lattice, const ChainOptions &options);

} // namespace penstock::partition

#endif // PENSTOCK_LIB_PARTITION_CHAINSEARCH_H
