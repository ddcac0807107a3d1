//===- MpiTransport.h - Channels between ranks -------------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Each side of a channel has a ring of its own, and a control block of its own in which the other ranks' states are
// copies. What is published here is sent on and appears there as published; what is released there comes back as a
// credit and appears here as released. So all that waits and describes waiting is the same as in shared memory.
//
//   receives   one per slot, posted before the credit for the slot is given: no message is ever unexpected
//   credits    absolute numbers of released messages; a send never waits for its receive
//   progress   whoever waits drives it; a helper thread does so while the role computes
//   states     every rank tells all others what it does, four times a second; that is the heartbeat, and how a rank
//              that waits names the one at which the chain of waiting ends
//   failures   told to all others at once; then every wait ends
//
// A consumer that runs on its producer's host has no ring: it joins that of the producer, as a role of one host does,
// by the handshake of transports/shm with the process that supervises the producer. Both sides then read and write the
// same slots and cursors, and nothing of the channel goes over the fabric. The consumer decides, when it opens its end,
// by what the producer has said of its host.
//
// Ends whose other side is the source or the sink are joined by `host`, the transport to the process that feeds and
// collects on this rank; a channel that leads both to the sink and to another rank has one ring for both.
//
// Threads: as Transport.h; the helper shares a lock with whoever drives. No reliance on MPI_THREAD_MULTIPLE.
//
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_RT_TRANSPORTS_MPITRANSPORT_H
#define PENSTOCK_RT_TRANSPORTS_MPITRANSPORT_H

#include "Fabric.h"
#include "Memory.h"
#include "MpiNotes.h"
#include "Ring.h"
#include "transports/shm/Shm.h"

#include <condition_variable>
#include <map>
#include <mutex>
#include <sched.h>
#include <thread>

namespace penstock {
namespace rt {

/// Every rank tells every other who it is. kInvalid: the number of ranks is not that of the plan. kMismatch: a rank
/// runs another compilation, or a role that another one runs. kTimeout: a rank says nothing.
Status joinRanks(const Fabric &fabric, const RoleIdentity &identity, int64_t deadlineNs, std::vector<int32_t> &ranks);

/// A lock that is rarely contended, and then briefly. Giving it up is a plain store: that of a mutex would wait until
/// what the library has just written for another process is in its place.
class BusyLock {
public:
  bool try_lock() { return !taken.exchange(true, std::memory_order_acquire); }
  void lock() {
    while (!try_lock())
      sched_yield();
  }
  void unlock() { taken.store(false, std::memory_order_release); }

private:
  std::atomic<bool> taken{false};
};

/// What processes that can share memory have in common: machine, network namespace (that of the handshake's sockets)
/// and user. Empty where the system does not tell.
std::string hostIdentity();

class MpiTransport final : public RingTransport {
public:
  struct Place {
    int32_t role = 0;              ///< of this process
    std::vector<int32_t> ranks;    ///< of each role
    int64_t timeoutNs = 0;         ///< of no progress anywhere; 0: none
    int32_t firstNoteTag = 1;      ///< of notes, to role 0; the same everywhere
    int32_t firstTag = 8192;       ///< of messages to this role
    bool helps = true;             ///< starts the helper thread
    RingTransport *host = nullptr; ///< joins ends whose other side is the source or the sink
    RoleIdentity identity;         ///< for the handshake with the hosts of neighbours
    std::string hostName;          ///< hostIdentity(), or empty: shares memory with nobody
    std::string address;           ///< of the host of this role
  };
  /// To be called by the thread that runs the role.
  MpiTransport(const Fabric &fabric, const RunControl &control, Place place);
  ~MpiTransport() override;
  const char *name() const override { return carrierName(fabric.carrier); }
  bool canConnect(const EndInfo &, const EndInfo &) const override { return true; }
  Status open(const ChannelDesc &desc, const EndInfo &end, int64_t deadlineNs, ChannelId &channel) override;
  Status publish(ChannelId channel, const Slot &slot, const MessageHeader &header, Stream stream) override;
  Status release(ChannelId channel, const Slot &slot, Stream stream) override;
  void abort() override;

  /// The role has ended with `result`. If well: waits until all others have ended too, and leaves the fabric. Else:
  /// tells the others. Returns how it went; a failure is reported in the control block.
  Status finish(const Status &result);

protected:
  int64_t drive(ChannelId id) override;

private:
  /// How many messages a consumer has released, as it travels.
  struct Credit {
    uint64_t line[kFabricLine / 8] = {};
    void *request = nullptr; ///< of the consumer's send, or the producer's receive
  };
  /// Messages of one channel from another rank.
  struct Incoming {
    ChannelId end = -1;
    int32_t peer = 0, tag = 0, creditTag = 0;
    uint64_t posted = 0, arrived = 0, credited = 0;
    std::vector<void *> requests; ///< by slot
    Credit credit;
  };
  /// Messages of one channel to one consumer on another rank.
  struct Outgoing {
    ChannelId end = -1;
    int32_t peer = 0, consumer = 0, tag = 0, creditTag = 0;
    bool connected = false;
    bool shares = false; ///< the consumer has joined the ring of this side
    uint64_t sent = 0, completed = 0, released = 0, taken = 0;
    std::vector<void *> requests; ///< by slot
    std::vector<Credit> credits;  ///< receives posted ahead, in turn
  };
  /// A message about channels and roles, on its way.
  struct Note {
    std::string bytes;
    void *request = nullptr;
    int32_t statusFor = -1; ///< a role, if this is a status
  };

  Status checkOpen(const ChannelDesc &desc, const EndInfo &info) const;
  Status makeRing(const ChannelDesc &desc, const EndInfo &info, int64_t deadlineNs, RingEnd &end);
  Status awaitProducer(const ChannelDesc &desc, int32_t consumer, int64_t deadlineNs, Opening &there);
  Status joinNeighbour(const Opening &there, const EndInfo &info, int64_t deadlineNs, RingEnd &end, bool &joined);
  Status lostNeighbour(const ChannelDesc &desc, const Status &status);
  void comeFrom(ChannelId id, const Opening &there, bool shares);
  void goTo(ChannelId id, int32_t consumer);
  void connect(Outgoing &out);

  bool progress(int64_t now);
  bool look(ChannelId id);
  bool arrive(Incoming &in);
  void post(Incoming &in);
  void tellReleased(Incoming &in, uint64_t least);
  bool hasLeft(Incoming &in);
  void launch(Outgoing &out);
  bool depart(Outgoing &out);
  bool takeCredit(Outgoing &out);
  int32_t postCredit(Outgoing &out, Credit &credit);
  void cancelCredits(Outgoing &out);
  bool rests(ChannelId id) const;
  bool takeNotes();
  void handle(const std::string &bytes);
  void noteState(int32_t from, class WireReader &reader);
  void noteAbort(int32_t from, class WireReader &reader);
  void send(int32_t role, std::string bytes, int32_t statusFor = -1);
  void reapNotes();
  void tellFailure();
  bool settleWord(int64_t now);
  bool awaitEnd(int64_t now, ProgressWatch &watch, Status &status);
  void beat(int64_t now);
  void postNote(size_t index);
  void cancelAll();
  void lose(const RingEnd *end, int32_t peer, int32_t code);
  void help();
  void stopHelping();
  int32_t numRoles() const { return static_cast<int32_t>(place.ranks.size()); }
  bool isRemote(int32_t role) const { return role != place.role && role >= 0 && role < numRoles(); }

  Fabric fabric;
  Place place;
  int64_t beatNs;
  int64_t silenceNs; ///< who has not been heard for so long is not there
  clockid_t roleClock;
  bool hasClock;

  BusyLock busy; ///< guards what follows
  std::deque<Incoming> incoming;
  std::deque<Outgoing> outgoing;
  std::vector<Incoming *> incomingOf;                     ///< by end; null: none
  std::vector<std::vector<Outgoing *>> outgoingOf;        ///< by end
  std::map<int32_t, Mapping> rings;                       ///< by channel
  std::map<int32_t, std::unique_ptr<ShmRole>> neighbours; ///< hosts of other roles that this one has joined
  std::map<std::pair<int32_t, int32_t>, Opening> producers, consumers; ///< by channel and consumer
  std::deque<Note> notes;                                              ///< on their way
  std::vector<std::string> noteRooms;                                  ///< receives posted for notes of others
  std::vector<void *> noteRequests;
  size_t nextNote = 0;
  std::vector<bool> statusPending; ///< per role: the last one has not left yet
  std::vector<std::string> stepNames;
  int64_t nextBeatNs = 0, lastRoundNs = 0, lastMoveNs = 0;
  uint64_t numDrives = 0;
  bool hasMoved = false; ///< since the clock was last read
  int32_t nextTag = 0;
  bool toldAbort = false, toldFailure = false, heardAbort = false, broken = false;

  std::mutex stopMutex; ///< guards `stopping`
  std::condition_variable stopped;
  bool stopping = false;
  std::thread helper;
};

} // namespace rt
} // namespace penstock

#endif // PENSTOCK_RT_TRANSPORTS_MPITRANSPORT_H
