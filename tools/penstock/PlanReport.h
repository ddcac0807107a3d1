//===- PlanReport.h - What each number of stages would cost ----*- C++ -*-===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
// The answers of the partitioner for a range of stage counts, as a table, as JSON and as a page of HTML.
// Units: seconds and bytes inside; ms and bytes in the JSON, which docs/plan.md describes.
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_TOOLS_PENSTOCK_PLANREPORT_H
#define PENSTOCK_TOOLS_PENSTOCK_PLANREPORT_H

#include "penstock/Partition/Problem.h"

#include "llvm/Support/raw_ostream.h"
#include <nlohmann/json.hpp>

namespace penstock::tool {

/// One number of stages: a plan, or why there is none.
struct PlanEntry {
  int numStages = 0;
  partition::Problem problem;
  std::optional<partition::Plan> plan;
  std::string error;

  /// The slowest stage or link.
  double getBottleneckSeconds() const;
  /// What no plan can beat; nullopt when something else than time was balanced.
  std::optional<double> getLowerBoundSeconds() const;
  /// The share of the stages' time that an endless stream leaves idle.
  double getBubble() const;
  int64_t getLargestMemoryBytes() const;
};

struct PlanReport {
  std::string model, balance;
  std::string tier;                  ///< where the costs come from: analytic, calibrated or profiled
  std::vector<std::string> profiles; ///< the devices that they are for
  int numKernels = 0;
  double oneStageSeconds = 0; ///< all kernels on the first device
  std::vector<PlanEntry> entries;
  std::vector<std::string> notes;

  /// The plan with the least bottleneck, with few stages rather than many; null if there is no plan.
  const PlanEntry *getBest() const;
};

/// What one stage takes per microbatch.
double getRoleSeconds(const partition::Problem &problem, const partition::StageCost &stage);

void printTable(const PlanReport &report, bool verbose, llvm::raw_ostream &os);
nlohmann::ordered_json toJson(const PlanReport &report);
/// One page that needs nothing else.
void printHtml(const PlanReport &report, llvm::raw_ostream &os);

std::string formatMs(double seconds);
std::string formatBytes(int64_t numBytes);
/// "optimal", or how far from the bound, and whether that is proved.
std::string formatCertificate(const partition::Plan &plan);

} // namespace penstock::tool

#endif // PENSTOCK_TOOLS_PENSTOCK_PLANREPORT_H
