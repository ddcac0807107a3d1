//===- Options.h - The command line of launch --------------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_RT_LAUNCH_OPTIONS_H
#define PENSTOCK_RT_LAUNCH_OPTIONS_H

#include "penstock/rt/Bench.h"

namespace penstock {
namespace rt {

struct LaunchOptions {
  std::string folder;
  std::vector<std::string> inputs; ///< NAME=FILE
  std::vector<std::string> archives;
  std::vector<std::string> dims, shapes, faults;
  std::string outputFolder, traceFile, recordFile, launcher = "local";
  bool random = false, json = false, quiet = false, verbose = false, verifyWeights = false, recordResults = false;
  uint64_t seed = 1;
  int64_t repeat = 1, inFlight = 0;
  double timeoutSeconds = 30;
};

/// False: the program ends with `exitStatus` (help, version, or a mistake that has been printed).
bool parseLaunchOptions(int argc, char **argv, LaunchOptions &options, int &exitStatus);

/// Runs what the options ask for and prints the results.
Status launch(const LaunchOptions &options);

} // namespace rt
} // namespace penstock

#endif // PENSTOCK_RT_LAUNCH_OPTIONS_H
