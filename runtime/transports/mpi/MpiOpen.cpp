//===- MpiOpen.cpp - Opening channels between ranks --------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The producer says where its slots lie; the consumer joins them if it can, or makes slots of its own and says on which
// tag it receives.
//
//===----------------------------------------------------------------------===//
#include "MpiTransport.h"

#include <algorithm>
#include <chrono>
#include <fstream>
#include <sys/stat.h>
#include <unistd.h>

namespace penstock {
namespace rt {

static constexpr int64_t kReasonNs = 3 * 1000000000ll; ///< launchers need a while to end the others, on a busy machine

std::string hostIdentity() {
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  std::string boot;
  struct stat network;
  if (!std::getline(file, boot) || boot.empty() || stat("/proc/self/ns/net", &network) != 0)
    return std::string();
  return format("%s/%llu:%llu/%u", boot.c_str(), (unsigned long long)network.st_dev, (unsigned long long)network.st_ino,
                unsigned(geteuid()));
}

/// A producer's slots lie where the consumers of its own host find them.
Status MpiTransport::makeRing(const ChannelDesc &desc, const EndInfo &info, int64_t deadlineNs, RingEnd &end) {
  int32_t producer = control.channel(desc.id).role;
  if (place.host && (producer == place.role || producer == control.hostRole())) {
    ChannelId id;
    if (Status status = place.host->open(desc, info, deadlineNs, id); !status.ok())
      return status;
    end = place.host->endOf(id);
    return Status();
  }
  end.desc = desc;
  end.info = info;
  end.control = &control.channel(desc.id);
  end.cursors = control.cursors(desc.id);
  if (!RingLayout::make(desc, freeReservationBytes(), end.layout))
    return fail(Code::kInvalid, "channel '%s': %d slots of %lld bytes are too much", desc.name.c_str(), desc.depth,
                (long long)desc.slotBytes);
  Mapping &memory = rings[desc.id];
  if (!memory.data())
    if (Status status = Mapping::anonymous(end.layout.totalBytes, desc.name.c_str(), memory); !status.ok())
      return status;
  if (memory.bytes() != end.layout.totalBytes)
    return fail(Code::kMismatch, "channel '%s': both ends of this role must have equal slots", desc.name.c_str());
  end.data = memory.data();
  return Status();
}

/// The lock is held; it is given up between looks.
Status MpiTransport::awaitProducer(const ChannelDesc &desc, int32_t consumer, int64_t deadlineNs, Opening &there) {
  int32_t producer = control.channel(desc.id).role;
  while (!producers.count({desc.id, consumer})) {
    if (!progress(nowNs())) {
      busy.unlock();
      std::this_thread::sleep_for(std::chrono::microseconds(50));
      busy.lock();
    }
    std::string who = stageName(desc.consumerStages[size_t(consumer)]);
    if (control.aborted())
      return fail(Code::kAborted, "%s, channel '%s': the run was ended", who.c_str(), desc.name.c_str());
    if (nowNs() >= deadlineNs)
      return fail(Code::kTimeout, "%s, channel '%s', tensor '%s': %s has not opened its end", who.c_str(),
                  desc.name.c_str(), desc.tensor.c_str(), stageName(producer).c_str());
  }
  there = producers[{desc.id, consumer}];
  std::string difference = describeDifference(desc, there.desc);
  if (!difference.empty())
    return fail(Code::kMismatch, "channel '%s' of %s: %s", desc.name.c_str(), stageName(producer).c_str(),
                difference.c_str());
  return Status();
}

/// A neighbour that goes away while it is joined has a reason, which it is telling right now.
Status MpiTransport::lostNeighbour(const ChannelDesc &desc, const Status &status) {
  if (status.code() != Code::kPeerLost)
    return status;
  for (int64_t until = nowNs() + kReasonNs; !control.aborted() && nowNs() < until;) {
    progress(nowNs());
    busy.unlock();
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    busy.lock();
  }
  std::string who = stageName(place.role);
  if (control.aborted())
    return fail(Code::kAborted, "%s, channel '%s': the run was ended", who.c_str(), desc.name.c_str());
  return fail(Code::kPeerLost, "%s, channel '%s': lost %s of the same host: %s", who.c_str(), desc.name.c_str(),
              stageName(desc.producerStage).c_str(), status.message().c_str());
}

/// Takes the producer's slots where they lie, if this is its host. A host that cannot be reached is another one.
Status MpiTransport::joinNeighbour(const Opening &there, const EndInfo &info, int64_t deadlineNs, RingEnd &end,
                                   bool &joined) {
  joined = false;
  if (place.hostName.empty() || there.hostName != place.hostName)
    return Status();
  std::unique_ptr<ShmRole> &neighbour = neighbours[control.channel(there.desc.id).role];
  if (!neighbour) {
    RoleOptions ofProducer;
    Status status = ShmRole::connect(there.address, place.identity, deadlineNs, ofProducer, neighbour);
    if (status.code() == Code::kSystem)
      return Status();
    if (!status.ok())
      return lostNeighbour(there.desc, status);
  }
  ChannelId id;
  if (Status status = neighbour->open(there.desc, info, deadlineNs, id); !status.ok())
    return lostNeighbour(there.desc, status);
  end = neighbour->endOf(id);
  joined = true;
  return Status();
}

Status MpiTransport::checkOpen(const ChannelDesc &desc, const EndInfo &info) const {
  if (desc.id < 0 || desc.id >= control.numChannels())
    return fail(Code::kMismatch, "channel '%s' has number %d, expected one below %d", desc.name.c_str(), desc.id,
                control.numChannels());
  const ChannelControl &shared = control.channel(desc.id);
  if (desc.consumerStages.size() != size_t(shared.numConsumers))
    return fail(Code::kMismatch, "channel '%s' has %zu consumers, expected %d", desc.name.c_str(),
                desc.consumerStages.size(), shared.numConsumers);
  if (!info.isProducer && (info.consumer < 0 || info.consumer >= shared.numConsumers))
    return fail(Code::kMismatch, "channel '%s' has no consumer %d", desc.name.c_str(), info.consumer);
  return Status();
}

Status MpiTransport::open(const ChannelDesc &desc, const EndInfo &info, int64_t deadlineNs, ChannelId &id) {
  if (Status status = checkOpen(desc, info); !status.ok())
    return status;
  std::lock_guard<BusyLock> lock(busy);
  const ChannelControl &shared = control.channel(desc.id);
  bool comes = !info.isProducer && isRemote(shared.role), joined = false;
  Opening there;
  RingEnd end;
  if (comes) {
    if (Status status = awaitProducer(desc, info.consumer, deadlineNs, there); !status.ok())
      return status;
    if (Status status = joinNeighbour(there, info, deadlineNs, end, joined); !status.ok())
      return status;
  }
  if (!joined)
    if (Status status = makeRing(desc, info, deadlineNs, end); !status.ok())
      return status;
  id = add(std::move(end));
  incomingOf.push_back(nullptr);
  outgoingOf.emplace_back();
  if (comes)
    comeFrom(id, there, joined);
  for (int32_t k = 0; info.isProducer && k < shared.numConsumers; ++k)
    if (isRemote(control.cursors(desc.id)[k].role))
      goTo(id, k);
  return Status();
}

/// The consumer's answer.
void MpiTransport::comeFrom(ChannelId id, const Opening &there, bool shares) {
  const RingEnd &end = ends[size_t(id)];
  int32_t peer = control.channel(end.desc.id).role;
  Opening here;
  here.isProducer = false, here.consumer = end.info.consumer, here.desc = end.desc;
  here.tag = shares ? kSharedTag : place.firstTag + nextTag++;
  control.cursors(end.desc.id)[here.consumer].carrier.store(shares ? Carrier::kMemory : fabric.carrier);
  if (!shares) {
    incoming.emplace_back();
    Incoming &in = incoming.back();
    in.end = id, in.peer = peer, in.tag = here.tag, in.creditTag = there.tag;
    in.requests.assign(size_t(end.desc.depth), nullptr);
    incomingOf[size_t(id)] = &in;
    post(in);
  }
  send(peer, openNote(place.role, here));
}

/// The producer's offer.
void MpiTransport::goTo(ChannelId id, int32_t consumer) {
  const RingEnd &end = ends[size_t(id)];
  outgoing.emplace_back();
  Outgoing &out = outgoing.back();
  out.end = id, out.consumer = consumer, out.peer = control.cursors(end.desc.id)[consumer].role;
  out.creditTag = place.firstTag + nextTag++;
  out.requests.assign(size_t(end.desc.depth), nullptr);
  outgoingOf[size_t(id)].push_back(&out);
  control.cursors(end.desc.id)[consumer].carrier.store(fabric.carrier);
  out.credits.resize(size_t(std::min(end.desc.depth, kNumCreditRooms)));
  for (Credit &credit : out.credits)
    if (int32_t code = postCredit(out, credit))
      return lose(&end, out.peer, code);
  Opening here;
  here.consumer = consumer, here.tag = out.creditTag, here.desc = end.desc;
  if (place.host) {
    here.hostName = place.hostName;
    here.address = place.address;
  }
  send(out.peer, openNote(place.role, here));
  connect(out);
}

/// The consumer may have spoken before this end was opened.
void MpiTransport::connect(Outgoing &out) {
  const ChannelDesc &desc = ends[size_t(out.end)].desc;
  auto found = consumers.find({desc.id, out.consumer});
  if (out.connected || found == consumers.end())
    return;
  std::string difference = describeDifference(desc, found->second.desc);
  if (!difference.empty())
    return control.reportFailure(place.role, fail(Code::kMismatch, "channel '%s' of %s: %s", desc.name.c_str(),
                                                  stageName(out.peer).c_str(), difference.c_str()));
  out.tag = found->second.tag;
  out.shares = out.tag == kSharedTag;
  out.connected = true;
  if (!out.shares)
    return;
  control.cursors(desc.id)[out.consumer].carrier.store(Carrier::kMemory);
  cancelCredits(out);
}

} // namespace rt
} // namespace penstock
