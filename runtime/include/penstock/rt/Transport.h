//===- Transport.h - Moving tensors between pipeline stages ------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A transport carries messages over channels that are fixed when a plan is loaded.
//   end      one side of a channel: its producer, or one of its consumers; a process holds one or more ends
//   slot     room for one message; the producer's kernel writes it, the consumers' kernels read it: no copy where both
//            sides share memory; each consumer has its own cursor, and a slot is free when all have released it
// Units: sizes in bytes, extents in elements (row-major), deadlines in ns, absolute, on the steady clock.
// Threads: one thread per end; different ends may be used by different threads once all are open; abort() by any.
// Memory: what is written before publish() is visible after the matching wait().
// Streams: with a device stream, acquire/wait order later work on it and return at once; without, they block the host.
// Every failure names the channel, both stages and the tensor. A failed channel stays failed; nothing retries silently.
//
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_RT_TRANSPORT_H
#define PENSTOCK_RT_TRANSPORT_H

#include "penstock/rt/Status.h"
#include "penstock/rt/Types.h"

#include <string>
#include <vector>

namespace penstock {
namespace rt {

/// Bits of MessageHeader::flags.
enum MessageFlag : uint32_t {
  kFlagEnd = 1,   ///< no message follows; has no payload
  kFlagSetUp = 2, ///< between two halves of a transport, before the first message; has neither extents nor symbols
};

/// Travels with every message, so that no stage has to ask for an input that it does not have.
struct MessageHeader {
  int64_t request = 0;
  int64_t microbatch = 0; ///< within the request
  uint32_t flags = 0;
  Span<const int64_t> dims;    ///< extents of this payload
  Span<const int64_t> symbols; ///< values of the model's dimension symbols, in plan order
};

/// A device stream; null for the host.
struct Stream {
  void *handle = nullptr;
};

/// Room for one message. For a consumer `data` is read-only memory.
struct Slot {
  void *data = nullptr; ///< where the stage's kernels run: memory of the host, or of a device that the transport is on
  int64_t numBytes = 0; ///< producer: room; consumer: payload
  uint64_t sequence = 0;
};

/// What every end of a channel must agree on.
struct ChannelDesc {
  std::string name;                    ///< symbol in the plan
  std::string tensor;                  ///< ONNX tensor, for messages
  int32_t id = 0;                      ///< index in the plan
  int32_t dtype = RT_F32;              ///<
  std::vector<int64_t> dims;           ///< static extents, -1 where it depends on symbols
  int32_t producerStage = 0;           ///< or RT_STAGE_SOURCE
  std::vector<int32_t> consumerStages; ///< each a stage or RT_STAGE_SINK
  int32_t depth = 1;
  int64_t slotBytes = 0;  ///< -1: free
  int32_t numSymbols = 0; ///< in each header
};

/// "stage 2", "source", "sink".
std::string stageName(int32_t stage);
/// Empty when the two descriptions agree, else what differs, as "depth is 2 there and 4 here".
std::string describeDifference(const ChannelDesc &here, const ChannelDesc &there);

/// Which side of a channel an end is.
struct EndInfo {
  bool isProducer = true;
  int32_t consumer = 0; ///< index in consumerStages
  int32_t stage = 0, replica = 0, shard = 0, lane = 0;
};

using ChannelId = int32_t;

/// Counters of one channel; only the producer's side counts.
struct ChannelCounters {
  int64_t messages = 0, bytes = 0, bytesCopied = 0;
};

class Transport {
public:
  virtual ~Transport() = default;
  virtual const char *name() const = 0;
  /// True if this transport can join the two ends. Never blocks, leaves no state. Probed in table order.
  virtual bool canConnect(const EndInfo &producer, const EndInfo &consumer) const = 0;
  /// Takes one end of a channel. kMismatch: types, depths or sizes differ between the ends. kTimeout: an end is
  /// missing. Equivalent to: ncclCommInitRank / MPI_Comm_create / memfd + mmap.
  virtual Status open(const ChannelDesc &desc, const EndInfo &end, int64_t deadlineNs, ChannelId &channel) = 0;
  /// Once all ends of this process are open, before the first message: makes the connections that first messages would
  /// else have to wait for. kTimeout: a peer is missing.
  virtual Status start(int64_t deadlineNs) { return Status(); }
  /// Producer: the next free slot, writable, at least `numBytes`. kTimeout: a consumer still holds it. kPeerLost.
  /// kInvalid: the message is larger than the slot.
  virtual Status acquire(ChannelId channel, int64_t numBytes, Stream stream, int64_t deadlineNs, Slot &slot) = 0;
  /// Producer: the slot is complete once work already on `stream` is done. Consumers see it in publish order.
  /// `slot.numBytes` is the payload.
  virtual Status publish(ChannelId channel, const Slot &slot, const MessageHeader &header, Stream stream) = 0;
  /// Consumer: the oldest unread message, read-only, and its header (valid until release). Same codes as acquire().
  virtual Status wait(ChannelId channel, Stream stream, int64_t deadlineNs, Slot &slot, MessageHeader &header) = 0;
  /// Consumer: the slot may be reused once work already on `stream` is done. In the order of the waits.
  virtual Status release(ChannelId channel, const Slot &slot, Stream stream) = 0;
  /// Ends the run: every wait, now and later, here and at all peers, returns kAborted. From any thread; idempotent.
  virtual void abort() = 0;
  virtual ChannelCounters counters(ChannelId channel) const = 0;
};

} // namespace rt
} // namespace penstock

#endif // PENSTOCK_RT_TRANSPORT_H
