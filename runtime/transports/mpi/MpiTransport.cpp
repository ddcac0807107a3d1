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
static constexpr int64_t kRoundNs = 20000;    ///< between two looks at all that a waiter does not wait for itself
static constexpr uint64_t kQuickDrives = 64;  ///< of so many successful looks, one looks at all the rest too
static constexpr int64_t kPoliteNs = 500 * kMs;
static constexpr int64_t kFarewellNs = 200 * kMs; ///< for telling the others of a failure
static constexpr int64_t kHearingNs = 800 * kMs;  ///< for hearing who has the word

static int64_t lines(int64_t numBytes) { return (numBytes + kFabricLine - 1) / kFabricLine * kFabricLine; }

MpiTransport::MpiTransport(const Fabric &fabric, const RunControl &runControl, Place given)
    : fabric(fabric), place(std::move(given)) {
  control = runControl;
  beatNs = 250 * kMs;
  if (place.timeoutNs > 0)
    beatNs = std::max<int64_t>(kMs, std::min(beatNs, place.timeoutNs / 8));
  silenceNs = std::max(4 * beatNs, place.timeoutNs / 2);
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
  stopHelping();
  if (helper.joinable())
    helper.join();
  cancelAll();
}

void MpiTransport::stopHelping() {
  std::lock_guard<std::mutex> lock(stopMutex);
  stopping = true;
  stopped.notify_all();
}

/// What is posted must not be written any more.
void MpiTransport::cancelAll() {
  for (Incoming &in : incoming)
    for (void *&request : in.requests)
      if (request)
        (void)fabric.cancel(fabric.self, &request);
  for (Outgoing &out : outgoing)
    cancelCredits(out);
  for (void *&request : noteRequests)
    if (request)
      (void)fabric.cancel(fabric.self, &request);
}

void MpiTransport::cancelCredits(Outgoing &out) {
  for (Credit &credit : out.credits)
    if (credit.request)
      (void)fabric.cancel(fabric.self, &credit.request);
}

/// While the role computes, nobody else would get on with what has been begun, or say that the role is alive.
void MpiTransport::help() {
  uint64_t seen = 0;
  std::unique_lock<std::mutex> lock(stopMutex);
  while (!stopped.wait_for(lock, std::chrono::nanoseconds(kHelperNapNs), [this] { return stopping; })) {
    std::unique_lock<BusyLock> own(busy, std::try_to_lock);
    if (own.owns_lock() && numDrives == seen)
      progress(nowNs());
    if (own.owns_lock())
      seen = numDrives;
  }
}

Status MpiTransport::publish(ChannelId channel, const Slot &slot, const MessageHeader &header, Stream stream) {
  if (Status status = RingTransport::publish(channel, slot, header, stream); !status.ok())
    return status;
  if (outgoingOf[size_t(channel)].empty())
    return Status();
  std::lock_guard<BusyLock> lock(busy);
  for (Outgoing *out : outgoingOf[size_t(channel)]) {
    if (!out->connected)
      takeNotes(); // the first message: where does the consumer take it?
    launch(*out);
  }
  return Status();
}

Status MpiTransport::release(ChannelId channel, const Slot &slot, Stream stream) {
  if (Status status = RingTransport::release(channel, slot, stream); !status.ok())
    return status;
  Incoming *in = incomingOf[size_t(channel)];
  const RingEnd &end = ends[size_t(channel)];
  // Of a neighbour's slots, this rank's own block knows too: whoever looks for the end of a chain of waiting reads
  // there.
  if (ConsumerCursor *own = control.cursors(end.desc.id); own != end.cursors)
    own[end.info.consumer].released.store(end.freed, std::memory_order_relaxed);
  if (!in)
    return Status();
  std::lock_guard<BusyLock> lock(busy);
  post(*in);
  // A credit for several messages at once is as good as long as the producer has slots left; whoever waits sends the
  // rest.
  tellReleased(*in, std::max<uint64_t>(1, in->requests.size() / 2));
  return Status();
}

/// A peer cannot be reached: no wait makes sense any more. A run that is ending has a better reason.
void MpiTransport::lose(const RingEnd *end, int32_t peer, int32_t code) {
  broken = true;
  if (control.aborted())
    return;
  char words[256] = "";
  fabric.explain(fabric.self, code, words, sizeof(words));
  std::string who = end ? endWords(*end) : stageName(place.role);
  control.reportFailure(place.role, fail(Code::kPeerLost, "%s, microbatch %lld: lost %s over %s: %s", who.c_str(),
                                         (long long)control.role(place.role).microbatch.load(), stageName(peer).c_str(),
                                         fabric.library, words));
}

/// Messages that have come.
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
    end.control->published.store(in.arrived, std::memory_order_release);
    ringBell(end.control->publishBell, end.control->publishSleepers);
  }
  return moved;
}

/// Receives for the slots that are free.
void MpiTransport::post(Incoming &in) {
  RingEnd &end = ends[size_t(in.end)];
  auto depth = static_cast<uint64_t>(end.desc.depth);
  uint64_t released = end.cursors[end.info.consumer].released.load(std::memory_order_acquire);
  while (in.posted < released + depth && !broken) {
    int32_t code = fabric.receive(fabric.self, place.ranks[size_t(in.peer)], in.tag, end.headerOf(in.posted),
                                  end.layout.headerBytes + end.layout.slotBytes, &in.requests[in.posted % depth]);
    if (code)
      return lose(&end, in.peer, code);
    ++in.posted;
  }
}

/// The credit for released messages, if there are at least so many and the last one has left.
void MpiTransport::tellReleased(Incoming &in, uint64_t least) {
  RingEnd &end = ends[size_t(in.end)];
  uint64_t released = end.cursors[end.info.consumer].released.load(std::memory_order_acquire);
  if (released - in.credited < least || broken)
    return;
  if (!hasLeft(in))
    return;
  in.credit.line[0] = in.credited = released;
  if (int32_t code = fabric.send(fabric.self, place.ranks[size_t(in.peer)], in.creditTag, in.credit.line, kFabricLine,
                                 &in.credit.request))
    lose(&end, in.peer, code);
}

/// No credit is on its way.
bool MpiTransport::hasLeft(Incoming &in) {
  int32_t done = 1;
  int64_t ignored = 0;
  if (in.credit.request && !broken)
    if (int32_t code = fabric.test(fabric.self, &in.credit.request, &done, &ignored))
      lose(&ends[size_t(in.end)], in.peer, code);
  return done;
}

/// Messages that can leave.
void MpiTransport::launch(Outgoing &out) {
  if (out.shares || !out.connected)
    return;
  RingEnd &end = ends[size_t(out.end)];
  auto depth = static_cast<uint64_t>(end.desc.depth);
  uint64_t published = end.control->published.load(std::memory_order_acquire);
  while (out.sent < published && !broken) {
    RawHeader *raw = end.headerOf(out.sent);
    int32_t code = fabric.send(fabric.self, place.ranks[size_t(out.peer)], out.tag, raw,
                               end.layout.headerBytes + lines(raw->numBytes), &out.requests[out.sent % depth]);
    if (code)
      return lose(&end, out.peer, code);
    if (!(raw->flags & kFlagSetUp))
      count(end.control->bytesCopied, raw->numBytes);
    ++out.sent;
  }
}

bool MpiTransport::takeCredit(Outgoing &out) {
  bool moved = false;
  while (!broken) {
    Credit &credit = out.credits[out.taken % out.credits.size()];
    int32_t done = 0;
    int64_t ignored = 0;
    int32_t code = fabric.test(fabric.self, &credit.request, &done, &ignored);
    if (code == 0 && !done)
      break;
    if (code == 0) {
      out.released = std::max(out.released, std::min(credit.line[0], out.sent));
      ++out.taken;
      code = postCredit(out, credit);
    }
    if (code)
      lose(&ends[size_t(out.end)], out.peer, code);
    moved = true;
  }
  return moved;
}

int32_t MpiTransport::postCredit(Outgoing &out, Credit &credit) {
  return fabric.receive(fabric.self, place.ranks[size_t(out.peer)], out.creditTag, credit.line, kFabricLine,
                        &credit.request);
}

/// Messages that can leave, sends that have ended, credits, and slots that are free by both.
bool MpiTransport::depart(Outgoing &out) {
  if (out.shares || !out.connected)
    return false;
  RingEnd &end = ends[size_t(out.end)];
  auto depth = static_cast<uint64_t>(end.desc.depth);
  uint64_t before = out.sent;
  launch(out);
  bool moved = out.sent != before;
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
  moved |= takeCredit(out);
  uint64_t freed = std::min(out.released, out.completed);
  std::atomic<uint64_t> &released = end.cursors[out.consumer].released;
  if (freed > released.load(std::memory_order_relaxed)) {
    released.store(freed, std::memory_order_release);
    ringBell(end.control->releaseBell, end.control->releaseSleepers);
  }
  return moved;
}

bool MpiTransport::progress(int64_t now) {
  lastRoundNs = now;
  bool moved = takeNotes();
  for (Incoming &in : incoming) {
    moved |= arrive(in);
    post(in);
    tellReleased(in, 1);
  }
  for (Outgoing &out : outgoing)
    moved |= depart(out);
  reapNotes();
  if (control.aborted()) {
    tellFailure();
    (void)settleWord(now);
  }
  if (now >= nextBeatNs)
    beat(now);
  return moved;
}

/// What a waiting end waits for.
bool MpiTransport::look(ChannelId id) {
  bool moved = incomingOf[size_t(id)] && arrive(*incomingOf[size_t(id)]);
  for (Outgoing *out : outgoingOf[size_t(id)])
    moved |= depart(*out);
  return moved;
}

/// True when a bell ends this wait, and nothing that the fabric is doing needs this thread meanwhile.
bool MpiTransport::rests(ChannelId id) const {
  if (incomingOf[size_t(id)])
    return false;
  for (const Outgoing *out : outgoingOf[size_t(id)])
    if (!out->shares)
      return false;
  for (const Outgoing &out : outgoing)
    if (out.completed != out.sent)
      return false;
  return true;
}

int64_t MpiTransport::drive(ChannelId id) {
  std::unique_lock<BusyLock> lock(busy, std::try_to_lock);
  if (!lock.owns_lock())
    return 0; // the helper is at it
  ++numDrives;
  bool moved = id >= 0 && look(id);
  hasMoved |= moved;
  if (moved && numDrives % kQuickDrives != 0)
    return 0; // what was waited for has come: not even the clock is looked at
  int64_t now = nowNs();
  // A library's look can cost a turn of the processor: who waits for a bell takes few.
  bool isResting = id >= 0 && rests(id);
  if (id < 0 || now - lastRoundNs >= (isResting ? kLongestNapNs : kRoundNs))
    hasMoved |= progress(now);
  if (hasMoved)
    lastMoveNs = now;
  hasMoved = false;
  if (isResting)
    return kLongestNapNs;
  int64_t quietNs = now - lastMoveNs;
  return quietNs < kEagerNs ? 0 : std::min(kLongestNapNs, quietNs / 8);
}

void MpiTransport::abort() {
  control.abort();
  std::lock_guard<BusyLock> lock(busy);
  int64_t until = nowNs() + kFarewellNs;
  do
    progress(nowNs());
  while (!notes.empty() && nowNs() < until);
}

/// Of a role that has ended well: have all others, and has everything left? `status`: why not, once that is clear.
bool MpiTransport::awaitEnd(int64_t now, ProgressWatch &watch, Status &status) {
  if (control.aborted()) {
    status = fail(Code::kAborted, "%s: the run was ended", stageName(place.role).c_str());
    return false;
  }
  int32_t awaited = -1;
  for (int32_t role = 0; role < numRoles(); ++role)
    if (isRemote(role) && control.role(role).activity.load() != uint32_t(Activity::kEnded))
      awaited = role;
  bool over = notes.empty() && awaited < 0;
  for (Outgoing &out : outgoing)
    over &= out.completed == out.sent;
  for (Incoming &in : incoming)
    over &= hasLeft(in);
  if (awaited >= 0 && watch.expired(now)) {
    status = fail(Code::kTimeout, "%s: waited %.3g s for %s to end", stageName(place.role).c_str(),
                  double(watch.waitedNs(now)) * 1e-9, stageName(awaited).c_str());
    control.reportFailure(place.role, status);
  }
  return over && status.ok();
}

Status MpiTransport::finish(const Status &result) {
  Status status = result;
  // Whoever waits for a tensor, or watches the process, knows more than this role does: they come first.
  ProgressWatch watch(control, place.timeoutNs > 0 ? place.timeoutNs + kPoliteNs : 0);
  int64_t now = nowNs(), failedNs = now;
  watch.start(now);
  {
    std::lock_guard<BusyLock> lock(busy);
    nextBeatNs = 0; // all shall know at once that this role has ended
  }
  for (bool over = false; !over;) {
    int64_t napNs = drive(-1);
    now = nowNs();
    std::unique_lock<BusyLock> lock(busy);
    if (status.ok()) {
      failedNs = now;
      over = awaitEnd(now, watch, status);
    } else {
      // A note to a rank that stands still may never leave; who has the word is worth more patience.
      bool isSettled = settleWord(now);
      over = isSettled && notes.empty() && (toldAbort || toldFailure || heardAbort);
      over |= broken || now - failedNs >= (isSettled ? kFarewellNs : kHearingNs);
    }
    lock.unlock();
    if (!over && napNs > 0)
      std::this_thread::sleep_for(std::chrono::nanoseconds(napNs));
  }
  stopHelping();
  std::lock_guard<BusyLock> lock(busy);
  if (!status.ok())
    return status;
  cancelAll();
  if (int32_t code = fabric.finish(fabric.self))
    lose(nullptr, place.role, code);
  return broken ? control.firstFailure() : status;
}

} // namespace rt
} // namespace penstock
