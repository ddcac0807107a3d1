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
#include <iterator>

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

/// torchrun's own, in each of its workers: the name of the run.
static constexpr const char *kTorchRun = "TORCHELASTIC_RUN_ID";

static Status readNumber(const char *name, int32_t &value) {
  const char *text = std::getenv(name);
  char *end = nullptr;
  errno = 0;
  long number = std::strtol(text, &end, 10);
  if (errno != 0 || end == text || *end != '\0' || number < 0 || number > INT32_MAX)
    return fail(Code::kInvalid, "environment variable %s is '%s', expected a number", name, text);
  value = static_cast<int32_t>(number);
  return Status();
}

/// srun wires MPI up by PMIx or PMI, or, with --mpi=none, not at all.
static bool hasPmi() {
  for (const char *name : {"PMIX_NAMESPACE", "PMI_FD", "PMI_RANK"})
    if (std::getenv(name))
      return true;
  return false;
}

static Status readRank(const LauncherRow &row, LaunchedRank &found) {
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
  found.hasMpi = row.hasMpi && (std::string(row.launcher) != "srun" || hasPmi());
  return Status();
}

Status detectRank(LaunchedRank &found) {
  found = LaunchedRank();
  const LauncherRow &torch = kLaunchers[std::size(kLaunchers) - 1];
  if (std::getenv(kTorchRun) && std::getenv(torch.rank) && std::getenv(torch.size))
    return readRank(torch, found);
  for (const LauncherRow &row : kLaunchers)
    if (std::getenv(row.rank) && std::getenv(row.size))
      return readRank(row, found);
  return Status();
}

Status findMeetingPoint(const LaunchedRank &rank, MeetingPoint &found) {
  const char *host = std::getenv("MASTER_ADDR"), *run = std::getenv(kTorchRun);
  const char *own = std::getenv("PENSTOCK_PORT");
  if (!host || !*host || (!std::getenv("MASTER_PORT") && !own))
    return fail(
        Code::kInvalid,
        "%s started rank %d of %d without MPI, and the environment variables MASTER_ADDR and MASTER_PORT, which "
        "say where ranks meet, are not both set%s",
        rank.launcher, rank.rank, rank.size,
        std::string(rank.launcher) == "srun" ? "; 'srun --mpi=pmix' sets MPI up" : "");
  const char *name = own ? "PENSTOCK_PORT" : "MASTER_PORT";
  if (Status status = readNumber(name, found.port); !status.ok())
    return status;
  // The agent of torchrun keeps a store on its port.
  const char *agent = std::getenv("TORCHELASTIC_USE_AGENT_STORE");
  if (!own && agent && std::string(agent) == "True")
    ++found.port;
  if (found.port < 1 || found.port > 65535)
    return fail(Code::kInvalid, "environment variable %s leads to port %d, expected one of 1..65535", name, found.port);
  found.host = host;
  found.run = run ? run : "";
  return Status();
}

} // namespace rt
} // namespace penstock
