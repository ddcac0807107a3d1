//===- Options.h - The command line of launch --------------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_RT_LAUNCH_OPTIONS_H
#define PENSTOCK_RT_LAUNCH_OPTIONS_H

#include "penstock/rt/Bench.h"
#include "penstock/rt/Rank.h"

namespace penstock {
namespace rt {

struct LaunchOptions {
  std::string folder;
  std::vector<const rt_role_desc *> roles; ///< linked into this program, which runs them as threads; else executables
  std::vector<std::string> inputs;         ///< NAME=FILE
  std::vector<std::string> archives;
  std::vector<std::string> dims, shapes, faults;
  std::string outputFolder, traceFile, recordFile, onHang, launcher = "auto";
  bool random = false, json = false, quiet = false, verbose = false, verifyWeights = false, recordResults = false;
  bool noSharedMemory = false, allInOne = false;
  uint64_t seed = 1;
  int64_t repeat = 1, inFlight = 0;
  double timeoutSeconds = 30;
};

/// False: the program ends with `exitStatus` (help, version, or a mistake that has been printed if this process
/// `tells`).
bool parseLaunchOptions(int argc, char **argv, LaunchOptions &options, int &exitStatus, bool tells);

/// The roles that this program has been linked with: none, or all of them.
std::vector<const rt_role_desc *> listLinkedRoles();
/// Becomes the folder's `all-in-one` with the same arguments; returns only on failure.
Status becomeAllInOne(const LaunchOptions &options, char **argv);
/// A program with all stages is to run as one process, not as one of several ranks.
Status checkAlone(const LaunchOptions &options, const LaunchedRank &rank);
/// A crash in any thread ends the process with status 1 and a line that names the stage. A debugger sees it first.
void reportCrashes();

/// Becomes `mpirun` or `srun` with one rank per stage and the same arguments; returns only on failure.
Status becomeLauncher(const LaunchOptions &options, int argc, char **argv);
/// As rank of a launcher: the stage to run, after a check of the number of ranks. -1: run all stages here.
Status chooseRole(const LaunchOptions &options, const LaunchedRank &rank, int32_t &role);
/// Runs what the options ask for and prints the results. `role`: -1, or the only one to run, as this rank. `turn`: 0,
/// and after a failure what Session::turnToTell() says.
Status launch(const LaunchOptions &options, int32_t role, const LaunchedRank &rank, int32_t &turn);

} // namespace rt
} // namespace penstock

#endif // PENSTOCK_RT_LAUNCH_OPTIONS_H
