//===- Prove.h - The proof over a folder's programs --------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The compiler proves the programs that it writes; a folder may have been edited or put together since. What is proved
// here is what plan.json holds: every send has its receives, of the same tensor, type and order; every kernel has one
// owner; no cyclic wait for any number of microbatches, source and sink included (docs/Schedule.md). It takes
// microseconds per stage and runs before anything is started.
//
// Threads: no shared state. Errors: kInvalid, a line that names channel, stages and tensor.
//
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_RT_PROVE_H
#define PENSTOCK_RT_PROVE_H

#include "penstock/rt/Plan.h"

namespace penstock {
namespace rt {

/// What is known of the steady part of a proved plan.
struct PlanProof {
  double periodMs = -1; ///< predicted time between two microbatches; -1: the plan predicts no times
  std::string limit;    ///< what the period comes from, as "limited by role 1"
};

/// Proves the plan, or says what is wrong with it.
Status provePlan(const Plan &plan, PlanProof &proof);

} // namespace rt
} // namespace penstock

#endif // PENSTOCK_RT_PROVE_H
