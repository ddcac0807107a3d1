//===- Replay.h - One role alone, from a recording ---------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A transport that gives a role the inputs of a recording, one microbatch after the other and then the end of the
// stream, and compares what the role sends with what was sent then, bit for bit. There is no other process: nothing
// waits, and a debugger may stop the role for as long as it likes. Inputs lie in read-only memory, as in a run.
//
// Threads: one. Errors: a payload that does not fit its checksum, or an input that the recording lacks, is kInvalid; a
// difference is none, but is kept for the report.
//
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_RT_TRANSPORTS_REPLAY_H
#define PENSTOCK_RT_TRANSPORTS_REPLAY_H

#include "Memory.h"
#include "penstock/rt/Control.h"
#include "penstock/rt/Recording.h"

namespace penstock {
namespace rt {

struct ReplayReport {
  int64_t numMicrobatches = 0;
  int64_t numMessages = 0;     ///< sent
  int64_t numCompared = 0;     ///< less where the recorded run has failed
  int64_t numDiffering = 0;    ///< messages
  std::string firstDifference; ///< a sentence; empty: none
};

class ReplayTransport final : public Transport {
public:
  /// `role`: whose steps the control block names. The recording must outlive the transport.
  ReplayTransport(const Recording &recording, const RunControl &control, int32_t role)
      : recording(recording), control(control), role(role) {}
  const char *name() const override { return "replay"; }
  bool canConnect(const EndInfo &, const EndInfo &) const override { return true; }
  Status open(const ChannelDesc &desc, const EndInfo &end, int64_t deadlineNs, ChannelId &channel) override;
  Status acquire(ChannelId channel, int64_t numBytes, Stream stream, int64_t deadlineNs, Slot &slot) override;
  Status publish(ChannelId channel, const Slot &slot, const MessageHeader &header, Stream stream) override;
  Status wait(ChannelId channel, Stream stream, int64_t deadlineNs, Slot &slot, MessageHeader &header) override;
  Status release(ChannelId channel, const Slot &slot, Stream stream) override;
  void abort() override { control.abort(); }
  ChannelCounters counters(ChannelId) const override { return ChannelCounters(); }

  /// Once all ends are open: every microbatch has all its inputs, and its outputs if the run ended well. If not, the
  /// role gets nothing but the end of the stream.
  Status checkComplete();
  const ReplayReport &report() const { return theReport; }

private:
  struct End {
    ChannelDesc desc;
    bool isProducer = false;
    size_t next = 0;
    Mapping memory; ///< of the one message that is under way
  };
  Status findMissing();
  Status makeRoom(End &end, int64_t numBytes) const;
  void compare(const End &end, const Recording::Message &then, const MessageHeader &header, const Slot &slot);

  const Recording &recording;
  RunControl control;
  int32_t role;
  std::vector<End> ends;
  std::vector<char> expected; ///< the message that was sent then
  size_t limit = 0;           ///< microbatches
  ReplayReport theReport;
};

} // namespace rt
} // namespace penstock

#endif // PENSTOCK_RT_TRANSPORTS_REPLAY_H
