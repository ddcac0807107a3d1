//===- BusError.h - What a SIGBUS was about ----------------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Reading a mapped file beyond the end that it has got meanwhile is a SIGBUS. A process of roles handles it only to say
// which file it was, in the run's control block, and dies of it all the same. A process that embeds roles as threads
// keeps its own handler.
//
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_RT_LIB_ROLE_BUSERROR_H
#define PENSTOCK_RT_LIB_ROLE_BUSERROR_H

#include "penstock/rt/Control.h"

namespace penstock {
namespace rt {

/// For the `main` of a process of roles.
void handleBusErrors();

/// While it lives: a bus error within the range is the role's failure, with this status.
class BusErrorNote {
public:
  BusErrorNote(const RunControl &control, int32_t role, const void *begin, int64_t numBytes, Status status);
  ~BusErrorNote();
  BusErrorNote(const BusErrorNote &) = delete;
  BusErrorNote &operator=(const BusErrorNote &) = delete;

  bool covers(const void *address) const;
  void report() const { control.reportFailure(role, status); }

private:
  RunControl control;
  int32_t role;
  const char *begin;
  int64_t numBytes;
  Status status;
};

} // namespace rt
} // namespace penstock

#endif // PENSTOCK_RT_LIB_ROLE_BUSERROR_H
