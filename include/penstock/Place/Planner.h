//===- Planner.h - Offsets for values that share one arena --------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Lifetimes in, offsets out. The compiler plans the arena of a role with it when all sizes are known or bounded; the
// runtime plans with the same code, once per tuple of symbol values, when a size is free.
//
// Values that are live at a common event get disjoint bytes; the others may share. This is dynamic storage allocation,
// NP-hard in general; the planner tries several greedy orders, improves the best one within a fixed amount of work, and
// stops early when it meets the lower bound (the most bytes live at one event). The greedy orders by size and by
// breadth follow Pisarchyk and Lee, "Efficient Memory Management for Deep Neural Net Inference", arXiv:2001.03288.
//
// Units: sizes and offsets in bytes; events are numbers in program order, of any unit.
// Ownership: inputs are only read; names are borrowed. Threads: no shared state; any number of calls at once.
// Errors: `false` and a message; never an exception. The answer depends on the input alone (no clock, no randomness).
//
//===----------------------------------------------------------------------===//

#ifndef PENSTOCK_PLACE_PLANNER_H
#define PENSTOCK_PLACE_PLANNER_H

#include <cstdint>
#include <string>
#include <vector>

namespace penstock {
namespace place {

/// How a value shares the bytes of another one.
enum class Sharing : uint8_t {
  kInPlace, ///< overwrites the other one: nothing may read the old bytes after the event at which this value begins
  kView,    ///< the same bytes under another type: both may be read as long as they live
};

/// One value that needs storage from event `firstUse` to event `lastUse`, both included. A kernel at event e that reads
/// `a` and writes `b` is the last use e of `a` and the first use e of `b`, so both are live at e and never overlap,
/// unless `b` asks for it with `aliasOf`.
struct Lifetime {
  int64_t numBytes = 0;                ///< 0 is allowed and takes no room
  int64_t firstUse = 0;                ///< first event at which the value is live
  int64_t lastUse = 0;                 ///< last event at which the value is live, >= firstUse
  int32_t aliasOf = -1;                ///< index of the value whose offset this one has, or -1
  Sharing sharing = Sharing::kInPlace; ///< what `aliasOf` means
  int64_t fixedOffset = -1;            ///< the offset that this value must have, or -1: free
  const char *name = nullptr;          ///< for messages only; may be null
};

/// The values of one arena.
struct Problem {
  std::vector<Lifetime> values;
  int64_t alignment = 64; ///< every offset is a multiple of it; a power of two
};

/// How hard to try.
struct Options {
  /// Pairs of values that may be compared before the best plan so far is returned. Two orders are always tried.
  int64_t maxWork = int64_t(50) * 1000 * 1000;
};

/// Where each value lies, and how good that is.
struct Plan {
  std::vector<int64_t> offsets; ///< one per value, in bytes from the start of the arena
  int64_t numBytes = 0;         ///< bytes of the arena: the peak
  int64_t lowerBound = 0;       ///< most bytes live at one event, each value rounded up to the alignment; <= numBytes
  int64_t noReuse = 0;          ///< bytes if no two values shared storage (aliases still do)
  int64_t peakEvent = 0;        ///< an event at which `lowerBound` bytes are live; 0 when there is no value
};

/// True if the problem is well formed; otherwise `error` names the value and what was expected. Checks sizes,
/// intervals, alias chains (in range, no cycle, nothing overwritten while still needed), fixed offsets, and that no sum
/// overflows.
bool check(const Problem &problem, std::string &error);

/// True if `value` may take over the bytes of `target`: no value that shares bytes with `target` is needed after the
/// event at which `value` begins, `target` does not begin later than `value`, and `value` is not yet an alias. The
/// caller copies instead where this is false.
bool canOverwrite(const Problem &problem, int32_t target, int32_t value);

/// Checks the problem, plans, and verifies the result. On `false` the plan is untouched.
bool plan(const Problem &problem, Plan &result, std::string &error, const Options &options = Options());

/// True if `result` is a correct plan of `problem`: aligned, inside the arena, aliases and fixed offsets kept, and no
/// two values live at one event overlap. Shares no code with the search. Expects that check() accepted the problem.
bool verify(const Problem &problem, const Plan &result, std::string &error);

} // namespace place
} // namespace penstock

#endif // PENSTOCK_PLACE_PLANNER_H
