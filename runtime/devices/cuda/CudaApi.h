//===- CudaApi.h - The part of the CUDA driver's interface in use -*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Our own declarations of the driver's binary interface, so that the plug-in builds where no CUDA is installed. Types
// are as wide as the driver's; numbers are those of its header.
//
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_RT_DEVICES_CUDAAPI_H
#define PENSTOCK_RT_DEVICES_CUDAAPI_H

#include <cstddef>
#include <cstdint>

namespace penstock {
namespace rt {
namespace cuda {

using Result = int32_t;
using Attribute = int32_t;
using CaptureMode = int32_t;
using Ordinal = int32_t;
using Address = unsigned long long;
using Context = struct ContextTag *;
using Stream = struct StreamTag *;
using Event = struct EventTag *;
using Module = struct ModuleTag *;
using Function = struct FunctionTag *;
using Graph = struct GraphTag *;
using GraphExec = struct GraphExecTag *;

enum : Result {
  kSuccess = 0,
  kInvalidValue = 1,
  kOutOfMemory = 2,
  kNotInitialized = 3,
  kNoDevice = 100,
  kInvalidDevice = 101,
  kInvalidImage = 200,
  kInvalidContext = 201,
  kNoBinaryForDevice = 209,
  kUnsupportedPtx = 222,
  kInvalidHandle = 400,
  kNotFound = 500,
  kNotReady = 600,
  kCaptureUnsupported = 900,
};
enum : Attribute {
  kProcessorCount = 16,
  kCapabilityMajor = 75,
  kCapabilityMinor = 76,
  kMaxDynamicShared = 8,  ///< of a function
  kPeerAccess = 2,        ///< of two devices
  kPeerNativeAtomics = 3, ///< of two devices
};
constexpr uint32_t kStreamNonBlocking = 1;
constexpr uint32_t kEventWithTiming = 0, kEventWithoutTiming = 2;
constexpr CaptureMode kCaptureThreadLocal = 1;
/// Dynamic shared memory that a kernel may have without asking for more.
constexpr int32_t kDefaultDynamicShared = 48 * 1024;

constexpr const char *kDriverLibrary = "libcuda.so.1";
/// The driver's version number for CUDA 13.0: what the compiler's ptxas writes needs it.
constexpr int kLeastDriver = 13000;

template <typename Type> using Pointer = Type *;

struct DriverCalls {
#define PENSTOCK_CUDA_CALL(member, symbol, ...) Pointer<__VA_ARGS__> member = nullptr;
#include "CudaCalls.def"
#undef PENSTOCK_CUDA_CALL
};

} // namespace cuda
} // namespace rt
} // namespace penstock

#endif // PENSTOCK_RT_DEVICES_CUDAAPI_H
