//===- NcclPlugin.cpp - NCCL behind the table of Links.h ---------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Built as libpenstock-nccl.so, linked without NCCL, which is opened here. Every link is a communicator of two ranks
// that never blocks.
//
//===----------------------------------------------------------------------===//
#include "Links.h"
#include "NcclApi.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <dirent.h>
#include <dlfcn.h>
#include <set>
#include <string>
#include <thread>

using namespace penstock::rt;
using namespace penstock::rt::nccl;

static_assert(sizeof(UniqueId) == kLinkIdBytes, "an identity travels as it is");

namespace {

NcclCalls &callsOf(void *self) { return *static_cast<NcclCalls *>(self); }

int32_t translate(Outcome code) { return code == kInProgress ? int32_t(kBegun) : code; }

int32_t makeId(void *self, char *id) {
  UniqueId made;
  Outcome code = callsOf(self).uniqueId(&made);
  std::memcpy(id, made.internal, sizeof(made.internal));
  return code;
}

int32_t joinLink(void *self, const char *id, int32_t rank, void **link) {
  UniqueId name;
  std::memcpy(name.internal, id, sizeof(name.internal));
  Config config;
  Comm comm = nullptr;
  Outcome code = callsOf(self).join(&comm, 2, name, rank, &config);
  *link = comm;
  return translate(code);
}

int32_t state(void *self, void *link) {
  Outcome now = kSuccess, code = callsOf(self).state(static_cast<Comm>(link), &now);
  return code == kSuccess ? translate(now) : code;
}

int32_t sendTo(void *self, void *link, int32_t to, const void *data, int64_t numBytes, void *stream) {
  return translate(callsOf(self).send(data, size_t(numBytes), kUint8, to, static_cast<Comm>(link), stream));
}
int32_t receiveFrom(void *self, void *link, int32_t from, void *data, int64_t numBytes, void *stream) {
  return translate(callsOf(self).receive(data, size_t(numBytes), kUint8, from, static_cast<Comm>(link), stream));
}
int32_t finish(void *self, void *link) { return translate(callsOf(self).finalize(static_cast<Comm>(link))); }

/// Numbers of the threads of this process; none where /proc does not tell.
std::set<std::string> listThreads() {
  std::set<std::string> threads;
  if (DIR *folder = opendir("/proc/self/task")) {
    while (const dirent *entry = readdir(folder))
      threads.insert(entry->d_name);
    closedir(folder);
  }
  return threads;
}

/// A communicator that does not block is freed by threads of the library's, which tells nobody when they are done. A
/// process that ends meanwhile may crash: they are waited for, but not for ever.
int32_t freeLink(Pointer<Outcome(Comm)> call, void *link) {
  using Clock = std::chrono::steady_clock;
  std::set<std::string> before = listThreads();
  Outcome code = call(static_cast<Comm>(link));
  auto isFreeing = [&] {
    std::set<std::string> now = listThreads();
    return !std::includes(before.begin(), before.end(), now.begin(), now.end());
  };
  for (auto end = Clock::now() + std::chrono::seconds(1); isFreeing() && Clock::now() < end;)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  return translate(code);
}
int32_t drop(void *self, void *link) { return freeLink(callsOf(self).destroy, link); }
int32_t abortLink(void *self, void *link) { return freeLink(callsOf(self).abort, link); }

void explain(void *self, int32_t code, char *text, int64_t numBytes) {
  // With links of two ranks that never collect, there is one way to misuse it.
  const char *hint = code == kInvalidUsage ? "; are both on one device? Each needs an NCCL_HOSTID of its own then" : "";
  std::snprintf(text, size_t(numBytes), "%s%s", callsOf(self).words(code), hint);
}

const char *findCalls(void *library, NcclCalls &calls) {
#define PENSTOCK_NCCL_CALL(member, symbol, ...)                                                                        \
  calls.member = reinterpret_cast<Pointer<__VA_ARGS__>>(dlsym(library, #symbol));                                      \
  if (!calls.member)                                                                                                   \
    return #symbol;
#include "NcclCalls.def"
#undef PENSTOCK_NCCL_CALL
  return nullptr;
}

constexpr const char *kWhatToInstall = "install NCCL 2.18 or newer";

} // namespace

extern "C" __attribute__((visibility("default"))) int32_t penstock_open_links(uint32_t version, Links *links,
                                                                              char *error, int64_t numBytes) {
  auto room = static_cast<size_t>(numBytes);
  if (version != kLinksVersion)
    return std::snprintf(error, room, "the plug-in has version %u, expected %u", kLinksVersion, version), 1;
  void *library = dlopen(kNcclLibrary, RTLD_NOW | RTLD_LOCAL);
  if (!library)
    return std::snprintf(error, room, "%s; %s", dlerror(), kWhatToInstall), 1;
  static NcclCalls calls; // as the library itself: one per process
  if (const char *missing = findCalls(library, calls))
    return std::snprintf(error, room, "%s has no '%s'; %s", kNcclLibrary, missing, kWhatToInstall), 1;
  int number = 0;
  if (calls.version(&number) != kSuccess || number < kLeastNccl)
    return std::snprintf(error, room, "%s has version %d.%d.%d; %s", kNcclLibrary, number / 10000, number / 100 % 100,
                         number % 100, kWhatToInstall),
           1;
  std::snprintf(links->library, sizeof(links->library), "NCCL %d.%d.%d", number / 10000, number / 100 % 100,
                number % 100);
  links->self = &calls;
  links->makeId = makeId, links->join = joinLink, links->state = state;
  links->send = sendTo, links->receive = receiveFrom;
  links->finish = finish, links->drop = drop, links->abort = abortLink, links->explain = explain;
  return 0;
}
