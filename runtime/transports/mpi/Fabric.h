//===- Fabric.h - The few calls that move bytes between ranks ----*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What the `mpi` transport needs of a message passing library, as a table of plain C functions, so that the library can
// be a plug-in (MpiPlugin.cpp, `lib/libpenstock-mpi.so` of an output folder), sockets (transports/tcp) or, in tests, a
// queue. Nothing here waits: a transfer is begun, and test() gets on with it and tells whether it has ended. Messages
// between two ranks with one tag arrive in the order of their sends and meet receives in the order in which these were
// posted.
//
// Units: lengths in bytes, multiples of kFabricLine. Threads: any, one call at a time. Errors: a code that
// is not 0; explain() has its words.
//
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_RT_TRANSPORTS_FABRIC_H
#define PENSTOCK_RT_TRANSPORTS_FABRIC_H

#include "penstock/rt/Control.h"

#include <memory>

namespace penstock {
namespace rt {

/// Lengths are multiples of this, so that large messages can be counted in a 32-bit number of lines.
constexpr int64_t kFabricLine = 64;
constexpr uint32_t kFabricVersion = 2;
constexpr int32_t kAnyRank = -1;
/// Open MPI's library; its name has been the same from version 4 on. The plug-in does not name it among the libraries
/// that it needs, so that the output folder is complete where MPI is not installed.
constexpr const char *kMpiLibrary = "libmpi.so.40";

struct Fabric {
  void *self = nullptr;
  int32_t rank = 0, size = 1;
  Carrier carrier = Carrier::kMpi;
  char library[128] = ""; ///< for `inspect` and messages
  int32_t (*send)(void *self, int32_t rank, int32_t tag, const void *data, int64_t numBytes, void **request) = nullptr;
  /// Room for a message of at most `numBytes` from `rank` or kAnyRank.
  int32_t (*receive)(void *self, int32_t rank, int32_t tag, void *data, int64_t numBytes, void **request) = nullptr;
  /// `done` not 0: the transfer has ended and the request is gone; `numBytes` is the length of a received message.
  int32_t (*test)(void *self, void **request, int32_t *done, int64_t *numBytes) = nullptr;
  /// Gives up a receive; the request is gone.
  int32_t (*cancel)(void *self, void **request) = nullptr;
  /// Collective, after the last transfer; must not be called when a peer has failed.
  int32_t (*finish)(void *self) = nullptr;
  void (*explain)(void *self, int32_t code, char *text, int64_t numBytes) = nullptr;
};

/// The one symbol of the plug-in: joins the other ranks. 0, or `error` says what is wrong.
using OpenFabricFn = int32_t (*)(uint32_t version, Fabric *fabric, char *error, int64_t numBytes);
constexpr const char *kOpenFabricName = "penstock_open_fabric";

/// Loads the MPI library of this machine and the plug-in at `path`, and joins the ranks of the launcher.
Status loadFabric(const std::string &path, Fabric &fabric);

} // namespace rt
} // namespace penstock

#endif // PENSTOCK_RT_TRANSPORTS_FABRIC_H
