//===- Control.cpp - The shared block of a run -------------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "penstock/rt/Control.h"

#include "Futex.h"

#include <algorithm>
#include <cstring>

namespace penstock {
namespace rt {

static constexpr uint64_t kMagic = 0x6b636f74736e6550; // "Penstock"
static constexpr int64_t kNamesBytes = 1 << 20;        // per role; touched only as far as it is used
static constexpr int64_t kMaxSteps = kNamesBytes / 16; // names, and times, that the block has room for
static constexpr int64_t kStepsBytes = kNamesBytes + kMaxSteps * int64_t(sizeof(int64_t));
static constexpr int64_t kPage = 4096;
static constexpr int32_t kMaxRoles = 4096, kMaxChannels = 1 << 20;

struct alignas(64) RunControl::Header {
  uint64_t magic;
  uint32_t abiVersion;
  int32_t numRoles, numChannels, traceCapacity;
  int64_t namesOffset, channelsOffset, channelStride, traceOffset, totalBytes;
  alignas(64) std::atomic<uint32_t> aborted;
  std::atomic<int32_t> firstFailed; ///< role plus one; 0: none
  std::atomic<int64_t> submitted;
  SourceState source;
};

static int64_t roundUp(int64_t value, int64_t unit) { return (value + unit - 1) / unit * unit; }

static int64_t strideFor(const ControlLayout &layout) {
  size_t most = 1;
  for (const ControlLayout::Channel &channel : layout.channels)
    most = std::max(most, channel.consumerStages.size());
  return static_cast<int64_t>(sizeof(ChannelControl) + most * sizeof(ConsumerCursor));
}

static int64_t traceBytes(int32_t capacity) { return roundUp(int64_t(capacity) * sizeof(TraceEvent), kPage); }

const char *carrierName(Carrier carrier) {
  switch (carrier) {
  case Carrier::kMpi:
    return "mpi";
  case Carrier::kTcp:
    return "tcp";
  case Carrier::kNccl:
    return "nccl";
  default:
    return "shm";
  }
}

int64_t RunControl::bytesFor(const ControlLayout &layout) {
  int64_t states = layout.numRoles + 1;
  int64_t names = roundUp(int64_t(sizeof(Header)) + states * int64_t(sizeof(RoleState)), kPage);
  int64_t channels = names + states * kStepsBytes;
  int64_t trace = roundUp(channels + int64_t(layout.channels.size()) * strideFor(layout), kPage);
  return trace + states * traceBytes(layout.traceCapacity);
}

static void copyText(char *to, size_t room, const std::string &text) {
  size_t length = std::min(text.size(), room - 1);
  std::memcpy(to, text.data(), length);
  to[length] = '\0';
}

RunControl RunControl::create(void *memory, const ControlLayout &layout) {
  RunControl control;
  control.base = static_cast<char *>(memory);
  Header &header = control.header();
  int64_t states = layout.numRoles + 1;
  header.abiVersion = RT_ABI_VERSION;
  header.numRoles = layout.numRoles;
  header.numChannels = static_cast<int32_t>(layout.channels.size());
  header.traceCapacity = layout.traceCapacity;
  header.namesOffset = roundUp(int64_t(sizeof(Header)) + states * int64_t(sizeof(RoleState)), kPage);
  header.channelsOffset = header.namesOffset + states * kStepsBytes;
  header.channelStride = strideFor(layout);
  header.traceOffset = roundUp(header.channelsOffset + header.numChannels * header.channelStride, kPage);
  header.totalBytes = bytesFor(layout);
  for (size_t i = 0; i < layout.roleNames.size() && i < size_t(states); ++i)
    copyText(control.role(static_cast<int32_t>(i)).name, sizeof(RoleState::name), layout.roleNames[i]);
  copyText(control.role(header.numRoles).name, sizeof(RoleState::name), "host");
  for (int32_t i = 0; i < header.numChannels; ++i) {
    const ControlLayout::Channel &from = layout.channels[static_cast<size_t>(i)];
    ChannelControl &to = control.channel(i);
    to.role = from.role, to.stage = from.stage, to.depth = from.depth;
    to.numConsumers = static_cast<int32_t>(from.consumerStages.size());
    copyText(to.tensor, sizeof(to.tensor), from.tensor);
    for (size_t k = 0; k < from.consumerStages.size(); ++k) {
      control.cursors(i)[k].role = from.consumerRoles[k];
      control.cursors(i)[k].stage = from.consumerStages[k];
    }
  }
  header.magic = kMagic;
  return control;
}

Status RunControl::attach(void *memory, int64_t numBytes, RunControl &control) {
  RunControl result;
  result.base = static_cast<char *>(memory);
  if (numBytes < int64_t(sizeof(Header)))
    return fail(Code::kMismatch, "control block has %lld bytes, expected at least %zu", (long long)numBytes,
                sizeof(Header));
  const Header &header = result.header();
  if (header.magic != kMagic)
    return fail(Code::kMismatch, "control block has a wrong mark; expected one of Penstock's");
  if (header.abiVersion != RT_ABI_VERSION)
    return fail(Code::kMismatch, "control block has ABI version %u, expected %d", header.abiVersion, RT_ABI_VERSION);
  bool sane = header.numRoles > 0 && header.numRoles <= kMaxRoles && header.numChannels >= 0 &&
              header.numChannels <= kMaxChannels && header.traceCapacity >= 0 && header.totalBytes == numBytes &&
              header.channelStride >= int64_t(sizeof(ChannelControl)) && header.channelStride <= kPage * 4096 &&
              header.namesOffset > 0 &&
              header.channelsOffset == header.namesOffset + (header.numRoles + 1) * kStepsBytes &&
              header.traceOffset >= header.channelsOffset + header.numChannels * header.channelStride &&
              header.traceOffset + (header.numRoles + 1) * traceBytes(header.traceCapacity) == numBytes;
  if (!sane)
    return fail(Code::kMismatch, "control block of %lld bytes does not fit its own layout", (long long)numBytes);
  control = result;
  return Status();
}

RunControl::Header &RunControl::header() const { return *reinterpret_cast<Header *>(base); }
int32_t RunControl::numRoles() const { return header().numRoles; }
int32_t RunControl::numChannels() const { return header().numChannels; }
const std::atomic<uint32_t> &RunControl::flag() const { return header().aborted; }
std::atomic<int64_t> &RunControl::submitted() const { return header().submitted; }
bool RunControl::tracing() const { return header().traceCapacity > 0; }

RoleState &RunControl::role(int32_t index) const { return reinterpret_cast<RoleState *>(base + sizeof(Header))[index]; }

SourceState &RunControl::source() const { return header().source; }

ChannelControl &RunControl::channel(int32_t index) const {
  return *reinterpret_cast<ChannelControl *>(base + header().channelsOffset + index * header().channelStride);
}

ConsumerCursor *RunControl::cursors(int32_t index) const {
  return reinterpret_cast<ConsumerCursor *>(reinterpret_cast<char *>(&channel(index)) + sizeof(ChannelControl));
}

void RunControl::abort() const {
  header().aborted.store(1, std::memory_order_seq_cst);
  for (int32_t i = 0; i < numChannels(); ++i) {
    ringBell(channel(i).publishBell, channel(i).publishSleepers);
    ringBell(channel(i).releaseBell, channel(i).releaseSleepers);
  }
}

void RunControl::reportFailure(int32_t index, const Status &status) const {
  RoleState &state = role(index);
  if (state.errorCode.load(std::memory_order_acquire) == 0) {
    copyText(state.error, sizeof(state.error), status.message());
    state.errorCode.store(static_cast<int32_t>(status.code()), std::memory_order_release);
  }
  if (status.code() != Code::kAborted) {
    int32_t none = 0;
    header().firstFailed.compare_exchange_strong(none, index + 1);
  }
  abort();
}

Status RunControl::firstFailure(int32_t *failed) const {
  int32_t index = header().firstFailed.load() - 1;
  if (failed)
    *failed = index;
  if (index < 0 || index > numRoles())
    return Status();
  const RoleState &state = role(index);
  auto code = static_cast<Code>(state.errorCode.load(std::memory_order_acquire));
  return Status(code, std::string(state.error, strnlen(state.error, sizeof(state.error))));
}

void RunControl::setStepNames(int32_t index, const rt_step_desc *steps, int32_t numSteps) const {
  char *region = base + header().namesOffset + index * kStepsBytes;
  auto *count = reinterpret_cast<std::atomic<uint32_t> *>(region);
  auto *offsets = reinterpret_cast<uint32_t *>(region + sizeof(uint32_t));
  auto numNames = static_cast<uint32_t>(std::min<int64_t>(std::max(numSteps, 0), kMaxSteps));
  uint64_t at = sizeof(uint32_t) * (uint64_t(numNames) + 1);
  uint32_t kept = 0;
  for (; kept < numNames; ++kept) {
    const char *name = steps[kept].name ? steps[kept].name : "";
    size_t length = strnlen(name, 1024);
    if (at + length + 1 > uint64_t(kNamesBytes))
      break;
    std::memcpy(region + at, name, length);
    region[at + length] = '\0';
    offsets[kept] = static_cast<uint32_t>(at);
    at += length + 1;
  }
  count->store(kept, std::memory_order_release);
}

/// Steps of a role that have names.
int32_t RunControl::numSteps(int32_t index) const {
  const char *region = base + header().namesOffset + index * kStepsBytes;
  uint32_t count = reinterpret_cast<const std::atomic<uint32_t> *>(region)->load(std::memory_order_acquire);
  return static_cast<int32_t>(std::min<uint32_t>(count, kMaxSteps));
}

std::atomic<int64_t> *RunControl::timesOf(int32_t index) const {
  char *region = base + header().namesOffset + index * kStepsBytes;
  return reinterpret_cast<std::atomic<int64_t> *>(region + kNamesBytes);
}

void RunControl::addStepTime(int32_t index, int32_t step, int64_t spanNs) const {
  if (step < 0 || step >= kMaxSteps)
    return;
  // One writer: the role's thread.
  std::atomic<int64_t> &time = timesOf(index)[step];
  time.store(time.load(std::memory_order_relaxed) + spanNs, std::memory_order_relaxed);
}

std::vector<int64_t> RunControl::stepTimes(int32_t index) const {
  std::vector<int64_t> times(size_t(numSteps(index)));
  for (size_t i = 0; i < times.size(); ++i)
    times[i] = timesOf(index)[i].load(std::memory_order_relaxed);
  return times;
}

std::string RunControl::stepName(int32_t index, int32_t step) const {
  const char *region = base + header().namesOffset + index * kStepsBytes;
  if (step < 0 || step >= numSteps(index))
    return "step " + std::to_string(step);
  uint32_t offset = reinterpret_cast<const uint32_t *>(region)[step + 1];
  if (offset >= kNamesBytes)
    return "step " + std::to_string(step);
  return std::string(region + offset, strnlen(region + offset, size_t(kNamesBytes) - offset));
}

void RunControl::trace(int32_t index, const TraceEvent &event) const {
  int32_t capacity = header().traceCapacity;
  if (capacity == 0)
    return;
  auto *ring = reinterpret_cast<TraceEvent *>(base + header().traceOffset + index * traceBytes(capacity));
  std::atomic<uint64_t> &count = role(index).numTraced;
  uint64_t at = count.load(std::memory_order_relaxed);
  ring[at % uint64_t(capacity)] = event;
  count.store(at + 1, std::memory_order_release);
}

std::vector<TraceEvent> RunControl::traceOf(int32_t index, int64_t &lost) const {
  std::vector<TraceEvent> events;
  auto capacity = static_cast<uint64_t>(header().traceCapacity);
  uint64_t count = role(index).numTraced.load(std::memory_order_acquire);
  lost = capacity && count > capacity ? int64_t(count - capacity) : 0;
  const auto *ring =
      reinterpret_cast<const TraceEvent *>(base + header().traceOffset + index * traceBytes(header().traceCapacity));
  for (uint64_t i = uint64_t(lost); capacity && i < count; ++i)
    events.push_back(ring[i % capacity]);
  return events;
}

} // namespace rt
} // namespace penstock
