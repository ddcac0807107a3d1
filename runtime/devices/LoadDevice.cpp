//===- LoadDevice.cpp - Opening the plug-in of a device ----------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "Device.h"
#include "Plugin.h"

namespace penstock {
namespace rt {

Status countDevices(const std::string &path, int32_t &numDevices) {
  CountDevicesFn count = nullptr;
  if (Status status = findInPlugin(path, kCountDevicesName, "a device", count); !status.ok())
    return status;
  char error[512] = "";
  if (count(kDeviceVersion, &numDevices, error, sizeof(error)) != 0)
    return fail(Code::kSystem, "%s", error);
  return Status();
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
