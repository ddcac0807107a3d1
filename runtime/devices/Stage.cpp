//===- Stage.cpp - What a stage has on a device ------------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "Stage.h"

#include <algorithm>
#include <ctime>
#include <sched.h>

namespace penstock {
namespace rt {

static constexpr int kEagerPolls = 4000; ///< before the waiter lets others have the core
static constexpr int kYields = 200;      ///< before it sleeps between looks
static constexpr int kPollsPerLook = 64; ///< at the clock and at what else may have happened
static constexpr long kNapNs = 50000;

Status awaitEvent(const Device &device, const std::string &who, const char *what, void *event, int64_t deadlineNs,
                  const Watch &watch) {
  for (int polls = 0;; ++polls) {
    int32_t happened = 0;
    if (int32_t code = device.test(device.self, event, &happened))
      return deviceFailure(device, who, what, code);
    if (happened)
      return Status();
    bool eager = polls < kEagerPolls;
    if (eager && polls % kPollsPerLook != 0)
      continue;
    if (watch)
      if (Status status = watch(); !status.ok())
        return status;
    if (nowNs() >= deadlineNs)
      return fail(Code::kTimeout, "%s: could not %s on %s before the deadline", who.c_str(), what,
                  deviceWords(device).c_str());
    timespec nap{0, kNapNs};
    if (polls >= kEagerPolls + kYields)
      nanosleep(&nap, nullptr);
    else if (!eager)
      sched_yield();
  }
}

Status DeviceEvent::make(const Device &device, const std::string &who, DeviceEvent &made) {
  DeviceEvent event;
  if (int32_t code = device.makeEvent(device.self, &event.event))
    return deviceFailure(device, who, "make an event", code);
  event.device = &device;
  made = std::move(event);
  return Status();
}

DeviceEvent::~DeviceEvent() {
  if (device)
    (void)device->dropEvent(device->self, event);
}

std::string bytesToString(int64_t numBytes) {
  static constexpr const char *kUnits[] = {"KiB", "MiB", "GiB"};
  if (numBytes < 1024)
    return format("%lld bytes", (long long)numBytes);
  double value = double(numBytes) / 1024;
  size_t unit = 0;
  for (; value >= 1000 && unit < 2; ++unit)
    value /= 1024;
  return format("%.1f %s", value, kUnits[unit]);
}

Status allocateMemory(const Device &device, const std::string &who, const std::string &needs, int64_t numBytes,
                      void *&data) {
  int32_t code = device.allocate(device.self, numBytes, &data);
  if (code == kDeviceFull) {
    int64_t unused = 0;
    (void)device.freeBytes(device.self, &unused);
    return fail(Code::kSystem, "%s: %s has %s free of %s, and %s more are needed: %s", who.c_str(),
                deviceWords(device).c_str(), bytesToString(unused).c_str(),
                bytesToString(device.facts.totalBytes).c_str(), bytesToString(numBytes).c_str(), needs.c_str());
  }
  return code ? deviceFailure(device, who, "allocate memory", code) : Status();
}

Status DeviceStage::allocate(const std::vector<Part> &wanted) {
  int64_t total = 0;
  std::string needs;
  for (const Part &part : wanted) {
    if (part.numBytes < 0 || part.numBytes > INT64_MAX / 4 - total)
      return fail(Code::kInvalid, "%s: %s have %lld bytes, which is no size of memory", theWho.c_str(),
                  part.what.c_str(), (long long)part.numBytes);
    total += alignForDevice(part.numBytes);
    needs += (needs.empty() ? "" : ", ") + part.what + " " + bytesToString(part.numBytes);
  }
  if (total > 0)
    if (Status status = allocateMemory(theDevice, theWho, needs, total, memory); !status.ok())
      return status;
  int64_t offset = 0;
  for (const Part &part : wanted) {
    parts.push_back(memory ? static_cast<char *>(memory) + offset : nullptr);
    offset += alignForDevice(part.numBytes);
  }
  return Status();
}

Status DeviceStage::open(const Device &device, const std::string &who, const std::vector<Part> &parts, Watch watch,
                         std::unique_ptr<DeviceStage> &stage) {
  std::unique_ptr<DeviceStage> made(new DeviceStage(device, who, std::move(watch)));
  if (Status status = made->allocate(parts); !status.ok())
    return status;
  if (int32_t code = device.makeStream(device.self, 0, &made->computeStream))
    return deviceFailure(device, who, "make a stream", code);
  stage = std::move(made);
  return Status();
}

DeviceStage::~DeviceStage() {
  for (auto &entry : graphs)
    (void)theDevice.dropGraph(theDevice.self, entry.second.graph);
  if (computeStream)
    (void)theDevice.dropStream(theDevice.self, computeStream);
  for (void *image : images)
    (void)theDevice.dropImage(theDevice.self, image);
  if (memory)
    (void)theDevice.release(theDevice.self, memory);
}

Status DeviceStage::load(const Image &image, void *&handle) {
  int32_t code = theDevice.loadImage(theDevice.self, image.data, &handle);
  if (code == kDeviceWrongImage)
    return fail(Code::kMismatch, "%s: %s cannot run code that was compiled for %s; compile again with --arch %s",
                theWho.c_str(), deviceWords(theDevice).c_str(), image.archs.c_str(), theDevice.facts.arch);
  if (code)
    return deviceFailure(theDevice, theWho, "load the code of the kernels", code);
  images.push_back(handle);
  return Status();
}

Status DeviceStage::find(void *image, const char *name, int32_t sharedBytes, void *&kernel) {
  if (int32_t code = theDevice.findKernel(theDevice.self, image, name, sharedBytes, &kernel))
    return deviceFailure(theDevice, theWho, format("find kernel '%s'", name).c_str(), code);
  return Status();
}

Status DeviceStage::launch(const Launch &launch, const char *name) {
  if (int32_t code = theDevice.launch(theDevice.self, &launch, computeStream))
    return deviceFailure(theDevice, theWho, format("launch kernel '%s'", name).c_str(), code);
  return Status();
}

Status DeviceStage::recordGraph(const std::function<Status()> &enqueue, void *&graph) {
  if (int32_t code = theDevice.beginGraph(theDevice.self, computeStream))
    return deviceFailure(theDevice, theWho, "begin a graph", code);
  Status status = enqueue();
  int32_t code = theDevice.endGraph(theDevice.self, computeStream, &graph);
  if (status.ok() && code)
    status = deviceFailure(theDevice, theWho, "make a graph", code);
  if (!status.ok() && !code) {
    (void)theDevice.dropGraph(theDevice.self, graph);
    graph = nullptr;
  }
  return status;
}

Status DeviceStage::runGraph(const std::vector<int64_t> &key, const std::function<Status()> &enqueue) {
  auto found = graphs.find(key);
  if (found == graphs.end()) {
    Recorded made;
    if (Status status = recordGraph(enqueue, made.graph); !status.ok())
      return status;
    if (graphs.size() >= kMaxGraphs) {
      auto oldest = std::min_element(graphs.begin(), graphs.end(),
                                     [](const auto &a, const auto &b) { return a.second.number < b.second.number; });
      (void)theDevice.dropGraph(theDevice.self, oldest->second.graph);
      graphs.erase(oldest);
    }
    made.number = numRecorded++;
    found = graphs.emplace(key, made).first;
  }
  if (int32_t code = theDevice.runGraph(theDevice.self, found->second.graph, computeStream))
    return deviceFailure(theDevice, theWho, "run a graph", code);
  return Status();
}

} // namespace rt
} // namespace penstock
