//===- Faulty.h - A transport that fails on purpose --------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Wraps any transport, counts the calls, and fails, delays, kills or stops at the n-th call of a kind. The role counts
// its start, its copies and its kernels with the same injector. For tests: whatever call fails, a run must end with a
// message.
//
// A plan is a text: CALL:N:ACTION, several joined by commas.
//   CALL    start (before any channel is opened), open, acquire, publish, wait, release; upload and download, of a role
//           on a device; kernel (it has run, and nobody knows yet); any
//   N       1 is the first call of that kind; * is every call
//   ACTION  fail; delay=MS (then the call goes on); kill, stop, segv, bus (the signal of that name to itself); exit
//           (status 3)
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
  enum Call { kStart, kOpen, kAcquire, kPublish, kWait, kRelease, kUpload, kDownload, kKernel, kAny };
  enum Action { kFail, kDelay, kSignal, kExit };
  struct Item {
    Call call;
    int64_t number; ///< 0: every call
    Action action;
    int64_t delayMs;
    int signal; ///< with kSignal
  };
  std::vector<Item> items;
  static Status parse(const std::string &text, FaultPlan &plan);
};

/// Counts the calls of a role, from any thread, and does what the plan says.
class FaultInjector {
public:
  explicit FaultInjector(FaultPlan plan) : plan(std::move(plan)) {}
  /// Goes on, fails, or does not return. `what` is the channel or kernel that the call is about.
  Status count(FaultPlan::Call call, const std::string &what);

private:
  FaultPlan plan;
  std::atomic<int64_t> counts[FaultPlan::kAny + 1] = {};
};

/// Both must outlive the wrapper.
std::unique_ptr<Transport> makeFaultyTransport(Transport &inner, FaultInjector &injector);

} // namespace rt
} // namespace penstock

#endif // PENSTOCK_RT_TRANSPORTS_FAULTY_H
