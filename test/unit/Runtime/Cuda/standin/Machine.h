//===- Machine.h - The state of the machine that is not there ----*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_TEST_STANDIN_MACHINE_H
#define PENSTOCK_TEST_STANDIN_MACHINE_H

#include "Standin.h"

#include <deque>
#include <map>
#include <mutex>
#include <set>

namespace standin {

using Clock = std::vector<uint64_t>; ///< by stream

struct GraphState {
  std::vector<Operation> operations;
};

struct StreamState {
  size_t id = 0;
  int device = 0;
  uint64_t count = 0;
  Clock clock;
  std::deque<std::shared_ptr<Operation>> queue;
  std::unique_ptr<GraphState> capture; ///< not null while capturing
};

struct EventState {
  std::shared_ptr<Operation> last;
  bool asked = false, isTimed = false;
  std::shared_ptr<int64_t> ns; ///< of the host's clock, when it happened
};

struct Block {
  size_t numBytes = 0;
  int device = -1; ///< -1: pinned memory of the host
};

struct ModuleState {
  int device = 0;
  void *hostCode = nullptr; ///< see HostCode.h
};

struct FunctionState {
  KernelModel kernel;
  int maxDynamicShared = 48 * 1024;
};

/// What an operation has done to memory, kept until something that comes after it covers it.
struct Trace {
  uintptr_t begin = 0, end = 0;
  bool writes = false;
  size_t stream = 0;
  uint64_t number = 0;
  std::string name;
  Clock clock;
};

struct Machine {
  std::recursive_mutex mutex;
  Configuration configuration;
  std::vector<int> visible; ///< ordinals, by index
  bool started = false;
  std::vector<std::string> calls, faults;
  std::map<std::string, std::map<int64_t, int32_t>> planned;
  std::map<std::string, int64_t> counts;
  std::map<std::string, KernelModel> kernels;

  std::map<uintptr_t, Block> blocks;
  std::map<int, int64_t> contexts; ///< how often each device's is retained
  std::set<StreamState *> streams;
  std::set<EventState *> events;
  std::set<ModuleState *> modules;
  std::set<FunctionState *> functions;
  std::set<GraphState *> graphs, executables;
  std::vector<Trace> traces;
  Clock hostClock;
  size_t numStreams = 0;
  size_t numToPlay = 0; ///< operations whose accesses are not known yet
  std::vector<std::function<void()>> leakChecks, resets;

  size_t usedBytes(int device) const;
  const Block *blockAt(const void *data, size_t numBytes) const;
  int32_t enqueue(StreamState &stream, const std::shared_ptr<Operation> &operation);
  void checkAccess(const Operation &operation, const Access &access);
  bool runFront(StreamState &stream);
  bool complete(const std::shared_ptr<Operation> &operation);
  bool reach(const std::shared_ptr<Operation> &operation);
  /// True if work that is not done yet uses the bytes.
  std::string userOf(uintptr_t begin, uintptr_t end) const;
  void forget(uintptr_t begin, uintptr_t end);
  void clear();
};

/// A kernel has touched what it may not; the context is of no use any more.
constexpr int32_t kIllegalAddress = 700;

Machine &machine();
void join(Clock &into, const Clock &other);
std::string words(const char *format, ...) __attribute__((format(printf, 1, 2)));
uint64_t hashOf(const void *data, size_t numBytes);
/// Whether an image has code that a chip can run: 0, or the driver's code.
int32_t judgeImage(const void *image, int major, int minor);
/// As PENSTOCK_STANDIN describes it; false where it is not set.
bool readEnvironment(Configuration &configuration);

} // namespace standin

#endif // PENSTOCK_TEST_STANDIN_MACHINE_H
