//===- Machine.cpp - The state of the machine that is not there --*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "Machine.h"

#include "CudaApi.h"

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>

using namespace penstock::rt;

namespace standin {

Machine &machine() {
  static auto *theMachine = new Machine; // what is left in it at the end of a program is no leak of the program's
  return *theMachine;
}

std::string words(const char *format, ...) {
  char buffer[512] = "";
  va_list list;
  va_start(list, format);
  std::vsnprintf(buffer, sizeof(buffer), format, list);
  va_end(list);
  return buffer;
}

uint64_t hashOf(const void *data, size_t numBytes) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (size_t i = 0; i < numBytes; ++i)
    hash = (hash ^ static_cast<const unsigned char *>(data)[i]) * 0x100000001b3u;
  return hash;
}

void join(Clock &into, const Clock &other) {
  into.resize(std::max(into.size(), other.size()), 0);
  for (size_t i = 0; i < other.size(); ++i)
    into[i] = std::max(into[i], other[i]);
}

//===----------------------------------------------------------------------===//
// Memory
//===----------------------------------------------------------------------===//

size_t Machine::usedBytes(int device) const {
  size_t total = 0;
  for (auto &[begin, block] : blocks)
    total += block.device == device ? block.numBytes : 0;
  return total;
}

const Block *Machine::blockAt(const void *data, size_t numBytes) const {
  auto begin = reinterpret_cast<uintptr_t>(data);
  auto after = blocks.upper_bound(begin);
  if (after == blocks.begin())
    return nullptr;
  auto &[start, block] = *std::prev(after);
  return begin - start <= block.numBytes && numBytes <= block.numBytes - (begin - start) ? &block : nullptr;
}

std::string Machine::userOf(uintptr_t begin, uintptr_t end) const {
  for (StreamState *stream : streams)
    for (auto &operation : stream->queue)
      for (const Access &access : operation->accesses) {
        auto from = reinterpret_cast<uintptr_t>(access.data);
        if (from < end && begin < from + access.numBytes)
          return operation->name;
      }
  return std::string();
}

void Machine::forget(uintptr_t begin, uintptr_t end) {
  traces.erase(std::remove_if(traces.begin(), traces.end(),
                              [&](const Trace &trace) { return trace.begin < end && begin < trace.end; }),
               traces.end());
}

/// Compares an access with all earlier ones of the same bytes, and keeps it.
void Machine::checkAccess(const Operation &operation, const Access &access) {
  if (access.numBytes == 0)
    return;
  size_t stream = operation.stream->id;
  Trace made{reinterpret_cast<uintptr_t>(access.data),
             0,
             access.writes,
             stream,
             operation.number,
             operation.name,
             operation.clock};
  made.end = made.begin + access.numBytes;
  if (!blockAt(access.data, access.numBytes))
    faults.push_back(words("out of place: '%s' on stream %zu uses %zu bytes outside of any allocation",
                           operation.name.c_str(), stream, access.numBytes));
  auto follows = [&](const Trace &trace) {
    return trace.stream < operation.clock.size() && operation.clock[trace.stream] >= trace.number;
  };
  // What was given later may have been seen earlier, if this had to be played first.
  auto precedes = [&](const Trace &trace) {
    return operation.play && stream < trace.clock.size() && trace.clock[stream] >= operation.number;
  };
  for (const Trace &trace : traces) {
    if (trace.begin >= made.end || made.begin >= trace.end || follows(trace) || precedes(trace) ||
        !(trace.writes || made.writes))
      continue;
    if (made.writes)
      faults.push_back(words("overwritten in flight: '%s' on stream %zu writes what '%s' on stream %zu may still %s",
                             made.name.c_str(), stream, trace.name.c_str(), trace.stream,
                             trace.writes ? "write" : "read"));
    else
      faults.push_back(words("use before an event: '%s' on stream %zu reads what '%s' on stream %zu may not have "
                             "written yet",
                             made.name.c_str(), stream, trace.name.c_str(), trace.stream));
  }
  traces.erase(std::remove_if(traces.begin(), traces.end(),
                              [&](const Trace &trace) {
                                if (numToPlay > 0)
                                  return false;
                                bool covered = made.begin <= trace.begin && trace.end <= made.end && follows(trace);
                                return covered && (made.writes || (!trace.writes && trace.stream == stream));
                              }),
               traces.end());
  traces.push_back(std::move(made));
}

//===----------------------------------------------------------------------===//
// Streams
//===----------------------------------------------------------------------===//

int32_t Machine::enqueue(StreamState &stream, const std::shared_ptr<Operation> &operation) {
  if (stream.capture) {
    if (operation->ready || (operation->accesses.empty() && !operation->play))
      return cuda::kCaptureUnsupported;
    stream.capture->operations.push_back(*operation);
    return cuda::kSuccess;
  }
  operation->stream = &stream;
  operation->number = ++stream.count;
  join(stream.clock, hostClock);
  stream.clock.resize(std::max(stream.clock.size(), stream.id + 1), 0);
  stream.clock[stream.id] = operation->number;
  operation->clock = stream.clock;
  for (const Access &access : operation->accesses)
    checkAccess(*operation, access);
  numToPlay += operation->play ? 1 : 0;
  stream.queue.push_back(operation);
  return cuda::kSuccess;
}

bool Machine::runFront(StreamState &stream) {
  std::shared_ptr<Operation> front = stream.queue.front();
  if (front->visiting)
    return false;
  front->visiting = true;
  bool can = true;
  for (auto &earlier : front->after)
    can = can && complete(earlier);
  can = can && (!front->ready || front->ready());
  front->visiting = false;
  if (!can)
    return false;
  if (front->run)
    front->run();
  if (front->play) {
    std::vector<Access> touched = front->play();
    --numToPlay;
    for (const Access &access : touched)
      checkAccess(*front, access);
  }
  front->done = true;
  front->after.clear();
  stream.queue.pop_front();
  return true;
}

bool Machine::complete(const std::shared_ptr<Operation> &operation) {
  while (!operation->done)
    if (!runFront(*operation->stream))
      return false;
  return true;
}

bool Machine::reach(const std::shared_ptr<Operation> &operation) {
  while (!operation->done && operation->stream->queue.front() != operation)
    if (!runFront(*operation->stream))
      return false;
  for (auto &earlier : operation->after)
    if (!complete(earlier))
      return false;
  return true;
}

//===----------------------------------------------------------------------===//
// What tests and the other libraries call
//===----------------------------------------------------------------------===//

template <typename State> static void dropAll(std::set<State *> &states) {
  for (State *state : states)
    delete state;
  states.clear();
}

void Machine::clear() {
  for (auto &[begin, block] : blocks)
    std::free(reinterpret_cast<void *>(begin));
  blocks.clear();
  dropAll(streams), dropAll(events), dropAll(modules), dropAll(functions), dropAll(graphs), dropAll(executables);
  contexts.clear(), calls.clear(), faults.clear(), planned.clear(), counts.clear(), kernels.clear(), traces.clear();
  hostClock.clear();
  numStreams = numToPlay = 0;
  started = false;
}

void reset(const Configuration &configuration) {
  Machine &m = machine();
  std::lock_guard<std::recursive_mutex> lock(m.mutex);
  for (auto &forget : m.resets)
    forget();
  m.clear();
  m.configuration = configuration;
}

void addKernel(KernelModel kernel) {
  std::lock_guard<std::recursive_mutex> lock(machine().mutex);
  machine().kernels[kernel.name] = std::move(kernel);
}

void failCall(const std::string &entry, int64_t number, int32_t code) {
  Machine &m = machine();
  std::lock_guard<std::recursive_mutex> lock(m.mutex);
  m.planned[entry][m.counts[entry] + number] = code;
}

std::vector<std::string> calls() {
  std::lock_guard<std::recursive_mutex> lock(machine().mutex);
  return machine().calls;
}

int64_t numCalls(const std::string &start) {
  std::lock_guard<std::recursive_mutex> lock(machine().mutex);
  return std::count_if(machine().calls.begin(), machine().calls.end(),
                       [&](const std::string &call) { return call.compare(0, start.size(), start) == 0; });
}

std::vector<std::string> faults() {
  std::lock_guard<std::recursive_mutex> lock(machine().mutex);
  return machine().faults;
}

void addFault(const std::string &fault) { machine().faults.push_back(fault); }

void checkLeaks() {
  Machine &m = machine();
  std::lock_guard<std::recursive_mutex> lock(m.mutex);
  auto leaked = [&](const char *what, size_t count) {
    if (count > 0)
      m.faults.push_back(words("leak: %zu %s", count, what));
  };
  size_t pinned = size_t(std::count_if(m.blocks.begin(), m.blocks.end(), [](auto &b) { return b.second.device < 0; }));
  leaked("allocations on devices", m.blocks.size() - pinned);
  leaked("pinned allocations", pinned);
  leaked("streams", m.streams.size());
  leaked("events", m.events.size());
  leaked("modules", m.modules.size());
  leaked("graphs", m.graphs.size());
  leaked("executable graphs", m.executables.size());
  for (auto &[device, count] : m.contexts)
    leaked("contexts", size_t(count));
  for (auto &check : m.leakChecks)
    check();
}

Entry::Entry(const char *name, const std::string &what) {
  Machine &m = machine();
  m.mutex.lock();
  m.calls.push_back(what.empty() ? std::string(name) : std::string(name) + " " + what);
  int64_t last = m.configuration.lostWithLaunch;
  if (last > 0 && m.counts["cuLaunchKernel"] >= last)
    code = kIllegalAddress;
  auto plan = m.planned.find(name);
  int64_t number = ++m.counts[name];
  if (plan != m.planned.end() && plan->second.count(number))
    code = plan->second[number];
}
Entry::~Entry() { machine().mutex.unlock(); }

Hold::Hold() { machine().mutex.lock(); }
Hold::~Hold() { machine().mutex.unlock(); }

static StreamState *liveStream(void *stream) {
  auto *state = static_cast<StreamState *>(stream);
  return machine().streams.count(state) ? state : nullptr;
}
int deviceOf(void *stream) {
  StreamState *state = liveStream(stream);
  return state ? state->device : -1;
}
bool isCapturing() {
  const auto &streams = machine().streams;
  return std::any_of(streams.begin(), streams.end(), [](StreamState *stream) { return bool(stream->capture); });
}
std::string streamName(void *stream) {
  StreamState *state = liveStream(stream);
  return state ? words("on stream %zu", state->id) : std::string("on no stream");
}
int32_t enqueue(void *stream, const std::shared_ptr<Operation> &operation) {
  StreamState *state = liveStream(stream);
  return state ? machine().enqueue(*state, operation) : int32_t(cuda::kInvalidHandle);
}
int ncclVersion() {
  std::lock_guard<std::recursive_mutex> lock(machine().mutex);
  if (!machine().started)
    (void)readEnvironment(machine().configuration);
  return machine().configuration.ncclVersion;
}
bool isNcclBlind() { return machine().configuration.isNcclBlind; }
bool reach(const std::shared_ptr<Operation> &operation) { return machine().reach(operation); }
bool complete(const std::shared_ptr<Operation> &operation) { return machine().complete(operation); }
void addLeakCheck(const std::function<void()> &check) { machine().leakChecks.push_back(check); }
void addReset(const std::function<void()> &forget) { machine().resets.push_back(forget); }

} // namespace standin
