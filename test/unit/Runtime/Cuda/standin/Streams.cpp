//===- Streams.cpp - Streams, events, copies, launches, graphs ---*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "Entries.h"
#include "Machine.h"

#include <chrono>
#include <cstring>

using namespace standin;

namespace {

StreamState *stateOf(Stream stream) {
  auto *state = reinterpret_cast<StreamState *>(stream);
  return machine().streams.count(state) ? state : nullptr;
}
EventState *stateOf(Event event) {
  auto *state = reinterpret_cast<EventState *>(event);
  return machine().events.count(state) ? state : nullptr;
}
std::string nameOf(Stream stream) { return streamName(stream); }

/// A copy keeps what its source was: the host must not change it before the copy is done.
std::shared_ptr<Operation> makeCopy(const char *name, void *to, const void *from, size_t numBytes, const void *pinned) {
  auto copy = std::make_shared<Operation>();
  copy->name = name;
  copy->accesses = {{from, numBytes, false}, {to, numBytes, true}};
  const Block *block = machine().blockAt(pinned, numBytes);
  if (!block || block->device >= 0)
    addFault(words("out of place: '%s' of %zu bytes uses memory of the host that is not pinned", name, numBytes));
  uint64_t hash = pinned == from ? hashOf(from, numBytes) : 0;
  copy->run = [=] {
    if (pinned == from && hashOf(from, numBytes) != hash)
      addFault(words("overwritten in flight: the host writes what '%s' still reads", name));
    std::memcpy(to, from, numBytes);
  };
  return copy;
}

Result giveCopy(Entry &entry, Stream stream, const std::shared_ptr<Operation> &copy) {
  if (entry.code || !stateOf(stream))
    return entry.code ? entry.code : kInvalidHandle;
  return machine().enqueue(*stateOf(stream), copy);
}

bool isLaunchable(const FunctionState &function, const KernelCall &call) {
  uint64_t threads = uint64_t(call.block[0]) * call.block[1] * call.block[2];
  uint64_t blocks = uint64_t(call.grid[0]) * call.grid[1] * call.grid[2];
  return threads > 0 && threads <= 1024 && blocks > 0 && call.grid[1] < 65536 && call.grid[2] < 65536 &&
         int(call.sharedBytes) <= function.maxDynamicShared;
}

} // namespace

extern "C" {

Result cuStreamCreateWithPriority(Stream *stream, uint32_t flags, int) {
  Entry entry("cuStreamCreate");
  if (entry.code || currentDevice() < 0)
    return entry.code ? entry.code : kInvalidContext;
  if (flags != kStreamNonBlocking)
    addFault("a stream that waits for the default stream");
  auto *made = new StreamState;
  made->id = machine().numStreams++;
  made->device = currentDevice();
  machine().streams.insert(made);
  *stream = reinterpret_cast<Stream>(made);
  return kSuccess;
}

Result cuStreamDestroy_v2(Stream stream) {
  Entry entry("cuStreamDestroy", nameOf(stream));
  StreamState *state = stateOf(stream);
  if (!state)
    return kInvalidHandle;
  while (!state->queue.empty())
    if (!machine().runFront(*state)) {
      addFault(words("stuck: '%s' %s cannot end", state->queue.front()->name.c_str(), nameOf(stream).c_str()));
      break;
    }
  machine().streams.erase(state);
  delete state;
  return entry.code;
}

Result cuStreamWaitEvent(Stream stream, Event event, uint32_t) {
  Entry entry("cuStreamWaitEvent", nameOf(stream));
  StreamState *state = stateOf(stream);
  EventState *awaited = stateOf(event);
  if (entry.code || !state || !awaited)
    return entry.code ? entry.code : kInvalidHandle;
  if (!awaited->last)
    return kSuccess;
  if (state->capture)
    return kCaptureUnsupported;
  auto wait = std::make_shared<Operation>();
  wait->name = "wait";
  wait->after = {awaited->last};
  join(state->clock, awaited->last->clock);
  return machine().enqueue(*state, wait);
}

Result cuEventCreate(Event *event, uint32_t flags) {
  Entry entry("cuEventCreate");
  if (entry.code || currentDevice() < 0)
    return entry.code ? entry.code : kInvalidContext;
  auto *made = new EventState;
  made->isTimed = flags == kEventWithTiming;
  machine().events.insert(made);
  *event = reinterpret_cast<Event>(made);
  return kSuccess;
}
Result cuEventDestroy_v2(Event event) {
  Entry entry("cuEventDestroy");
  EventState *state = stateOf(event);
  if (!state)
    return kInvalidHandle;
  machine().events.erase(state);
  delete state;
  return entry.code;
}
Result cuEventRecord(Event event, Stream stream) {
  Entry entry("cuEventRecord", nameOf(stream));
  StreamState *state = stateOf(stream);
  EventState *marked = stateOf(event);
  if (entry.code || !state || !marked)
    return entry.code ? entry.code : kInvalidHandle;
  auto record = std::make_shared<Operation>();
  auto ns = std::make_shared<int64_t>(0);
  record->name = "event";
  record->run = [ns] { *ns = std::chrono::steady_clock::now().time_since_epoch() / std::chrono::nanoseconds(1); };
  Result code = machine().enqueue(*state, record);
  if (code == kSuccess)
    marked->last = record, marked->asked = false, marked->ns = ns;
  return code;
}

Result cuEventElapsedTime(float *milliseconds, Event from, Event to) {
  Entry entry("cuEventElapsedTime");
  EventState *first = stateOf(from), *second = stateOf(to);
  if (entry.code || !first || !second || !first->isTimed || !second->isTimed || !first->last || !second->last)
    return entry.code ? entry.code : kInvalidHandle;
  *milliseconds = float(*second->ns - *first->ns) * 1e-6f;
  return first->last->done && second->last->done ? kSuccess : kNotReady;
}

/// The first time that it is asked for an event that has not happened, it says so.
Result cuEventQuery(Event event) {
  Entry entry("cuEventQuery");
  EventState *state = stateOf(event);
  if (entry.code || !state)
    return entry.code ? entry.code : kInvalidHandle;
  if (!state->last)
    return kSuccess;
  bool asked = state->asked;
  state->asked = true;
  if (!state->last->done && (!asked || !machine().complete(state->last)))
    return kNotReady;
  join(machine().hostClock, state->last->clock);
  return kSuccess;
}

Result cuMemcpyHtoDAsync_v2(Address to, const void *from, size_t numBytes, Stream stream) {
  Entry entry("cuMemcpyHtoDAsync", std::to_string(numBytes) + " " + nameOf(stream));
  void *target = reinterpret_cast<void *>(uintptr_t(to));
  return giveCopy(entry, stream, makeCopy("copy in", target, from, numBytes, from));
}

/// What the host reads before the copy is done is rubbish; what is still to be copied from there is not touched.
Result cuMemcpyDtoHAsync_v2(void *to, Address from, size_t numBytes, Stream stream) {
  Entry entry("cuMemcpyDtoHAsync", std::to_string(numBytes) + " " + nameOf(stream));
  const void *source = reinterpret_cast<const void *>(uintptr_t(from));
  auto begin = reinterpret_cast<uintptr_t>(to);
  bool isUsed = !machine().userOf(begin, begin + numBytes).empty();
  Result code = giveCopy(entry, stream, makeCopy("copy out", to, source, numBytes, to));
  if (code == kSuccess && !isUsed && machine().blockAt(to, numBytes))
    std::memset(to, 0xcb, numBytes);
  return code;
}

/// What the plug-in does not call.
__attribute__((visibility("default"))) Result cuMemcpyDtoDAsync_v2(Address to, Address from, size_t numBytes,
                                                                   Stream stream) {
  Entry entry("cuMemcpyDtoDAsync", std::to_string(numBytes) + " " + nameOf(stream));
  void *target = reinterpret_cast<void *>(uintptr_t(to)), *source = reinterpret_cast<void *>(uintptr_t(from));
  auto copy = std::make_shared<Operation>();
  copy->name = "copy";
  copy->accesses = {{source, numBytes, false}, {target, numBytes, true}};
  copy->run = [=] { std::memcpy(target, source, numBytes); };
  return giveCopy(entry, stream, copy);
}

Result cuLaunchKernel(Function function, uint32_t gridX, uint32_t gridY, uint32_t gridZ, uint32_t blockX,
                      uint32_t blockY, uint32_t blockZ, uint32_t sharedBytes, Stream stream, void **parameters,
                      void **) {
  auto *kernel = reinterpret_cast<FunctionState *>(function);
  bool known = machine().functions.count(kernel) != 0;
  Entry entry("cuLaunchKernel", (known ? kernel->kernel.name : std::string("?")) + " " + nameOf(stream));
  KernelCall call{{gridX, gridY, gridZ}, {blockX, blockY, blockZ}, sharedBytes, {}};
  if (entry.code || !known || !stateOf(stream))
    return entry.code ? entry.code : kInvalidHandle;
  if (!isLaunchable(*kernel, call))
    return kInvalidValue;
  for (size_t i = 0; i < kernel->kernel.numParameters; ++i) {
    call.parameters.emplace_back();
    std::memcpy(&call.parameters.back(), parameters[i], sizeof(uint64_t));
  }
  auto launch = std::make_shared<Operation>();
  launch->name = kernel->kernel.name;
  if (kernel->kernel.play) {
    launch->play = [call, play = kernel->kernel.play] { return play(call); };
  } else {
    launch->accesses = kernel->kernel.accesses(call);
    launch->run = [call, run = kernel->kernel.run] { run(call); };
  }
  return machine().enqueue(*stateOf(stream), launch);
}

Result cuStreamBeginCapture_v2(Stream stream, CaptureMode) {
  Entry entry("cuStreamBeginCapture", nameOf(stream));
  StreamState *state = stateOf(stream);
  if (entry.code || !state || state->capture)
    return entry.code ? entry.code : kInvalidValue;
  state->capture = std::make_unique<GraphState>();
  return kSuccess;
}
Result cuStreamEndCapture(Stream stream, Graph *graph) {
  Entry entry("cuStreamEndCapture", nameOf(stream));
  StreamState *state = stateOf(stream);
  if (!state || !state->capture)
    return kInvalidValue;
  GraphState *made = state->capture.release();
  if (entry.code) {
    delete made;
    return entry.code;
  }
  machine().graphs.insert(made);
  *graph = reinterpret_cast<Graph>(made);
  return kSuccess;
}
Result cuGraphInstantiateWithFlags(GraphExec *executable, Graph graph, unsigned long long) {
  Entry entry("cuGraphInstantiate");
  auto *state = reinterpret_cast<GraphState *>(graph);
  if (entry.code || machine().graphs.count(state) == 0)
    return entry.code ? entry.code : kInvalidValue;
  auto *made = new GraphState(*state);
  machine().executables.insert(made);
  *executable = reinterpret_cast<GraphExec>(made);
  return kSuccess;
}
Result cuGraphDestroy(Graph graph) {
  Entry entry("cuGraphDestroy");
  auto *state = reinterpret_cast<GraphState *>(graph);
  if (machine().graphs.erase(state) == 0)
    return kInvalidValue;
  delete state;
  return entry.code;
}
Result cuGraphExecDestroy(GraphExec executable) {
  Entry entry("cuGraphExecDestroy");
  auto *state = reinterpret_cast<GraphState *>(executable);
  if (machine().executables.erase(state) == 0)
    return kInvalidValue;
  delete state;
  return entry.code;
}
Result cuGraphLaunch(GraphExec executable, Stream stream) {
  Entry entry("cuGraphLaunch", nameOf(stream));
  auto *state = reinterpret_cast<GraphState *>(executable);
  if (entry.code || machine().executables.count(state) == 0 || !stateOf(stream) || stateOf(stream)->capture)
    return entry.code ? entry.code : kInvalidValue;
  for (const Operation &operation : state->operations)
    (void)machine().enqueue(*stateOf(stream), std::make_shared<Operation>(operation));
  return kSuccess;
}

} // extern "C"
