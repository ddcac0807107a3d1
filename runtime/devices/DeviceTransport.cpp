//===- DeviceTransport.cpp - All channels of a role on a device --*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "DeviceTransport.h"

#include <algorithm>

namespace penstock {
namespace rt {

void DeviceTransport::use(NcclTransport &over, std::vector<int32_t> channels, Stream on,
                          std::function<Status()> begin) {
  nccl = &over;
  ncclChannels = std::move(channels);
  compute = on;
  flush = std::move(begin);
}

Status DeviceTransport::open(const ChannelDesc &desc, const EndInfo &info, int64_t deadlineNs, ChannelId &channel) {
  End end;
  end.isNccl = std::find(ncclChannels.begin(), ncclChannels.end(), desc.id) != ncclChannels.end();
  channel = static_cast<ChannelId>(ends.size());
  ends.push_back(end);
  return transportOf(channel).open(desc, info, deadlineNs, ends.back().channel);
}

/// A call of NCCL's transport that may wait for another stage: what is staged goes first, unless there is no need to
/// wait.
template <typename Call> Status DeviceTransport::awaitPeer(int64_t deadlineNs, const Call &call) {
  if (Status status = flush(); !status.ok())
    return status;
  if (!staged.isBusy())
    return call(deadlineNs);
  Status status = call(nowNs());
  if (status.code() != Code::kTimeout)
    return status;
  if (status = staged.handOverAll(deadlineNs); !status.ok())
    return status;
  return call(deadlineNs);
}

/// What NCCL's channels need while the stage waits at another, which may be for long.
Status DeviceTransport::attend() {
  if (!nccl)
    return Status();
  Status status = nccl->check();
  return status.ok() ? nccl->receiveAhead() : status;
}

Status DeviceTransport::acquire(ChannelId channel, int64_t numBytes, Stream stream, int64_t deadlineNs, Slot &slot) {
  ChannelId id = ends[size_t(channel)].channel;
  if (!isNccl(channel)) {
    Status status = attend();
    return status.ok() ? staged.acquire(id, numBytes, stream, deadlineNs, slot) : status;
  }
  return awaitPeer(deadlineNs, [&](int64_t until) { return nccl->acquire(id, numBytes, compute, until, slot); });
}

Status DeviceTransport::publish(ChannelId channel, const Slot &slot, const MessageHeader &header, Stream stream) {
  ChannelId id = ends[size_t(channel)].channel;
  if (!isNccl(channel))
    return staged.publish(id, slot, header, stream);
  Status status = flush();
  return status.ok() ? nccl->publish(id, slot, header, compute) : status;
}

Status DeviceTransport::wait(ChannelId channel, Stream stream, int64_t deadlineNs, Slot &slot, MessageHeader &header) {
  ChannelId id = ends[size_t(channel)].channel;
  if (!isNccl(channel)) {
    Status status = attend();
    return status.ok() ? staged.wait(id, stream, deadlineNs, slot, header) : status;
  }
  return awaitPeer(deadlineNs, [&](int64_t until) { return nccl->wait(id, compute, until, slot, header); });
}

Status DeviceTransport::upload(ChannelId channel, int64_t deadlineNs, Slot &slot) {
  Status status = attend();
  return status.ok() ? staged.upload(ends[size_t(channel)].channel, deadlineNs, slot) : status;
}

Status DeviceTransport::release(ChannelId channel, const Slot &slot, Stream stream) {
  ChannelId id = ends[size_t(channel)].channel;
  if (!isNccl(channel))
    return staged.release(id, slot, stream);
  Status status = flush();
  return status.ok() ? nccl->release(id, slot, compute) : status;
}

} // namespace rt
} // namespace penstock
