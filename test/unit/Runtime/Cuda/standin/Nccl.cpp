//===- Nccl.cpp - libnccl.so.2 of the machine that is not there --*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A send and a receive meet in the order in which each side gave them, and are done together, as on a device: each
// holds its stream until the other is next. A rank that ends its communicator in the middle shows at the others as an
// error.
//
//===----------------------------------------------------------------------===//
#include "NcclApi.h"
#include "Standin.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <map>
#include <set>

using namespace standin;
using namespace penstock::rt::nccl;

namespace {

struct CommState;

/// A send or a receive; kept by its lane.
struct Transfer {
  CommState *comm = nullptr;
  std::weak_ptr<Operation> operation; ///< which holds this
  char *data = nullptr;
  size_t numBytes = 0;
  Transfer *mate = nullptr;
  bool sends = false, moved = false, dropped = false;
};

/// Transfers from one rank to another, in order.
struct Lane {
  std::vector<std::shared_ptr<Transfer>> sends, receives;
};

struct Group {
  std::vector<CommState *> members;
  std::map<std::pair<int, int>, Lane> lanes;
  size_t numFinalized = 0;
};

struct CommState {
  std::shared_ptr<Group> group;
  int rank = 0, device = 0;
  bool finalized = false;
  Outcome error = kSuccess;
  std::string host; ///< NCCL_HOSTID
};

struct Library {
  std::map<std::string, std::shared_ptr<Group>> groups;
  std::set<CommState *> comms;
  int64_t numIds = 0;
};

Library &library() {
  static Library *theLibrary = [] {
    auto *made = new Library;
    addReset([made] {
      for (CommState *comm : made->comms)
        delete comm;
      made->groups.clear(), made->comms.clear();
    });
    addLeakCheck([made] {
      if (!made->comms.empty())
        addFault("leak: " + std::to_string(made->comms.size()) + " communicators");
    });
    return made;
  }();
  return *theLibrary;
}

bool isComplete(const CommState &comm) {
  auto &members = comm.group->members;
  return std::count(members.begin(), members.end(), nullptr) == 0;
}

std::string pairWords(int from, int to) { return "from rank " + std::to_string(from) + " to " + std::to_string(to); }

void meet(Transfer &send, Transfer &receive, int from, int to) {
  send.mate = &receive, receive.mate = &send;
  if (send.numBytes != receive.numBytes)
    addFault("mismatch: a send of " + std::to_string(send.numBytes) + " bytes " + pairWords(from, to) +
             " meets a receive of " + std::to_string(receive.numBytes));
}

/// Both sides are next on their streams.
bool isReady(const Transfer &one) {
  if (one.dropped || one.moved)
    return true;
  std::shared_ptr<Operation> other = one.mate ? one.mate->operation.lock() : nullptr;
  return other && reach(other);
}

/// Both are done, or neither.
void move(Transfer &one) {
  if (one.dropped || one.moved || !one.mate)
    return;
  Transfer &send = one.sends ? one : *one.mate;
  std::memcpy(send.mate->data, send.data, std::min(send.numBytes, send.mate->numBytes));
  send.moved = send.mate->moved = true;
}

Outcome transfer(Comm handle, void *data, size_t numBytes, DataType type, int peer, void *stream, bool sends) {
  Entry entry(sends ? "ncclSend" : "ncclRecv", std::to_string(numBytes) + " " + streamName(stream));
  auto *comm = reinterpret_cast<CommState *>(handle);
  if (entry.code)
    return entry.code;
  if (library().comms.count(comm) == 0 || type != kUint8 || peer < 0 || size_t(peer) >= comm->group->members.size() ||
      peer == comm->rank)
    return kInvalidArgument;
  if (!isComplete(*comm) || comm->error != kSuccess)
    return kInvalidUsage;
  if (deviceOf(stream) != comm->device || currentDevice() != comm->device)
    addFault("out of place: a transfer on another device than that of its communicator");
  auto made = std::make_shared<Transfer>();
  made->comm = comm, made->data = static_cast<char *>(data), made->numBytes = numBytes, made->sends = sends;
  auto operation = std::make_shared<Operation>();
  made->operation = operation;
  operation->name = sends ? "send" : "receive";
  operation->accesses = {{data, numBytes, !sends}};
  operation->ready = [made] { return isReady(*made); };
  operation->run = [made] { move(*made); };
  int from = sends ? comm->rank : peer, to = sends ? peer : comm->rank;
  Lane &lane = comm->group->lanes[{from, to}];
  auto &mine = sends ? lane.sends : lane.receives;
  auto &theirs = sends ? lane.receives : lane.sends;
  if (mine.size() < theirs.size()) {
    Transfer &other = *theirs[mine.size()];
    meet(sends ? *made : other, sends ? other : *made, from, to);
  }
  mine.push_back(made);
  return enqueue(stream, operation) == 0 ? kSuccess : kUnhandledCudaError;
}

/// What one side has given and the other has not.
void checkLanes(const CommState &comm) {
  for (auto &[pair, lane] : comm.group->lanes)
    if (lane.sends.size() != lane.receives.size())
      addFault("mismatch: " + std::to_string(lane.sends.size()) + " sends " + pairWords(pair.first, pair.second) +
               " and " + std::to_string(lane.receives.size()) + " receives");
}

void leave(CommState *comm, bool broken) {
  for (auto &[pair, lane] : comm->group->lanes)
    for (auto *list : {&lane.sends, &lane.receives})
      for (auto &one : *list)
        one->dropped |= one->comm == comm && !one->moved;
  for (CommState *&member : comm->group->members) {
    if (member == comm)
      member = nullptr;
    else if (member && broken && member->error == kSuccess && !member->finalized)
      member->error = kRemoteError;
  }
  library().comms.erase(comm);
  delete comm;
}

} // namespace

#pragma GCC visibility push(default)
extern "C" {

Outcome ncclGetVersion(int *version) {
  *version = ncclVersion();
  return kSuccess;
}

Outcome ncclGetUniqueId(UniqueId *id) {
  Entry entry("ncclGetUniqueId");
  std::memset(id, 0, sizeof(*id));
  std::string name = "stand-in " + std::to_string(library().numIds++);
  std::memcpy(id->internal, name.data(), name.size());
  return entry.code;
}

Outcome ncclCommInitRankConfig(Comm *handle, int numRanks, UniqueId id, int rank, Config *config) {
  Entry entry("ncclCommInitRankConfig", std::to_string(rank));
  if (entry.code)
    return entry.code;
  if (currentDevice() < 0 || config->magic != kConfigMagic || config->blocking != 0)
    return kInvalidUsage;
  auto &group = library().groups[std::string(id.internal, sizeof(id.internal))];
  if (!group)
    group = std::make_shared<Group>();
  group->members.resize(size_t(numRanks));
  auto *made = new CommState;
  made->group = group, made->rank = rank, made->device = currentDevice();
  const char *host = std::getenv("NCCL_HOSTID");
  made->host = host ? host : "";
  for (CommState *other : group->members)
    if (other && other->device == made->device && other->host == made->host)
      made->error = other->error = kInvalidUsage; // the real one refuses two ranks on one device
  group->members[size_t(rank)] = made;
  library().comms.insert(made);
  *handle = reinterpret_cast<Comm>(made);
  return kInProgress;
}

Outcome ncclCommGetAsyncError(Comm handle, Outcome *error) {
  Entry entry("ncclCommGetAsyncError");
  auto *comm = reinterpret_cast<CommState *>(handle);
  if (entry.code || library().comms.count(comm) == 0)
    return entry.code ? entry.code : kInvalidArgument;
  bool busy = comm->finalized ? comm->group->numFinalized < comm->group->members.size() : !isComplete(*comm);
  *error = comm->error != kSuccess ? comm->error : busy ? kInProgress : kSuccess;
  return kSuccess;
}

Outcome ncclSend(const void *data, size_t count, DataType type, int peer, Comm comm, void *stream) {
  return transfer(comm, const_cast<void *>(data), count, type, peer, stream, true);
}
Outcome ncclRecv(void *data, size_t count, DataType type, int peer, Comm comm, void *stream) {
  return transfer(comm, data, count, type, peer, stream, false);
}

Outcome ncclCommFinalize(Comm handle) {
  Entry entry("ncclCommFinalize");
  auto *comm = reinterpret_cast<CommState *>(handle);
  if (entry.code || library().comms.count(comm) == 0 || comm->finalized)
    return entry.code ? entry.code : kInvalidArgument;
  comm->finalized = true;
  if (++comm->group->numFinalized == comm->group->members.size())
    checkLanes(*comm);
  return kInProgress;
}

Outcome ncclCommDestroy(Comm handle) {
  Entry entry("ncclCommDestroy");
  auto *comm = reinterpret_cast<CommState *>(handle);
  if (entry.code || library().comms.count(comm) == 0)
    return entry.code ? entry.code : kInvalidArgument;
  if (!comm->finalized || comm->group->numFinalized < comm->group->members.size())
    addFault("mismatch: a communicator destroyed before it was finalized by all ranks");
  leave(comm, false);
  return kSuccess;
}

Outcome ncclCommAbort(Comm handle) {
  Entry entry("ncclCommAbort");
  auto *comm = reinterpret_cast<CommState *>(handle);
  if (entry.code || library().comms.count(comm) == 0)
    return entry.code ? entry.code : kInvalidArgument;
  leave(comm, true);
  return kSuccess;
}

const char *ncclGetErrorString(Outcome code) {
  return code == kRemoteError    ? "remote process exited or there was a network error"
         : code == kInvalidUsage ? "invalid usage"
                                 : "an error";
}

} // extern "C"
