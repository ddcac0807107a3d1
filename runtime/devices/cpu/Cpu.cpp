//===- Cpu.cpp - The CPU as a device -----------------------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "Cpu.h"

#include <algorithm>
#include <sched.h>
#include <unistd.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

// libgomp's entry points. Weak: an executable for one thread per kernel does not need the library.
extern "C" {
__attribute__((weak)) void GOMP_parallel(void (*function)(void *), void *data, unsigned numThreads, unsigned flags);
__attribute__((weak)) int omp_get_thread_num(void);
__attribute__((weak)) int omp_get_num_threads(void);
}

namespace penstock {
namespace rt {

#if defined(__x86_64__)
static constexpr uint32_t kFlush = 0x8040; // flush to zero, denormals are zero
FlushToZero::FlushToZero() : former(_mm_getcsr()) {
  if ((former & kFlush) != kFlush)
    _mm_setcsr(former | kFlush);
}
FlushToZero::~FlushToZero() {
  if ((former & kFlush) != kFlush)
    _mm_setcsr((_mm_getcsr() & ~kFlush) | (former & kFlush));
}
#elif defined(__aarch64__)
FlushToZero::FlushToZero() {
  uint64_t mode = __builtin_aarch64_get_fpcr();
  former = static_cast<uint32_t>(mode);
  __builtin_aarch64_set_fpcr(static_cast<unsigned>(mode | (1u << 24)));
}
FlushToZero::~FlushToZero() { __builtin_aarch64_set_fpcr(former); }
#endif

int32_t numCores() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof(set), &set) == 0)
    return std::max(CPU_COUNT(&set), 1);
  return std::max<int32_t>(static_cast<int32_t>(sysconf(_SC_NPROCESSORS_ONLN)), 1);
}

void pinToCore(int32_t index) {
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof(allowed), &allowed) != 0)
    return;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &allowed) || index-- > 0)
      continue;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    (void)sched_setaffinity(0, sizeof(one), &one);
    return;
  }
}

Status checkThreads(int32_t numThreads) {
  if (numThreads < 1)
    return fail(Code::kMismatch, "%d threads per kernel, expected at least 1", numThreads);
  if (numThreads > 1 && (!GOMP_parallel || !omp_get_thread_num || !omp_get_num_threads))
    return fail(Code::kMismatch, "%d threads per kernel need libgomp, with which this executable is not linked",
                numThreads);
  return Status();
}

namespace {
struct Loop {
  int64_t count, numParts;
  rt_parallel_fn function;
  void *argument;
};
} // namespace

/// The parts are fixed by count and numParts; should the pool give fewer threads, each takes several parts.
static void runParts(void *data) {
  const Loop &loop = *static_cast<Loop *>(data);
  FlushToZero mode;
  int32_t thread = omp_get_thread_num(), numThreads = omp_get_num_threads();
  for (int64_t part = thread; part < loop.numParts; part += numThreads) {
    int64_t quotient = loop.count / loop.numParts, rest = loop.count % loop.numParts;
    int64_t begin = part * quotient + std::min(part, rest);
    loop.function(loop.argument, begin, begin + quotient + (part < rest), thread);
  }
}

void parallelFor(int32_t numThreads, int64_t count, int64_t grain, rt_parallel_fn function, void *argument) {
  if (count <= 0)
    return;
  grain = std::max<int64_t>(grain, 1);
  int64_t numParts = std::min<int64_t>(numThreads, (count - 1) / grain + 1);
  if (numParts <= 1) {
    function(argument, 0, count, 0);
    return;
  }
  Loop loop{count, numParts, function, argument};
  GOMP_parallel(runParts, &loop, static_cast<unsigned>(numThreads), 0);
}

} // namespace rt
} // namespace penstock
