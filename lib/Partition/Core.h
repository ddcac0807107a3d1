//===- Core.h - The partition problem in the solver's terms ----------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A Core is a Problem after canonicalisation: kernels that must share a stage are one *unit*; cloneable kernels are no
// longer placed but are *shared items*, paid once by each stage that holds one of their users; pins and cuts are a
// window of stages per unit, extra precedence edges, and cuts whose boundary is free. Units are numbered in a
// topological order.
//
// Why: with clones and tied weights gone, the cost of a stage depends only on the two downsets that bound it, which is
// what the dynamic program needs.
//
// Units, threads: as in Problem.h. Private to lib/Partition.
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_LIB_PARTITION_CORE_H
#define PENSTOCK_LIB_PARTITION_CORE_H

#include "Bits.h"
#include "penstock/Partition/Problem.h"

namespace penstock::partition {

/// A value seen from outside its producer: a message to each stage that holds a user.
struct Message {
  int value = 0;          ///< index into Problem::values
  int producer = kSource; ///< unit
  std::vector<int> users; ///< units other than the producer, ascending
  int64_t numBytes = 0;
  bool isOutput = false;
};

/// What a stage pays once if it holds any of `users`: a clone, or a weight that several units read.
struct SharedItem {
  std::vector<int> users;
  int kernel = -1;          ///< the clone; -1 for a weight
  std::vector<double> load; ///< per device class; empty for a weight
  int64_t weightBytes = 0, residentBytes = 0, workspaceBytes = 0;
};

/// What is placed: one kernel, or several that stay together.
struct Unit {
  std::vector<int> kernels;
  std::vector<double> load; ///< per device class, in the terms of Problem::balance
  int64_t weightBytes = 0, residentBytes = 0, workspaceBytes = 0;
  int earliest = 0, latest = 0;         ///< stages allowed
  std::vector<int> preds, succs;        ///< units
  std::vector<int> reads, makes;        ///< messages
  std::vector<int> shared;              ///< shared items
  int64_t sinkBytes = 0, sinkCount = 0; ///< outputs of the model made here
};

/// A cut whose boundary the solver chooses. Closed: `before` downwards, `after` upwards.
struct FreeCut {
  Bits before, after;
};

struct Core {
  const Problem *problem = nullptr;
  int numStages = 0, numClasses = 0;
  std::vector<Unit> units;
  std::vector<Message> messages;
  std::vector<SharedItem> shared;
  std::vector<FreeCut> freeCuts; ///< at most 64
  /// Per stage number s, the units that may not come later than s-1; empty vector if no unit has a window.
  std::vector<Bits> mustPrecede;
  /// Kernels that are placed as copies.
  std::vector<char> isClone;
  /// Per stage, added to the cost of a stage under Balance::Memory; empty: nothing. Lets stages of different limits
  /// compare.
  std::vector<int64_t> memoryHandicap;
  /// Per stage, bytes of its memory limit that stay free; empty: none.
  std::vector<int64_t> memoryReserve;
  /// True in a relaxation: stages may be empty.
  bool allowsEmpty = false;

  int numUnits() const { return static_cast<int>(units.size()); }
  bool hasWindows() const { return !mustPrecede.empty(); }
  /// Fills `mustPrecede` from the windows.
  void indexWindows();
};

/// Builds the core, or says why the constraints cannot be met. Needs a problem whose data is valid.
std::vector<std::string> buildCore(const Problem &problem, Core &core);

/// `core` without the units whose `isKept` is 0: a relaxation, since precedence among the rest is kept and nothing is
/// added.
Core dropUnits(const Core &core, const std::vector<char> &isKept);

/// Merges units of equal `groupOf` (numbers 0..numGroups-1). The caller guarantees that no cycle results.
Core mergeUnits(const Core &core, const std::vector<int> &groupOf, int numGroups, std::vector<int> &unitOf);

/// The plan in which unit u runs in stage `stageOfUnit[u]`, all its figures filled.
Plan makePlan(const Core &core, const std::vector<int> &stageOfUnit);

} // namespace penstock::partition

#endif // PENSTOCK_LIB_PARTITION_CORE_H
