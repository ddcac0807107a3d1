//===- StagedTransport.h - Channels of the host to a device ------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Around `host`, the transport that joins this role with its peers: kernels have slots in memory of the device, and
// each message passes through pinned memory, on a stream of its own. What is received lies in a slot of the host's
// until upload(); what was acquired is copied back by download(), which publish() needs.
//
// Neither of these waits for kernels, which may still make the message when publish() returns. It goes on to its
// consumers when this role would have nothing else to do: before anything that may wait for a peer waits, all messages
// that are under way are handed over, so that what waits for what is as without a device. A channel has two slots on
// the device, whatever its depth.
//
// Threads: the role's. Ownership: stage, kernels and host outlive the transport.
//
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_RT_DEVICES_STAGEDTRANSPORT_H
#define PENSTOCK_RT_DEVICES_STAGEDTRANSPORT_H

#include "Stage.h"
#include "penstock/rt/Control.h"

#include <algorithm>
#include <deque>

namespace penstock {
namespace rt {

class StagedTransport final : public Transport {
public:
  static constexpr int32_t kDepth = 2; ///< slots of a channel on the device

  struct Place {
    int32_t role = 0;
    int64_t timeoutNs = 0; ///< of work of the device; 0: none
  };
  StagedTransport(Transport &host, const RunControl &control, Place place)
      : host(host), control(control), place(place) {}
  ~StagedTransport() override { close(); }

  /// Before open(). `flush` begins what kernels have been called. `memory`: of the slots of each channel whose size is
  /// known, by the channel's number in the plan, of slotBytes() each.
  void use(DeviceStage &on, std::function<Status()> flush, std::vector<std::pair<int32_t, void *>> memory);
  /// What the device's work may be waiting for elsewhere, for messages: "; it waits for stage 0", or nothing.
  void explainWaits(std::function<std::string()> explain) { awaited = std::move(explain); }
  static int64_t slotBytes(int64_t numBytes) {
    return StagedTensor::deviceBytes(std::max<int64_t>(numBytes, 1), kDepth);
  }
  /// Gives back what the channels have on the device.
  void close();
  /// Are there published messages that have not been handed over?
  bool isBusy() const;
  /// Begins to copy what wait() has received to the device. `data`: where it will lie. kTimeout: the pinned slot is
  /// still being copied; to be called again.
  Status upload(ChannelId channel, int64_t deadlineNs, Slot &slot);
  /// Begins to copy the acquired slot, once kernels have made it; `numBytes` of it.
  Status download(ChannelId channel, const Slot &slot);
  /// Hands over all messages of all channels. kTimeout: not by the deadline.
  Status handOverAll(int64_t deadlineNs);

  const char *name() const override { return "staged"; }
  bool canConnect(const EndInfo &producer, const EndInfo &consumer) const override {
    return host.canConnect(producer, consumer);
  }
  Status open(const ChannelDesc &desc, const EndInfo &info, int64_t deadlineNs, ChannelId &channel) override;
  Status start(int64_t deadlineNs) override { return host.start(deadlineNs); }
  Status acquire(ChannelId channel, int64_t numBytes, Stream stream, int64_t deadlineNs, Slot &slot) override;
  Status publish(ChannelId channel, const Slot &slot, const MessageHeader &header, Stream stream) override;
  Status wait(ChannelId channel, Stream stream, int64_t deadlineNs, Slot &slot, MessageHeader &header) override;
  Status release(ChannelId channel, const Slot &slot, Stream stream) override;
  void abort() override { host.abort(); }
  ChannelCounters counters(ChannelId channel) const override { return host.counters(ends[size_t(channel)].hostEnd); }

private:
  /// A message that the device still makes.
  struct Outgoing {
    MessageHeader header;
    std::vector<int64_t> dims, symbols;
    int64_t numBytes = 0, sinceNs = 0; ///< when the device was first waited for
  };
  struct End {
    ChannelDesc desc;
    std::string who; ///< "stage 0, tensor '/h1'"
    ChannelId hostEnd = -1;
    std::unique_ptr<StagedInput> in;
    std::unique_ptr<StagedOutput> out;
    void *memory = nullptr, *ownMemory = nullptr; ///< of the slots; the second if it is of a free size
    int64_t roomBytes = -1;
    Slot hostSlot;
    MessageHeader header;
    bool ended = false;    ///< consumer: the end has been received, but not handed on yet
    bool taken = false;    ///< consumer: the message is on the device
    bool hostHeld = false; ///< producer: hostSlot is acquired
    std::deque<Outgoing> outgoing;
  };

  Status makeRoom(End &end, bool isProducer, int64_t numBytes);
  Status receive(End &end, int64_t deadlineNs);
  /// Hands over the oldest message of a channel.
  Status handOver(End &end, int64_t deadlineNs);
  Status acquireHost(End &end, int64_t numBytes, int64_t deadlineNs);
  Status tooSlow(const End &end, const Outgoing &message) const;

  Transport &host;
  RunControl control;
  Place place;
  DeviceStage *stage = nullptr;
  std::function<Status()> flush;
  std::function<std::string()> awaited;
  std::vector<std::pair<int32_t, void *>> memory;
  std::deque<End> ends;
  bool isAcquiring = false; ///< the role's state says so, instead of what follows
  int32_t channelBefore = -1;
  uint32_t activityBefore = 0;
};

} // namespace rt
} // namespace penstock

#endif // PENSTOCK_RT_DEVICES_STAGEDTRANSPORT_H
