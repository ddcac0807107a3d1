//===- main.cpp - launch -----------------------------------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Lies in every output folder and runs it: `DIR/launch --input image=cat.npy --output-dir results/`. Exit status: 0
// done, 2 what the user gave is wrong, 1 the world failed.
//
//===----------------------------------------------------------------------===//
#include "Options.h"

#include <csignal>
#include <cstdio>
#include <unistd.h>

/// Ends at once with status 1; the roles end with this process, and no half result has been written under its name.
static void interrupted(int) {
  static constexpr char kText[] = "error: interrupted\n";
  ssize_t ignored = write(STDERR_FILENO, kText, sizeof(kText) - 1);
  (void)ignored;
  _exit(1);
}

int main(int argc, char **argv) {
  for (int number : {SIGINT, SIGTERM, SIGHUP})
    std::signal(number, interrupted);
  std::signal(SIGPIPE, SIG_IGN);
  penstock::rt::LaunchOptions options;
  int exitStatus = 0;
  if (!penstock::rt::parseLaunchOptions(argc, argv, options, exitStatus))
    return exitStatus;
  penstock::rt::Status status = penstock::rt::launch(options);
  if (!status.ok())
    std::fprintf(stderr, "error: %s\n", status.message().c_str());
  return status.exitStatus();
}
