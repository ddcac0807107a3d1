//===- Ranks.cpp - launch under mpirun, srun and the like --------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "Options.h"

#include <climits>
#include <cstdlib>
#include <unistd.h>

namespace penstock {
namespace rt {

/// Set for the processes that a launcher starts on our behalf.
static constexpr const char *kLaunched = "PENSTOCK_LAUNCHED";

Status becomeLauncher(const LaunchOptions &options, int argc, char **argv) {
  if (std::getenv(kLaunched))
    return fail(Code::kInvalid, "--launcher %s: '%s' has started this process and does not say as which rank",
                options.launcher.c_str(), options.launcher.c_str());
  Plan plan;
  if (Status status = Plan::load(options.folder, plan); !status.ok())
    return status;
  setenv(kLaunched, "1", 1);
  // Open MPI 4 now and then takes a rank that has left MPI in order for one that has not (docs/runtime/Ranks.md).
  setenv("OMPI_MCA_orte_allowed_exit_without_sync", "1", 0);
  std::vector<std::string> words = {options.launcher, "-n", std::to_string(plan.stages.size()),
                                    options.folder + "/launch"};
  for (int i = 1; i < argc; ++i)
    words.push_back(argv[i]);
  std::vector<char *> pointers;
  for (std::string &word : words)
    pointers.push_back(&word[0]);
  pointers.push_back(nullptr);
  execvp(pointers[0], pointers.data());
  return Status(
      Code::kInvalid,
      failErrno("--launcher %s: cannot start '%s'", options.launcher.c_str(), options.launcher.c_str()).message());
}

Status chooseRole(const LaunchOptions &options, const LaunchedRank &rank, int32_t &role) {
  role = -1;
  if (!rank.launcher || options.launcher == "local")
    return Status();
  Plan plan;
  if (Status status = Plan::load(options.folder, plan); !status.ok())
    return status;
  auto numStages = static_cast<int32_t>(plan.stages.size());
  if (rank.size != numStages)
    return fail(Code::kInvalid,
                "the model was compiled into %d stages, and %s started %d processes; expected %d, one per stage",
                numStages, rank.launcher, rank.size, numStages);
  if (numStages == 1)
    return Status();
  MeetingPoint point;
  if (!rank.hasMpi)
    if (Status status = findMeetingPoint(rank, point); !status.ok())
      return status;
  // An executable of one stage that a launcher started says which it is.
  const char *stage = std::getenv("PENSTOCK_STAGE");
  role = stage ? static_cast<int32_t>(std::atoi(stage)) : rank.rank;
  unsetenv("PENSTOCK_STAGE");
  if (role < 0 || role >= numStages)
    return fail(Code::kInvalid, "stage %d was started, expected one of 0..%d", role, numStages - 1);
  return Status();
}

} // namespace rt
} // namespace penstock
