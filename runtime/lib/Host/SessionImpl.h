//===- SessionImpl.h - Inside a session --------------------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Threads: `feeder` takes requests from feedQueue and fills the source's channels; `collector` empties the sink's
// channels in the same order; the crew watches the roles. The mutex guards queues, results and the failure; a request's
// own fields belong to the feeder (bound) and the collector (outputs) until it is done.
//
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_RT_LIB_HOST_SESSIONIMPL_H
#define PENSTOCK_RT_LIB_HOST_SESSIONIMPL_H

#include "Crew.h"
#include "Request.h"
#include "penstock/rt/Recording.h"
#include "penstock/rt/Session.h"

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

namespace penstock {
namespace rt {

class Session::Impl {
public:
  ~Impl();
  Status open(const std::string &folder, const SessionOptions &given);
  Status submit(const TensorViewMap &inputs, int64_t &request, std::shared_ptr<void> keepAlive);
  Status submitElsewhere(int64_t &request);
  bool feeds() const { return !sources.empty(); }
  bool collects() const { return !sinks.empty(); }
  int32_t turnToTell() const;
  /// Name of the transport that takes messages of a channel to one of its consumers.
  const char *carrierOf(int32_t channel, int32_t consumer) const;
  std::string carriersOf(const TraceEvent &event, int32_t role) const;
  bool isOwn(int32_t stage) const { return options.ownRole < 0 || stage == options.ownRole; }
  Status collect(int64_t request, TensorMap &outputs);
  bool finished(int64_t request);
  Status close();

  Plan plan;
  SessionOptions options;
  RunControl control;
  bool spins = false;

private:
  struct Request {
    int64_t id = 0;
    BoundRequest bound;
    std::shared_ptr<void> keepAlive;
    TensorMap outputs;
    Status status;
    bool elsewhere = false; ///< other ranks feed it: how many microbatches it has shows when the next one begins
    bool fed = false, done = false;
  };
  /// A channel end of the host.
  struct HostEnd {
    int32_t channel = 0;         ///< in the plan
    ChannelId id = -1;           ///< in the transport
    std::vector<size_t> tensors; ///< inputs or outputs that it carries; none: it only starts a stage
    bool ahead = false;          ///< a message of the next request, or the end, has been looked at
    Slot slot;                   ///< with `ahead`
    MessageHeader header;
  };

  Status makeFabric();
  Status startRecording();
  void leaveOthers();
  Status enqueue(std::shared_ptr<Request> request, int64_t &id);
  Status openEnds();
  std::vector<RoleOptions> roleOptions() const;
  ControlLayout layoutOf() const;
  void fail(const Status &status);
  void guard(void (Impl::*work)());

  void feed();
  Status feedMicrobatch(const Request &request, int64_t microbatch);
  Status feedEnd(const HostEnd &end, const Request &request, int64_t microbatch);
  Status feedLast();
  Status acquire(const HostEnd &end, int64_t numBytes, Slot &slot);

  void gather();
  Status gatherRequest(Request &request);
  Status gatherPart(HostEnd &end, Request &request, int64_t microbatch, OutputAssembler &assembler);
  Status wait(HostEnd &end, bool ending, Slot &slot, MessageHeader &header);
  Status await(HostEnd &end, Slot &slot, MessageHeader &header);
  Status begins(HostEnd &end, const Request &request, bool &same);
  Status gatherLast();

  std::unique_ptr<ShmHost> shm;
  std::unique_ptr<InprocHub> hub;
  RecordingFile recording;
  bool isRecording = false; ///< the roles have been started with it
  std::unique_ptr<Transport> hubTransport, recordingTransport;
  Transport *transport = nullptr;
  std::unique_ptr<Crew> crew;
  std::vector<HostEnd> sources, sinks;
  bool counts = true; ///< this rank is the one that counts the microbatches submitted
  std::thread feeder, collector;
  std::vector<int64_t> symbols, dims; ///< the feeder's scratch
  TensorPool pool;                    ///< of the results

  std::mutex mutex;
  std::condition_variable changed;
  std::deque<std::shared_ptr<Request>> feedQueue, gatherQueue;
  std::shared_ptr<Request> beingFed;
  std::map<int64_t, std::shared_ptr<Request>> requests; ///< submitted and not yet collected
  int64_t nextRequest = 0;
  bool closing = false, closed = false;
  Status failure;
  Status closeStatus;
};

} // namespace rt
} // namespace penstock

#endif // PENSTOCK_RT_LIB_HOST_SESSIONIMPL_H
