//===- Futex.h - Sleeping on a shared word -----------------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A bell is a futex word in shared memory plus a count of sleepers. Whoever changes what others wait for rings it: the
// system call happens only when somebody sleeps. Whoever waits reads the bell, checks the condition, then sleeps unless
// the bell has been rung in between; so no wake-up is lost: the addition to
// the bell is a full fence, behind which a plain release of the condition is visible to whoever is about to sleep.
//
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_RT_LIB_FUTEX_H
#define PENSTOCK_RT_LIB_FUTEX_H

#include "penstock/rt/Types.h"

#include <atomic>
#include <climits>
#include <ctime>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace penstock {
namespace rt {

static_assert(sizeof(std::atomic<uint32_t>) == sizeof(uint32_t), "a futex word is a plain 32-bit integer");

inline void ringBell(std::atomic<uint32_t> &bell, std::atomic<uint32_t> &sleepers) {
  bell.fetch_add(1, std::memory_order_seq_cst);
  if (sleepers.load(std::memory_order_seq_cst) != 0)
    syscall(SYS_futex, &bell, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
}

/// Sleeps until the bell differs from `seen` or the absolute deadline passes. May return early.
inline void sleepOnBell(std::atomic<uint32_t> &bell, uint32_t seen, int64_t deadlineNs) {
  timespec until;
  until.tv_sec = deadlineNs / 1000000000;
  until.tv_nsec = deadlineNs % 1000000000;
  syscall(SYS_futex, &bell, FUTEX_WAIT_BITSET, seen, deadlineNs == kNever ? nullptr : &until, nullptr,
          FUTEX_BITSET_MATCH_ANY);
}

inline void pauseBriefly() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#else
  std::atomic_signal_fence(std::memory_order_seq_cst);
#endif
}

} // namespace rt
} // namespace penstock

#endif // PENSTOCK_RT_LIB_FUTEX_H
