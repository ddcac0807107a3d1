//===- DeviceTransport.h - All channels of a role on a device ----*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Those whose payloads go from device to device over NCCL, as the plan says, and those that are staged. Slots of both
// are memory of the device (received ones of the host's from their upload on), and what is done with them is in the
// order of the compute stream, whatever stream is given. Before a channel of NCCL waits for its peer, staged messages
// are handed over.
//
// Threads: the role's. Ownership: what is given to use() outlives the transport's last call.
//
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_RT_DEVICES_DEVICETRANSPORT_H
#define PENSTOCK_RT_DEVICES_DEVICETRANSPORT_H

#include "StagedTransport.h"
#include "transports/nccl/NcclTransport.h"

namespace penstock {
namespace rt {

class DeviceTransport final : public Transport {
public:
  explicit DeviceTransport(StagedTransport &staged) : staged(staged) {}
  /// Before open(). `channels`: those of NCCL, by their numbers in the plan.
  void use(NcclTransport &over, std::vector<int32_t> channels, Stream on, std::function<Status()> begin);

  const char *name() const override { return "device"; }
  bool canConnect(const EndInfo &producer, const EndInfo &consumer) const override {
    return staged.canConnect(producer, consumer);
  }
  Status open(const ChannelDesc &desc, const EndInfo &info, int64_t deadlineNs, ChannelId &channel) override;
  Status start(int64_t deadlineNs) override {
    Status status = staged.start(deadlineNs);
    return status.ok() && nccl ? nccl->start(deadlineNs) : status;
  }
  Status acquire(ChannelId channel, int64_t numBytes, Stream stream, int64_t deadlineNs, Slot &slot) override;
  Status publish(ChannelId channel, const Slot &slot, const MessageHeader &header, Stream stream) override;
  Status wait(ChannelId channel, Stream stream, int64_t deadlineNs, Slot &slot, MessageHeader &header) override;
  Status release(ChannelId channel, const Slot &slot, Stream stream) override;
  void abort() override { staged.abort(); }
  /// These are for channels that are staged.
  Status upload(ChannelId channel, int64_t deadlineNs, Slot &slot);
  Status download(ChannelId channel, const Slot &slot) { return staged.download(ends[size_t(channel)].channel, slot); }
  ChannelCounters counters(ChannelId channel) const override {
    return transportOf(channel).counters(ends[size_t(channel)].channel);
  }

private:
  struct End {
    bool isNccl = false;
    ChannelId channel = -1; ///< of that transport
  };
  bool isNccl(ChannelId channel) const { return ends[size_t(channel)].isNccl; }
  Transport &transportOf(ChannelId channel) const { return isNccl(channel) ? static_cast<Transport &>(*nccl) : staged; }
  Status attend();
  template <typename Call> Status awaitPeer(int64_t deadlineNs, const Call &call);

  StagedTransport &staged;
  NcclTransport *nccl = nullptr;
  std::vector<int32_t> ncclChannels;
  Stream compute;
  std::function<Status()> flush;
  std::vector<End> ends;
};

} // namespace rt
} // namespace penstock

#endif // PENSTOCK_RT_DEVICES_DEVICETRANSPORT_H
