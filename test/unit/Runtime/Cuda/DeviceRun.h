//===- DeviceRun.h - A device of the machine that is not there ---*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Opens one device through the plug-in, and moves bytes of a test to it and back.
//
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_TEST_RUNTIME_DEVICERUN_H
#define PENSTOCK_TEST_RUNTIME_DEVICERUN_H

#include "Stage.h"
#include "Standin.h"

#include <cstring>
#include <gtest/gtest.h>
#include <mutex>

namespace testdevice {

using namespace penstock::rt;

constexpr int64_t kMs = 1000000;
constexpr int64_t kLong = 20000 * kMs;

/// What the machine has found wrong, for EXPECT_EQ with nothing.
inline std::string faultWords() {
  std::string words;
  for (const std::string &fault : standin::faults())
    words += fault + "\n";
  return words;
}

class OpenDevice {
public:
  explicit OpenDevice(int32_t index = 0) {
    Status status = loadDevice(PENSTOCK_TEST_CUDA, index, table);
    EXPECT_TRUE(status.ok()) << status.message();
    EXPECT_EQ(table.makeStream(table.self, 0, &stream), 0);
    EXPECT_TRUE(DeviceEvent::make(table, "a test", event).ok());
  }
  ~OpenDevice() {
    event = DeviceEvent();
    EXPECT_EQ(table.dropStream(table.self, stream), 0);
    EXPECT_EQ(table.close(table.self), 0);
  }
  void write(void *to, const void *from, size_t numBytes) { move(to, from, numBytes, true); }
  void read(void *to, const void *from, size_t numBytes) { move(to, from, numBytes, false); }

  Device table;

private:
  void move(void *to, const void *from, size_t numBytes, bool in) {
    if (numBytes == 0)
      return;
    std::lock_guard<std::mutex> lock(mutex);
    void *pinned = nullptr;
    ASSERT_EQ(table.allocateHost(table.self, int64_t(numBytes), &pinned), 0);
    if (in)
      std::memcpy(pinned, from, numBytes);
    int32_t code = in ? table.copyIn(table.self, to, pinned, int64_t(numBytes), stream)
                      : table.copyOut(table.self, pinned, from, int64_t(numBytes), stream);
    EXPECT_EQ(code, 0);
    EXPECT_EQ(table.mark(table.self, event.get(), stream), 0);
    Status status = awaitEvent(table, "a test", "copy", event.get(), deadlineAfter(kLong), Watch());
    EXPECT_TRUE(status.ok()) << status.message();
    if (!in)
      std::memcpy(to, pinned, numBytes);
    EXPECT_EQ(table.releaseHost(table.self, pinned), 0);
  }
  std::mutex mutex;
  void *stream = nullptr;
  DeviceEvent event;
};

} // namespace testdevice

#endif // PENSTOCK_TEST_RUNTIME_DEVICERUN_H
