//===- Nccl.cpp - libnccl.so.2 of the machine that is not there --*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A send and a receive meet in the order in which each side gave them, and are done together, as on a device: each
// holds its stream until the other is next. A rank that ends its communicator in the middle shows at the others as an
// error.
//
// Ranks are threads of one process, or two processes: the one that has made the identity, as rank 0, and another. These
// tell each other what they give, and when it is next; bytes go when both sides are. A thread does what a device does
// by itself. The first transfer makes the connection: it is begun only when the other side has given its own.
//
//===----------------------------------------------------------------------===//
#include "NcclApi.h"
#include "NcclWire.h"
#include "Standin.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <map>
#include <poll.h>
#include <set>
#include <thread>
#include <unistd.h>

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
  // Where the other rank is in another process.
  size_t number = 0; ///< in its lane
  bool announced = false, arrived = false;
  std::string bytes;
};

/// Transfers from one rank to another, in order.
struct Lane {
  std::vector<std::shared_ptr<Transfer>> sends, receives;
};

/// The other rank, in another process.
struct Peer {
  Peer(const std::string &name, bool listens) : wire(name, listens) {}
  Wire wire;
  bool met = false, finalized = false;
  std::vector<size_t> sends, receives; ///< bytes of what it has given
  size_t numReady = 0;                 ///< of its receives
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
  std::unique_ptr<Peer> peer;
  size_t numGiven = 0;
  Lane &laneTo(int to) { return group->lanes[{rank, to}]; }
  Lane &laneFrom(int from) { return group->lanes[{from, rank}]; }
};

struct Library {
  std::map<std::string, std::shared_ptr<Group>> groups;
  std::set<CommState *> comms;
  int64_t numIds = 0;
  bool isWorking = false; ///< the thread runs
  size_t numLeaving = 0;  ///< communicators that are being freed
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
      if (made->numLeaving > 0)
        addFault("leak: the program ends while communicators are being freed");
    });
    return made;
  }();
  return *theLibrary;
}

bool isComplete(const CommState &comm) {
  if (comm.peer)
    return comm.peer->met;
  auto &members = comm.group->members;
  return std::count(members.begin(), members.end(), nullptr) == 0;
}

std::string pairWords(int from, int to) { return "from rank " + std::to_string(from) + " to " + std::to_string(to); }

void compare(size_t sent, size_t received, int from, int to) {
  if (sent != received)
    addFault("mismatch: a send of " + std::to_string(sent) + " bytes " + pairWords(from, to) + " meets a receive of " +
             std::to_string(received));
}

void meet(Transfer &send, Transfer &receive, int from, int to) {
  send.mate = &receive, receive.mate = &send;
  compare(send.numBytes, receive.numBytes, from, to);
}

void compareCounts(size_t numSends, size_t numReceives, int from, int to) {
  if (numSends != numReceives)
    addFault("mismatch: " + std::to_string(numSends) + " sends " + pairWords(from, to) + " and " +
             std::to_string(numReceives) + " receives");
}

//===----------------------------------------------------------------------===//
// Ranks in two processes
//===----------------------------------------------------------------------===//

/// Both sides are next on their streams, and for a receive the bytes are there.
bool isReadyRemotely(Transfer &one) {
  Peer &peer = *one.comm->peer;
  if (one.sends)
    return peer.numReady > one.number;
  if (!one.announced)
    peer.wire.tell(NoteKind::kReady, one.number);
  one.announced = true;
  return one.arrived;
}

void moveRemotely(Transfer &one) {
  if (one.sends)
    one.comm->peer->wire.tell(NoteKind::kData, one.number, std::string(one.data, one.numBytes));
  else
    std::memcpy(one.data, one.bytes.data(), std::min(one.numBytes, one.bytes.size()));
  one.bytes.clear();
  one.moved = true;
}

/// Both have said that they give nothing more.
void compareAll(CommState &comm) {
  int other = 1 - comm.rank;
  compareCounts(comm.laneTo(other).sends.size(), comm.peer->receives.size(), comm.rank, other);
  compareCounts(comm.peer->sends.size(), comm.laneFrom(other).receives.size(), other, comm.rank);
}

std::string helloOf(const CommState &comm) { return std::to_string(comm.device) + " " + comm.host; }

void hear(CommState &comm, const Note &note) {
  Peer &peer = *comm.peer;
  int other = 1 - comm.rank;
  switch (note.kind) {
  case NoteKind::kHello:
    peer.met = true;
    if (note.bytes == helloOf(comm))
      comm.error = kInvalidUsage; // the real one refuses two ranks on one device
    return;
  case NoteKind::kSend:
    peer.sends.push_back(note.number);
    if (auto &mine = comm.laneFrom(other).receives; peer.sends.size() <= mine.size())
      compare(note.number, mine[peer.sends.size() - 1]->numBytes, other, comm.rank);
    return;
  case NoteKind::kReceive:
    peer.receives.push_back(note.number);
    if (auto &mine = comm.laneTo(other).sends; peer.receives.size() <= mine.size())
      compare(mine[peer.receives.size() - 1]->numBytes, note.number, comm.rank, other);
    return;
  case NoteKind::kReady:
    peer.numReady = note.number + 1;
    return;
  case NoteKind::kData:
    if (auto &mine = comm.laneFrom(other).receives; note.number < mine.size())
      mine[note.number]->bytes = note.bytes, mine[note.number]->arrived = true;
    return;
  case NoteKind::kFinalized:
    peer.finalized = true;
    if (comm.finalized)
      compareAll(comm);
    return;
  case NoteKind::kGone:
    if (note.number && !comm.finalized && comm.error == kSuccess)
      comm.error = kRemoteError;
    return;
  }
}

/// Takes what the other process has told.
void advance(CommState &comm) {
  Wire &wire = comm.peer->wire;
  wire.pump();
  for (Note note; wire.take(note);)
    hear(comm, note);
  wire.pump();
  if (wire.isLost() && !isNcclBlind() && !(comm.finalized && comm.peer->finalized) && comm.error == kSuccess)
    comm.error = kRemoteError;
}

/// Does the transfers that can be done, as a device does without being asked.
void moveAll(CommState &comm) {
  int other = 1 - comm.rank;
  for (auto *list : {&comm.laneTo(other).sends, &comm.laneFrom(other).receives})
    for (auto &one : *list)
      if (std::shared_ptr<Operation> operation = one->moved ? nullptr : one->operation.lock())
        if (!complete(operation))
          break;
}

void work() {
  for (;;) {
    std::vector<pollfd> news;
    {
      Hold hold;
      for (CommState *comm : library().comms)
        if (comm->peer) {
          advance(*comm), moveAll(*comm), advance(*comm);
          news.push_back({comm->peer->wire.descriptor(), POLLIN, 0});
        }
      library().isWorking = !news.empty();
      if (news.empty())
        return;
    }
    (void)poll(news.data(), news.size(), 1); // what this process gives is no news: look often
  }
}

/// "stand-in PROCESS NUMBER".
bool isOfThisProcess(const UniqueId &id) {
  return std::strtol(id.internal + std::strlen("stand-in "), nullptr, 10) == long(getpid());
}

/// Where the other rank is not in this process, or not yet.
void lookForPeer(CommState &comm, const UniqueId &id) {
  auto &members = comm.group->members;
  bool isHere = isOfThisProcess(id);
  for (CommState *other : members)
    if (other && other != &comm)
      return other->peer.reset();
  if (members.size() != 2 || (isHere && comm.rank != 0))
    return;
  comm.peer = std::make_unique<Peer>(id.internal, isHere);
  comm.peer->wire.tell(NoteKind::kHello, 0, helloOf(comm));
  if (library().isWorking)
    return;
  library().isWorking = true;
  std::thread(work).detach();
}

/// What has been begun is not finished.
bool isBusy(const CommState &comm) {
  if (!comm.peer)
    return comm.finalized ? comm.group->numFinalized < comm.group->members.size() : !isComplete(comm);
  if (comm.finalized)
    return !comm.peer->finalized;
  bool isConnecting = comm.numGiven > 0 && comm.peer->sends.empty() && comm.peer->receives.empty();
  return !comm.peer->met || isConnecting;
}

//===----------------------------------------------------------------------===//
// Transfers
//===----------------------------------------------------------------------===//

/// Both sides are next on their streams.
bool isReady(Transfer &one) {
  if (one.dropped || one.moved)
    return true;
  if (one.comm->peer)
    return isReadyRemotely(one);
  std::shared_ptr<Operation> other = one.mate ? one.mate->operation.lock() : nullptr;
  return other && reach(other);
}

/// Both are done, or neither.
void move(Transfer &one) {
  if (one.dropped || one.moved)
    return;
  if (one.comm->peer)
    return moveRemotely(one);
  if (!one.mate)
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
  if (isBusy(*comm) || comm->error != kSuccess)
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
  made->number = mine.size();
  if (comm->peer) {
    comm->peer->wire.tell(sends ? NoteKind::kSend : NoteKind::kReceive, numBytes);
    if (auto &given = sends ? comm->peer->receives : comm->peer->sends; made->number < given.size())
      compare(sends ? numBytes : given[made->number], sends ? given[made->number] : numBytes, from, to);
  } else if (mine.size() < theirs.size()) {
    Transfer &other = *theirs[mine.size()];
    meet(sends ? *made : other, sends ? other : *made, from, to);
  }
  mine.push_back(made);
  ++comm->numGiven;
  if (enqueue(stream, operation) != 0)
    return kUnhandledCudaError;
  return isBusy(*comm) ? kInProgress : kSuccess;
}

/// What one side has given and the other has not.
void checkLanes(const CommState &comm) {
  for (auto &[pair, lane] : comm.group->lanes)
    compareCounts(lane.sends.size(), lane.receives.size(), pair.first, pair.second);
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
  if (comm->peer) {
    comm->peer->wire.tell(NoteKind::kGone, broken ? 1 : 0);
    comm->peer->wire.pump();
  }
  library().comms.erase(comm);
  delete comm;
  // As the real one: a thread frees it, and nobody is told when it is done.
  ++library().numLeaving;
  std::thread([] {
    std::this_thread::sleep_for(std::chrono::milliseconds(3));
    Hold hold;
    --library().numLeaving;
  }).detach();
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
  std::string name = "stand-in " + std::to_string(getpid()) + " " + std::to_string(library().numIds++);
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
  lookForPeer(*made, id);
  *handle = reinterpret_cast<Comm>(made);
  return kInProgress;
}

Outcome ncclCommGetAsyncError(Comm handle, Outcome *error) {
  Entry entry("ncclCommGetAsyncError");
  auto *comm = reinterpret_cast<CommState *>(handle);
  if (entry.code || library().comms.count(comm) == 0)
    return entry.code ? entry.code : kInvalidArgument;
  if (comm->peer)
    advance(*comm);
  *error = comm->error != kSuccess ? comm->error : isBusy(*comm) ? kInProgress : kSuccess;
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
  if (comm->peer) {
    comm->peer->wire.tell(NoteKind::kFinalized);
    if (comm->peer->finalized)
      compareAll(*comm);
    return kInProgress;
  }
  if (++comm->group->numFinalized == comm->group->members.size())
    checkLanes(*comm);
  return kInProgress;
}

Outcome ncclCommDestroy(Comm handle) {
  Entry entry("ncclCommDestroy");
  auto *comm = reinterpret_cast<CommState *>(handle);
  if (entry.code || library().comms.count(comm) == 0)
    return entry.code ? entry.code : kInvalidArgument;
  if (!comm->finalized || isBusy(*comm))
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
