//===- Session.h - A compiled pipeline, running ------------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Opens an output folder, starts its roles, feeds requests and collects results. `launch`, `penstock run`, `penstock
// bench` and the Python module are thin users of this class.
//
//     std::unique_ptr<Session> session;
//     Status status = Session::open("cat.penstock", options, session);
//     status = session->submit(inputs, request);      // any number in flight
//     status = session->collect(request, outputs);    // in any order
//     status = session->close();
//
// Threads: submit() and collect() from any thread. Inside: one thread feeds, one collects, one starts and watches the
// roles. Ownership: the inputs of a request must live until collect() has returned, or be held by `keepAlive`. Errors:
// a wrong input is kInvalid and harms no other request. Any other failure ends the session: the first cause is what
// every later call returns. All roles end with the session, however it ends, the death of the process included.
//
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_RT_SESSION_H
#define PENSTOCK_RT_SESSION_H

#include "penstock/rt/Plan.h"
#include "penstock/rt/Role.h"
#include "penstock/rt/Tensor.h"

namespace penstock {
namespace rt {

struct SessionOptions {
  int64_t timeoutNs = 30ll * 1000000000;        ///< of no progress anywhere; 0: wait for ever
  int32_t traceEvents = 0;                      ///< kept per stage; 0: no timeline
  int64_t verifyBytes = int64_t(1) << 30;       ///< weights files up to this length are checksummed
  enum Spin { kAuto, kNeverSpin } spin = kAuto; ///< kAuto: spin and pin when there are cores enough for all threads
  std::map<int32_t, std::string> faults;        ///< per role, for tests: see transports/faulty/Faulty.h
  std::string recordFile;                       ///< write every message of the run there; empty: do not
  bool recordResults = false;                   ///< and what every kernel makes
  std::string hangFile; ///< a file to be made when a deadline has passed, with the state of all queues; empty: none
  std::vector<const rt_role_desc *> roles; ///< not empty: run these as threads of this process instead of executables
  bool ownsProcess = false; ///< with `roles`: threads may be pinned, for nobody else has any in this process
  /// Not -1: run this role only; the others belong to other ranks of a launcher. Requests are those of the whole run,
  /// in the same order on every rank; what this role does not read need not be given (submitElsewhere).
  int32_t ownRole = -1;
  int32_t localRanks = 1;   ///< on this host, with ownRole
  bool hasMpi = true;       ///< with ownRole: ranks reach each other by MPI, else by the addresses of the launcher
  bool sharesMemory = true; ///< with ownRole: ranks of one host pass tensors through shared memory
};

/// What a stage has done since the session was opened.
struct StageFigures {
  std::string name;
  int64_t busyNs = 0; ///< running kernels
  int64_t waitNs = 0; ///< waiting for inputs
  int64_t sendNs = 0; ///< waiting for free slots
  int64_t microbatches = 0;
  std::vector<int64_t> stepNs; ///< of each kernel call, in the order of the plan
  int32_t pid = 0;
};

struct ChannelFigures {
  /// A consumer, and the transport that takes messages to it: "shm", "inproc", "mpi", "tcp", "nccl".
  struct Consumer {
    int32_t stage = 0; ///< or RT_STAGE_SINK
    std::string transport;
  };
  std::string name, tensor;
  int64_t messages = 0, bytes = 0;
  int64_t bytesCopied = 0; ///< into memory of consumers that have their own
  std::vector<Consumer> consumers;
};

/// "shm to stage 1, mpi to stage 2, sink".
std::string transportWords(const ChannelFigures &channel);

/// What submit() would say of these inputs, without a session.
Status checkInputs(const Plan &plan, const TensorViewMap &inputs);

class Session {
public:
  /// Reads and proves the plan (Prove.h), then starts the roles; returns when every one is ready. They end when this
  /// object does. After a failure, `turnToTell` is what the method of that name says.
  static Status open(const std::string &folder, const SessionOptions &options, std::unique_ptr<Session> &session,
                     int32_t *turnToTell = nullptr);
  ~Session();

  const Plan &plan() const;
  /// True when stages spin before they sleep and are pinned, because there are cores enough.
  bool spinning() const;

  /// Checks the inputs against the plan and queues the request.
  Status submit(const TensorViewMap &inputs, int64_t &request, std::shared_ptr<void> keepAlive = nullptr);
  /// A request whose inputs other ranks feed; its outputs, if this rank has any, are collected all the same.
  Status submitElsewhere(int64_t &request);
  /// True when this rank feeds inputs; when outputs come to it.
  bool feeds() const;
  bool collects() const;
  /// After a failure, once the session is closed: how many turns this rank gives to others before it tells of it. 0: it
  /// is the one; -1: another one is. 0 also where all stages run here.
  int32_t turnToTell() const;

  /// Waits for a request's outputs. Each request once.
  Status collect(int64_t request, TensorMap &outputs);
  /// True when collect() would not wait.
  bool finished(int64_t request) const;
  /// submit() and collect().
  Status run(const TensorViewMap &inputs, TensorMap &outputs);

  std::vector<StageFigures> stageFigures() const;
  std::vector<ChannelFigures> channelFigures() const;
  /// The timeline so far as Chrome/Perfetto trace events. Also after close().
  Status writeTrace(const std::string &path) const;

  /// Lets the queued requests end, ends the stream, and waits for the roles. Idempotent.
  Status close();

private:
  class Impl;
  Session();
  std::unique_ptr<Impl> impl;
};

} // namespace rt
} // namespace penstock

#endif // PENSTOCK_RT_SESSION_H
