//===- SettingsFuzzer.cpp - Whatever people give besides models --*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The first byte chooses the reader: plan, times of kernels, device profile, cluster. What is refused has a reason,
// what is accepted can be used, and a profile is read as it was written.
//
//===----------------------------------------------------------------------===//
#include "penstock/Partition/Cluster.h"
#include "penstock/Partition/PlanFile.h"

#include <cstdint>
#include <cstdlib>

using namespace penstock::partition;

static void require(bool condition) {
  if (!condition)
    abort();
}

static void readProfileText(const std::string &text) {
  Calibration read = parseProfile(text, "x");
  require(read.profile.has_value() == read.errors.empty());
  if (read.profile)
    require(parseProfile(toJson(*read.profile), "x").profile.has_value());
}

static void readClusterText(const std::string &text) {
  ClusterResult read = parseCluster(text, "x");
  require(read.cluster.has_value() == read.errors.empty());
  Problem problem;
  if (read.cluster)
    require(applyCluster(*read.cluster, int(read.cluster->devices.size()), problem).empty());
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t numBytes) {
  if (numBytes == 0)
    return 0;
  std::string text(reinterpret_cast<const char *>(data) + 1, numBytes - 1);
  switch (data[0] % 4) {
  case 0: {
    PlanStages plan = parsePlanStages(text, "x");
    require(plan.stages.empty() != plan.error.empty());
    break;
  }
  case 1: {
    DeviceProfile profile;
    bool isRead = addMeasuredTimes(text, "x", profile).empty();
    require(isRead || profile.profiledSeconds.empty());
    break;
  }
  case 2:
    readProfileText(text);
    break;
  default:
    readClusterText(text);
  }
  return 0;
}
