//===- NcclTransport.cpp - Channels between devices --------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "NcclTransport.h"

#include <algorithm>
#include <cstring>
#include <sched.h>
#include <tuple>

namespace penstock {
namespace rt {

static constexpr int64_t kFirstBytes = kDeviceAlignment; ///< of the transfer that makes the connection
static constexpr int64_t kLookNs = 20000000;             ///< between two looks at the links while the host waits

NcclTransport::NcclTransport(const Device &device, const Links &links, Transport &host, const RunControl &control,
                             Place place)
    : device(device), links(links), host(host), control(control), place(place) {}

NcclTransport::~NcclTransport() {
  (void)device.enter(device.self);
  // Links first: what is still under way would keep streams and memory from ending.
  for (End &end : ends)
    for (Way &way : end.ways)
      if (way.link)
        (void)links.abort(links.self, way.link);
  for (End &end : ends)
    close(end);
}

void NcclTransport::close(End &end) {
  for (Way &way : end.ways)
    if (way.stream)
      (void)device.dropStream(device.self, way.stream);
  for (Room &room : end.rooms)
    if (room.data)
      (void)device.release(device.self, room.data);
}

Status NcclTransport::deviceError(const End &end, const char *what, int32_t code) const {
  return deviceFailure(device, end.who, what, code);
}

//===----------------------------------------------------------------------===//
// Links
//===----------------------------------------------------------------------===//

/// A peer cannot be reached: the run ends.
Status NcclTransport::lose(const End &end, const Way &way, int32_t code) {
  if (control.aborted()) // who ended the run has ended its links too
    return fail(Code::kAborted, "%s: the run was ended", end.who.c_str());
  char words[256] = "";
  links.explain(links.self, code, words, sizeof(words));
  Status status =
      fail(Code::kPeerLost, "%s, microbatch %lld: lost %s over %s: %s", end.who.c_str(),
           (long long)control.role(place.role).microbatch.load(), stageName(way.peer).c_str(), links.library, words);
  control.reportFailure(place.role, status);
  return status;
}

/// What was begun on a link is given to the device on return; only then may its stream be used further.
Status NcclTransport::settle(End &end, Way &way, int32_t code, int64_t deadlineNs) {
  while (code == kBegun) {
    if (control.aborted())
      return fail(Code::kAborted, "%s: the run was ended", end.who.c_str());
    if (nowNs() >= deadlineNs)
      return fail(Code::kTimeout, "%s: no connection with %s over %s before the deadline", end.who.c_str(),
                  stageName(way.peer).c_str(), links.library);
    sched_yield();
    code = links.state(links.self, way.link);
  }
  return code == kLinked ? Status() : lose(end, way, code);
}

Status NcclTransport::check() {
  for (End &end : ends)
    for (Way &way : end.ways)
      if (int32_t code = way.link ? links.state(links.self, way.link) : kLinked; code != kLinked && code != kBegun)
        return lose(end, way, code);
  return Status();
}

std::string NcclTransport::awaited() {
  auto happened = [this](const DeviceEvent &event) {
    int32_t is = 1;
    return device.test(device.self, event.get(), &is) != 0 || is;
  };
  for (bool sends : {false, true}) // a message that does not come holds kernels, which hold what is to be sent
    for (End &end : ends)
      for (Way &way : end.ways)
        for (size_t slot = 0; end.info.isProducer == sends && slot < end.rooms.size(); ++slot)
          if (!happened(way.moved[slot]) && happened(way.begun[slot]))
            return "; it waits for " + stageName(way.peer) + " over " + links.library + " (channel '" + end.desc.name +
                   "', tensor '" + end.desc.tensor + "')";
  return std::string();
}

Watch NcclTransport::watch(End &end) {
  return [this, &end]() -> Status {
    if (control.aborted())
      return fail(Code::kAborted, "%s: the run was ended", end.who.c_str());
    for (Way &way : end.ways)
      if (int32_t code = way.link ? links.state(links.self, way.link) : kLinked; code != kLinked && code != kBegun)
        return lose(end, way, code);
    return Status();
  };
}

/// Waits for what comes over `host`, with a look at the links and at other channels now and then.
template <typename Call> Status NcclTransport::awaitHost(End &end, int64_t deadlineNs, const Call &call) {
  for (;;) {
    int64_t until = std::min(deadlineNs, nowNs() + kLookNs);
    Status status = call(until);
    if (status.code() != Code::kTimeout || until == deadlineNs)
      return status;
    if (Status lost = watch(end)(); !lost.ok())
      return lost;
    if (Status failed = receiveAheadBut(&end); !failed.ok())
      return failed;
  }
}

//===----------------------------------------------------------------------===//
// Opening
//===----------------------------------------------------------------------===//

/// The producer makes an identity for each link; the consumers get them with the first message.
Status NcclTransport::exchangeIds(End &end, int64_t deadlineNs, std::string &ids) {
  Slot slot;
  MessageHeader header;
  if (!end.info.isProducer) {
    if (Status status = host.wait(end.hostEnd, Stream(), deadlineNs, slot, header); !status.ok())
      return status;
    if (!(header.flags & kFlagSetUp) || slot.numBytes != int64_t(ids.size()))
      return fail(Code::kMismatch, "%s: the producer does not use NCCL for this channel", end.who.c_str());
    std::memcpy(&ids[0], slot.data, ids.size());
    return host.release(end.hostEnd, slot, Stream());
  }
  for (size_t at = 0; at < ids.size(); at += kLinkIdBytes)
    if (int32_t code = links.makeId(links.self, &ids[at])) {
      char words[256] = "";
      links.explain(links.self, code, words, sizeof(words));
      return fail(Code::kSystem, "%s: %s cannot name a link: %s", end.who.c_str(), links.library, words);
    }
  if (Status status = host.acquire(end.hostEnd, int64_t(ids.size()), Stream(), deadlineNs, slot); !status.ok())
    return status;
  std::memcpy(slot.data, ids.data(), ids.size());
  slot.numBytes = int64_t(ids.size());
  header.flags = kFlagSetUp;
  return host.publish(end.hostEnd, slot, header, Stream());
}

Status NcclTransport::openHost(End &end, int64_t deadlineNs, std::string &ids) {
  ids.assign(size_t(hostSlotBytes(end.desc.consumerStages.size())), '\0');
  ChannelDesc headers = end.desc;
  headers.slotBytes = int64_t(ids.size());
  if (Status status = host.open(headers, end.info, deadlineNs, end.hostEnd); !status.ok())
    return status;
  for (size_t k = 0; k < end.desc.consumerStages.size(); ++k)
    if (end.info.isProducer || k == size_t(end.info.consumer))
      control.cursors(end.desc.id)[k].carrier.store(Carrier::kNccl);
  return exchangeIds(end, deadlineNs, ids);
}

Status NcclTransport::openRooms(End &end) {
  end.rooms.resize(size_t(end.desc.depth));
  for (size_t i = 0; i < end.rooms.size(); ++i) {
    if (Status status = makeRoom(end, i, std::max<int64_t>(end.desc.slotBytes, 0)); !status.ok())
      return status;
    if (Status status = DeviceEvent::make(device, end.who, end.rooms[i].used); !status.ok())
      return status;
  }
  return Status();
}

Status NcclTransport::openWay(End &end, int32_t peer, const char *id, int64_t deadlineNs) {
  end.ways.emplace_back();
  Way &way = end.ways.back();
  way.peer = peer;
  if (int32_t code = device.makeStream(device.self, 1, &way.stream))
    return deviceError(end, "make a stream", code);
  for (size_t i = 0; i < end.rooms.size(); ++i) {
    for (std::vector<DeviceEvent> *events : {&way.begun, &way.moved}) {
      events->emplace_back();
      if (Status status = DeviceEvent::make(device, end.who, events->back()); !status.ok())
        return status;
    }
  }
  int32_t code = links.join(links.self, id, end.info.isProducer ? 0 : 1, &way.link);
  // The producer goes on to open its other ends: start() waits for the consumer.
  return end.info.isProducer && code == kBegun ? Status() : settle(end, way, code, deadlineNs);
}

Status NcclTransport::open(const ChannelDesc &desc, const EndInfo &info, int64_t deadlineNs, ChannelId &channel) {
  if (int32_t code = device.enter(device.self))
    return deviceFailure(device, stageName(info.stage), "open a channel", code);
  bool inRange = info.consumer >= 0 && size_t(info.consumer) < desc.consumerStages.size();
  if (!info.isProducer && !inRange)
    return fail(Code::kMismatch, "channel '%s' has no consumer %d", desc.name.c_str(), info.consumer);
  ends.emplace_back();
  End &end = ends.back();
  end.desc = desc, end.info = info;
  int32_t stage = info.isProducer ? desc.producerStage : desc.consumerStages[size_t(info.consumer)];
  end.who = stageName(stage) + ", channel '" + desc.name + "', tensor '" + desc.tensor + "'";
  std::string ids;
  Status status = openHost(end, deadlineNs, ids);
  if (status.ok())
    status = openRooms(end);
  if (status.ok() && !info.isProducer)
    status = openWay(end, desc.producerStage, &ids[size_t(info.consumer) * kLinkIdBytes], deadlineNs);
  for (size_t k = 0; status.ok() && info.isProducer && k < desc.consumerStages.size(); ++k)
    status = openWay(end, desc.consumerStages[k], &ids[k * kLinkIdBytes], deadlineNs);
  channel = static_cast<ChannelId>(ends.size()) - 1;
  return status;
}

/// All links of this stage, in the one order in which all stages go through theirs: by channel, then by consumer.
std::vector<std::pair<NcclTransport::End *, NcclTransport::Way *>> NcclTransport::orderedWays() {
  std::vector<std::pair<End *, Way *>> ways;
  for (End &end : ends)
    for (Way &way : end.ways)
      ways.emplace_back(&end, &way);
  auto place = [](const std::pair<End *, Way *> &entry) {
    const End &end = *entry.first;
    ptrdiff_t consumer = end.info.isProducer ? entry.second - end.ways.data() : end.info.consumer;
    return std::make_tuple(end.desc.id, consumer);
  };
  std::sort(ways.begin(), ways.end(), [&](auto &a, auto &b) { return place(a) < place(b); });
  return ways;
}

/// The first transfer over a link makes the connection, which takes both its ends, and far longer than any later one. A
/// stage that waits at a link waits for one that is at an earlier link of the order, if at any: nobody waits for ever.
Status NcclTransport::start(int64_t deadlineNs) {
  if (int32_t code = device.enter(device.self))
    return deviceFailure(device, stageName(place.role), "start", code);
  auto ways = orderedWays();
  for (auto &[end, way] : ways) {
    if (Status status = settle(*end, *way, links.state(links.self, way->link), deadlineNs); !status.ok())
      return status;
    if (Status status = move(*end, *way, 0, kFirstBytes, false); !status.ok())
      return status;
  }
  for (auto &[end, way] : ways)
    if (!end->info.isProducer)
      if (Status status = awaitEvent(device, end->who, "connect", way->moved[0].get(), deadlineNs, watch(*end));
          !status.ok())
        return status;
  return Status();
}

//===----------------------------------------------------------------------===//
// Transfers
//===----------------------------------------------------------------------===//

/// Gives the transfer of one slot to its stream, behind the kernels that have used the slot where `mustWait`.
Status NcclTransport::move(End &end, Way &way, size_t slot, int64_t numBytes, bool mustWait) {
  Room &room = end.rooms[slot];
  if (mustWait)
    if (int32_t code = device.await(device.self, way.stream, room.used.get()))
      return deviceError(end, "order a transfer", code);
  if (int32_t failed = device.mark(device.self, way.begun[slot].get(), way.stream))
    return deviceError(end, "mark the beginning of a transfer", failed);
  int32_t code = end.info.isProducer ? links.send(links.self, way.link, 1, room.data, numBytes, way.stream)
                                     : links.receive(links.self, way.link, 0, room.data, numBytes, way.stream);
  if (Status status = settle(end, way, code, deadline()); !status.ok())
    return status;
  if (int32_t failed = device.mark(device.self, way.moved[slot].get(), way.stream))
    return deviceError(end, "mark the end of a transfer", failed);
  return Status();
}

/// Slots of a free size grow when a larger message first comes; nothing uses the slot then.
Status NcclTransport::makeRoom(End &end, size_t slot, int64_t numBytes) {
  Room &room = end.rooms[slot];
  if (room.data && room.numBytes >= numBytes)
    return Status();
  if (room.data) {
    if (!end.info.isProducer) {
      Status status = awaitEvent(device, end.who, "grow a slot", room.used.get(), deadline(), watch(end));
      if (!status.ok())
        return status;
    }
    if (Status status = awaitMoved(end, slot, Stream(), deadline()); !status.ok())
      return status;
    if (int32_t code = device.release(device.self, room.data))
      return deviceError(end, "release a slot", code);
    room.data = nullptr;
  }
  room.numBytes = std::max(alignForDevice(numBytes), kFirstBytes);
  std::string needs = format("slot %zu of %d, %s", slot + 1, end.desc.depth, bytesToString(room.numBytes).c_str());
  return allocateMemory(device, end.who, needs, room.numBytes, room.data);
}

/// The transfers of a slot come first: before later work on the stream, or before the host goes on.
Status NcclTransport::awaitMoved(End &end, size_t slot, Stream stream, int64_t deadlineNs) {
  for (Way &way : end.ways) {
    void *event = way.moved[slot].get();
    if (!stream.handle) {
      Status status = awaitEvent(device, end.who, "move a message", event, deadlineNs, watch(end));
      if (!status.ok())
        return status;
    } else if (int32_t code = device.await(device.self, stream.handle, event)) {
      return deviceError(end, "order a kernel", code);
    }
  }
  return Status();
}

Status NcclTransport::checkEnd(ChannelId channel, bool producer, End *&end) {
  if (channel < 0 || size_t(channel) >= ends.size())
    return fail(Code::kProgram, "channel end %d does not exist; %zu are open", channel, ends.size());
  end = &ends[size_t(channel)];
  if (end->info.isProducer != producer)
    return fail(Code::kProgram, "%s: a %s's call on the %s's end", end->who.c_str(), producer ? "producer" : "consumer",
                producer ? "consumer" : "producer");
  if (int32_t code = device.enter(device.self))
    return deviceError(*end, "go on", code);
  return Status();
}

Status NcclTransport::acquire(ChannelId channel, int64_t numBytes, Stream stream, int64_t deadlineNs, Slot &slot) {
  End *end;
  if (Status status = checkEnd(channel, true, end); !status.ok())
    return status;
  if (end->holding)
    return fail(Code::kProgram, "%s: a slot is acquired already", end->who.c_str());
  if (numBytes < 0 || (end->desc.slotBytes >= 0 && numBytes > end->desc.slotBytes))
    return fail(Code::kInvalid, "%s: a message of %lld bytes, expected at most %lld", end->who.c_str(),
                (long long)numBytes, (long long)end->desc.slotBytes);
  if (!end->hostHeld) {
    Status status = awaitHost(
        *end, deadlineNs, [&](int64_t until) { return host.acquire(end->hostEnd, 0, Stream(), until, end->hostSlot); });
    if (!status.ok())
      return status;
    end->hostHeld = true;
  }
  size_t index = size_t(end->next % end->rooms.size());
  if (Status status = makeRoom(*end, index, numBytes); !status.ok())
    return status;
  if (Status status = awaitMoved(*end, index, stream, deadlineNs); !status.ok())
    return status;
  end->holding = true;
  slot.data = end->rooms[index].data;
  slot.numBytes = end->desc.slotBytes >= 0 ? end->desc.slotBytes : end->rooms[index].numBytes;
  slot.sequence = end->next;
  return Status();
}

/// Bytes of a message as its header has them; false where extents are missing or too large.
static bool payloadBytes(const ChannelDesc &desc, const MessageHeader &header, int64_t &numBytes) {
  numBytes = 0;
  if (header.flags & kFlagEnd)
    return true;
  return header.dims.count == desc.dims.size() &&
         tensorBytes(desc.dtype, header.dims.data, header.dims.count, numBytes);
}

Status NcclTransport::publish(ChannelId channel, const Slot &slot, const MessageHeader &header, Stream stream) {
  End *end;
  if (Status status = checkEnd(channel, true, end); !status.ok())
    return status;
  if (!end->holding || slot.sequence != end->next)
    return fail(Code::kProgram, "%s: published slot %llu, expected the acquired one", end->who.c_str(),
                (unsigned long long)slot.sequence);
  int64_t numBytes = 0;
  size_t index = size_t(end->next % end->rooms.size());
  if (!payloadBytes(end->desc, header, numBytes) || numBytes != slot.numBytes || numBytes > end->rooms[index].numBytes)
    return fail(Code::kProgram, "%s: a message of %lld bytes and shape %s, of which each must fit the other",
                end->who.c_str(), (long long)slot.numBytes, dimsToString(header.dims.data, header.dims.count).c_str());
  end->hostSlot.numBytes = 0;
  if (Status status = host.publish(end->hostEnd, end->hostSlot, header, Stream()); !status.ok())
    return status;
  end->hostHeld = end->holding = false;
  ++end->next;
  control.channel(end->desc.id).bytes.fetch_add(numBytes, std::memory_order_relaxed);
  if (numBytes == 0)
    return Status();
  if (stream.handle)
    if (int32_t code = device.mark(device.self, end->rooms[index].used.get(), stream.handle))
      return deviceError(*end, "mark the end of a kernel", code);
  for (Way &way : end->ways)
    if (Status status = move(*end, way, index, numBytes, stream.handle != nullptr); !status.ok())
      return status;
  return Status();
}

/// The next header, and the receive for what it announces.
Status NcclTransport::takeHeader(End &end, int64_t deadlineNs) {
  Arrival arrival;
  Status status = awaitHost(end, deadlineNs, [&](int64_t until) {
    return host.wait(end.hostEnd, Stream(), until, arrival.hostSlot, arrival.header);
  });
  if (!status.ok())
    return status;
  if (!payloadBytes(end.desc, arrival.header, arrival.numBytes) ||
      (end.desc.slotBytes >= 0 && arrival.numBytes > end.desc.slotBytes))
    return fail(Code::kMismatch, "%s: a message whose header does not fit the channel", end.who.c_str());
  size_t index = size_t(end.numArrived() % end.rooms.size());
  end.arrivals.push_back(arrival);
  if (arrival.numBytes == 0)
    return Status();
  if (Status status = makeRoom(end, index, arrival.numBytes); !status.ok())
    return status;
  return move(end, end.ways.front(), index, arrival.numBytes, true);
}

/// Receives for all that has been announced, on all channels but that of `waiting`, as far as there are slots. A
/// producer's device then never waits for the order in which this stage asks for its messages.
Status NcclTransport::receiveAheadBut(const End *waiting) {
  for (End &end : ends)
    while (&end != waiting && !end.info.isProducer && end.numArrived() - end.freed < end.rooms.size()) {
      Status status = takeHeader(end, 0);
      if (status.code() == Code::kTimeout)
        break;
      if (!status.ok())
        return status;
    }
  return Status();
}

Status NcclTransport::wait(ChannelId channel, Stream stream, int64_t deadlineNs, Slot &slot, MessageHeader &header) {
  End *end;
  if (Status status = checkEnd(channel, false, end); !status.ok())
    return status;
  if (end->next - end->freed >= end->rooms.size())
    return fail(Code::kProgram, "%s: all %zu slots are held by this end", end->who.c_str(), end->rooms.size());
  if (end->next == end->numArrived())
    if (Status status = takeHeader(*end, deadlineNs); !status.ok())
      return status;
  if (Status status = receiveAhead(); !status.ok())
    return status;
  const Arrival &arrival = end->arrivals[size_t(end->next - end->freed)];
  size_t index = size_t(end->next % end->rooms.size());
  if (arrival.numBytes > 0)
    if (Status status = awaitMoved(*end, index, stream, deadlineNs); !status.ok())
      return status;
  header = arrival.header;
  slot.data = end->rooms[index].data;
  slot.numBytes = arrival.numBytes;
  slot.sequence = end->next++;
  return Status();
}

Status NcclTransport::release(ChannelId channel, const Slot &slot, Stream stream) {
  End *end;
  if (Status status = checkEnd(channel, false, end); !status.ok())
    return status;
  if (slot.sequence != end->freed || end->freed >= end->next)
    return fail(Code::kProgram, "%s: released slot %llu, expected %llu", end->who.c_str(),
                (unsigned long long)slot.sequence, (unsigned long long)end->freed);
  if (stream.handle)
    if (int32_t code = device.mark(device.self, end->roomOf(end->freed).used.get(), stream.handle))
      return deviceError(*end, "mark the end of a kernel", code);
  if (Status status = host.release(end->hostEnd, end->arrivals.front().hostSlot, Stream()); !status.ok())
    return status;
  end->arrivals.pop_front();
  ++end->freed;
  return Status();
}

ChannelCounters NcclTransport::counters(ChannelId channel) const {
  bool known = channel >= 0 && size_t(channel) < ends.size();
  return known ? host.counters(ends[size_t(channel)].hostEnd) : ChannelCounters();
}

//===----------------------------------------------------------------------===//
// The end
//===----------------------------------------------------------------------===//

Status NcclTransport::finish(const Status &result, int64_t deadlineNs) {
  Status status = result;
  if (device.enter(device.self))
    return status;
  for (End &end : ends)
    for (size_t i = 0; status.ok() && i < end.rooms.size(); ++i)
      status = awaitMoved(end, i, Stream(), deadlineNs);
  auto finishing = orderedWays();
  for (auto &[end, way] : finishing) {
    int32_t code = status.ok() ? links.finish(links.self, way->link) : kLinked;
    if (status.ok() && code != kLinked && code != kBegun)
      status = lose(*end, *way, code);
  }
  // All have begun to leave before anybody waits for another: there is no order among the links.
  for (auto &[end, way] : finishing) {
    if (status.ok())
      status = settle(*end, *way, kBegun, deadlineNs);
    (void)(status.ok() ? links.drop : links.abort)(links.self, way->link);
    way->link = nullptr;
  }
  if (!status.ok() && result.ok())
    control.reportFailure(place.role, status);
  return status;
}

} // namespace rt
} // namespace penstock
