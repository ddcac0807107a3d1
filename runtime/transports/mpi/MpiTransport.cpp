//===- MpiTransport.cpp - Channels between ranks -----------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "MpiTransport.h"

#include "Futex.h"
#include "MpiNotes.h"

#include <algorithm>
#include <chrono>
#include <ctime>
#include <pthread.h>

namespace penstock {
namespace rt {

static constexpr int64_t kMs = 1000000;
static constexpr int64_t kEagerNs = 200000;   ///< after the last movement: look again at once
static constexpr int64_t kLongestNapNs = kMs; ///< between two looks of a waiter
static constexpr int64_t kHelperNapNs = kMs;  ///< between two looks of the helper
static constexpr int64_t kPoliteNs = 500 * kMs;
static constexpr int64_t kFarewellNs = 200 * kMs; ///< for telling the others of a failure

static int64_t lines(int64_t numBytes) { return (numBytes + kFabricLine - 1) / kFabricLine * kFabricLine; }

MpiTransport::MpiTransport(const Fabric &fabric, const RunControl &runControl, Place given)
    : fabric(fabric), place(std::move(given)) {
  control = runControl;
  beatNs = 250 * kMs;
  if (place.timeoutNs > 0)
    beatNs = std::max<int64_t>(kMs, std::min(beatNs, place.timeoutNs / 8));
  hasClock = pthread_getcpuclockid(pthread_self(), &roleClock) == 0;
  statusPending.assign(place.ranks.size(), false);
  stepNames.resize(place.ranks.size());
  noteRooms.assign(kNumNoteRooms, std::string());
  noteRequests.assign(kNumNoteRooms, nullptr);
  for (size_t i = 0; i < noteRooms.size(); ++i) {
    noteRooms[i].resize(kNoteBytes);
    postNote(i);
  }
  if (place.helps)
    helper = std::thread([this] { help(); });
}

MpiTransport::~MpiTransport() {
  {
    std::lock_guard<std::mutex> lock(mutex);
    stopping = true;
    stopped.notify_all();
  }
  if (helper.joinable())
    helper.join();
  cancelAll();
}

/// What is posted must not be written any more.
void MpiTransport::cancelAll() {
  for (Incoming &in : incoming)
    for (void *&request : in.requests)
      if (request)
        (void)fabric.cancel(fabric.self, &request);
  for (void *&request : noteRequests)
    if (request)
      (void)fabric.cancel(fabric.self, &request);
}

/// While the role computes, nobody else would get on with what has been begun, or say that the role is alive.
void MpiTransport::help() {
  std::unique_lock<std::mutex> lock(mutex);
  while (!stopping) {
    stopped.wait_for(lock, std::chrono::nanoseconds(kHelperNapNs));
    int64_t now = nowNs();
    if (!stopping && now - lastDriveNs.load(std::memory_order_relaxed) > kHelperNapNs)
      progress(now);
  }
}

Status MpiTransport::makeRing(const ChannelDesc &desc, const EndInfo &info, int64_t deadlineNs, RingEnd &end) {
  const ChannelControl &shared = control.channel(desc.id);
  bool withHost = shared.role == control.hostRole();
  for (int32_t k = 0; k < shared.numConsumers && shared.role == place.role; ++k)
    withHost |= control.cursors(desc.id)[k].role == control.hostRole();
  if (withHost && place.host) {
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
Status MpiTransport::awaitProducer(const ChannelDesc &desc, int32_t consumer, int64_t deadlineNs) {
  int32_t producer = control.channel(desc.id).role;
  while (!producers.count(desc.id)) {
    if (!progress(nowNs())) {
      mutex.unlock();
      std::this_thread::sleep_for(std::chrono::microseconds(50));
      mutex.lock();
    }
    std::string who = stageName(desc.consumerStages[size_t(consumer)]);
    if (control.aborted())
      return fail(Code::kAborted, "%s, channel '%s': the run was ended", who.c_str(), desc.name.c_str());
    if (nowNs() >= deadlineNs)
      return fail(Code::kTimeout, "%s, channel '%s', tensor '%s': %s has not opened its end", who.c_str(),
                  desc.name.c_str(), desc.tensor.c_str(), stageName(producer).c_str());
  }
  std::string difference = describeDifference(desc, producers[desc.id].desc);
  if (!difference.empty())
    return fail(Code::kMismatch, "channel '%s' of %s: %s", desc.name.c_str(), stageName(producer).c_str(),
                difference.c_str());
  return Status();
}

Status MpiTransport::open(const ChannelDesc &desc, const EndInfo &info, int64_t deadlineNs, ChannelId &id) {
  if (desc.id < 0 || desc.id >= control.numChannels())
    return fail(Code::kMismatch, "channel '%s' has number %d, expected one below %d", desc.name.c_str(), desc.id,
                control.numChannels());
  const ChannelControl &shared = control.channel(desc.id);
  if (desc.consumerStages.size() != size_t(shared.numConsumers))
    return fail(Code::kMismatch, "channel '%s' has %zu consumers, expected %d", desc.name.c_str(),
                desc.consumerStages.size(), shared.numConsumers);
  if (!info.isProducer && (info.consumer < 0 || info.consumer >= shared.numConsumers))
    return fail(Code::kMismatch, "channel '%s' has no consumer %d", desc.name.c_str(), info.consumer);
  std::lock_guard<std::mutex> lock(mutex);
  bool comes = !info.isProducer && isRemote(shared.role);
  if (comes)
    if (Status status = awaitProducer(desc, info.consumer, deadlineNs); !status.ok())
      return status;
  RingEnd end;
  if (Status status = makeRing(desc, info, deadlineNs, end); !status.ok())
    return status;
  id = add(std::move(end));
  auto depth = static_cast<size_t>(desc.depth);
  if (comes) {
    Incoming in;
    in.end = id, in.peer = shared.role, in.tag = place.firstTag + nextTag++;
    in.requests.assign(depth, nullptr);
    incoming.push_back(std::move(in));
    arrive(incoming.back()); // posts the receives
    send(shared.role, openNote(place.role, desc, info.consumer, incoming.back().tag));
  }
  for (int32_t k = 0; info.isProducer && k < shared.numConsumers; ++k) {
    int32_t role = control.cursors(desc.id)[k].role;
    if (!isRemote(role))
      continue;
    Outgoing out;
    out.end = id, out.peer = role, out.consumer = k;
    out.requests.assign(depth, nullptr);
    outgoing.push_back(std::move(out));
    send(role, openNote(place.role, desc, -1, 0));
    connect(outgoing.back());
  }
  return Status();
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
  out.connected = true;
}

Status MpiTransport::publish(ChannelId channel, const Slot &slot, const MessageHeader &header, Stream stream) {
  if (Status status = RingTransport::publish(channel, slot, header, stream); !status.ok())
    return status;
  std::lock_guard<std::mutex> lock(mutex);
  for (Outgoing &out : outgoing) {
    if (out.end != channel)
      continue;
    if (!out.connected)
      takeNotes(); // the first message: where does the consumer take it?
    depart(out);
  }
  return Status();
}

Status MpiTransport::release(ChannelId channel, const Slot &slot, Stream stream) {
  if (Status status = RingTransport::release(channel, slot, stream); !status.ok())
    return status;
  std::lock_guard<std::mutex> lock(mutex);
  for (Incoming &in : incoming)
    if (in.end == channel)
      arrive(in);
  return Status();
}

/// A peer cannot be reached: no wait makes sense any more.
void MpiTransport::lose(const RingEnd *end, int32_t peer, int32_t code) {
  char words[256] = "";
  fabric.explain(fabric.self, code, words, sizeof(words));
  broken = true;
  std::string who = end ? endWords(*end) : stageName(place.role);
  control.reportFailure(place.role, fail(Code::kPeerLost, "%s, microbatch %lld: lost %s over %s: %s", who.c_str(),
                                         (long long)control.role(place.role).microbatch.load(), stageName(peer).c_str(),
                                         fabric.library, words));
}

/// Messages that have come, receives for slots that are free again, and the credit for them.
bool MpiTransport::arrive(Incoming &in) {
  RingEnd &end = ends[size_t(in.end)];
  auto depth = static_cast<uint64_t>(end.desc.depth);
  bool moved = false;
  while (in.arrived < in.posted && !broken) {
    int32_t done = 0;
    int64_t numBytes = 0;
    if (int32_t code = fabric.test(fabric.self, &in.requests[in.arrived % depth], &done, &numBytes)) {
      lose(&end, in.peer, code);
      return true;
    }
    if (!done)
      break;
    const RawHeader *raw = end.headerOf(in.arrived);
    if (numBytes < end.layout.headerBytes || raw->numBytes < 0 || raw->numBytes > end.layout.slotBytes ||
        end.layout.headerBytes + lines(raw->numBytes) != numBytes) {
      broken = true;
      control.reportFailure(place.role, fail(Code::kMismatch, "%s: a message of %lld bytes does not fit its header",
                                             endWords(end).c_str(), (long long)numBytes));
      return true;
    }
    ++in.arrived;
    moved = true;
    end.control->published.store(in.arrived, std::memory_order_seq_cst);
    ringBell(end.control->publishBell, end.control->publishSleepers);
  }
  uint64_t released = end.cursors[end.info.consumer].released.load(std::memory_order_acquire);
  while (in.posted < released + depth && !broken) {
    int32_t code = fabric.receive(fabric.self, place.ranks[size_t(in.peer)], in.tag, end.headerOf(in.posted),
                                  end.layout.headerBytes + end.layout.slotBytes, &in.requests[in.posted % depth]);
    if (code) {
      lose(&end, in.peer, code);
      return true;
    }
    ++in.posted;
  }
  if (released > in.credited)
    sendCredit(in, released);
  return moved;
}

/// Messages that can leave, sends that have ended, and slots that are free by both.
bool MpiTransport::depart(Outgoing &out) {
  RingEnd &end = ends[size_t(out.end)];
  auto depth = static_cast<uint64_t>(end.desc.depth);
  bool moved = false;
  uint64_t published = end.control->published.load(std::memory_order_acquire);
  while (out.connected && out.sent < published && !broken) {
    RawHeader *raw = end.headerOf(out.sent);
    int32_t code = fabric.send(fabric.self, place.ranks[size_t(out.peer)], out.tag, raw,
                               end.layout.headerBytes + lines(raw->numBytes), &out.requests[out.sent % depth]);
    if (code) {
      lose(&end, out.peer, code);
      return true;
    }
    ++out.sent;
    moved = true;
  }
  while (out.completed < out.sent && !broken) {
    int32_t done = 0;
    int64_t ignored = 0;
    if (int32_t code = fabric.test(fabric.self, &out.requests[out.completed % depth], &done, &ignored)) {
      lose(&end, out.peer, code);
      return true;
    }
    if (!done)
      break;
    ++out.completed;
    moved = true;
  }
  uint64_t freed = std::min(out.credit, out.completed);
  std::atomic<uint64_t> &released = end.cursors[out.consumer].released;
  if (freed > released.load(std::memory_order_relaxed)) {
    released.store(freed, std::memory_order_seq_cst);
    ringBell(end.control->releaseBell, end.control->releaseSleepers);
  }
  return moved;
}

bool MpiTransport::progress(int64_t now) {
  bool moved = takeNotes();
  for (Incoming &in : incoming)
    moved |= arrive(in);
  for (Outgoing &out : outgoing)
    moved |= depart(out);
  reapNotes();
  if (control.aborted())
    tellFailure();
  if (now >= nextBeatNs)
    beat(now);
  return moved;
}

int64_t MpiTransport::drive() {
  std::unique_lock<std::mutex> lock(mutex, std::try_to_lock);
  if (!lock.owns_lock())
    return 0; // the helper is at it
  int64_t now = nowNs();
  lastDriveNs.store(now, std::memory_order_relaxed);
  if (progress(now))
    lastMoveNs = now;
  int64_t quietNs = now - lastMoveNs;
  return quietNs < kEagerNs ? 0 : std::min(kLongestNapNs, quietNs / 8);
}

void MpiTransport::abort() {
  control.abort();
  std::lock_guard<std::mutex> lock(mutex);
  int64_t until = nowNs() + kFarewellNs;
  do
    progress(nowNs());
  while (!notes.empty() && nowNs() < until);
}

Status MpiTransport::finish(const Status &result) {
  Status status = result;
  // Whoever waits for a tensor, or watches the process, knows more than this role does: they come first.
  ProgressWatch watch(control, place.timeoutNs > 0 ? place.timeoutNs + kPoliteNs : 0);
  int64_t now = nowNs(), until = now + kFarewellNs;
  watch.start(now);
  {
    std::lock_guard<std::mutex> lock(mutex);
    nextBeatNs = 0; // all shall know at once that this role has ended
  }
  for (bool over = false; !over;) {
    int64_t napNs = drive();
    now = nowNs();
    std::unique_lock<std::mutex> lock(mutex);
    over = notes.empty();
    if (status.ok() && control.aborted())
      status = fail(Code::kAborted, "%s: the run was ended", stageName(place.role).c_str());
    if (status.ok()) {
      int32_t awaited = -1;
      for (int32_t role = 0; role < numRoles(); ++role)
        if (isRemote(role) && control.role(role).activity.load() != uint32_t(Activity::kEnded))
          awaited = role;
      for (Outgoing &out : outgoing)
        over &= out.completed == out.sent;
      over &= awaited < 0;
      if (awaited >= 0 && watch.expired(now)) {
        status = fail(Code::kTimeout, "%s: waited %.3g s for %s to end", stageName(place.role).c_str(),
                      double(watch.waitedNs(now)) * 1e-9, stageName(awaited).c_str());
        control.reportFailure(place.role, status);
      }
      until = now + kFarewellNs;
    } else {
      over &= toldAbort || toldFailure || heardAbort;
      over |= now >= until || broken;
    }
    lock.unlock();
    if (!over && napNs > 0)
      std::this_thread::sleep_for(std::chrono::nanoseconds(napNs));
  }
  std::lock_guard<std::mutex> lock(mutex);
  stopping = true;
  stopped.notify_all();
  if (!status.ok())
    return status;
  cancelAll();
  if (int32_t code = fabric.finish(fabric.self))
    lose(nullptr, place.role, code);
  return broken ? control.firstFailure() : status;
}

} // namespace rt
} // namespace penstock
