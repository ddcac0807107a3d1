//===- Starters.h - Files for launchers ---------------------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Files that come with a folder and start its stages on several hosts: a shell script for mpirun, a batch script for
// Slurm, a manifest for Kubernetes. They hold what the folder knows, the number of stages and their threads; what only
// the user knows (hosts, partitions, images, where the folder lies) is an argument, or a line to edit.
//
//===----------------------------------------------------------------------===//

#ifndef PENSTOCK_LINK_STARTERS_H
#define PENSTOCK_LINK_STARTERS_H

#include "llvm/ADT/StringRef.h"

#include <string>
#include <vector>

namespace penstock {
namespace link {

struct StarterInfo {
  std::string model; ///< file name of the model
  int64_t numStages = 1;
  int64_t numThreads = 1; ///< the most of one stage
};

struct Starter {
  std::string name, text;
};

/// Each file with its path in the folder.
std::vector<Starter> makeStarters(const StarterInfo &info);

/// A name for jobs, services and hosts, as Kubernetes and DNS take them: "penstock-" and the name of the file.
std::string jobName(llvm::StringRef model);

} // namespace link
} // namespace penstock

#endif // PENSTOCK_LINK_STARTERS_H
