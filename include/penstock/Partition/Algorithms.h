//===- Algorithms.h - Finding a plan and proving how good it is ------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// solve() looks for the plan with the least bottleneck and returns it with a certificate: a proven lower bound, and
// whether the plan is optimal. Work is bounded by counts, never by time, so every machine gives the same answer.
//
// Units, ownership, threads: as in Problem.h. Errors: Result::errors, as text.
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_PARTITION_ALGORITHMS_H
#define PENSTOCK_PARTITION_ALGORITHMS_H

#include "penstock/Partition/Problem.h"

namespace penstock::partition {

/// Bounds on the work, and what to prefer among plans that are equally good.
struct SolveOptions {
  int64_t maxDownsets = 200'000;
  int64_t maxPairs = 20'000'000;
  /// Bytes of one table of the search.
  int64_t maxTableBytes = int64_t(256) << 20;
  /// Downsets kept per size by the beam.
  int beamWidth = 64;
  /// Among plans within (1 + trafficSlack) of the best, the one with the least traffic is taken. Above 0 the plan may
  /// cost that much more than the best, and the certificate says so.
  double trafficSlack = 0;
};

/// A plan, or the reasons why there is none.
struct Result {
  std::optional<Plan> plan;
  /// Not empty exactly when there is no plan.
  std::vector<std::string> errors;
  /// When the memory limits exclude every plan asked for: one that fits after the change that the error proposes.
  std::optional<Plan> suggestion;
};

Result solve(const Problem &problem, const SolveOptions &options = {});

} // namespace penstock::partition

#endif // PENSTOCK_PARTITION_ALGORITHMS_H
