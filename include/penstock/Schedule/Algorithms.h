//===- Algorithms.h - Programs per role, and the proof over them --*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// makeSchedule() writes one program per role. verify() accepts any programs, also edited ones, and is run on what will
// be executed: by the compiler, and again by whoever starts a compiled folder. It is made of
//
//   match()        every send has its receives, of the same tensor and type, once, in order; every stage runs every
//                  microbatch once; prologue and epilogue are the steady part, cut off
//   checkOwners()  every kernel of the model has one owner stage, every clone is marked, no stage is empty
//   prove()        no cyclic wait for any number of microbatches, and the period of the steady part
//
// The proof. The events of a role, in order, are: wait for the inputs, acquire the output slots in channel order, run,
// publish the outputs, release the inputs. They form a marked graph: program order, data edges with `delay` tokens, and
// reverse edges with `depth` tokens. It is live exactly when no cycle is free of tokens [1, theorem 1], and then its
// period is the greatest ratio of time to tokens over all cycles [2, chapter 2; 3]. A role that runs several stages
// works on different microbatches within one round of its program, so a token is counted as a round and may be negative
// on a single edge; the condition is then that the sum over each cycle is positive.
//   [1] Commoner, Holt, Even, Pnueli: Marked Directed Graphs. J. Computer and System Sciences 5 (1971).
//   [2] Baccelli, Cohen, Olsder, Quadrat: Synchronization and Linearity. Wiley (1992).
//   [3] Dasdan: Experimental analysis of the fastest optimum cycle ratio and mean algorithms. ACM TODAES 9 (2004). We
//   use
//       the parametric form: raise the ratio to that of a cycle that exceeds it until none does; exact, in integers.
//
// With K stages of time t, M microbatches: fill-drain takes (M + K - 1) t, utilization M / (M + K - 1); a stream gives
// one result per max t. Looped over R roles with v stages each, every stage t / v: M t + (R - 1) t / v. (The fill of
// an inference pipeline; compare Narayanan et al., arXiv:2104.04473, section 2.2, for training.)
//
// Errors: messages that name stage, channel and tensor; no exceptions. Threads: no shared state.
//
//===----------------------------------------------------------------------===//

#ifndef PENSTOCK_SCHEDULE_ALGORITHMS_H
#define PENSTOCK_SCHEDULE_ALGORITHMS_H

#include "penstock/Schedule/Problem.h"

namespace penstock {
namespace schedule {

/// What a run step computes.
enum class Task : uint8_t { kForward };

/// One line of a program.
struct Step {
  enum class Kind : uint8_t { kReceive, kRun, kSend };
  Kind kind = Kind::kRun;
  int32_t stage = 0;      ///< which stage receives, runs or sends
  int32_t channel = -1;   ///< of a receive or send
  int64_t microbatch = 0; ///< see Program: absolute, or relative to the round
  Task task = Task::kForward;
  std::string type;   ///< of a receive or send; empty: not checked
  std::string tensor; ///< the same
};

/// The program of one role. With M microbatches it does, in this order:
///   1. `prologue`, whose steps name microbatches
///   2. `steady` for base = firstBase, firstBase + period, ... while base + period <= M; a step is for `base +
///   microbatch`
///   3. `epilogue`, relative to the first base that was not run: firstBase, or firstBase + k * period
/// A step whose microbatch is not in 0 ... M-1 is left out; this can happen only in the prologue and the epilogue, so
/// the steady part needs no test. A role with one stage has neither: `steady` is receive, run, send with period 1.
struct Program {
  int32_t role = 0;
  int64_t period = 1;    ///< microbatches per round of the steady part
  int64_t firstBase = 0; ///< microbatches whose first stage was run in the prologue
  std::vector<Step> prologue, steady, epilogue;
};

/// The programs of all roles. Source and sink are not listed; their programs follow from the channels.
struct Schedule {
  std::vector<Program> programs;
};

/// Chooses programs for the problem. One stage per role: nothing to choose. Looped roles: several orders are tried,
/// each is proved, and the one with the least period, then the least time for few microbatches, is taken.
bool makeSchedule(const Problem &problem, Schedule &schedule, std::string &error);

/// The steps of a program for `numMicrobatches`, with absolute microbatches. A step that the rules above leave out is
/// not listed.
std::vector<Step> expand(const Program &program, int64_t numMicrobatches);

/// All faults found by matching sends, receives and runs; empty when there are none. The programs are followed for
/// every number of microbatches up to three rounds; from there on, one more round only repeats what two rounds have
/// shown (docs/Schedule.md). Expects that check() found no fault.
std::vector<std::string> match(const Problem &problem, const Schedule &schedule);

/// All faults of the owners of kernels: one that no stage owns or that several do, a clone of no kernel, a stage
/// without kernels. Empty when there are none, or when the problem does not say which kernels the model has.
std::vector<std::string> checkOwners(const Problem &problem);

/// No round of a program is of more microbatches, and no prologue begins more of them.
constexpr int64_t kMaxPeriod = 256;

/// An exact non-negative fraction of ns per microbatch.
struct Period {
  int64_t numerator = 0;
  int64_t denominator = 1;
  double ns() const { return static_cast<double>(numerator) / static_cast<double>(denominator); }
  bool operator==(const Period &other) const;
  bool operator<(const Period &other) const;
};

struct Proof {
  bool live = false;
  std::string message;  ///< not live: the cyclic wait. Live: what limits the period
  Period period;        ///< time between results in the steady part, with the depths as they are; only when live
  Period periodNoLimit; ///< the same if every channel had slots enough
};

/// Expects that check() and match() found no fault.
Proof prove(const Problem &problem, const Schedule &schedule);

/// What verify() found: faults, or a proof.
struct Verdict {
  std::vector<std::string> faults; ///< each one line; empty: everything holds
  Proof proof;                     ///< only when there is no fault
  bool holds() const { return faults.empty(); }
};

/// check(), match(), checkOwners() and prove(); all faults of the first that finds some.
Verdict verify(const Problem &problem, const Schedule &schedule);

/// A channel whose depth is below its default.
struct DepthLoss {
  int32_t channel = 0;
  int32_t depth = 0, defaultDepth = 0;
  bool live = false;    ///< with this depth, the other channels at their defaults
  Period period;        ///< the same; only when live
  Period periodDefault; ///< with all channels at their defaults
  std::string message;
};

/// What each channel that is less deep than its default costs.
std::vector<DepthLoss> lossOfDepths(const Problem &problem, const Schedule &schedule);

} // namespace schedule
} // namespace penstock

#endif // PENSTOCK_SCHEDULE_ALGORITHMS_H
