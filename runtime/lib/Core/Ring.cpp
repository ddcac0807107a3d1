//===- Ring.cpp - Slots in shared memory -------------------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "Ring.h"

#include "Futex.h"

#include <algorithm>
#include <cstring>
#include <sched.h>
#include <unistd.h>

namespace penstock {
namespace rt {

static constexpr int64_t kPage = 4096;
static int64_t roundUp(int64_t value, int64_t unit) { return (value + unit - 1) / unit * unit; }

int64_t freeReservationBytes() {
  int64_t memory = int64_t(sysconf(_SC_PHYS_PAGES)) * sysconf(_SC_PAGESIZE);
  return roundUp(std::min<int64_t>(std::max<int64_t>(memory, int64_t(1) << 30), int64_t(1) << 36), kPage);
}

bool RingLayout::make(const ChannelDesc &desc, int64_t freeSlotBytes, RingLayout &layout) {
  int64_t slotBytes = desc.slotBytes < 0 ? freeSlotBytes : desc.slotBytes;
  if (desc.depth < 1 || desc.numSymbols < 0 || slotBytes < 0 || slotBytes > INT64_MAX - kPage)
    return false;
  int64_t values = int64_t(desc.dims.size()) + desc.numSymbols;
  layout.headerBytes = roundUp(int64_t(sizeof(RawHeader)) + 8 * values, RT_ALIGNMENT);
  layout.slotBytes = std::max<int64_t>(roundUp(slotBytes, RT_ALIGNMENT), RT_ALIGNMENT);
  if (__builtin_add_overflow(layout.slotBytes, layout.headerBytes + kPage, &layout.stride))
    return false;
  layout.stride = layout.stride / kPage * kPage;
  return !__builtin_mul_overflow(layout.stride, int64_t(desc.depth), &layout.totalBytes);
}

static std::string peersOf(const RingEnd &end) {
  if (!end.info.isProducer)
    return stageName(end.desc.producerStage);
  std::string text;
  for (size_t i = 0; i < end.desc.consumerStages.size(); ++i)
    text += (i ? ", " : "") + stageName(end.desc.consumerStages[i]);
  return text;
}

std::string endWords(const RingEnd &end) {
  int32_t stage = end.desc.producerStage;
  if (!end.info.isProducer)
    stage = end.desc.consumerStages[size_t(end.info.consumer)];
  return stageName(stage) + ", channel '" + end.desc.name + "', tensor '" + end.desc.tensor + "'";
}

ChannelId RingTransport::add(RingEnd end) {
  std::string who = endWords(end);
  end.timedOut = fail(Code::kTimeout, "%s: waited for %s in vain", who.c_str(), peersOf(end).c_str());
  end.aborted = fail(Code::kAborted, "%s: the run was ended", who.c_str());
  ends.push_back(std::move(end));
  return static_cast<ChannelId>(ends.size()) - 1;
}

Status RingTransport::checkEnd(ChannelId channel, bool producer, RingEnd *&end) {
  if (channel < 0 || size_t(channel) >= ends.size())
    return fail(Code::kProgram, "channel end %d does not exist; %zu are open", channel, ends.size());
  end = &ends[size_t(channel)];
  if (end->info.isProducer != producer)
    return fail(Code::kProgram, "%s: a %s's call on the %s's end", endWords(*end).c_str(),
                producer ? "producer" : "consumer", producer ? "consumer" : "producer");
  if (control.aborted())
    return end->aborted;
  return Status();
}

/// Returns when ready() holds: at once, after a short spin, or after sleeping on the side's bell.
template <typename Ready> Status RingTransport::sleepUntil(ChannelId channel, int64_t deadlineNs, const Ready &ready) {
  RingEnd &end = ends[size_t(channel)];
  if (ready())
    return Status();
  if (spinNs > 0) {
    int64_t until = 0;
    do {
      // What does not come by itself is looked for as often as can be.
      int numLooks = drive(channel) == 0 ? 1 : 32;
      for (int i = 0; i < numLooks; ++i) {
        if (ready())
          return Status();
        pauseBriefly();
      }
      until = until ? until : std::min(deadlineNs, nowNs() + spinNs);
    } while (!control.aborted() && nowNs() < until);
  }
  bool producer = end.info.isProducer;
  auto &bell = producer ? end.control->releaseBell : end.control->publishBell;
  auto &sleepers = producer ? end.control->releaseSleepers : end.control->publishSleepers;
  sleepers.fetch_add(1, std::memory_order_seq_cst);
  Status result;
  for (;;) {
    uint32_t seen = bell.load(std::memory_order_seq_cst);
    if (ready())
      break;
    if (control.aborted()) {
      result = end.aborted;
      break;
    }
    int64_t now = nowNs();
    if (now >= deadlineNs) {
      result = end.timedOut;
      break;
    }
    int64_t napNs = drive(channel);
    if (ready())
      break;
    if (napNs == 0)
      spinNs > 0 ? pauseBriefly() : void(sched_yield());
    else
      sleepOnBell(bell, seen, napNs < deadlineNs - now ? now + napNs : deadlineNs);
  }
  sleepers.fetch_sub(1, std::memory_order_seq_cst);
  return result;
}

Status RingTransport::acquire(ChannelId channel, int64_t numBytes, Stream, int64_t deadlineNs, Slot &slot) {
  RingEnd *end;
  if (Status status = checkEnd(channel, true, end); !status.ok())
    return status;
  if (end->holding)
    return fail(Code::kProgram, "%s: a slot is acquired already", endWords(*end).c_str());
  if (numBytes < 0 || numBytes > end->layout.slotBytes)
    return fail(Code::kInvalid, "%s: a message of %lld bytes, expected at most %lld", endWords(*end).c_str(),
                (long long)numBytes, (long long)end->layout.slotBytes);
  auto depth = static_cast<uint64_t>(end->desc.depth);
  Status status = sleepUntil(channel, deadlineNs, [&] {
    for (size_t k = 0; k < end->desc.consumerStages.size(); ++k)
      if (!end->cursors[k].absent && end->next - end->cursors[k].released.load(std::memory_order_acquire) >= depth)
        return false;
    return true;
  });
  if (!status.ok())
    return status;
  end->holding = true;
  slot.sequence = end->next;
  slot.numBytes = end->layout.slotBytes;
  slot.data = end->slotOf(end->next);
  return status;
}

Status RingTransport::fillHeader(RingEnd &end, const Slot &slot, const MessageHeader &header) {
  if (!end.holding || slot.sequence != end.next)
    return fail(Code::kProgram, "%s: published slot %llu, expected the acquired one", endWords(end).c_str(),
                (unsigned long long)slot.sequence);
  if (slot.numBytes < 0 || slot.numBytes > end.layout.slotBytes)
    return fail(Code::kInvalid, "%s: a message of %lld bytes, expected at most %lld", endWords(end).c_str(),
                (long long)slot.numBytes, (long long)end.layout.slotBytes);
  bool isBare = header.flags & (kFlagEnd | kFlagSetUp);
  if (!isBare && (header.dims.count != end.desc.dims.size() || header.symbols.count != size_t(end.desc.numSymbols)))
    return fail(Code::kProgram, "%s: a header of %zu extents and %zu symbols, expected %zu and %d",
                endWords(end).c_str(), header.dims.count, header.symbols.count, end.desc.dims.size(),
                end.desc.numSymbols);
  RawHeader *raw = end.headerOf(end.next);
  raw->request = header.request;
  raw->microbatch = header.microbatch;
  raw->numBytes = slot.numBytes;
  raw->flags = header.flags;
  raw->numDims = isBare ? 0 : int32_t(header.dims.count);
  raw->numSymbols = isBare ? 0 : int32_t(header.symbols.count);
  int64_t *values = raw->values();
  for (int32_t i = 0; i < raw->numDims; ++i)
    *values++ = header.dims[size_t(i)];
  for (int32_t i = 0; i < raw->numSymbols; ++i)
    *values++ = header.symbols[size_t(i)];
  return Status();
}

Status RingTransport::publish(ChannelId channel, const Slot &slot, const MessageHeader &header, Stream) {
  RingEnd *end;
  if (Status status = checkEnd(channel, true, end); !status.ok())
    return status;
  if (Status status = fillHeader(*end, slot, header); !status.ok())
    return status;
  end->holding = false;
  if (!(header.flags & (kFlagEnd | kFlagSetUp)))
    count(end->control->messages, 1);
  if (!(header.flags & kFlagSetUp))
    count(end->control->bytes, slot.numBytes);
  end->control->published.store(++end->next, std::memory_order_release); // ringBell() orders it before the sleepers
  ringBell(end->control->publishBell, end->control->publishSleepers);
  return Status();
}

Status RingTransport::wait(ChannelId channel, Stream, int64_t deadlineNs, Slot &slot, MessageHeader &header) {
  RingEnd *end;
  if (Status status = checkEnd(channel, false, end); !status.ok())
    return status;
  if (end->next - end->freed >= uint64_t(end->desc.depth))
    return fail(Code::kProgram, "%s: all %d slots are held by this end", endWords(*end).c_str(), end->desc.depth);
  Status status = sleepUntil(channel, deadlineNs,
                             [&] { return end->control->published.load(std::memory_order_acquire) > end->next; });
  if (!status.ok())
    return status;
  RawHeader *raw = end->headerOf(end->next);
  bool isBare = raw->flags & (kFlagEnd | kFlagSetUp);
  if (raw->numBytes < 0 || raw->numBytes > end->layout.slotBytes ||
      raw->numDims != (isBare ? 0 : int32_t(end->desc.dims.size())) ||
      raw->numSymbols != (isBare ? 0 : end->desc.numSymbols))
    return fail(Code::kMismatch, "%s: a message whose header does not fit the channel", endWords(*end).c_str());
  header.request = raw->request;
  header.microbatch = raw->microbatch;
  header.flags = raw->flags;
  header.dims = {raw->values(), size_t(raw->numDims)};
  header.symbols = {raw->values() + raw->numDims, size_t(raw->numSymbols)};
  slot.data = end->slotOf(end->next);
  slot.sequence = end->next++;
  slot.numBytes = raw->numBytes;
  end->cursors[end->info.consumer].received.store(end->next, std::memory_order_relaxed);
  return status;
}

Status RingTransport::release(ChannelId channel, const Slot &slot, Stream) {
  RingEnd *end;
  if (Status status = checkEnd(channel, false, end); !status.ok())
    return status;
  if (slot.sequence != end->freed || end->freed >= end->next)
    return fail(Code::kProgram, "%s: released slot %llu, expected %llu", endWords(*end).c_str(),
                (unsigned long long)slot.sequence, (unsigned long long)end->freed);
  end->cursors[end->info.consumer].released.store(++end->freed, std::memory_order_release);
  ringBell(end->control->releaseBell, end->control->releaseSleepers);
  return Status();
}

void RingTransport::abort() { control.abort(); }

ChannelCounters RingTransport::counters(ChannelId channel) const {
  ChannelCounters result;
  if (channel < 0 || size_t(channel) >= ends.size())
    return result;
  const ChannelControl &shared = *ends[size_t(channel)].control;
  result.messages = shared.messages.load();
  result.bytes = shared.bytes.load();
  result.bytesCopied = shared.bytesCopied.load();
  return result;
}

} // namespace rt
} // namespace penstock
