//===- Rank.cpp - Which process of a launcher this is ------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "penstock/rt/Rank.h"

#include <cerrno>
#include <climits>
#include <cstdlib>

namespace penstock {
namespace rt {

namespace {
/// The variables of one kind of launcher.
struct LauncherRow {
  const char *launcher, *rank, *size, *localSize;
  bool hasMpi;
};
} // namespace

// Slurm sets SLURM_PROCID in batch scripts too, where there is one process only; SLURM_STEP_NUM_TASKS is srun's own.
static constexpr LauncherRow kLaunchers[] = {
    {"mpirun", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_SIZE", true},
    {"srun", "SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_NTASKS_PER_NODE", true},
    {"mpiexec", "PMI_RANK", "PMI_SIZE", "MPI_LOCALNRANKS", true},
    {"torchrun", "RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", false}};

static Status readNumber(const char *name, int32_t &value) {
  const char *text = std::getenv(name);
  char *end = nullptr;
  errno = 0;
  long number = std::strtol(text, &end, 10);
  if (errno != 0 || end == text || *end != '\0' || number < 0 || number > INT32_MAX)
    return fail(Code::kInvalid, "environment variable %s is '%s', expected a number of processes", name, text);
  value = static_cast<int32_t>(number);
  return Status();
}

Status detectRank(LaunchedRank &found) {
  found = LaunchedRank();
  for (const LauncherRow &row : kLaunchers) {
    if (!std::getenv(row.rank) || !std::getenv(row.size))
      continue;
    if (Status status = readNumber(row.rank, found.rank); !status.ok())
      return status;
    if (Status status = readNumber(row.size, found.size); !status.ok())
      return status;
    found.localSize = found.size;
    if (std::getenv(row.localSize))
      if (Status status = readNumber(row.localSize, found.localSize); !status.ok())
        return status;
    if (found.rank >= found.size)
      return fail(Code::kInvalid, "environment variable %s is %d, expected less than %s, which is %d", row.rank,
                  found.rank, row.size, found.size);
    found.launcher = row.launcher;
    found.hasMpi = row.hasMpi;
    return Status();
  }
  return Status();
}

} // namespace rt
} // namespace penstock
