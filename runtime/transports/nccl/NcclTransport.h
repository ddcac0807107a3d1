//===- NcclTransport.h - Channels between devices ----------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Payloads go from device to device over NCCL; everything else goes over `host`, the transport that joins the same two
// stages in memory of hosts (shared memory, or MPI). Every channel is open there too, with slots for headers only:
//
//   headers    tell the consumer what comes, usually long before the producer's kernels have made it: publish() returns
//              while they still run. The receive is posted when the header comes, so it is always as long as the send,
//              and there is none that no send will meet.
//   credits    are those of that channel: a slot is sent to when its consumer has released it
//   deadlines, states, and the words about who waits for whom are that transport's
//   identity   of each link is the first message, before any of the model's
//
// Each pair of producer and consumer has a link and a stream of its own, on which transfers have the order of the
// channel: one order on both sides, and a channel never waits behind another one. Slots are memory of the device; a
// producer's are sent as they are. With a stream, nothing waits for the device: kernels and transfers are joined by
// events. Without one, acquire() and wait() return when the device is done with the slot.
//
// start() makes all connections, by a first transfer over each, in one order for all stages: by channel, then by
// consumer. A lost peer shows in the state of a link, which every
// wait looks at. Threads: as Transport.h. Ownership: device, links and host outlive the transport.
//
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_RT_TRANSPORTS_NCCLTRANSPORT_H
#define PENSTOCK_RT_TRANSPORTS_NCCLTRANSPORT_H

#include "Links.h"
#include "Stage.h"
#include "penstock/rt/Control.h"

#include <deque>

namespace penstock {
namespace rt {

class NcclTransport final : public Transport {
public:
  struct Place {
    int32_t role = 0;      ///< of this process
    int64_t timeoutNs = 0; ///< of a step that takes no other stage's work; 0: none
  };
  NcclTransport(const Device &device, const Links &links, Transport &host, const RunControl &control, Place place);
  /// Links that are not finished are ended, with what is still under way.
  ~NcclTransport() override;
  const char *name() const override { return "nccl"; }
  bool canConnect(const EndInfo &, const EndInfo &) const override { return true; }
  Status open(const ChannelDesc &desc, const EndInfo &info, int64_t deadlineNs, ChannelId &channel) override;
  Status start(int64_t deadlineNs) override;
  Status acquire(ChannelId channel, int64_t numBytes, Stream stream, int64_t deadlineNs, Slot &slot) override;
  Status publish(ChannelId channel, const Slot &slot, const MessageHeader &header, Stream stream) override;
  Status wait(ChannelId channel, Stream stream, int64_t deadlineNs, Slot &slot, MessageHeader &header) override;
  Status release(ChannelId channel, const Slot &slot, Stream stream) override;
  void abort() override { host.abort(); }
  ChannelCounters counters(ChannelId channel) const override;

  /// Looks at all links. kPeerLost: one has failed, which is reported. For the thread that uses them.
  Status check();
  /// Posts receives for what has been announced, for a stage that is about to wait for something else.
  Status receiveAhead() { return receiveAheadBut(nullptr); }
  /// The transfer that the device waits for, for messages: "; it waits for stage 0 over NCCL 2.28.9 (channel 'c0')", or
  /// nothing.
  std::string awaited();
  /// The role has ended with `result`. If well: waits until all transfers are done, and leaves the links together with
  /// the other stages. Returns how it went; a failure is reported in the control block.
  Status finish(const Status &result, int64_t deadlineNs);

private:
  /// Room for one message on the device.
  struct Room {
    void *data = nullptr;
    int64_t numBytes = 0;
    DeviceEvent used; ///< producer: written by kernels; consumer: read by them
  };
  /// The way to one consumer, or from the producer.
  struct Way {
    int32_t peer = 0; ///< stage
    void *link = nullptr, *stream = nullptr;
    std::vector<DeviceEvent> begun, moved; ///< by slot: its transfer waits for the peer alone; it is done
  };
  /// A message whose header has come.
  struct Arrival {
    Slot hostSlot;
    MessageHeader header;
    int64_t numBytes = 0;
  };
  struct End {
    ChannelDesc desc;
    EndInfo info;
    std::string who; ///< "stage 0, channel 'c0', tensor '/h1'"
    ChannelId hostEnd = -1;
    std::vector<Room> rooms;
    std::vector<Way> ways;
    Slot hostSlot; ///< producer: acquired, if hostHeld
    bool hostHeld = false, holding = false;
    uint64_t next = 0, freed = 0; ///< messages published or taken; messages released
    std::deque<Arrival> arrivals; ///< consumer: from `freed` on
    uint64_t numArrived() const { return freed + arrivals.size(); }
    Room &roomOf(uint64_t sequence) { return rooms[sequence % rooms.size()]; }
  };

  std::vector<std::pair<End *, Way *>> orderedWays();
  Status openHost(End &end, int64_t deadlineNs, std::string &ids);
  Status exchangeIds(End &end, int64_t deadlineNs, std::string &ids);
  Status openRooms(End &end);
  Status openWay(End &end, int32_t peer, const char *id, int64_t deadlineNs);
  void close(End &end);
  Status checkEnd(ChannelId channel, bool producer, End *&end);
  Status settle(End &end, Way &way, int32_t code, int64_t deadlineNs);
  Status lose(const End &end, const Way &way, int32_t code);
  Status move(End &end, Way &way, size_t slot, int64_t numBytes, bool mustWait);
  Status makeRoom(End &end, size_t slot, int64_t numBytes);
  Status awaitMoved(End &end, size_t slot, Stream stream, int64_t deadlineNs);
  Status takeHeader(End &end, int64_t deadlineNs);
  Status receiveAheadBut(const End *waiting);
  Status deviceError(const End &end, const char *what, int32_t code) const;
  Watch watch(End &end);
  template <typename Call> Status awaitHost(End &end, int64_t deadlineNs, const Call &call);
  int64_t deadline() const { return deadlineAfter(place.timeoutNs); }

  const Device &device;
  const Links &links;
  Transport &host;
  RunControl control;
  Place place;
  std::deque<End> ends; ///< a deque: ends do not move while others open
};

} // namespace rt
} // namespace penstock

#endif // PENSTOCK_RT_TRANSPORTS_NCCLTRANSPORT_H
