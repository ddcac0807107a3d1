//===- PlanFile.h - What earlier plans and runs say ---------------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Two kinds of JSON that Penstock writes and takes back: a plan (plan.json of a folder, or of `penstock plan --json`),
// of which the kernels of each stage count, and times of kernels (`penstock bench --json`). People edit them, so
// anything may be in them: a mistake is a text that names the file. Nesting and size are bounded.
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_PARTITION_PLANFILE_H
#define PENSTOCK_PARTITION_PLANFILE_H

#include "penstock/Partition/CostModel.h"

namespace penstock::partition {

/// Names of the kernels of each stage; empty exactly when `error` is not.
struct PlanStages {
  std::vector<std::vector<std::string>> stages;
  std::string error;
};
PlanStages parsePlanStages(const std::string &json, const std::string &fileName);
/// The same from a file of at most 64 MiB.
PlanStages readPlanStages(const std::string &fileName);

/// Adds the times of kernels that `penstock bench --json` wrote to a profile, as profiled ones: by "FUNCTION NAME", and
/// by function alone, as the mean. The error, or nothing.
std::string addMeasuredTimes(const std::string &json, const std::string &fileName, DeviceProfile &profile);

} // namespace penstock::partition

#endif // PENSTOCK_PARTITION_PLANFILE_H
