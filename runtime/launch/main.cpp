//===- main.cpp - launch -----------------------------------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Lies in every output folder and runs it: `DIR/launch --input image=cat.npy --output-dir results/`. Under mpirun or
// srun it runs one stage of it. Linked with the roles, as `all-in-one`, it runs them as threads. Exit status: 0 done, 2
// what the user gave is wrong, 1 the world failed.
//
//===----------------------------------------------------------------------===//
#include "Options.h"

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <malloc.h>
#include <new>
#include <unistd.h>

/// Ends at once with status 1; the roles end with this process, and no half result has been written under its name.
static void interrupted(int) {
  static constexpr char kText[] = "error: interrupted\n";
  ssize_t ignored = write(STDERR_FILENO, kText, sizeof(kText) - 1);
  (void)ignored;
  _exit(1);
}

/// As a rank, we are ended by a launcher that has its reasons and tells them.
static void ended(int) { _exit(1); }

using namespace penstock::rt;

/// The turn of another rank, which has the word. Who ends ends all: a launcher ends the other ranks then, and Open
/// MPI's takes a second for that. In naps: time in which this process was held, and the others with it, is no turn.
static void giveTurn() {
  for (int i = 0; i < 60; ++i)
    usleep(50000);
}

/// What all ranks notice is told by the first; the others give it time to do so.
static void letFirstTell(const LaunchedRank &rank) {
  if (rank.launcher && rank.rank > 0)
    giveTurn();
}

/// False: another rank tells of the failure.
static bool awaitTurn(const LaunchedRank &rank, int32_t turn) {
  for (int32_t i = 0; rank.launcher && i < std::abs(turn); ++i)
    giveTurn();
  return turn >= 0;
}

static int run(int argc, char **argv) {
  // Results are given back when they are done with; the C library would get to keep twenty of them.
  mallopt(M_MMAP_THRESHOLD, 128 * 1024);
  for (int number : {SIGINT, SIGTERM, SIGHUP})
    std::signal(number, interrupted);
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN); // a limit of the size of files is an error of the write that meets it
  LaunchedRank rank;
  Status status = detectRank(rank);
  if (rank.launcher)
    std::signal(SIGTERM, ended);
  LaunchOptions options;
  int exitStatus = 0;
  if (!parseLaunchOptions(argc, argv, options, exitStatus, /*tells=*/rank.rank == 0)) {
    letFirstTell(rank);
    return exitStatus;
  }
  options.roles = listLinkedRoles();
  bool allInOne = options.allInOne || !options.roles.empty();
  bool wanted = options.launcher == "mpirun" || options.launcher == "srun";
  if (status.ok() && allInOne)
    status = checkAlone(options, rank);
  if (status.ok() && allInOne && options.roles.empty())
    status = becomeAllInOne(options, argv);
  if (status.ok() && wanted && !rank.launcher)
    status = becomeLauncher(options, argc, argv);
  int32_t role = -1;
  if (status.ok() && !allInOne)
    status = chooseRole(options, rank, role);
  if (allInOne)
    reportCrashes();
  bool tells = rank.rank == 0;
  if (!status.ok())
    letFirstTell(rank);
  if (status.ok()) {
    int32_t turn = 0;
    status = launch(options, role, rank, turn);
    tells = turn >= 0;
    // What is wrong with an input, every rank that reads it sees.
    if (role > 0 && status.exitStatus() == 2)
      letFirstTell(rank);
    else if (!status.ok())
      tells = awaitTurn(rank, turn);
  }
  if (!status.ok() && tells)
    std::fprintf(stderr, "error: %s\n", status.message().c_str());
  if (!status.ok() && allInOne)
    _exit(status.exitStatus()); // threads of stages may still run
  return status.exitStatus();
}

int main(int argc, char **argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception &error) {
    bool isMemory = dynamic_cast<const std::bad_alloc *>(&error);
    std::fprintf(stderr, "error: %s\n", isMemory ? "memory is exhausted" : error.what());
    return 1;
  }
}
