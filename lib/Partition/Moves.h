//===- Moves.h - Improving a plan by moving units ---------------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// For plans that were not found by an exact search. Private to lib/Partition.
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_LIB_PARTITION_MOVES_H
#define PENSTOCK_LIB_PARTITION_MOVES_H

#include "Segment.h"

namespace penstock::partition {

/// Moves units out of and into the costliest stage as long as that helps, with at most `maxTrials` evaluations. The
/// plan stays within all constraints. Returns the bottleneck.
double improveByMoves(const Core &core, std::vector<int> &stageOfUnit, int64_t maxTrials);

} // namespace penstock::partition

#endif // PENSTOCK_LIB_PARTITION_MOVES_H
