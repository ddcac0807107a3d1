//===- Inproc.h - Channels between threads of one process --------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A hub owns the memory of all channels of a run; each thread that plays a role takes a transport of its own from it.
// The hub must outlive them. Used by `all-in-one`, by embedded runs and by tests.
//
// Threads: open() may be called by several threads at once; the rest as in Transport.h.
//
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_RT_TRANSPORTS_INPROC_H
#define PENSTOCK_RT_TRANSPORTS_INPROC_H

#include "penstock/rt/Control.h"

#include <memory>

namespace penstock {
namespace rt {

class InprocHub {
public:
  static Status create(const ControlLayout &layout, std::unique_ptr<InprocHub> &hub);
  ~InprocHub();
  RunControl control() const;
  /// Spins before sleeping; for transports made later.
  void setSpin(int64_t spanNs);
  std::unique_ptr<Transport> makeTransport();

  struct Impl;

private:
  InprocHub();
  std::unique_ptr<Impl> impl;
};

} // namespace rt
} // namespace penstock

#endif // PENSTOCK_RT_TRANSPORTS_INPROC_H
