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

#include <cstdio>

int main(int argc, char **argv) {
  penstock::rt::LaunchOptions options;
  int exitStatus = 0;
  if (!penstock::rt::parseLaunchOptions(argc, argv, options, exitStatus))
    return exitStatus;
  penstock::rt::Status status = penstock::rt::launch(options);
  if (!status.ok())
    std::fprintf(stderr, "error: %s\n", status.message().c_str());
  return status.exitStatus();
}
