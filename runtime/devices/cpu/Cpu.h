//===- Cpu.h - The CPU as a device -------------------------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Floating-point mode, the core to run on, and the one thread pool (libgomp's, which oneDNN shares). The instruction
// check is checkCpu() of Role.h.
//
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_RT_DEVICES_CPU_H
#define PENSTOCK_RT_DEVICES_CPU_H

#include "penstock/rt/Abi.h"
#include "penstock/rt/Status.h"

namespace penstock {
namespace rt {

/// Denormals are flushed to zero on this thread while an object of this class lives; the former mode comes back
/// afterwards.
class FlushToZero {
public:
  FlushToZero();
  ~FlushToZero();
  FlushToZero(const FlushToZero &) = delete;
  FlushToZero &operator=(const FlushToZero &) = delete;

private:
  uint32_t former;
};

/// Cores that this process may use.
int32_t numCores();
/// Binds the calling thread to the n-th core that the process may use. Best effort.
void pinToCore(int32_t index);

/// More than one thread per kernel needs libgomp in the executable.
Status checkThreads(int32_t numThreads);
/// See rt_parallel_for.
void parallelFor(int32_t numThreads, int64_t count, int64_t grain, rt_parallel_fn function, void *argument);

} // namespace rt
} // namespace penstock

#endif // PENSTOCK_RT_DEVICES_CPU_H
