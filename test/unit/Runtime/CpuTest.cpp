//===- CpuTest.cpp - The CPU as a device -------------------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "Cpu.h"

#include "penstock/rt/Role.h"

#include <atomic>
#include <cfloat>
#include <gtest/gtest.h>
#include <thread>
#include <vector>

using namespace penstock::rt;

namespace {

/// Not folded by the compiler.
float halfOf(volatile float value) { return value * 0.5f; }

// Denormals vanish on the threads of a loop and on a thread with the mode; elsewhere they stay.
TEST(Cpu, flushToZero) {
  EXPECT_GT(halfOf(FLT_MIN), 0);
  {
    FlushToZero mode;
    EXPECT_EQ(halfOf(FLT_MIN), 0);
    FlushToZero inner;
    EXPECT_EQ(halfOf(FLT_MIN), 0);
  }
  EXPECT_GT(halfOf(FLT_MIN), 0);
}

struct Part {
  int64_t begin, end;
  int32_t thread;
  std::thread::id id;
  float half;
};

struct Collected {
  std::atomic<int> count{0};
  Part parts[64];
};

void collect(void *argument, int64_t begin, int64_t end, int32_t thread) {
  auto &collected = *static_cast<Collected *>(argument);
  collected.parts[collected.count++] = {begin, end, thread, std::this_thread::get_id(), halfOf(FLT_MIN)};
}

// Every iteration is run once, by parts that depend on nothing but count, grain and threads; workers flush to zero.
TEST(Cpu, parallelForCoversTheRange) {
  ASSERT_TRUE(checkThreads(4).ok());
  struct Case {
    int64_t count, grain;
    int parts;
  };
  for (Case c : {Case{100, 1, 4}, {10, 3, 4}, {3, 1, 3}, {7, 4, 2}, {5, 100, 1}, {1, 1, 1}, {0, 1, 0}, {-3, 1, 0}}) {
    Collected collected;
    parallelFor(4, c.count, c.grain, collect, &collected);
    ASSERT_EQ(collected.count, c.parts) << c.count;
    std::vector<int> seen(size_t(std::max<int64_t>(c.count, 0)), 0);
    for (int i = 0; i < collected.count; ++i) {
      EXPECT_LT(collected.parts[i].thread, 4);
      if (c.parts > 1) {
        EXPECT_EQ(collected.parts[i].half, 0);
      }
      for (int64_t k = collected.parts[i].begin; k < collected.parts[i].end; ++k)
        ++seen[size_t(k)];
    }
    for (int times : seen)
      EXPECT_EQ(times, 1);
  }
}

// With one thread no other is ever entered.
TEST(Cpu, oneThreadStaysAtHome) {
  Collected collected;
  parallelFor(1, 1000, 1, collect, &collected);
  ASSERT_EQ(collected.count, 1);
  EXPECT_EQ(collected.parts[0].id, std::this_thread::get_id());
  EXPECT_EQ(collected.parts[0].end, 1000);
  EXPECT_EQ(checkThreads(0).code(), Code::kMismatch);
}

// A CPU that lacks an instruction set is told which; unknown words are refused, never passed.
TEST(Cpu, features) {
  EXPECT_TRUE(checkCpu(nullptr).ok());
  EXPECT_TRUE(checkCpu("").ok());
  EXPECT_TRUE(checkCpu("+sse2,sse,cx8,fxsr,-no-such-thing").ok());
  Status status = checkCpu("sse2,no-such-thing");
  EXPECT_EQ(status.code(), Code::kMismatch);
  EXPECT_NE(status.message().find("no-such-thing"), std::string::npos) << status.message();
  // No machine has every set that there is: AVX-512 half precision of servers, vector instructions of clients.
  status = checkCpu("amx-tile,avx512fp16,avxvnni");
  if (!status.ok()) {
    EXPECT_EQ(status.exitStatus(), 2);
    EXPECT_NE(status.message().find("this CPU lacks"), std::string::npos) << status.message();
  }
}

} // namespace
