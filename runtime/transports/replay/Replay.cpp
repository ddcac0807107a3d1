//===- Replay.cpp - One role alone, from a recording -------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "transports/replay/Replay.h"

#include <algorithm>
#include <sys/mman.h>

namespace penstock {
namespace rt {

Status ReplayTransport::open(const ChannelDesc &desc, const EndInfo &info, int64_t, ChannelId &channel) {
  if (desc.id < 0 || desc.id >= recording.numChannels())
    return fail(Code::kInvalid, "recording '%s' has %d channels, expected channel %d ('%s') among them",
                recording.path().c_str(), recording.numChannels(), desc.id, desc.name.c_str());
  End end;
  end.desc = desc;
  end.isProducer = info.isProducer;
  channel = static_cast<ChannelId>(ends.size());
  ends.push_back(std::move(end));
  return Status();
}

Status ReplayTransport::checkComplete() {
  Status status = findMissing();
  if (!status.ok())
    limit = 0; // the stream ends before it has begun
  return status;
}

Status ReplayTransport::findMissing() {
  limit = SIZE_MAX;
  const End *longest = nullptr;
  size_t most = 0;
  for (const End &end : ends) {
    size_t count = recording.messages(end.desc.id).size();
    if (!end.isProducer)
      limit = std::min(limit, count);
    for (const Recording::Message &message : recording.messages(end.desc.id)) // room now: later nothing is allocated
      if (end.isProducer)
        expected.reserve(size_t(message.numBytes));
    if (!longest || count > most)
      longest = &end, most = count;
  }
  if (most == 0)
    return fail(Code::kInvalid, "recording '%s' has no message of this stage", recording.path().c_str());
  for (const End &end : ends) {
    size_t count = recording.messages(end.desc.id).size();
    // Where the run has failed, a stage may have got less far than its peers.
    if (recording.isComplete() ? count == most : count > 0 || end.isProducer)
      continue;
    return fail(Code::kInvalid, "recording '%s' lacks '%s' (channel '%s'): it has %zu messages, expected %zu as '%s'",
                recording.path().c_str(), end.desc.tensor.c_str(), end.desc.name.c_str(), count, most,
                longest->desc.tensor.c_str());
  }
  return Status();
}

/// Room for one message, writable.
Status ReplayTransport::makeRoom(End &end, int64_t numBytes) const {
  // A kernel that goes a little too far must find the same as in a run: the rest of a page of zeros.
  int64_t wanted = std::max<int64_t>(numBytes, 1);
  if (end.memory.bytes() < wanted)
    return Mapping::anonymous(wanted, end.desc.name.c_str(), end.memory);
  if (mprotect(end.memory.data(), size_t(end.memory.bytes()), PROT_READ | PROT_WRITE) != 0)
    return failErrno("cannot change the protection of memory for '%s'", end.desc.name.c_str());
  return Status();
}

Status ReplayTransport::acquire(ChannelId channel, int64_t numBytes, Stream, int64_t, Slot &slot) {
  End &end = ends[size_t(channel)];
  if (Status status = makeRoom(end, numBytes); !status.ok())
    return status;
  slot.data = end.memory.data();
  slot.numBytes = numBytes;
  return Status();
}

Status ReplayTransport::wait(ChannelId channel, Stream, int64_t, Slot &slot, MessageHeader &header) {
  End &end = ends[size_t(channel)];
  header = MessageHeader();
  if (end.next >= limit) {
    header.flags = kFlagEnd;
    slot.numBytes = 0;
    return Status();
  }
  const Recording::Message &message = recording.messages(end.desc.id)[end.next++];
  if (Status status = makeRoom(end, message.numBytes); !status.ok())
    return status;
  if (Status status = recording.read(message, end.memory.data()); !status.ok())
    return status;
  if (mprotect(end.memory.data(), size_t(end.memory.bytes()), PROT_READ) != 0)
    return failErrno("cannot protect the memory of '%s'", end.desc.name.c_str());
  header.request = message.request;
  header.microbatch = message.microbatch;
  header.dims = {message.dims.data(), message.dims.size()};
  header.symbols = {message.symbols.data(), message.symbols.size()};
  slot.data = end.memory.data();
  slot.numBytes = message.numBytes;
  theReport.numMicrobatches = std::max(theReport.numMicrobatches, int64_t(end.next));
  return Status();
}

Status ReplayTransport::release(ChannelId, const Slot &, Stream) { return Status(); }

Status ReplayTransport::publish(ChannelId channel, const Slot &slot, const MessageHeader &header, Stream) {
  End &end = ends[size_t(channel)];
  if (header.flags & kFlagEnd)
    return Status();
  ++theReport.numMessages;
  const std::vector<Recording::Message> &sent = recording.messages(end.desc.id);
  if (end.next >= sent.size()) // the run that was recorded had failed by then
    return Status();
  const Recording::Message &then = sent[end.next++];
  expected.resize(size_t(then.numBytes));
  if (Status status = recording.read(then, expected.data()); !status.ok())
    return status;
  ++theReport.numCompared;
  compare(end, then, header, slot);
  return Status();
}

/// Keeps the words for the first difference, and counts.
void ReplayTransport::compare(const End &end, const Recording::Message &then, const MessageHeader &header,
                              const Slot &slot) {
  const char *here = static_cast<const char *>(slot.data), *there = expected.data();
  bool sameShape = slot.numBytes == then.numBytes &&
                   std::equal(header.dims.begin(), header.dims.end(), then.dims.begin(), then.dims.end());
  if (sameShape && std::equal(expected.begin(), expected.end(), here))
    return;
  if (theReport.numDiffering++ > 0)
    return;
  int32_t step = control.role(role).doneStep.load();
  std::string who =
      format("%s, request %lld, microbatch %lld: '%s', made by '%s'", stageName(end.desc.producerStage).c_str(),
             (long long)header.request, (long long)header.microbatch, end.desc.tensor.c_str(),
             step > 0 ? control.stepName(role, step - 1).c_str() : "?");
  if (!sameShape) {
    theReport.firstDifference =
        format("%s, has shape %s, recorded %s", who.c_str(), dimsToString(header.dims.data, header.dims.count).c_str(),
               dimsToString(then.dims).c_str());
    return;
  }
  int64_t size = dtypeBytes(end.desc.dtype), total = slot.numBytes / size, first = -1, count = 0;
  for (int64_t i = 0; i < total; ++i) {
    if (std::equal(here + i * size, here + (i + 1) * size, there + i * size))
      continue;
    first = first < 0 ? i : first;
    ++count;
  }
  theReport.firstDifference =
      format("%s, is %s at %s, recorded %s; %lld of %lld elements differ", who.c_str(),
             elementToString(end.desc.dtype, here + first * size).c_str(),
             placeToString(first, then.dims.data(), then.dims.size()).c_str(),
             elementToString(end.desc.dtype, there + first * size).c_str(), (long long)count, (long long)total);
}

} // namespace rt
} // namespace penstock
