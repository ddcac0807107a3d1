//===- CudaProbe.cpp - What CUDA finds on this machine -----------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Part of libpenstock-cuda.so. Libraries are opened and asked for their version, nothing more; no context is made, so
// that no memory of a device is taken.
//
//===----------------------------------------------------------------------===//
#include "CudaDriver.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <dlfcn.h>

using namespace penstock::rt;
using namespace penstock::rt::cuda;

namespace {

/// How a library tells its version, and which one is needed.
struct LibraryRow {
  const char *name, *soname, *symbol, *package;
  int64_t least;
  int64_t (*ask)(void *symbol);
};

int64_t askSize(void *symbol) { return int64_t(reinterpret_cast<size_t (*)()>(symbol)()); }
int64_t askNccl(void *symbol) {
  int version = 0;
  return reinterpret_cast<int (*)(int *)>(symbol)(&version) == 0 ? version : 0;
}
int64_t askNvrtc(void *symbol) {
  int major = 0, minor = 0;
  return reinterpret_cast<int (*)(int *, int *)>(symbol)(&major, &minor) == 0 ? major * 10000 + minor * 100 : 0;
}
/// 13.1.0 is 130100 in cuBLASLt, 9.19.0 is 91900 in cuDNN, 2.28.9 is 22809 in NCCL.
std::string wordsOf(int64_t version) {
  return text("%lld.%lld.%lld", (long long)(version / 10000), (long long)(version / 100 % 100),
              (long long)(version % 100));
}
constexpr LibraryRow kLibraries[] = {
    {"cuBLASLt", "libcublasLt.so.13", "cublasLtGetVersion", "cuBLAS 13", 130000, askSize},
    {"cuDNN", "libcudnn.so.9", "cudnnGetVersion", "cuDNN 9", 90000, askSize},
    {"NVRTC", "libnvrtc.so.13", "nvrtcVersion", "NVRTC 13, which cuDNN compiles with", 130000, askNvrtc},
    {"NCCL", "libnccl.so.2", "ncclGetVersion", "NCCL 2.18 or newer", 21800, askNccl}};

template <size_t N> void put(char (&to)[N], const std::string &words) { std::snprintf(to, N, "%s", words.c_str()); }

void probeLibrary(const LibraryRow &row, DeviceReport::Library &found) {
  put(found.name, row.name);
  put(found.soname, row.soname);
  void *library = dlopen(row.soname, RTLD_LAZY | RTLD_LOCAL);
  if (!library)
    return put(found.trouble, text("%s; install %s", dlerror(), row.package));
  void *symbol = dlsym(library, row.symbol);
  if (!symbol)
    return put(found.trouble, text("%s has no '%s'; install %s", row.soname, row.symbol, row.package));
  int64_t version = row.ask(symbol);
  put(found.version, wordsOf(version));
  found.works = version >= row.least;
  if (!found.works)
    put(found.trouble,
        text("version %s, expected %s or newer; install %s", found.version, wordsOf(row.least).c_str(), row.package));
}

/// A pair that the driver says nothing of counts as one without a link.
Result probeLinks(const DriverCalls &calls, DeviceList &list) {
  Result outcome = kSuccess;
  auto ask = [&](Attribute attribute, int32_t from, int32_t to) {
    int value = 0;
    Result code = calls.peerAttribute(&value, attribute, from, to);
    outcome = outcome == kSuccess ? code : outcome;
    return code == kSuccess && value != 0;
  };
  list.isOrdered = std::getenv("CUDA_VISIBLE_DEVICES") != nullptr;
  for (int32_t i = 0; i < list.numDevices; ++i)
    for (int32_t k = 0; k < list.numDevices; ++k) {
      if (i == k || !ask(kPeerAccess, i, k))
        continue;
      list.links[i][k] = ask(kPeerNativeAtomics, i, k) ? DeviceLink::kPeerWithAtomics : DeviceLink::kPeer;
    }
  return outcome;
}

} // namespace

extern "C" __attribute__((visibility("default"))) int32_t penstock_list_devices(uint32_t version, DeviceList *list,
                                                                                char *error, int64_t numBytes) {
  if (int32_t refused = checkVersion(version, error, numBytes))
    return refused;
  DriverCalls calls;
  int driver = 0, count = 0;
  std::string trouble;
  if (!startDriver(calls, driver, count, trouble))
    return refuse(error, numBytes, trouble);
  list->numDevices = std::min<int32_t>(count, kMaxDevices);
  // Another order in each process would be worse than none.
  if (Result code = probeLinks(calls, *list))
    return refuse(error, numBytes, text("cannot ask how devices are joined: %s", wordsOf(calls, code).c_str()));
  return 0;
}

extern "C" __attribute__((visibility("default"))) int32_t penstock_probe_devices(uint32_t version, DeviceReport *report,
                                                                                 char *error, int64_t numBytes) {
  if (int32_t refused = checkVersion(version, error, numBytes))
    return refused;
  DriverCalls calls;
  int driver = 0, count = 0;
  std::string trouble;
  put(report->driver.name, "driver");
  put(report->driver.soname, kDriverLibrary);
  report->driver.works = startDriver(calls, driver, count, trouble);
  if (driver > 0)
    put(report->driver.version, versionWords(driver));
  put(report->driver.trouble, trouble);
  if (report->driver.works) {
    for (int32_t i = 0; i < std::min<int32_t>(count, kMaxDevices); ++i) {
      Ordinal device = 0;
      if (describeDevice(calls, i, device, report->devices[report->numDevices]))
        ++report->numDevices;
    }
    (void)probeLinks(calls, *report);
  }
  for (const LibraryRow &row : kLibraries)
    probeLibrary(row, report->libraries[report->numLibraries++]);
  return 0;
}
