//===- TimelineTest.cpp - When a device did what it was given ----*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "DeviceRun.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <unistd.h>

namespace {

using namespace testdevice;
using nlohmann::json;

class Timeline : public testing::Test {
protected:
  Timeline() {
    std::string pattern = testing::TempDir() + "/timeline-XXXXXX";
    folder = mkdtemp(pattern.data());
    setenv("PENSTOCK_CUDA_TIMELINE", (folder + "/t").c_str(), 1);
    standin::reset();
  }
  ~Timeline() override {
    unsetenv("PENSTOCK_CUDA_TIMELINE");
    std::filesystem::remove_all(folder);
    standin::checkLeaks();
    EXPECT_EQ(faultWords(), "");
  }

  /// Copies so many bytes to the device and back.
  static void copy(OpenDevice &device, size_t numBytes) {
    void *data = nullptr;
    std::vector<char> bytes(numBytes, 7), back(numBytes);
    ASSERT_EQ(device.table.allocate(device.table.self, int64_t(numBytes), &data), 0);
    device.write(data, bytes.data(), numBytes);
    device.read(back.data(), data, numBytes);
    EXPECT_EQ(back, bytes);
    ASSERT_EQ(device.table.release(device.table.self, data), 0);
  }

  /// Names and bytes of what is in a file, whose times must be in order; nothing if there is none.
  std::vector<std::pair<std::string, int64_t>> read(const std::string &ending = "") const {
    std::ifstream file(folder + "/t." + std::to_string(getpid()) + ending);
    std::vector<std::pair<std::string, int64_t>> spans;
    if (!file)
      return spans;
    double last = 0;
    json root = json::parse(file);
    for (const json &event : root.at("traceEvents")) {
      if (event.at("ph") != "X")
        continue;
      spans.emplace_back(event.at("name"), event.at("args").at("bytes"));
      EXPECT_GE(event.at("ts").get<double>(), last);
      EXPECT_GE(event.at("dur").get<double>(), 0);
      last = event.at("ts").get<double>() + event.at("dur").get<double>() - 0.002; // as exact as they are written
    }
    return spans;
  }

  using Spans = std::vector<std::pair<std::string, int64_t>>;
  std::string folder;
};

// A file for each device, in whatever order they are closed.
TEST_F(Timeline, Devices) {
  {
    OpenDevice first, second;
    copy(first, 64), copy(second, 96), copy(first, 32);
  }
  EXPECT_EQ(read(), Spans({{"copy in", 96}, {"copy out", 96}}));
  EXPECT_EQ(read(".1"), Spans({{"copy in", 64}, {"copy out", 64}, {"copy in", 32}, {"copy out", 32}}));
}

// What is recorded is nothing yet; the graph is, each time.
TEST_F(Timeline, Graphs) {
  {
    OpenDevice device;
    const Device &table = device.table;
    void *data = nullptr;
    ASSERT_EQ(table.allocate(table.self, 64, &data), 0);
    standin::addKernel({"clear",
                        0,
                        [data](const auto &) { return std::vector<standin::Access>{{data, 64, true}}; },
                        [data](const auto &) { std::memset(data, 0, 64); },
                        {}});
    void *image = nullptr, *stream = nullptr, *graph = nullptr;
    Launch launch;
    std::vector<char> bytes = standin::makeImage(90);
    ASSERT_EQ(table.loadImage(table.self, bytes.data(), &image), 0);
    ASSERT_EQ(table.findKernel(table.self, image, "clear", 0, &launch.kernel), 0);
    ASSERT_EQ(table.makeStream(table.self, 0, &stream), 0);
    ASSERT_EQ(table.launch(table.self, &launch, stream), 0);
    ASSERT_EQ(table.beginGraph(table.self, stream), 0);
    ASSERT_EQ(table.launch(table.self, &launch, stream), 0);
    ASSERT_EQ(table.endGraph(table.self, stream, &graph), 0);
    for (int i = 0; i < 2; ++i)
      ASSERT_EQ(table.runGraph(table.self, graph, stream), 0);
    ASSERT_EQ(table.dropGraph(table.self, graph), 0);
    ASSERT_EQ(table.dropStream(table.self, stream), 0);
    ASSERT_EQ(table.dropImage(table.self, image), 0);
    ASSERT_EQ(table.release(table.self, data), 0);
  }
  EXPECT_EQ(read(), Spans({{"launch", 0}, {"graph", 0}, {"graph", 0}}));
}

// A device that tells no times works, without a file.
TEST_F(Timeline, WithoutTimes) {
  for (const char *entry : {"cuStreamCreate", "cuEventCreate", "cuEventRecord", "cuEventQuery"}) {
    standin::failCall(entry, 1, 999);
    testing::internal::CaptureStderr();
    {
      OpenDevice device;
      copy(device, 64);
    }
    EXPECT_EQ(testing::internal::GetCapturedStderr(), "warning: PENSTOCK_CUDA_TIMELINE: device 0 tells no times\n");
    EXPECT_EQ(read(), Spans()) << entry;
  }
}

// What has no times is left out, and happens.
TEST_F(Timeline, Parts) {
  struct Case {
    const char *entry;
    int64_t number;
  };
  // The device's own calls between are those that OpenDevice makes for each copy.
  for (const Case &test : {Case{"cuEventCreate", 1},
                           {"cuEventRecord", 1},
                           {"cuEventCreate", 2},
                           {"cuEventRecord", 2},
                           {"cuEventElapsedTime", 1},
                           {"cuEventElapsedTime", 2}}) {
    {
      OpenDevice device;
      standin::failCall(test.entry, test.number, 999);
      copy(device, 64);
    }
    EXPECT_EQ(read(), Spans({{"copy out", 64}})) << test.entry << " " << test.number;
    std::filesystem::remove(folder + "/t." + std::to_string(getpid()));
  }
}

TEST_F(Timeline, NotWritten) {
  setenv("PENSTOCK_CUDA_TIMELINE", (folder + "/none/t").c_str(), 1);
  testing::internal::CaptureStderr();
  {
    OpenDevice device;
  }
  EXPECT_NE(testing::internal::GetCapturedStderr().find("/none/t." + std::to_string(getpid()) +
                                                        "': No such file or directory"),
            std::string::npos);
}

TEST_F(Timeline, NotWanted) {
  for (const char *value : {"", static_cast<const char *>(nullptr)}) {
    if (value)
      setenv("PENSTOCK_CUDA_TIMELINE", value, 1);
    else
      unsetenv("PENSTOCK_CUDA_TIMELINE");
    int64_t numEvents = standin::numCalls("cuEventCreate");
    {
      OpenDevice device;
      copy(device, 64);
    }
    EXPECT_EQ(standin::numCalls("cuEventCreate") - numEvents, 1);
    EXPECT_TRUE(std::filesystem::is_empty(folder));
  }
}

} // namespace
