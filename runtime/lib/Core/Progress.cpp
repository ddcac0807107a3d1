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

/// The role that `index` waits for, or -1 when it does not wait.
static int32_t awaitedRole(const RunControl &control, int32_t index) {
  const RoleState &state = control.role(index);
  int32_t id = state.channel.load(std::memory_order_acquire);
  if (id < 0 || id >= control.numChannels())
    return -1;
  const ChannelControl &channel = control.channel(id);
  if (activityOf(state) == Activity::kWaiting)
    return channel.role;
  if (activityOf(state) != Activity::kAcquiring)
    return -1;
  const ConsumerCursor *cursors = control.cursors(id);
  int32_t slowest = 0;
  for (int32_t k = 1; k < channel.numConsumers; ++k)
    if (!cursors[k].absent &&
        (cursors[slowest].absent || cursors[k].released.load() < cursors[slowest].released.load()))
      slowest = k;
  return cursors[slowest].role;
}

static std::string roleWords(const RunControl &control, int32_t index, int32_t channelStage) {
  if (index == control.hostRole())
    return stageName(channelStage);
  return stageName(index);
}

static std::string lastDone(const RunControl &control, int32_t index) {
  if (index >= control.hostRole())
    return std::string();
  const RoleState &state = control.role(index);
  int32_t step = state.doneStep.load(std::memory_order_acquire);
  if (step == 0)
    return " (last done: nothing)";
  return format(" (last done: microbatch %lld, '%s')", (long long)state.doneMicrobatch.load(),
                control.stepName(index, step - 1).c_str());
}

/// How long nothing has been heard of a role on another rank; 0 when that is less than half of the wait (a busy machine
/// delays what is told), or the role is here.
static int64_t silenceOf(const RoleState &state, int64_t waitedNs) {
  int64_t heard = state.heardNs.load(std::memory_order_relaxed), silentNs = heard ? nowNs() - heard : 0;
  return silentNs >= waitedNs / 2 ? silentNs : 0;
}

std::string RunControl::describeStall(int32_t index, int64_t waitedNs) const {
  int32_t current = index;
  for (int32_t hops = 0; hops < numRoles(); ++hops) {
    int32_t next = awaitedRole(*this, current);
    if (next == index)
      current = index;
    // What a silent role waits for is what it waited for when it was last heard.
    if (next < 0 || next >= numRoles() || next == index || awaitedRole(*this, next) < 0 ||
        silenceOf(role(next), waitedNs) > 0)
      break;
    current = next;
  }
  const RoleState &state = role(current);
  int32_t peer = awaitedRole(*this, current);
  double seconds = double(waitedNs) * 1e-9;
  std::string who = roleWords(*this, current, RT_STAGE_SINK);
  std::string head =
      format("%s, microbatch %lld: waited %.3g s for ", who.c_str(), (long long)state.microbatch.load(), seconds);
  if (peer < 0)
    return head + "the run to go on";
  const ChannelControl &what = channel(state.channel.load());
  bool waiting = activityOf(state) == Activity::kWaiting;
  std::string other = roleWords(*this, peer, waiting ? RT_STAGE_SOURCE : RT_STAGE_SINK);
  std::string tail = waiting ? "' from " + other : "' to be released by " + other;
  int64_t silentNs = silenceOf(role(peer), waitedNs);
  std::string silence =
      silentNs > 0 ? format(", and heard nothing of it for %.3g s", double(silentNs) * 1e-9) : std::string();
  return head + "'" + what.tensor + tail + silence + lastDone(*this, peer);
}

int64_t ProgressWatch::nextLook(int64_t now) const {
  int64_t slice = 200 * 1000000ll;
  if (timeoutNs > 0)
    slice = std::min(slice, std::max<int64_t>(timeoutNs / 4, 1000000));
  return now + slice;
}

bool ProgressWatch::expired(int64_t now) {
  // A look that comes much too late means that the whole run was held (a stopped terminal job): nobody could get on.
  bool held = now - lastLookNs > nextLook(0) + 2000000000;
  lastLookNs = now;
  if (held)
    lastChangeNs = now;
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
