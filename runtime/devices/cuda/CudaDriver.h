//===- CudaDriver.h - The driver of this machine -----------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_RT_DEVICES_CUDADRIVER_H
#define PENSTOCK_RT_DEVICES_CUDADRIVER_H

#include "CudaApi.h"
#include "Device.h"

#include <string>

namespace penstock {
namespace rt {
namespace cuda {

/// Loads the driver, checks its version, starts it and counts its devices. False: `error` says what is missing, a
/// device too, and what to do.
bool startDriver(DriverCalls &calls, int &version, int &numDevices, std::string &error);
/// What is known of one device without a context. False: the driver refuses to tell.
bool describeDevice(const DriverCalls &calls, int32_t index, Ordinal &device, DeviceFacts &facts);
/// "CUDA_ERROR_OUT_OF_MEMORY (out of memory)".
std::string wordsOf(const DriverCalls &calls, Result code);
/// "13.0" for 13000.
std::string versionWords(int version);
/// "; CUDA_VISIBLE_DEVICES is '1,2'", or nothing where it is not set.
std::string visibilityWords();
/// What an entry point of the plug-in returns that fails: 1, and `error` says why.
int32_t refuse(char *error, int64_t numBytes, const std::string &words);
/// 0 if the plug-in is asked in its own version, else refused.
int32_t checkVersion(uint32_t version, char *error, int64_t numBytes);
/// A printf-style string.
std::string text(const char *format, ...) __attribute__((format(printf, 1, 2)));

} // namespace cuda
} // namespace rt
} // namespace penstock

#endif // PENSTOCK_RT_DEVICES_CUDADRIVER_H
