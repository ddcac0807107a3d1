//===- Control.h - What all processes of a run know of each other -*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// One block of memory per run, shared by the host (who feeds and collects) and every role: the abort flag, the state of
// each role, the cursors of each channel, the measured timeline. It is what lets a waiting role tell a slow peer from a
// dead one and name it.
//
//   header | role states (the last one is the host's) | names and times of steps | channel controls with their cursors
//   | trace rings
//
// The block starts as zeros (a fresh memfd, or calloc) and is laid out by create(); attach() checks a block made
// elsewhere. Threads and processes: every field that changes is atomic. Errors: attach() refuses a block that does not
// fit its size.
//
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_RT_CONTROL_H
#define PENSTOCK_RT_CONTROL_H

#include "penstock/rt/Status.h"
#include "penstock/rt/Transport.h"

#include <atomic>

namespace penstock {
namespace rt {

enum class Activity : uint32_t { kStarting, kRunning, kWaiting, kAcquiring, kEnded };

/// One event of the measured timeline.
struct TraceEvent {
  enum Kind : int32_t { kRun, kWait, kSend, kUpload, kDownload };
  int64_t beginNs, endNs;
  int64_t ordinal; ///< microbatch, counted from the start of the stream
  int64_t request, microbatch;
  int32_t kind, channel; ///< plan index of the channel, -1 for kRun
};

constexpr size_t kMaxErrorText = 1024;

/// What a role tells of itself. Written by the role, read by all.
struct alignas(64) RoleState {
  std::atomic<uint32_t> activity;
  std::atomic<int32_t> channel;        ///< plan index, while waiting or acquiring
  std::atomic<int64_t> microbatch;     ///< ordinal of the current or awaited one
  std::atomic<int64_t> doneMicrobatch; ///< ordinal, with doneStep: the last completed step
  std::atomic<int32_t> doneStep;       ///< index of its name plus one; 0: none
  std::atomic<int32_t> pid;
  std::atomic<int64_t> clock;     ///< clockid_t of its CPU time, plus one; 0: none
  std::atomic<uint64_t> progress; ///< heartbeat
  std::atomic<uint64_t> computed; ///< a second one: CPU time in ms where the clock cannot be read by others
  std::atomic<int64_t> heardNs;   ///< of a role on another rank: when it was last heard of; 0: it is here
  std::atomic<int64_t> busyNs, waitNs, sendNs, microbatches;
  std::atomic<uint64_t> numTraced; ///< events ever written to its ring
  std::atomic<int32_t> errorCode;  ///< set after the text
  char error[kMaxErrorText];
  char name[64];
  std::atomic<int32_t> hasWord; ///< on ranks, not 0: this one tells of a stall that several notice (Word.h)
};

/// What the source waits for. The host feeds on one thread and collects on another; its RoleState is the latter's.
struct SourceState {
  std::atomic<uint32_t> activity; ///< kAcquiring, or something else
  std::atomic<int32_t> channel;
  std::atomic<int64_t> microbatch;
};

/// How messages get to a consumer.
enum class Carrier : int32_t {
  kMemory, ///< it reads the slots that the producer writes
  kMpi,    ///< it has slots of its own, on another rank
  kTcp,    ///< likewise
  kNccl,   ///< they go from one device to the next; their headers go otherwise
};

/// "shm", "mpi", "tcp", "nccl".
const char *carrierName(Carrier carrier);

/// Side of one consumer of one channel.
struct alignas(64) ConsumerCursor {
  std::atomic<uint64_t> released; ///< messages given back
  std::atomic<uint64_t> received; ///< messages taken, for dumps
  int32_t role, stage;
  int32_t absent; ///< not 0: it reads a copy of the channel elsewhere and holds no slot of this one
  std::atomic<Carrier> carrier;
};

/// Cursors and bells of one channel; the consumers' cursors follow it.
struct alignas(64) ChannelControl {
  std::atomic<uint64_t> published;
  std::atomic<int64_t> messages, bytes, bytesCopied; ///< the end of the stream is no message
  int32_t role, stage, numConsumers, depth;
  char tensor[128];
  /// Two futex words with their counts of sleepers: rung by the producer for the consumers, and the other way round.
  alignas(64) std::atomic<uint32_t> publishBell;
  std::atomic<uint32_t> publishSleepers;
  alignas(64) std::atomic<uint32_t> releaseBell;
  std::atomic<uint32_t> releaseSleepers;
};

/// Who waits where, to lay the block out.
struct ControlLayout {
  struct Channel {
    std::string tensor;
    int32_t depth = 1;
    int32_t role = 0, stage = 0; ///< of the producer; the host's role number is numRoles
    std::vector<int32_t> consumerRoles, consumerStages;
  };
  int32_t numRoles = 0; ///< without the host
  std::vector<std::string> roleNames;
  std::vector<Channel> channels;
  int32_t traceCapacity = 0; ///< events per role; 0: no trace
};

/// A view of the block; does not own it.
class RunControl {
public:
  RunControl() = default;
  /// Bytes that create() needs, a multiple of the page size.
  static int64_t bytesFor(const ControlLayout &layout);
  /// Lays out a zeroed block of bytesFor(layout) bytes.
  static RunControl create(void *memory, const ControlLayout &layout);
  /// A block that another process laid out.
  static Status attach(void *memory, int64_t numBytes, RunControl &control);

  bool valid() const { return base != nullptr; }
  int32_t numRoles() const;
  int32_t hostRole() const { return numRoles(); }
  int32_t numChannels() const;
  RoleState &role(int32_t index) const;
  SourceState &source() const;
  ChannelControl &channel(int32_t index) const;
  ConsumerCursor *cursors(int32_t channel) const;

  /// Ends the run for everybody: sets the flag and wakes all sleepers. Idempotent.
  void abort() const;
  bool aborted() const { return flag().load(std::memory_order_acquire) != 0; }
  const std::atomic<uint32_t> &flag() const;
  /// Keeps a role's failure, remembers the first failing role, and aborts.
  void reportFailure(int32_t role, const Status &status) const;
  /// The failure that came first; ok when none was reported.
  Status firstFailure(int32_t *role = nullptr) const;

  /// Microbatches that were ever submitted by the host: a role that has done them all is idle, not stuck.
  std::atomic<int64_t> &submitted() const;
  /// Names of the steps of a role, for messages of others. Truncated when they exceed their room.
  void setStepNames(int32_t role, const rt_step_desc *steps, int32_t numSteps) const;
  std::string stepName(int32_t role, int32_t step) const;
  /// Adds to the time that a step of a role has taken, all microbatches together. Steps beyond the block's room are
  /// left out.
  void addStepTime(int32_t role, int32_t step, int64_t spanNs) const;
  /// The times of a role's steps so far, as many as have names.
  std::vector<int64_t> stepTimes(int32_t role) const;

  void trace(int32_t role, const TraceEvent &event) const;
  bool tracing() const;
  /// The events of a role, oldest first; those that the ring lost are counted in `lost`.
  std::vector<TraceEvent> traceOf(int32_t role, int64_t &lost) const;

  /// "stage 2, microbatch 3: waited 30 s for 'T' from stage 1 (last done: microbatch 2, 'N'); stage 2 has last done
  /// microbatch 2, 'M'": the line of the role at which the chain of waiting roles that starts at `role` ends; of `role`
  /// itself where the chain comes back to it, as it seems to when a rank cannot be heard any more.
  std::string describeStall(int32_t role, int64_t waitedNs) const;
  /// The same for a chain that starts at the source, which has waited for a free slot.
  std::string describeSourceStall(int64_t waitedNs) const;
  /// What every stage does and waits for, and every channel's cursors, as JSON; `cause` goes in as it is.
  std::string describeQueues(const std::string &cause) const;
  /// Changes whenever any role gets on: steps done, messages moved, CPU time of a role that computes.
  uint64_t progressSignature() const;

private:
  char *base = nullptr;
  struct Header;
  Header &header() const;
  int32_t numSteps(int32_t role) const;
  std::atomic<int64_t> *timesOf(int32_t role) const;
};

/// A deadline has passed: the failure, to be called before the run is aborted. With a `file`, the state of all queues
/// is written there first and the message says so; of all processes that come to this, the first one writes.
Status hangStatus(const RunControl &control, std::string message, const std::string &file);

/// Decides when a wait has lasted too long: when nothing in the whole run has moved for the timeout. Time in which the
/// waiter could not look, as when the whole job was stopped, does not count.
class ProgressWatch {
public:
  ProgressWatch(const RunControl &control, int64_t timeoutNs) : control(control), timeoutNs(timeoutNs) {}
  /// Forgets the past; a wait begins.
  void start(int64_t now) { lastChangeNs = lastLookNs = now, signature = 0; }
  /// When the waiter should look again.
  int64_t nextLook(int64_t now) const;
  /// To be called at each look; true when the deadline has passed without progress.
  bool expired(int64_t now);
  int64_t waitedNs(int64_t now) const { return now - lastChangeNs; }

private:
  const RunControl &control;
  int64_t timeoutNs, lastChangeNs = 0, lastLookNs = 0;
  uint64_t signature = 0;
};

} // namespace rt
} // namespace penstock

#endif // PENSTOCK_RT_CONTROL_H
