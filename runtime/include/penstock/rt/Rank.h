//===- Rank.h - Which process of a launcher this is --------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Launchers of parallel programs tell a process its number by environment variables. Nothing else of them is used here.
//
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_RT_RANK_H
#define PENSTOCK_RT_RANK_H

#include "penstock/rt/Status.h"

namespace penstock {
namespace rt {

struct LaunchedRank {
  const char *launcher = nullptr; ///< "mpirun", "srun", "torchrun"; null: started by hand
  int32_t rank = 0, size = 1;
  int32_t localSize = 1; ///< ranks on this host
  bool hasMpi = false;   ///< the launcher can wire MPI up
};

/// Reads the variables of Open MPI, PMI (Slurm, MPICH) and torchrun, in this order; torchrun's first where it says that
/// it is torchrun, since it may itself be a rank of another launcher. kInvalid: they contradict each other or are no
/// numbers.
Status detectRank(LaunchedRank &found);

/// Where ranks meet that MPI does not join.
struct MeetingPoint {
  std::string host; ///< name or address of the host of rank 0
  int32_t port = 0; ///< on which rank 0 listens
  std::string run;  ///< what the launcher calls the run; the same for all its ranks, may be empty
};

/// MASTER_ADDR and MASTER_PORT, as torchrun sets them. Where torchrun itself listens on that port, the next one;
/// PENSTOCK_PORT decides if it is set. kInvalid: a variable is missing or is no port.
Status findMeetingPoint(const LaunchedRank &rank, MeetingPoint &found);

} // namespace rt
} // namespace penstock

#endif // PENSTOCK_RT_RANK_H
