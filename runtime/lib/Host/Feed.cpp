//===- Feed.cpp - The source and the sink of a session -----------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "SessionImpl.h"

namespace penstock {
namespace rt {

/// Waits for room. The collector and the roles, who are nearer to the place where it sticks, have the first word.
Status Session::Impl::acquire(const HostEnd &end, int64_t numBytes, Slot &slot) {
  constexpr int64_t kPoliteNs = 150000000;
  SourceState &state = control.source();
  state.channel.store(end.channel, std::memory_order_relaxed);
  state.activity.store(uint32_t(Activity::kAcquiring), std::memory_order_release);
  ProgressWatch watch(control, options.timeoutNs > 0 ? options.timeoutNs + kPoliteNs : 0);
  int64_t now = nowNs();
  watch.start(now);
  Status status = transport->acquire(end.id, numBytes, Stream(), watch.nextLook(now), slot);
  while (status.code() == Code::kTimeout) {
    now = nowNs();
    if (watch.expired(now))
      return hangStatus(control, control.describeSourceStall(watch.waitedNs(now)), options.hangFile);
    status = transport->acquire(end.id, numBytes, Stream(), watch.nextLook(now), slot);
  }
  if (status.ok())
    state.activity.store(uint32_t(Activity::kRunning), std::memory_order_release);
  return status;
}

Status Session::Impl::feedEnd(const HostEnd &end, const Request &request, int64_t microbatch) {
  const ChannelDesc &desc = plan.channels[size_t(end.channel)];
  if (end.tensors.empty())
    dims.assign(desc.dims.begin(), desc.dims.end());
  else
    request.bound.inputDims(end.tensors[0], microbatch, dims);
  int64_t numBytes;
  if (!tensorBytes(desc.dtype, dims.data(), dims.size(), numBytes))
    return rt::fail(Code::kInvalid, "channel '%s' would carry shape %s", desc.name.c_str(), dimsToString(dims).c_str());
  Slot slot;
  if (Status status = acquire(end, numBytes, slot); !status.ok())
    return status;
  if (!end.tensors.empty())
    request.bound.copyInput(end.tensors[0], microbatch, slot.data);
  MessageHeader header;
  header.request = request.id;
  header.microbatch = microbatch;
  header.dims = {dims.data(), dims.size()};
  header.symbols = {symbols.data(), symbols.size()};
  slot.numBytes = numBytes;
  control.role(control.hostRole()).progress.fetch_add(1, std::memory_order_relaxed);
  return transport->publish(end.id, slot, header, Stream());
}

Status Session::Impl::feedMicrobatch(const Request &request, int64_t microbatch) {
  request.bound.symbolsOf(microbatch, symbols);
  if (counts)
    control.submitted().fetch_add(1);
  for (const HostEnd &end : sources)
    if (Status status = feedEnd(end, request, microbatch); !status.ok())
      return status;
  control.source().microbatch.fetch_add(1, std::memory_order_relaxed);
  return Status();
}

/// The end of the stream, on every channel of the source.
Status Session::Impl::feedLast() {
  MessageHeader header;
  header.flags = kFlagEnd;
  for (const HostEnd &end : sources) {
    Slot slot;
    if (Status status = acquire(end, 0, slot); !status.ok())
      return status;
    slot.numBytes = 0;
    if (Status status = transport->publish(end.id, slot, header, Stream()); !status.ok())
      return status;
  }
  return Status();
}

void Session::Impl::feed() {
  for (;;) {
    std::shared_ptr<Request> request;
    {
      std::unique_lock<std::mutex> lock(mutex);
      changed.wait(lock, [&] { return !feedQueue.empty() || closing || !failure.ok(); });
      if (!failure.ok())
        return;
      if (!feedQueue.empty()) {
        request = beingFed = feedQueue.front();
        feedQueue.pop_front();
      }
    }
    Status status;
    if (!request)
      status = feedLast();
    bool feeds = request && !request->elsewhere;
    for (int64_t i = 0; feeds && status.ok() && i < request->bound.numMicrobatches(); ++i)
      status = feedMicrobatch(*request, i);
    {
      std::lock_guard<std::mutex> lock(mutex);
      beingFed.reset();
      if (request)
        request->fed = true;
      changed.notify_all();
    }
    // An abort is reported by whoever caused it.
    if (!status.ok() && status.code() != Code::kAborted)
      fail(status);
    if (!status.ok() || !request)
      return;
  }
}

/// The oldest message, or the one that has been looked at.
Status Session::Impl::await(HostEnd &end, Slot &slot, MessageHeader &header) {
  if (end.ahead) {
    end.ahead = false;
    slot = end.slot, header = end.header;
    return Status();
  }
  RoleState &state = control.role(control.hostRole());
  state.channel.store(end.channel, std::memory_order_relaxed);
  state.activity.store(uint32_t(Activity::kWaiting), std::memory_order_release);
  ProgressWatch watch(control, options.timeoutNs);
  int64_t now = nowNs();
  watch.start(now);
  Status status = transport->wait(end.id, Stream(), watch.nextLook(now), slot, header);
  while (status.code() == Code::kTimeout) {
    now = nowNs();
    if (watch.expired(now))
      return hangStatus(control, control.describeStall(control.hostRole(), watch.waitedNs(now)), options.hangFile);
    status = transport->wait(end.id, Stream(), watch.nextLook(now), slot, header);
  }
  state.activity.store(uint32_t(Activity::kRunning), std::memory_order_release);
  state.progress.fetch_add(1, std::memory_order_relaxed);
  return status;
}

/// `same`: the next message is one of this request. It stays where it is.
Status Session::Impl::begins(HostEnd &end, const Request &request, bool &same) {
  if (!end.ahead)
    if (Status status = await(end, end.slot, end.header); !status.ok())
      return status;
  end.ahead = true;
  same = !(end.header.flags & kFlagEnd) && end.header.request == request.id;
  return Status();
}

Status Session::Impl::wait(HostEnd &end, bool ending, Slot &slot, MessageHeader &header) {
  Status status = await(end, slot, header);
  if (status.ok() && bool(header.flags & kFlagEnd) != ending)
    return rt::fail(Code::kMismatch, "channel '%s': the stream %s", plan.channels[size_t(end.channel)].name.c_str(),
                    ending ? "goes on after its end" : "ended before all results came");
  return status;
}

Status Session::Impl::gatherPart(HostEnd &end, Request &request, int64_t microbatch, OutputAssembler &assembler) {
  Slot slot;
  MessageHeader header;
  if (Status status = wait(end, false, slot, header); !status.ok())
    return status;
  if (header.request != request.id || header.microbatch != microbatch)
    return rt::fail(Code::kMismatch, "channel '%s' carries request %lld, microbatch %lld, expected %lld, %lld",
                    plan.channels[size_t(end.channel)].name.c_str(), (long long)header.request,
                    (long long)header.microbatch, (long long)request.id, (long long)microbatch);
  TensorView part;
  part.dtype = plan.channels[size_t(end.channel)].dtype;
  part.dims.assign(header.dims.begin(), header.dims.end());
  part.data = slot.data;
  part.numBytes = slot.numBytes;
  Status status;
  // An output that several channels carry comes from the first of them.
  for (size_t output : end.tensors)
    if (status.ok() && plan.outputs[output].channels[0] == end.channel)
      status = assembler.add(output, part);
  Status released = transport->release(end.id, slot, Stream());
  return status.ok() ? released : status;
}

Status Session::Impl::gatherRequest(Request &request) {
  OutputAssembler assembler(plan, pool);
  RoleState &state = control.role(control.hostRole());
  int64_t count = 0;
  for (;; ++count) {
    bool more = request.elsewhere ? !sinks.empty() : count < request.bound.numMicrobatches();
    if (request.elsewhere && more)
      if (Status status = begins(sinks[0], request, more); !status.ok())
        return status;
    if (!more)
      break;
    for (HostEnd &end : sinks)
      if (Status status = gatherPart(end, request, count, assembler); !status.ok())
        return status;
    state.microbatch.fetch_add(1, std::memory_order_relaxed);
  }
  return assembler.finish(count, request.outputs);
}

Status Session::Impl::gatherLast() {
  for (HostEnd &end : sinks) {
    Slot slot;
    MessageHeader header;
    if (Status status = wait(end, true, slot, header); !status.ok())
      return status;
    if (Status status = transport->release(end.id, slot, Stream()); !status.ok())
      return status;
  }
  return Status();
}

void Session::Impl::gather() {
  for (;;) {
    std::shared_ptr<Request> request;
    {
      std::unique_lock<std::mutex> lock(mutex);
      changed.wait(lock, [&] { return !gatherQueue.empty() || closing || !failure.ok(); });
      if (!failure.ok())
        return;
      if (!gatherQueue.empty()) {
        request = gatherQueue.front();
        gatherQueue.pop_front();
      }
    }
    Status status = request ? gatherRequest(*request) : gatherLast();
    if (!status.ok()) {
      if (status.code() != Code::kAborted)
        fail(status);
      return;
    }
    if (!request)
      return;
    std::unique_lock<std::mutex> lock(mutex);
    // Where nothing is collected, a request is over when it is fed.
    changed.wait(lock, [&] { return !sinks.empty() || request->fed || !failure.ok(); });
    if (!failure.ok())
      return;
    request->done = true;
    request->keepAlive.reset();
    changed.notify_all();
  }
}

} // namespace rt
} // namespace penstock
