//===- BusError.cpp - What a SIGBUS was about --------------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "BusError.h"

#include <csignal>

namespace penstock {
namespace rt {

/// A signal handler reaches nothing but what is static. A note that finds no place is not told of.
static std::atomic<const BusErrorNote *> notes[64];

/// Nothing in here allocates or locks: reportFailure copies a text that is there and wakes sleepers.
static void onBusError(int number, siginfo_t *info, void *) {
  for (auto &place : notes) {
    const BusErrorNote *note = place.load(std::memory_order_acquire);
    if (note && info->si_code > 0 && note->covers(info->si_addr))
      note->report();
  }
  raise(number); // the handler is gone by now (SA_RESETHAND): the process dies of it when this one returns
}

void handleBusErrors() {
  struct sigaction action = {};
  action.sa_sigaction = onBusError;
  action.sa_flags = int(SA_SIGINFO | SA_RESETHAND);
  sigemptyset(&action.sa_mask);
  sigaction(SIGBUS, &action, nullptr);
}

BusErrorNote::BusErrorNote(const RunControl &control, int32_t role, const void *begin, int64_t numBytes, Status status)
    : control(control), role(role), begin(static_cast<const char *>(begin)), numBytes(numBytes),
      status(std::move(status)) {
  for (auto &place : notes) {
    const BusErrorNote *none = nullptr;
    if (place.compare_exchange_strong(none, this))
      return;
  }
}

BusErrorNote::~BusErrorNote() {
  for (auto &place : notes) {
    const BusErrorNote *self = this;
    if (place.compare_exchange_strong(self, nullptr))
      return;
  }
}

bool BusErrorNote::covers(const void *address) const {
  const auto *at = static_cast<const char *>(address);
  return at >= begin && at - begin < numBytes;
}

} // namespace rt
} // namespace penstock
