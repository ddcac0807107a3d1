//===- Timeline.h - Who does what when, predicted -----------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// simulate() executes the programs step by step with queues of the given depths, knowing nothing of the marked graph,
// so that it is a second opinion on prove(): it stops where a real run would. The timeline is what `penstock plan`
// prints and what is drawn beneath a measured one; both are written in one format, Chrome trace events (also read by
// Perfetto):
//
//   one process per stage (pid = stage, name "stage N"), one thread in it (tid 0)
//   complete events ("ph": "X", times in us) named "microbatch N", cat "run", args {request, microbatch, phase}
//   cat "wait": blocked until an input arrives; cat "send": blocked until a slot is free; both with args.tensor as well
//   phase: "fill" until the last stage has begun its first microbatch, "drain" from where the first stage has ended its
//   last one, "steady" between
//
// Units: ns here, us in the trace.
//
//===----------------------------------------------------------------------===//

#ifndef PENSTOCK_SCHEDULE_TIMELINE_H
#define PENSTOCK_SCHEDULE_TIMELINE_H

#include "penstock/Schedule/Algorithms.h"

namespace penstock {
namespace schedule {

/// A time in which a stage does one thing.
struct Span {
  enum class Kind : uint8_t { kRun, kWait, kSend };
  Kind kind = Kind::kRun;
  int32_t stage = 0;
  int64_t microbatch = 0;
  int32_t channel = -1; ///< of a wait or send
  int64_t startNs = 0, endNs = 0;
};

enum class Phase : uint8_t { kFill, kSteady, kDrain };

struct StageTimes {
  int64_t busyNs = 0; ///< running
  int64_t waitNs = 0; ///< blocked between its first and its last microbatch
};

struct Timeline {
  int64_t numMicrobatches = 0;
  std::vector<Span> spans; ///< of stages, not of source and sink; by stage, then by time
  std::vector<StageTimes> stages;
  int64_t endNs = 0;             ///< when the sink has everything
  int64_t fillEndNs = 0;         ///< when every stage has begun its first microbatch
  int64_t drainBeginNs = 0;      ///< when some stage has ended its last microbatch; >= fillEndNs
  std::vector<int64_t> resultNs; ///< when the sink has taken microbatch m
  double bubble = 0;             ///< share of the time of all roles in which they do not run; 0 when nothing runs

  Phase phaseAt(int64_t timeNs) const {
    return timeNs < fillEndNs ? Phase::kFill : timeNs < drainBeginNs ? Phase::kSteady : Phase::kDrain;
  }
};

/// Runs the programs. False when they cannot end, or a receive gets another message than it needs: `error` then lists
/// who waits for what.
bool simulate(const Problem &problem, const Schedule &schedule, int64_t numMicrobatches, Timeline &timeline,
              std::string &error);

struct TraceOptions {
  int64_t microbatchesPerRequest = 0; ///< 0: all of them are one request
  std::string label = "predicted";    ///< kept in the trace's metadata, shown in the picture
};

/// The timeline as a Chrome trace (JSON text).
std::string toChromeTrace(const Problem &problem, const Timeline &timeline,
                          const TraceOptions &options = TraceOptions());

} // namespace schedule
} // namespace penstock

#endif // PENSTOCK_SCHEDULE_TIMELINE_H
