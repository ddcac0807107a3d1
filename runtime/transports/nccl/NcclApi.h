//===- NcclApi.h - The part of NCCL's interface in use -----------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Our own declarations of NCCL's binary interface, so that the plug-in builds where NCCL is not installed. Numbers are
// those of NCCL's header. The configuration is that of version 2.18, which later ones take too.
//
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_RT_TRANSPORTS_NCCLAPI_H
#define PENSTOCK_RT_TRANSPORTS_NCCLAPI_H

#include <climits>
#include <cstddef>
#include <cstdint>

namespace penstock {
namespace rt {
namespace nccl {

using Outcome = int32_t;
using DataType = int32_t;
using Comm = struct CommTag *;

enum : Outcome {
  kSuccess = 0,
  kUnhandledCudaError = 1,
  kInvalidArgument = 4,
  kInvalidUsage = 5,
  kRemoteError = 6,
  kInProgress = 7,
};
constexpr DataType kUint8 = 1;

struct UniqueId {
  char internal[128];
};

constexpr uint32_t kConfigMagic = 0xcafebeef;
constexpr uint32_t kConfigVersion = 21800;
constexpr int kUndefined = INT_MIN;

struct Config {
  size_t size = sizeof(Config);
  uint32_t magic = kConfigMagic, version = kConfigVersion;
  int blocking = 0; ///< no call waits for another rank
  int clusterSize = kUndefined, minBlocks = kUndefined, maxBlocks = kUndefined;
  const char *network = nullptr;
  int splitShare = kUndefined;
  int trafficClass = kUndefined; ///< where version 2.18 has no field yet, only room
};

constexpr const char *kNcclLibrary = "libnccl.so.2";
/// The first with communicators that do not block and a configuration of this form.
constexpr int kLeastNccl = 21800;

template <typename Type> using Pointer = Type *;

struct NcclCalls {
#define PENSTOCK_NCCL_CALL(member, symbol, ...) Pointer<__VA_ARGS__> member = nullptr;
#include "NcclCalls.def"
#undef PENSTOCK_NCCL_CALL
};

} // namespace nccl
} // namespace rt
} // namespace penstock

#endif // PENSTOCK_RT_TRANSPORTS_NCCLAPI_H
