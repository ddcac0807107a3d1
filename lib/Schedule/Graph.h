//===- Graph.h - The marked graph of a schedule -*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// One node per event of a round of each program (source and sink included), one edge per reason to wait. Private to
// this library.
//
//===----------------------------------------------------------------------===//

#ifndef PENSTOCK_LIB_SCHEDULE_GRAPH_H
#define PENSTOCK_LIB_SCHEDULE_GRAPH_H

#include "penstock/Schedule/Algorithms.h"

namespace penstock {
namespace schedule {

struct Event {
  enum class Kind : uint8_t { kWait, kAcquire, kRun, kPublish, kRelease, kTransfer };
  Kind kind = Kind::kRun;
  int32_t stage = 0;
  int32_t channel = -1;
  int64_t microbatch = 0; ///< relative to the round, or absolute in an expanded program
  int64_t timeNs = 0;     ///< how long it lasts
};

/// The event `to` of round n starts at least `timeNs` after the start of `from` in round n - tokens.
struct Edge {
  enum class Kind : uint8_t { kProgram, kData, kSlot, kLink, kInFlight };
  Kind kind = Kind::kProgram;
  int32_t from = 0, to = 0;
  int64_t tokens = 0;
  int64_t timeNs = 0;
};

struct Graph {
  std::vector<Event> events;
  std::vector<Edge> edges;
};

/// Calls visit(step, microbatch) for the steps of a program with `numMicrobatches`, in order; those of other
/// microbatches are left out.
template <typename Visit> void forEachStep(const Program &program, int64_t numMicrobatches, Visit visit) {
  auto follow = [&](const std::vector<Step> &part, int64_t base) {
    for (const Step &step : part)
      if (int64_t microbatch = base + step.microbatch; microbatch >= 0 && microbatch < numMicrobatches)
        visit(step, microbatch);
  };
  follow(program.prologue, 0);
  int64_t base = program.firstBase;
  for (; base + program.period <= numMicrobatches; base += program.period)
    follow(program.steady, base);
  follow(program.epilogue, base);
}

/// The events of one stage's run of a microbatch are spread over its steps: a receive waits; a run acquires, runs and
/// releases; a send publishes.
std::vector<Event> eventsOf(const Problem &problem, const Step &step);

/// The steps that source and sink do for each microbatch.
Program hostProgram(const Problem &problem, int32_t pseudoStage);

/// With `limitDepths` false, the edges of slots are left out.
Graph makeGraph(const Problem &problem, const Schedule &schedule, bool limitDepths);

/// A cycle, as indices of edges, whose tokens add up to 0 or less; empty when the graph is live.
std::vector<int32_t> findDeadCycle(const Graph &graph);

/// The greatest ratio of time to tokens over all cycles of a live graph, and a cycle that has it (empty when all times
/// are 0).
Period maxCycleRatio(const Graph &graph, std::vector<int32_t> &cycle);

} // namespace schedule
} // namespace penstock

#endif // PENSTOCK_LIB_SCHEDULE_GRAPH_H
