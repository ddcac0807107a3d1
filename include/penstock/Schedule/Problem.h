//===- Problem.h - Stages, roles and channels to be scheduled -----*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What the scheduler needs to know of a pipeline: which role runs which stages, which channels join them, and how long
// things take. No MLIR here; the schedule pass fills it from `pipe.stage` and `pipe.channel`.
//
//   stage    a slice of the model; usually numbered in the order in which data flows
//   role     the stages that one process runs, one after the other; several when looped
//   channel  one producer, one or more consumers; a consumer reads every message, in order
//   source, sink   pseudo-stages of the process that feeds and collects; each works on its own, as if it were a role
//
// Units: ns. Times of 0 are allowed (unknown); the proof does not depend on them, the predictions do.
//
//===----------------------------------------------------------------------===//

#ifndef PENSTOCK_SCHEDULE_PROBLEM_H
#define PENSTOCK_SCHEDULE_PROBLEM_H

#include <cstdint>
#include <string>
#include <vector>

namespace penstock {
namespace schedule {

/// Numbers of the pseudo-stages, as in the runtime's descriptors.
constexpr int32_t kSource = -1;
constexpr int32_t kSink = -2;

/// No time in a problem is longer than this (9 hours), so that sums cannot overflow.
constexpr int64_t kMaxTimeNs = int64_t(1) << 45;

/// One kernel call of a stage.
struct Kernel {
  std::string name;    ///< unique in the model; a clone has one of its own
  std::string tensor;  ///< ONNX tensor that it makes, for messages; empty: unknown
  std::string cloneOf; ///< a clone: the kernel that it repeats; empty: the stage owns the kernel
};

struct Stage {
  std::string name;            ///< for messages; "stage N" is used when empty
  int32_t role = 0;            ///< roles are 0, 1, ... without a gap
  int64_t timeNs = 0;          ///< compute time of one microbatch
  std::vector<Kernel> kernels; ///< that it runs
};

struct Channel {
  std::string name;               ///< symbol of the channel, e.g. "c0"
  std::string tensor;             ///< ONNX tensor that it carries
  std::string type;               ///< printed type; compared as text with that of each send and receive
  int32_t producer = kSource;     ///< a stage, or kSource
  std::vector<int32_t> consumers; ///< stages, or kSink; at least one, none twice
  int32_t delay = 0;      ///< messages that exist before the first microbatch: microbatch m reads message m - delay
  int32_t depth = 0;      ///< free slots at the start, or 0: defaultDepth(). The channel has depth + delay slots
  int64_t transferNs = 0; ///< time for which one message keeps the link busy; 0 where both sides share memory
  int64_t latencyNs = 0;  ///< further time until the message can be read
};

struct Problem {
  std::vector<Stage> stages;
  std::vector<Channel> channels;
  std::vector<std::string> kernels; ///< of the model, without clones; empty: not known, and checkOwners() finds nothing
  int64_t sourceNs = 0;             ///< time in which the source makes one microbatch
  int64_t sinkNs = 0;               ///< time in which the sink takes one microbatch
  int32_t maxInFlight = 0;          ///< microbatches fed and not yet collected, or 0: as many as the slots allow
};

/// True if the problem is well formed; otherwise `error` says which stage or channel is wrong and what was expected.
/// Among other things: a cycle of channels without delay is refused, by name.
bool check(const Problem &problem, std::string &error);

int32_t numRoles(const Problem &problem);

/// Slots that let every stage work on its own microbatch. From stage i to stage j a slot is held while microbatch m
/// moves through stages i, i+1, ... j, which is j - i + 1 periods. The source counts as stage -1, the sink as the one
/// after the last. At least 2 (one slot is written while the other is read), or 1 with a delay, for a channel that
/// leads back.
int32_t defaultDepth(const Problem &problem, int32_t channel);

/// The depth given, or the default.
int32_t depthOf(const Problem &problem, int32_t channel);

/// "stage 2", "stage 2 ('head')", "source" or "sink", for messages.
std::string stageName(const Problem &problem, int32_t stage);

/// "channel 'c0' ('relu_3')", for messages.
std::string channelName(const Problem &problem, int32_t channel);

} // namespace schedule
} // namespace penstock

#endif // PENSTOCK_SCHEDULE_PROBLEM_H
