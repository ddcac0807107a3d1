//===- Ring.h - Slots in shared memory ---------------------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// One end of a channel whose slots lie in memory that both sides see: `depth` slots, each with its header right before
// it, so that a message is one contiguous piece of memory for transports that send it on. The cursors live in the run's
// control block. Used by `inproc` (heap), `shm` (memfd) and `mpi` (a ring of its own on each side) alike, so nothing
// here knows where the memory comes from. No copy is made: the producer's kernel writes the slot, the consumers'
// kernels read it.
//
// Threads: one per end. Errors: as Transport.h.
//
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_RT_LIB_RING_H
#define PENSTOCK_RT_LIB_RING_H

#include "penstock/rt/Control.h"
#include "penstock/rt/Transport.h"

#include <deque>

namespace penstock {
namespace rt {

/// A header as it lies in memory; extents and symbol values follow it.
struct RawHeader {
  int64_t request, microbatch, numBytes;
  uint32_t flags;
  int32_t numDims, numSymbols, reserved;
  int64_t *values() { return reinterpret_cast<int64_t *>(this + 1); }
};

/// Where things lie in the data memory of a channel.
struct RingLayout {
  int64_t headerBytes = 0; ///< a multiple of RT_ALIGNMENT, so that the slot behind it is aligned
  int64_t slotBytes = 0;   ///< room for a payload
  int64_t stride = 0, totalBytes = 0;
  /// False when the sizes overflow.
  static bool make(const ChannelDesc &desc, int64_t freeSlotBytes, RingLayout &layout);
};

/// Bytes reserved (not used) for a slot or an arena whose size is free: the machine's memory, at most 64 GiB.
int64_t freeReservationBytes();

struct RingEnd {
  ChannelDesc desc;
  EndInfo info;
  RingLayout layout;
  ChannelControl *control = nullptr;
  ConsumerCursor *cursors = nullptr;
  char *data = nullptr;
  uint64_t next = 0;        ///< messages published or taken by this end
  uint64_t freed = 0;       ///< consumer: messages released by this end
  bool holding = false;     ///< producer: a slot is acquired and not yet published
  Status timedOut, aborted; ///< made beforehand: looking at the clock while waiting allocates nothing

  RawHeader *headerOf(uint64_t sequence) const {
    return reinterpret_cast<RawHeader *>(data + int64_t(sequence % uint64_t(desc.depth)) * layout.stride);
  }
  char *slotOf(uint64_t sequence) const { return reinterpret_cast<char *>(headerOf(sequence)) + layout.headerBytes; }
};

/// Adds to a counter that only this thread writes: without the cost of an atomic addition.
inline void count(std::atomic<int64_t> &counter, int64_t number) {
  counter.store(counter.load(std::memory_order_relaxed) + number, std::memory_order_relaxed);
}

/// "stage 1, channel 'c0', tensor '/h1'", for messages.
std::string endWords(const RingEnd &end);

/// Joins ends over memory that both sides see; open() is the subclasses' part.
class RingTransport : public Transport {
public:
  Status acquire(ChannelId channel, int64_t numBytes, Stream stream, int64_t deadlineNs, Slot &slot) override;
  Status publish(ChannelId channel, const Slot &slot, const MessageHeader &header, Stream stream) override;
  Status wait(ChannelId channel, Stream stream, int64_t deadlineNs, Slot &slot, MessageHeader &header) override;
  Status release(ChannelId channel, const Slot &slot, Stream stream) override;
  void abort() override;
  ChannelCounters counters(ChannelId channel) const override;

  /// Spins this long before it sleeps; 0 where there are fewer cores than threads.
  void setSpin(int64_t spanNs) { spinNs = spanNs; }
  /// An open end, for a transport that joins the same memory.
  const RingEnd &endOf(ChannelId channel) const { return ends[size_t(channel)]; }

protected:
  ChannelId add(RingEnd end);
  /// For transports whose messages do not come by themselves: called while this end waits. Gets on with them and tells
  /// how long the waiter may sleep before the next call; 0: not at all.
  virtual int64_t drive(ChannelId) { return kNever; }
  RunControl control;
  std::deque<RingEnd> ends; ///< a deque: ends do not move while others open

private:
  template <typename Ready> Status sleepUntil(ChannelId channel, int64_t deadlineNs, const Ready &ready);
  Status checkEnd(ChannelId channel, bool producer, RingEnd *&end);
  Status fillHeader(RingEnd &end, const Slot &slot, const MessageHeader &header);
  int64_t spinNs = 0;
};

} // namespace rt
} // namespace penstock

#endif // PENSTOCK_RT_LIB_RING_H
