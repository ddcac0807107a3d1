//===- Links.h - The few calls that move bytes between devices ---*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What the `nccl` transport needs of NCCL, as a table of plain C functions, so that the library can be a plug-in
// (NcclPlugin.cpp, `lib/libpenstock-nccl.so` of an output folder) which only a plan that uses it opens. A link joins
// two ranks, 0 and 1; transfers over it meet in the order in which each side gives them.
//
// Units: lengths in bytes. Order: transfers are done in the order of their stream. Nothing here waits for the other
// rank: what is begun is kBegun until state() says otherwise. Threads: one per link, with its device current. Errors: a
// code that is neither kLinked nor kBegun; explain() has its words.
//
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_RT_TRANSPORTS_LINKS_H
#define PENSTOCK_RT_TRANSPORTS_LINKS_H

#include "penstock/rt/Status.h"

namespace penstock {
namespace rt {

constexpr uint32_t kLinksVersion = 1;
constexpr int64_t kLinkIdBytes = 128;
/// Slots of a carried channel in the memory of the host: its messages there are headers, and at first the identities.
constexpr int64_t hostSlotBytes(size_t numConsumers) { return int64_t(numConsumers) * kLinkIdBytes; }
enum LinkCode : int32_t { kLinked = 0, kBegun = -1 };

struct Links {
  void *self = nullptr;
  char library[64] = ""; ///< for `doctor` and messages: "NCCL 2.28.9"
  /// A name that both ranks of one link give to join().
  int32_t (*makeId)(void *self, char *id) = nullptr;
  int32_t (*join)(void *self, const char *id, int32_t rank, void **link) = nullptr;
  /// How it stands with what was begun last, and whether the other rank is there.
  int32_t (*state)(void *self, void *link) = nullptr;
  int32_t (*send)(void *self, void *link, int32_t to, const void *data, int64_t numBytes, void *stream) = nullptr;
  int32_t (*receive)(void *self, void *link, int32_t from, void *data, int64_t numBytes, void *stream) = nullptr;
  /// After the last transfer, at both ranks; then drop(), which like abort() waits up to a second for the library.
  int32_t (*finish)(void *self, void *link) = nullptr;
  int32_t (*drop)(void *self, void *link) = nullptr;
  /// Ends the link now, whatever is under way: streams that wait for it go on.
  int32_t (*abort)(void *self, void *link) = nullptr;
  void (*explain)(void *self, int32_t code, char *text, int64_t numBytes) = nullptr;
};

/// The one symbol of the plug-in. 0, or `error` says what is wrong.
using OpenLinksFn = int32_t (*)(uint32_t version, Links *links, char *error, int64_t numBytes);
constexpr const char *kOpenLinksName = "penstock_open_links";

/// Loads the plug-in at `path`. kSystem: there is no NCCL here, or it is too old. kInvalid: the plug-in cannot be used.
Status loadLinks(const std::string &path, Links &links);

} // namespace rt
} // namespace penstock

#endif // PENSTOCK_RT_TRANSPORTS_LINKS_H
