//===- Program.cpp - The calls of a role's program ---------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "Context.h"

#include "Cpu.h"
#include "RoleDevice.h"
#include "penstock/rt/Recording.h"

#include <algorithm>
#include <cstring>

using namespace penstock;
using namespace penstock::rt;

int32_t rt_ctx::report(const Status &status) {
  if (failure.ok())
    failure = status;
  control.reportFailure(desc.role, status);
  return static_cast<int32_t>(status.code());
}

int32_t rt_ctx::misuse(const char *call, int32_t channel, const char *expected) {
  return report(fail(Code::kProgram, "%s: the program called %s on channel %d, expected %s", desc.role_name, call,
                     channel, expected));
}

void rt_ctx::beat() {
  state.progress.store(state.progress.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
}

void rt_ctx::record(int32_t kind, int32_t channel, const Interval &interval) {
  control.trace(desc.role, TraceEvent{interval.beginNs, interval.endNs, ordinal, request, microbatch, kind, channel});
}

/// The transport did not get on by the time of a look: has the run as a whole?
Status rt_ctx::timedOut(int64_t now) {
  if (!watch.expired(now))
    return Status();
  return hangStatus(control, control.describeStall(desc.role, watch.waitedNs(now)), options.hangFile);
}

/// A call that may have to wait, until it is done, or nothing in the whole run has moved for too long.
template <typename Call>
Status rt_ctx::block(Activity activity, const Channel &channel, bool idle, Interval &interval, const Call &call) {
  interval.beginNs = interval.endNs = nowNs();
  state.channel.store(channel.desc.id, std::memory_order_relaxed);
  state.activity.store(uint32_t(activity), std::memory_order_release);
  watch.start(interval.beginNs);
  Status status = call(watch.nextLook(interval.beginNs));
  interval.endNs = nowNs();
  while (status.code() == Code::kTimeout) {
    // Between requests a role may wait for as long as it likes.
    if (idle && control.submitted().load() <= ordinal)
      watch.start(interval.endNs);
    if (Status late = timedOut(interval.endNs); !late.ok())
      return late;
    status = call(watch.nextLook(interval.endNs));
    interval.endNs = nowNs();
  }
  state.activity.store(uint32_t(Activity::kRunning), std::memory_order_release);
  beat();
  stepBeginNs = interval.endNs;
  return status;
}

Status rt_ctx::waitFor(Channel &channel, bool idle) {
  state.microbatch.store(ordinal, std::memory_order_relaxed);
  Interval interval;
  Status status = block(Activity::kWaiting, channel, idle, interval, [&](int64_t deadlineNs) {
    return transport.wait(channel.in, Stream(), deadlineNs, channel.inSlot, channel.header);
  });
  state.waitNs.fetch_add(interval.ns(), std::memory_order_relaxed);
  if (status.ok() && !(channel.header.flags & kFlagEnd)) {
    if (inMicrobatch) {
      blockedNs += interval.ns();
    } else {
      request = channel.header.request, microbatch = channel.header.microbatch;
      runBeginNs = interval.endNs;
    }
    record(TraceEvent::kWait, channel.desc.id, interval);
  }
  return status;
}

Status rt_ctx::acquireFrom(Channel &channel, int64_t numBytes) {
  Interval interval;
  Status status = block(Activity::kAcquiring, channel, /*idle=*/false, interval, [&](int64_t deadlineNs) {
    return transport.acquire(channel.out, numBytes, Stream(), deadlineNs, channel.outSlot);
  });
  state.sendNs.fetch_add(interval.ns(), std::memory_order_relaxed);
  if (status.ok() && inMicrobatch) {
    blockedNs += interval.ns();
    record(TraceEvent::kSend, channel.desc.id, interval);
  }
  return status;
}

/// The end came on the first input: it must come on the others too, and goes to every output.
Status rt_ctx::finishStream() {
  for (Channel &channel : channels) {
    if (channel.in < 0 || channel.out >= 0) // what a role sends to itself needs no end
      continue;
    if (&channel != &channels[size_t(firstInput)])
      if (Status status = waitFor(channel, true); !status.ok())
        return status;
    if (!(channel.header.flags & kFlagEnd))
      return fail(Code::kMismatch, "%s: channel '%s' carries a message after the stream has ended on '%s'",
                  desc.role_name, channel.desc.name.c_str(), channels[size_t(firstInput)].desc.name.c_str());
    if (Status status = transport.release(channel.in, channel.inSlot, Stream()); !status.ok())
      return status;
  }
  MessageHeader header;
  header.flags = kFlagEnd;
  for (Channel &channel : channels) {
    if (channel.out < 0 || channel.in >= 0)
      continue;
    if (Status status = acquireFrom(channel, 0); !status.ok())
      return status;
    channel.outSlot.numBytes = 0;
    if (Status status = transport.publish(channel.out, channel.outSlot, header, Stream()); !status.ok())
      return status;
  }
  return Status();
}

int32_t rt_ctx::begin() {
  if (inMicrobatch)
    return misuse("rt_begin", firstInput, "rt_end first");
  Channel &first = channels[size_t(firstInput)];
  if (Status status = waitFor(first, true); !status.ok())
    return report(status);
  if (first.header.flags & kFlagEnd) {
    Status status = finishStream();
    streamEnded = status.ok();
    return status.ok() ? int32_t(RT_END) : report(status);
  }
  inMicrobatch = true;
  bound = false;
  blockedNs = 0;
  first.waited = true;
  if (!first.isStaged)
    pointTo(first.inStorages, first.inSlot);
  std::copy(first.header.symbols.begin(), first.header.symbols.end(), symbols.begin());
  return RT_OK;
}

Status rt_ctx::checkHeader(Channel &channel) {
  const MessageHeader &header = channel.header;
  if (header.flags & kFlagEnd)
    return fail(Code::kMismatch, "%s: the stream ended on channel '%s' within microbatch %lld", desc.role_name,
                channel.desc.name.c_str(), (long long)ordinal);
  if (header.request != request || header.microbatch != microbatch)
    return fail(Code::kMismatch, "%s: channel '%s' carries request %lld, microbatch %lld, expected %lld, %lld",
                desc.role_name, channel.desc.name.c_str(), (long long)header.request, (long long)header.microbatch,
                (long long)request, (long long)microbatch);
  bool fits = header.symbols.count == symbols.size();
  for (size_t i = 0; fits && i < symbols.size(); ++i) {
    int64_t theirs = header.symbols[i];
    // One of the two stages may not know yet what a kernel finds.
    if (isDataSymbol(i) && (theirs < 0 || symbols[i] < 0))
      symbols[i] = std::max(symbols[i], theirs);
    else
      fits = symbols[i] == theirs;
  }
  if (!fits)
    return fail(Code::kMismatch, "%s: channel '%s' carries other values of the dimension symbols than '%s'",
                desc.role_name, channel.desc.name.c_str(), channels[size_t(firstInput)].desc.name.c_str());
  return Status();
}

Status rt_ctx::checkShape(const Channel &channel) {
  bool same =
      std::equal(channel.dims.begin(), channel.dims.end(), channel.header.dims.begin(), channel.header.dims.end());
  if (!same || channel.inSlot.numBytes != channel.numBytes)
    return fail(Code::kMismatch, "%s, microbatch %lld: '%s' has shape %s and %lld bytes, expected %s and %lld",
                desc.role_name, (long long)ordinal, channel.desc.tensor.c_str(),
                dimsToString(channel.header.dims.data, channel.header.dims.count).c_str(),
                (long long)channel.inSlot.numBytes, dimsToString(channel.dims).c_str(), (long long)channel.numBytes);
  return Status();
}

int32_t rt_ctx::wait(int32_t index) {
  if (index < 0 || size_t(index) >= channels.size() || channels[size_t(index)].in < 0 || !inMicrobatch)
    return misuse("rt_wait", index, "an input channel within a microbatch");
  Channel &channel = channels[size_t(index)];
  if (channel.released)
    return misuse("rt_wait", index, "one that was not released in this microbatch");
  if (channel.waited)
    return RT_OK;
  Status status = waitFor(channel, false);
  if (status.ok())
    status = checkHeader(channel);
  if (status.ok() && bound)
    status = checkShape(channel);
  if (!status.ok())
    return report(status);
  channel.waited = true;
  if (!channel.isStaged)
    pointTo(channel.inStorages, channel.inSlot);
  return RT_OK;
}

/// What it waits for, if at all, is an earlier copy on the device: in figures that is part of the wait for the input.
int32_t rt_ctx::upload(int32_t index) {
  if (index < 0 || size_t(index) >= channels.size() || !channels[size_t(index)].isStaged ||
      !channels[size_t(index)].waited || channels[size_t(index)].uploaded)
    return misuse("rt_upload", index, "a received input channel of the host, once, in a role on a device");
  Channel &channel = channels[size_t(index)];
  if (faults)
    if (Status status = faults->count(FaultPlan::kUpload, channel.desc.name); !status.ok())
      return report(status);
  Interval interval;
  Status status = block(Activity::kWaiting, channel, /*idle=*/false, interval,
                        [&](int64_t deadlineNs) { return onDevice->upload(channel.in, deadlineNs, channel.inSlot); });
  state.waitNs.fetch_add(interval.ns(), std::memory_order_relaxed);
  blockedNs += interval.ns();
  if (!status.ok())
    return report(status);
  record(TraceEvent::kUpload, channel.desc.id, interval);
  channel.uploaded = true;
  pointTo(channel.inStorages, channel.inSlot);
  return RT_OK;
}

Status rt_ctx::computeShapes() {
  if (desc.num_extents > 0)
    desc.extents(symbols.data(), extents.data());
  bool isComplete = std::all_of(symbols.begin(), symbols.end(), [](int64_t value) { return value >= 0; });
  for (size_t c = 0; c < channels.size(); ++c) {
    Channel &channel = channels[c];
    const rt_channel_desc &table = desc.channels[c];
    for (size_t i = 0; i < channel.dims.size(); ++i)
      channel.dims[i] = table.dims[i] >= 0 ? table.dims[i] : extents[size_t(-1 - table.dims[i])];
    if (tensorBytes(table.dtype, channel.dims.data(), channel.dims.size(), channel.numBytes))
      continue;
    channel.numBytes = -1;
    if (isComplete)
      return fail(Code::kInvalid, "%s: '%s' would have shape %s", desc.role_name, table.tensor,
                  dimsToString(channel.dims).c_str());
  }
  return Status();
}

int32_t rt_ctx::bind() {
  if (!inMicrobatch || bound)
    return misuse("rt_bind", -1, "once, after rt_begin");
  // Equal symbol values have equal shapes and places.
  if (ordinal == 0 || symbols != shapedFor) {
    Status status = computeShapes();
    if (status.ok())
      status = place();
    if (!status.ok())
      return report(status);
    shapedFor = symbols;
  }
  bound = true;
  for (const Channel &channel : channels)
    if (channel.waited)
      if (Status status = checkShape(channel); !status.ok())
        return report(status);
  stepBeginNs = nowNs();
  return RT_OK;
}

int32_t rt_ctx::setSymbol(int32_t index, int32_t storage, int64_t lower, int64_t upper, const char *node) {
  if (!bound || index < 0 || index >= desc.num_symbols || !isDataSymbol(size_t(index)) || storage < 0 ||
      storage >= desc.num_storages)
    return misuse("rt_set_symbol", index, "a symbol that kernels find and a storage, after rt_bind");
  int64_t value;
  if (Status status = read(&value, storage, sizeof(value)); !status.ok())
    return report(status);
  if (value < lower || value > upper)
    return report(fail(Code::kInvalid, "%s, microbatch %lld: dimension '%s' of node '%s' is %lld, expected %lld..%lld",
                       stageName(desc.own_stages[0]).c_str(), (long long)ordinal, desc.symbol_names[index], node,
                       (long long)value, (long long)lower, (long long)upper));
  int64_t &symbol = symbols[size_t(index)];
  if (symbol >= 0 && symbol != value)
    return report(fail(Code::kMismatch,
                       "%s, microbatch %lld: dimension '%s' of node '%s' is %lld here and %lld in another stage",
                       stageName(desc.own_stages[0]).c_str(), (long long)ordinal, desc.symbol_names[index], node,
                       (long long)value, (long long)symbol));
  symbol = value;
  if (Status status = computeShapes(); !status.ok())
    return report(status);
  shapedFor = symbols;
  stepBeginNs = nowNs();
  return RT_OK;
}

int32_t rt_ctx::acquire(int32_t index) {
  if (index < 0 || size_t(index) >= channels.size() || channels[size_t(index)].out < 0 || !bound ||
      channels[size_t(index)].acquired || channels[size_t(index)].numBytes < 0)
    return misuse("rt_acquire", index, "an output channel of known shape, once per microbatch, after rt_bind");
  Channel &channel = channels[size_t(index)];
  if (Status status = acquireFrom(channel, channel.numBytes); !status.ok())
    return report(status);
  channel.acquired = true;
  pointTo(channel.outStorages, channel.outSlot);
  return RT_OK;
}

int32_t rt_ctx::download(int32_t index) {
  if (index < 0 || size_t(index) >= channels.size() || !channels[size_t(index)].isStaged ||
      !channels[size_t(index)].acquired || channels[size_t(index)].downloaded)
    return misuse("rt_download", index, "an acquired output channel of the host, once, in a role on a device");
  Channel &channel = channels[size_t(index)];
  if (faults)
    if (Status status = faults->count(FaultPlan::kDownload, channel.desc.name); !status.ok())
      return report(status);
  Interval interval;
  interval.beginNs = nowNs();
  channel.outSlot.numBytes = channel.numBytes;
  if (Status status = onDevice->download(channel.out, channel.outSlot); !status.ok())
    return report(status);
  stepBeginNs = interval.endNs = nowNs();
  record(TraceEvent::kDownload, channel.desc.id, interval);
  channel.downloaded = true;
  return RT_OK;
}

int32_t rt_ctx::publish(int32_t index) {
  if (index < 0 || size_t(index) >= channels.size() || !channels[size_t(index)].acquired ||
      channels[size_t(index)].published)
    return misuse("rt_publish", index, "an acquired output channel, once");
  Channel &channel = channels[size_t(index)];
  if (channel.isStaged && !channel.downloaded)
    return misuse("rt_publish", index, "rt_download first, in a role on a device");
  if (Status status = weights.check(stepBeginNs); !status.ok())
    return report(status);
  MessageHeader header;
  header.request = request, header.microbatch = microbatch;
  header.dims = {channel.dims.data(), channel.dims.size()};
  header.symbols = {symbols.data(), symbols.size()};
  channel.outSlot.numBytes = channel.numBytes;
  if (Status status = transport.publish(channel.out, channel.outSlot, header, Stream()); !status.ok())
    return report(status);
  channel.published = true;
  beat();
  stepBeginNs = nowNs(); // waking a consumer is no kernel's time
  return RT_OK;
}

int32_t rt_ctx::release(int32_t index) {
  if (index < 0 || size_t(index) >= channels.size() || !channels[size_t(index)].waited ||
      channels[size_t(index)].released)
    return misuse("rt_release", index, "a received input channel, once");
  Channel &channel = channels[size_t(index)];
  if (channel.isStaged && !channel.uploaded)
    return misuse("rt_release", index, "rt_upload first, in a role on a device");
  if (Status status = transport.release(channel.in, channel.inSlot, Stream()); !status.ok())
    return report(status);
  channel.released = true;
  stepBeginNs = nowNs();
  return RT_OK;
}

/// What lies in a storage, wherever that is.
Status rt_ctx::read(void *to, int32_t storage, int64_t numBytes) {
  if (onDevice)
    return onDevice->read(to, buffers[size_t(storage)], numBytes);
  std::memcpy(to, buffers[size_t(storage)], size_t(numBytes));
  return Status();
}

/// What the kernel of a step has made, for a recording that wants to know.
Status rt_ctx::recordResults(int32_t step) {
  const rt_step_desc &table = desc.steps[step];
  for (int32_t i = 0; i < table.num_results; ++i) {
    const rt_storage_desc &storage = desc.storages[table.results[i]];
    RecordHead head;
    head.kind = RecordHead::kResult;
    head.place = desc.role, head.step = step, head.index = i;
    head.request = request, head.microbatch = microbatch;
    head.numBytes = storage.num_bytes >= 0 ? storage.num_bytes : extents[size_t(storage.num_bytes_extent)];
    const void *data = buffers[size_t(table.results[i])];
    std::vector<char> copy;
    if (onDevice) {
      copy.resize(size_t(head.numBytes));
      data = copy.data();
      if (Status status = read(copy.data(), table.results[i], head.numBytes); !status.ok())
        return status;
    }
    Status status = RecordingWriter(options.recordFd).write(head, {}, {symbols.data(), symbols.size()}, data);
    if (!status.ok())
      return status;
  }
  return Status();
}

int32_t rt_ctx::done(int32_t step) {
  if (step < 0 || step >= desc.num_steps)
    return report(fail(Code::kProgram, "%s: the program ended step %d, expected one below %d", desc.role_name, step,
                       desc.num_steps));
  if (faults)
    if (Status status = faults->count(FaultPlan::kKernel, desc.steps[step].name); !status.ok())
      return report(status);
  if (kernelFailed.load(std::memory_order_acquire)) {
    std::lock_guard<std::mutex> lock(kernelMutex);
    return report(fail(Code::kKernel, "%s, microbatch %lld, '%s': %s", stageName(desc.own_stages[0]).c_str(),
                       (long long)ordinal, desc.steps[step].name, kernelMessage.c_str()));
  }
  if (!failure.ok()) // by a check inside of the kernel
    return static_cast<int32_t>(failure.code());
  int64_t now = nowNs();
  control.addStepTime(desc.role, step, now - stepBeginNs);
  stepBeginNs = now;
  if (options.recordResults && options.recordFd >= 0) {
    if (Status status = recordResults(step); !status.ok())
      return report(status);
    stepBeginNs = nowNs();
  }
  state.doneMicrobatch.store(ordinal, std::memory_order_relaxed);
  state.doneStep.store(step + 1, std::memory_order_relaxed);
  beat();
  if (control.aborted())
    return report(fail(Code::kAborted, "%s: the run was ended", desc.role_name));
  return RT_OK;
}

int32_t rt_ctx::end() {
  if (!inMicrobatch || !bound)
    return misuse("rt_end", -1, "a bound microbatch");
  for (size_t i = 0; i < channels.size(); ++i) {
    Channel &channel = channels[i];
    if (channel.in >= 0 && !channel.released)
      return misuse("rt_end", int32_t(i), "rt_wait and rt_release of every input first");
    if (channel.out >= 0 && !channel.published)
      return misuse("rt_end", int32_t(i), "rt_acquire and rt_publish of every output first");
    channel.waited = channel.uploaded = channel.released = false;
    channel.acquired = channel.downloaded = channel.published = false;
  }
  if (onDevice)
    if (Status status = onDevice->flush(); !status.ok())
      return report(status);
  int64_t now = nowNs();
  record(TraceEvent::kRun, -1, {runBeginNs, now});
  state.busyNs.fetch_add(now - runBeginNs - blockedNs, std::memory_order_relaxed);
  state.microbatches.fetch_add(1, std::memory_order_relaxed);
  inMicrobatch = bound = false;
  ++ordinal;
  return RT_OK;
}

extern "C" {
int32_t rt_begin(rt_ctx *ctx) { return ctx->begin(); }
int32_t rt_wait(rt_ctx *ctx, int32_t channel) { return ctx->wait(channel); }
int32_t rt_upload(rt_ctx *ctx, int32_t channel) { return ctx->upload(channel); }
int32_t rt_bind(rt_ctx *ctx) { return ctx->bind(); }
int32_t rt_check(rt_ctx *ctx, int64_t lhs, int64_t rhs, const char *what) {
  if (lhs == rhs)
    return RT_OK;
  return ctx->report(fail(Code::kInvalid, "%s: %s have extents %lld and %lld, expected them to be equal",
                          ctx->desc.role_name, what, (long long)lhs, (long long)rhs));
}
int32_t rt_set_symbol(rt_ctx *ctx, int32_t symbol, int32_t storage, int64_t lower, int64_t upper, const char *node) {
  return ctx->setSymbol(symbol, storage, lower, upper, node);
}
int32_t rt_acquire(rt_ctx *ctx, int32_t channel) { return ctx->acquire(channel); }
int32_t rt_download(rt_ctx *ctx, int32_t channel) { return ctx->download(channel); }
int32_t rt_publish(rt_ctx *ctx, int32_t channel) { return ctx->publish(channel); }
int32_t rt_release(rt_ctx *ctx, int32_t channel) { return ctx->release(channel); }
int32_t rt_done(rt_ctx *ctx, int32_t step) { return ctx->done(step); }
int32_t rt_end(rt_ctx *ctx) { return ctx->end(); }
void *const *rt_buffers(rt_ctx *ctx) { return ctx->buffers.data(); }
const int64_t *rt_extents(rt_ctx *ctx) { return ctx->extents.data(); }
const int64_t *rt_symbols(rt_ctx *ctx) { return ctx->symbols.data(); }
int32_t rt_num_threads(rt_ctx *ctx) { return ctx->desc.num_threads; }
const char *rt_folder(rt_ctx *ctx) { return ctx->folder.c_str(); }

void rt_parallel_for(rt_ctx *ctx, int64_t n, int64_t grain, rt_parallel_fn fn, void *arg) {
  parallelFor(ctx->desc.num_threads, n, grain, fn, arg);
}

void rt_fail(rt_ctx *ctx, const char *message) {
  std::lock_guard<std::mutex> lock(ctx->kernelMutex);
  if (ctx->kernelFailed.load(std::memory_order_relaxed))
    return;
  ctx->kernelMessage = message ? message : "failed";
  ctx->kernelFailed.store(true, std::memory_order_release);
}

void **rt_local(rt_ctx *ctx, const void *key, void (*destroy)(void *)) {
  for (rt_ctx::Local &local : ctx->locals)
    if (local.key == key)
      return &local.value;
  // A vector that moves would leave callers with dead addresses: it has its room from the start.
  if (ctx->locals.size() == ctx->locals.capacity()) {
    rt_fail(ctx, "more places for library state than the runtime has");
    static thread_local void *nowhere;
    nowhere = nullptr;
    return &nowhere;
  }
  ctx->locals.push_back({key, nullptr, destroy});
  return &ctx->locals.back().value;
}
}
