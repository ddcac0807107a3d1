//===- StagedTransport.cpp - Channels of the host to a device ----*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "StagedTransport.h"

#include <utility>

namespace penstock {
namespace rt {

static constexpr int64_t kLookNs = 200 * 1000000ll;

void StagedTransport::use(DeviceStage &on, std::function<Status()> begin,
                          std::vector<std::pair<int32_t, void *>> slots) {
  stage = &on;
  flush = std::move(begin);
  memory = std::move(slots);
}

void StagedTransport::close() {
  for (End &end : ends) {
    end.in.reset(), end.out.reset();
    if (end.ownMemory)
      (void)stage->device().release(stage->device().self, std::exchange(end.ownMemory, nullptr));
  }
}

Status StagedTransport::open(const ChannelDesc &desc, const EndInfo &info, int64_t deadlineNs, ChannelId &channel) {
  End end;
  end.desc = desc;
  end.who = stage->who() + ", tensor '" + desc.tensor + "'";
  if (Status status = host.open(desc, info, deadlineNs, end.hostEnd); !status.ok())
    return status;
  for (const auto &[id, data] : memory)
    end.memory = id == desc.id ? data : end.memory;
  if (desc.slotBytes >= 0)
    if (Status status = makeRoom(end, info.isProducer, desc.slotBytes); !status.ok())
      return status;
  channel = static_cast<ChannelId>(ends.size());
  ends.push_back(std::move(end));
  return Status();
}

/// Slots of a free size are made anew for a larger message; nothing is in them then.
Status StagedTransport::makeRoom(End &end, bool isProducer, int64_t numBytes) {
  if (numBytes <= end.roomBytes)
    return Status();
  end.in.reset(), end.out.reset();
  const Device &device = stage->device();
  if (end.desc.slotBytes < 0) {
    if (end.ownMemory)
      (void)device.release(device.self, std::exchange(end.ownMemory, nullptr));
    int64_t needed = slotBytes(numBytes);
    std::string needs = "slots " + bytesToString(needed);
    if (Status status = allocateMemory(device, end.who, needs, needed, end.ownMemory); !status.ok())
      return status;
    end.memory = end.ownMemory;
  }
  end.roomBytes = numBytes;
  int64_t room = std::max<int64_t>(numBytes, 1);
  return isProducer ? StagedOutput::open(*stage, end.desc.tensor, room, kDepth, end.memory, end.out)
                    : StagedInput::open(*stage, end.desc.tensor, room, kDepth, end.memory, end.in);
}

//===----------------------------------------------------------------------===//
// To the device
//===----------------------------------------------------------------------===//

bool StagedTransport::isBusy() const {
  return std::any_of(ends.begin(), ends.end(), [](const End &end) { return !end.outgoing.empty(); });
}

/// The host's message. What is under way is handed over only if there is none yet.
Status StagedTransport::receive(End &end, int64_t deadlineNs) {
  bool mayHandOver = isBusy();
  Status status = host.wait(end.hostEnd, Stream(), mayHandOver ? nowNs() : deadlineNs, end.hostSlot, end.header);
  if (!mayHandOver || status.code() != Code::kTimeout)
    return status;
  if (status = handOverAll(deadlineNs); !status.ok())
    return status;
  return host.wait(end.hostEnd, Stream(), deadlineNs, end.hostSlot, end.header);
}

Status StagedTransport::wait(ChannelId channel, Stream, int64_t deadlineNs, Slot &slot, MessageHeader &header) {
  End &end = ends[size_t(channel)];
  if (Status status = flush(); !status.ok())
    return status;
  if (!end.ended)
    if (Status status = receive(end, deadlineNs); !status.ok())
      return status;
  slot = end.hostSlot;
  header = end.header;
  if (!(header.flags & kFlagEnd))
    return Status();
  // What this role has to say comes before the end.
  Status status = handOverAll(deadlineNs);
  end.ended = !status.ok();
  return status;
}

Status StagedTransport::upload(ChannelId channel, int64_t deadlineNs, Slot &slot) {
  End &end = ends[size_t(channel)];
  Status status = makeRoom(end, /*isProducer=*/false, end.hostSlot.numBytes);
  if (status.ok())
    status = end.in->take(end.hostSlot.data, end.hostSlot.numBytes, deadlineNs, slot.data);
  end.taken = status.ok();
  return status;
}

Status StagedTransport::release(ChannelId channel, const Slot &, Stream) {
  End &end = ends[size_t(channel)];
  Status status = flush();
  if (status.ok() && std::exchange(end.taken, false))
    status = end.in->release();
  return status.ok() ? host.release(end.hostEnd, end.hostSlot, Stream()) : status;
}

//===----------------------------------------------------------------------===//
// From the device
//===----------------------------------------------------------------------===//

Status StagedTransport::acquire(ChannelId channel, int64_t numBytes, Stream, int64_t deadlineNs, Slot &slot) {
  End &end = ends[size_t(channel)];
  bool mustGrow = numBytes > end.roomBytes;
  if (mustGrow && end.desc.slotBytes >= 0)
    return fail(Code::kInvalid, "%s: a message of %lld bytes, expected at most %lld", end.who.c_str(),
                (long long)numBytes, (long long)end.desc.slotBytes);
  while (end.outgoing.size() > (mustGrow ? 0u : size_t(kDepth) - 1))
    if (Status status = handOver(end, deadlineNs); !status.ok())
      return status;
  if (Status status = makeRoom(end, /*isProducer=*/true, numBytes); !status.ok())
    return status;
  slot = Slot();
  slot.numBytes = end.roomBytes;
  return end.out->acquire(slot.data);
}

Status StagedTransport::download(ChannelId channel, const Slot &slot) {
  Status status = flush();
  return status.ok() ? ends[size_t(channel)].out->publish(slot.numBytes) : status;
}

Status StagedTransport::publish(ChannelId channel, const Slot &slot, const MessageHeader &header, Stream) {
  End &end = ends[size_t(channel)];
  // The end is no message of the program's, which has not downloaded it.
  Status status = header.flags & kFlagEnd ? download(channel, slot) : Status();
  if (!status.ok())
    return status;
  end.outgoing.emplace_back();
  Outgoing &message = end.outgoing.back();
  message.header = header;
  message.dims.assign(header.dims.begin(), header.dims.end());
  message.symbols.assign(header.symbols.begin(), header.symbols.end());
  message.header.dims = {message.dims.data(), message.dims.size()};
  message.header.symbols = {message.symbols.data(), message.symbols.size()};
  message.numBytes = slot.numBytes;
  // Nobody asks again after the end.
  while ((header.flags & kFlagEnd) && !end.outgoing.empty())
    if (status = handOver(end, nowNs() + kLookNs); !status.ok() && status.code() != Code::kTimeout)
      return status;
  return Status();
}

/// A slot of the host's, as the wait for a peer that it is.
Status StagedTransport::acquireHost(End &end, int64_t numBytes, int64_t deadlineNs) {
  RoleState &state = control.role(place.role);
  if (!isAcquiring) {
    channelBefore = state.channel.load(std::memory_order_relaxed);
    activityBefore = state.activity.load(std::memory_order_relaxed);
  }
  isAcquiring = true;
  state.channel.store(end.desc.id, std::memory_order_relaxed);
  state.activity.store(uint32_t(Activity::kAcquiring), std::memory_order_release);
  Status status = host.acquire(end.hostEnd, numBytes, Stream(), deadlineNs, end.hostSlot);
  if (status.code() == Code::kTimeout)
    return status; // who finds that it takes too long says what was waited for
  isAcquiring = false;
  state.channel.store(channelBefore, std::memory_order_relaxed);
  state.activity.store(activityBefore, std::memory_order_release);
  return status;
}

Status StagedTransport::tooSlow(const End &end, const Outgoing &message) const {
  return fail(Code::kSystem, "%s, microbatch %lld: %s has not finished its work after %.3g s%s", end.who.c_str(),
              (long long)message.header.microbatch, deviceWords(stage->device()).c_str(),
              double(nowNs() - message.sinceNs) * 1e-9, awaited ? awaited().c_str() : "");
}

Status StagedTransport::handOver(End &end, int64_t deadlineNs) {
  Outgoing &message = end.outgoing.front();
  if (!end.hostHeld)
    if (Status status = acquireHost(end, message.numBytes, deadlineNs); !status.ok())
      return status;
  end.hostHeld = true;
  if (message.sinceNs == 0)
    message.sinceNs = nowNs();
  int64_t numBytes = 0;
  Status status = end.out->take(end.hostSlot.data, end.hostSlot.numBytes, deadlineNs, numBytes);
  if (status.code() == Code::kTimeout && place.timeoutNs > 0 && nowNs() - message.sinceNs >= place.timeoutNs)
    return tooSlow(end, message);
  if (!status.ok())
    return status;
  end.hostSlot.numBytes = numBytes;
  end.hostHeld = false;
  status = host.publish(end.hostEnd, end.hostSlot, message.header, Stream());
  end.outgoing.pop_front();
  return status;
}

Status StagedTransport::handOverAll(int64_t deadlineNs) {
  for (End &end : ends)
    while (!end.outgoing.empty())
      if (Status status = handOver(end, deadlineNs); !status.ok())
        return status;
  return Status();
}

} // namespace rt
} // namespace penstock
