//===- LoadDevice.cpp - Opening the plug-in of a device ----------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "Device.h"
#include "Plugin.h"

#include <algorithm>
#include <numeric>

namespace penstock {
namespace rt {

Status listDevices(const std::string &path, DeviceList &list) {
  ListDevicesFn ask = nullptr;
  if (Status status = findInPlugin(path, kListDevicesName, "a device", ask); !status.ok())
    return status;
  char error[512] = "";
  if (ask(kDeviceVersion, &list, error, sizeof(error)) != 0)
    return fail(Code::kSystem, "%s", error);
  return Status();
}

std::vector<int32_t> orderByLinks(const DeviceList &list) {
  std::vector<int32_t> order(size_t(list.numDevices));
  std::iota(order.begin(), order.end(), 0);
  if (list.isOrdered)
    return order;
  for (size_t i = 1; i < order.size(); ++i) {
    const DeviceLink *links = list.links[order[i - 1]];
    auto best = std::max_element(order.begin() + ptrdiff_t(i), order.end(),
                                 [&](int32_t lhs, int32_t rhs) { return links[lhs] < links[rhs]; });
    // What is left stays in the order of indices.
    std::rotate(order.begin() + ptrdiff_t(i), best, best + 1);
  }
  return order;
}

Status loadDevice(const std::string &path, int32_t index, Device &device) {
  OpenDeviceFn open = nullptr;
  if (Status status = findInPlugin(path, kOpenDeviceName, "a device", open); !status.ok())
    return status;
  char error[512] = "";
  if (open(kDeviceVersion, index, &device, error, sizeof(error)) != 0)
    return fail(Code::kSystem, "%s", error);
  return Status();
}

Status probeDevices(const std::string &path, DeviceReport &report) {
  ProbeDevicesFn probe = nullptr;
  if (Status status = findInPlugin(path, kProbeDevicesName, "a device", probe); !status.ok())
    return status;
  char error[512] = "";
  if (probe(kDeviceVersion, &report, error, sizeof(error)) != 0)
    return fail(Code::kInvalid, "%s", error);
  return Status();
}

std::string deviceWords(const Device &device) {
  return format("device %d (%s, %s)", device.facts.index, device.facts.name, device.facts.arch);
}

Status deviceFailure(const Device &device, const std::string &who, const char *what, int32_t code) {
  char words[256] = "";
  device.explain(device.self, code, words, sizeof(words));
  return fail(Code::kSystem, "%s: cannot %s on %s: %s", who.c_str(), what, deviceWords(device).c_str(), words);
}

} // namespace rt
} // namespace penstock
