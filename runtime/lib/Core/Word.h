//===- Word.h - Which rank tells of a failure --------------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A failure with a cause of its own (a call that failed, a stage that was killed) is told by the rank that has it. A
// stall is noticed by all at about the same time, so that one of them has to be chosen, and not by who is quicker: the
// lowest rank that is present, which is one that the others have heard of lately. It says so to all before it prints;
// the others then have nothing to say. The host of a stopped stage hears nothing and is not heard: it gives the others
// time, and tells what it knows if nothing has ended it by then.
//
// All of this is read from the control block of a rank, in which the states of the others are copies. Threads: any.
//
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_RT_LIB_CORE_WORD_H
#define PENSTOCK_RT_LIB_CORE_WORD_H

#include "penstock/rt/Control.h"

namespace penstock {
namespace rt {

/// There is a failure, and every one that is known here is a stall or what it looks like to lose a peer: no cause.
bool knowsOnlyStalls(const RunControl &control);
/// The lowest role that is `ownRole` or was heard of within `silenceNs` before `now`.
int32_t firstPresent(const RunControl &control, int32_t ownRole, int64_t now, int64_t silenceNs);
/// The lowest role that has said that it tells of the stall; -1: none.
int32_t wordHolder(const RunControl &control);

constexpr int32_t kNoTurn = -1;
/// After the failure of a run on ranks, when its role has ended: how many turns its host gives to others before it
/// tells. 0: it is the one. kNoTurn: another one is.
int32_t turnOf(const RunControl &control, int32_t ownRole);

} // namespace rt
} // namespace penstock

#endif // PENSTOCK_RT_LIB_CORE_WORD_H
