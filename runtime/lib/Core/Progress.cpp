//===- Progress.cpp - Telling slow from stuck --------------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "penstock/rt/Control.h"

#include <algorithm>
#include <ctime>

namespace penstock {
namespace rt {

static Activity activityOf(const RoleState &state) {
  return static_cast<Activity>(state.activity.load(std::memory_order_acquire));
}

/// CPU time of a role in milliseconds; 0 when it cannot be read (the process is gone).
static uint64_t cpuMs(const RoleState &state) {
  int64_t clock = state.clock.load(std::memory_order_acquire);
  timespec time;
  if (clock == 0 || clock_gettime(static_cast<clockid_t>(clock - 1), &time) != 0)
    return 0;
  return uint64_t(time.tv_sec) * 1000 + uint64_t(time.tv_nsec) / 1000000;
}

uint64_t RunControl::progressSignature() const {
  uint64_t sum = 1;
  for (int32_t i = 0; i <= numRoles(); ++i) {
    const RoleState &state = role(i);
    sum += state.progress.load(std::memory_order_relaxed) * 1000003 + state.computed.load(std::memory_order_relaxed);
    Activity activity = activityOf(state);
    if (i < numRoles() && (activity == Activity::kRunning || activity == Activity::kStarting))
      sum += cpuMs(state);
  }
  return sum;
}

namespace {
/// Who waits, and for what.
struct Wait {
  std::string who;
  Activity activity;
  int32_t channel;
  int64_t microbatch;
};
} // namespace

static Wait waitOf(const RunControl &control, int32_t index) {
  const RoleState &state = control.role(index);
  Activity activity = activityOf(state);
  return {stageName(index == control.hostRole() ? RT_STAGE_SINK : index), activity, state.channel.load(),
          state.microbatch.load()};
}

/// The role that is waited for, or -1.
static int32_t awaitedRole(const RunControl &control, const Wait &wait) {
  if (wait.channel < 0 || wait.channel >= control.numChannels())
    return -1;
  const ChannelControl &channel = control.channel(wait.channel);
  if (wait.activity == Activity::kWaiting)
    return channel.role;
  if (wait.activity != Activity::kAcquiring)
    return -1;
  const ConsumerCursor *cursors = control.cursors(wait.channel);
  int32_t slowest = 0;
  for (int32_t k = 1; k < channel.numConsumers; ++k)
    if (!cursors[k].absent &&
        (cursors[slowest].absent || cursors[k].released.load() < cursors[slowest].released.load()))
      slowest = k;
  return cursors[slowest].role;
}

/// The role that `index` waits for, as `wait` has it; -1 too where what it waits for is there, and it does not take it.
/// That can only be told of roles of this host.
static int32_t awaitedRole(const RunControl &control, int32_t index, const Wait &wait) {
  int32_t awaited = awaitedRole(control, wait);
  if (awaited < 0 || control.role(index).heardNs.load(std::memory_order_relaxed) != 0)
    return awaited;
  const ChannelControl &channel = control.channel(wait.channel);
  uint64_t published = channel.published.load(std::memory_order_acquire);
  bool isFree = true;
  for (int32_t k = 0; k < channel.numConsumers; ++k) {
    const ConsumerCursor &cursor = control.cursors(wait.channel)[k];
    if (wait.activity == Activity::kWaiting && cursor.role == index && published > cursor.received.load())
      return -1;
    isFree &= cursor.absent || published - cursor.released.load() < uint64_t(channel.depth);
  }
  return wait.activity == Activity::kAcquiring && isFree ? -1 : awaited;
}

/// "microbatch 2, '/blk.6/mul'"; empty: nothing yet.
static std::string lastDone(const RunControl &control, int32_t index) {
  const RoleState &state = control.role(index);
  int32_t step = state.doneStep.load(std::memory_order_acquire);
  if (step == 0)
    return std::string();
  return format("microbatch %lld, '%s'", (long long)state.doneMicrobatch.load(),
                control.stepName(index, step - 1).c_str());
}

/// What the one who is waited for has last done; the host has no steps.
static std::string peersLast(const RunControl &control, int32_t index) {
  if (index >= control.hostRole())
    return std::string();
  std::string done = lastDone(control, index);
  return " (last done: " + (done.empty() ? "nothing" : done) + ")";
}

static std::string ownLast(const RunControl &control, int32_t index) {
  if (index < 0 || index >= control.hostRole())
    return std::string();
  std::string done = lastDone(control, index);
  return "; " + stageName(index) + (done.empty() ? " has done nothing yet" : " has last done " + done);
}

/// How long nothing has been heard of a role on another rank; 0 when that is less than half of the wait (a busy machine
/// delays what is told), or the role is here.
static int64_t silenceOf(const RoleState &state, int64_t waitedNs) {
  int64_t heard = state.heardNs.load(std::memory_order_relaxed), silentNs = heard ? nowNs() - heard : 0;
  return silentNs >= waitedNs / 2 ? silentNs : 0;
}

/// The line of one who waits; `index` is its role, -1 for the source.
static std::string stallLine(const RunControl &control, const Wait &wait, int32_t index, int64_t waitedNs) {
  int32_t peer = awaitedRole(control, wait);
  std::string head = format("%s, microbatch %lld: waited %.3g s for ", wait.who.c_str(), (long long)wait.microbatch,
                            double(waitedNs) * 1e-9);
  if (peer < 0)
    return head + "the run to go on" + ownLast(control, index);
  bool isInput = wait.activity == Activity::kWaiting;
  int32_t stage = peer < control.hostRole() ? peer : isInput ? RT_STAGE_SOURCE : RT_STAGE_SINK;
  std::string tail = (isInput ? "' from " : "' to be released by ") + stageName(stage);
  int64_t silentNs = silenceOf(control.role(peer), waitedNs);
  if (silentNs > 0)
    tail += format(", and heard nothing of it for %.3g s", double(silentNs) * 1e-9);
  return head + "'" + control.channel(wait.channel).tensor + tail + peersLast(control, peer) + ownLast(control, index);
}

/// Along those who wait for each other, from `index`, to the one whose peer does not wait. What each waits for is read
/// once: one whose time is over just now waits no more.
static std::string followStall(const RunControl &control, int32_t index, Wait wait, int64_t waitedNs) {
  const Wait own = wait;
  int32_t current = index;
  for (int32_t hops = 0; hops < control.numRoles(); ++hops) {
    int32_t next = awaitedRole(control, current, wait);
    if (next == index) { // in a circle
      current = index;
      wait = own;
    }
    // What a silent role waits for is what it waited for when it was last heard.
    if (next < 0 || next >= control.numRoles() || next == index || silenceOf(control.role(next), waitedNs) > 0)
      break;
    Wait theirs = waitOf(control, next);
    if (awaitedRole(control, next, theirs) < 0)
      break;
    current = next;
    wait = theirs;
  }
  return stallLine(control, wait, current, waitedNs);
}

std::string RunControl::describeStall(int32_t index, int64_t waitedNs) const {
  return followStall(*this, index, waitOf(*this, index), waitedNs);
}

std::string RunControl::describeSourceStall(int64_t waitedNs) const {
  Wait wait{stageName(RT_STAGE_SOURCE), static_cast<Activity>(source().activity.load()), source().channel.load(),
            source().microbatch.load()};
  int32_t next = awaitedRole(*this, wait);
  if (next >= 0 && next < numRoles() && silenceOf(role(next), waitedNs) == 0)
    if (Wait theirs = waitOf(*this, next); awaitedRole(*this, next, theirs) >= 0)
      return followStall(*this, next, theirs, waitedNs);
  return stallLine(*this, wait, -1, waitedNs);
}

int64_t ProgressWatch::nextLook(int64_t now) const {
  int64_t slice = 200 * 1000000ll;
  if (timeoutNs > 0)
    slice = std::min(slice, std::max<int64_t>(timeoutNs / 4, 1000000));
  return now + slice;
}

bool ProgressWatch::expired(int64_t now) {
  // A look that comes much too late means that this process was held, and the whole run with it (a stopped terminal
  // job): nobody could get on.
  int64_t heldNs = now - lastLookNs - 2 * nextLook(0);
  if (heldNs > 0)
    lastChangeNs += heldNs;
  lastLookNs = now;
  uint64_t seen = control.progressSignature();
  if (seen != signature) {
    // The first look of a wait only takes the measure; its time still counts.
    if (signature != 0)
      lastChangeNs = now;
    signature = seen;
    return false;
  }
  return timeoutNs > 0 && now - lastChangeNs >= timeoutNs;
}

} // namespace rt
} // namespace penstock
