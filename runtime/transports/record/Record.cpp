//===- Record.cpp - A transport that writes down what is sent ----*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "transports/record/Record.h"

#include <algorithm>

namespace penstock {
namespace rt {

namespace {
class RecordingTransport final : public Transport {
public:
  RecordingTransport(Transport &inner, int fd) : inner(inner), writer(fd) {}
  const char *name() const override { return "recording"; }
  bool canConnect(const EndInfo &producer, const EndInfo &consumer) const override {
    return inner.canConnect(producer, consumer);
  }
  Status open(const ChannelDesc &desc, const EndInfo &end, int64_t deadlineNs, ChannelId &channel) override {
    Status status = inner.open(desc, end, deadlineNs, channel);
    if (!status.ok())
      return status;
    numbers.resize(std::max(numbers.size(), size_t(channel) + 1), -1);
    numbers[size_t(channel)] = desc.id;
    return status;
  }
  Status start(int64_t deadlineNs) override { return inner.start(deadlineNs); }
  Status acquire(ChannelId channel, int64_t numBytes, Stream stream, int64_t deadlineNs, Slot &slot) override {
    return inner.acquire(channel, numBytes, stream, deadlineNs, slot);
  }
  /// Written down once it is published: the slot stays as it is until this side acquires it again.
  Status publish(ChannelId channel, const Slot &slot, const MessageHeader &header, Stream stream) override {
    Status status = inner.publish(channel, slot, header, stream);
    if (!status.ok() || (header.flags & kFlagEnd))
      return status;
    RecordHead head;
    head.place = numbers[size_t(channel)];
    head.request = header.request, head.microbatch = header.microbatch;
    head.numBytes = slot.numBytes;
    return writer.write(head, header.dims, header.symbols, slot.data);
  }
  Status wait(ChannelId channel, Stream stream, int64_t deadlineNs, Slot &slot, MessageHeader &header) override {
    return inner.wait(channel, stream, deadlineNs, slot, header);
  }
  Status release(ChannelId channel, const Slot &slot, Stream stream) override {
    return inner.release(channel, slot, stream);
  }
  void abort() override { inner.abort(); }
  ChannelCounters counters(ChannelId channel) const override { return inner.counters(channel); }

private:
  Transport &inner;
  RecordingWriter writer;
  std::vector<int32_t> numbers; ///< of each open end, its channel in the plan
};
} // namespace

std::unique_ptr<Transport> makeRecordingTransport(Transport &inner, int fd) {
  return std::make_unique<RecordingTransport>(inner, fd);
}

} // namespace rt
} // namespace penstock
