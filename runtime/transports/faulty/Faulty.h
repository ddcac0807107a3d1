//===- Faulty.h - A transport that fails on purpose --------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Wraps any transport, counts the calls, and fails, delays, kills or stops at the n-th call of a kind. For tests:
// whatever call fails, a run must end with a message.
//
// A plan is a text: CALL:N:ACTION, several joined by commas.
//   CALL    open, acquire, publish, wait, release, any
//   N       1 is the first call of that kind; * is every call
//   ACTION  fail; delay=MS (then the call goes on); kill (SIGKILL to itself); stop (SIGSTOP to itself); exit (status 3)
// Example: "wait:3:fail", "publish:*:delay=20".
//
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_RT_TRANSPORTS_FAULTY_H
#define PENSTOCK_RT_TRANSPORTS_FAULTY_H

#include "penstock/rt/Transport.h"

#include <atomic>
#include <memory>

namespace penstock {
namespace rt {

struct FaultPlan {
  enum Call { kOpen, kAcquire, kPublish, kWait, kRelease, kAny };
  enum Action { kFail, kDelay, kKill, kStop, kExit };
  struct Item {
    Call call;
    int64_t number; ///< 0: every call
    Action action;
    int64_t delayMs;
  };
  std::vector<Item> items;
  static Status parse(const std::string &text, FaultPlan &plan);
};

/// The inner transport must outlive the wrapper.
std::unique_ptr<Transport> makeFaultyTransport(Transport &inner, FaultPlan plan);

} // namespace rt
} // namespace penstock

#endif // PENSTOCK_RT_TRANSPORTS_FAULTY_H
