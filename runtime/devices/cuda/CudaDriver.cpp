//===- CudaDriver.cpp - The driver of this machine ---------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "CudaDriver.h"

#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <dlfcn.h>

namespace penstock {
namespace rt {
namespace cuda {

static constexpr const char *kWhatToInstall = "install the NVIDIA driver 580 or newer";

std::string text(const char *format, ...) {
  char buffer[512] = "";
  va_list list;
  va_start(list, format);
  std::vsnprintf(buffer, sizeof(buffer), format, list);
  va_end(list);
  return buffer;
}

std::string versionWords(int version) { return text("%d.%d", version / 1000, version % 1000 / 10); }

std::string visibilityWords() {
  const char *visible = std::getenv("CUDA_VISIBLE_DEVICES");
  return visible ? text("; CUDA_VISIBLE_DEVICES is '%.200s'", visible) : std::string();
}

std::string wordsOf(const DriverCalls &calls, Result code) {
  const char *name = nullptr, *words = nullptr;
  if (calls.errorName(code, &name) != kSuccess || calls.errorString(code, &words) != kSuccess)
    return text("code %d", code);
  return text("%s (%s)", name, words);
}

/// All entry points, or the name of the first that is missing.
static const char *findCalls(void *library, DriverCalls &calls) {
#define PENSTOCK_CUDA_CALL(member, symbol, ...)                                                                        \
  calls.member = reinterpret_cast<Pointer<__VA_ARGS__>>(dlsym(library, #symbol));                                      \
  if (!calls.member)                                                                                                   \
    return #symbol;
#include "CudaCalls.def"
#undef PENSTOCK_CUDA_CALL
  return nullptr;
}

int32_t refuse(char *error, int64_t numBytes, const std::string &words) {
  std::snprintf(error, size_t(numBytes), "%s", words.c_str());
  return 1;
}

int32_t checkVersion(uint32_t version, char *error, int64_t numBytes) {
  if (version == kDeviceVersion)
    return 0;
  return refuse(error, numBytes, text("the plug-in has version %u, expected %u", kDeviceVersion, version));
}

bool startDriver(DriverCalls &calls, int &version, int &numDevices, std::string &error) {
  void *library = dlopen(kDriverLibrary, RTLD_NOW | RTLD_LOCAL);
  if (!library) {
    error = text("no CUDA driver: %s; %s", dlerror(), kWhatToInstall);
    return false;
  }
  auto askVersion = reinterpret_cast<decltype(calls.driverVersion)>(dlsym(library, "cuDriverGetVersion"));
  if (!askVersion || askVersion(&version) != kSuccess) {
    error = text("%s does not tell its version; %s", kDriverLibrary, kWhatToInstall);
    return false;
  }
  if (version < kLeastDriver) {
    error = text("the CUDA driver supports CUDA %s, expected %s or newer; %s", versionWords(version).c_str(),
                 versionWords(kLeastDriver).c_str(), kWhatToInstall);
    return false;
  }
  if (const char *missing = findCalls(library, calls)) {
    error = text("%s has no '%s'; %s", kDriverLibrary, missing, kWhatToInstall);
    return false;
  }
  Result code = calls.init(0);
  if (code == kSuccess)
    code = calls.deviceCount(&numDevices);
  if (code == kSuccess && numDevices > 0)
    return true;
  error = text("no CUDA device: %s%s", code == kSuccess ? "there is none" : wordsOf(calls, code).c_str(),
               visibilityWords().c_str());
  return false;
}

bool describeDevice(const DriverCalls &calls, int32_t index, Ordinal &device, DeviceFacts &facts) {
  int major = 0, minor = 0, processors = 0;
  size_t numBytes = 0;
  if (calls.deviceGet(&device, index) != kSuccess ||
      calls.deviceName(facts.name, int(sizeof(facts.name)), device) != kSuccess ||
      calls.deviceBytes(&numBytes, device) != kSuccess ||
      calls.deviceBus(facts.bus, int(sizeof(facts.bus)), device) != kSuccess ||
      calls.deviceAttribute(&major, kCapabilityMajor, device) != kSuccess ||
      calls.deviceAttribute(&minor, kCapabilityMinor, device) != kSuccess ||
      calls.deviceAttribute(&processors, kProcessorCount, device) != kSuccess)
    return false;
  facts.index = index;
  facts.totalBytes = int64_t(numBytes);
  facts.numProcessors = processors;
  std::snprintf(facts.arch, sizeof(facts.arch), "sm_%d%d", major, minor);
  return true;
}

} // namespace cuda
} // namespace rt
} // namespace penstock
