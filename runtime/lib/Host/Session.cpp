//===- Session.cpp - A compiled pipeline, running ----------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "SessionImpl.h"

#include "Cpu.h"
#include "Word.h"
#include "penstock/rt/Prove.h"
#include "transports/record/Record.h"

#include <algorithm>
#include <new>

namespace penstock {
namespace rt {

static constexpr int64_t kSpinNs = 20000;
static constexpr const char *kMpiPlugin = "libpenstock-mpi.so";

ControlLayout Session::Impl::layoutOf() const {
  ControlLayout layout;
  layout.numRoles = int32_t(plan.stages.size());
  layout.traceCapacity = options.traceEvents;
  auto roleOf = [&](int32_t stage) { return stage < 0 ? layout.numRoles : stage; };
  for (const PlanStage &stage : plan.stages)
    layout.roleNames.push_back(stage.name);
  for (const ChannelDesc &desc : plan.channels) {
    ControlLayout::Channel channel;
    channel.tensor = desc.tensor;
    channel.depth = desc.depth;
    channel.stage = desc.producerStage;
    channel.role = roleOf(desc.producerStage);
    channel.consumerStages = desc.consumerStages;
    for (int32_t stage : desc.consumerStages)
      channel.consumerRoles.push_back(roleOf(stage));
    layout.channels.push_back(channel);
  }
  return layout;
}

std::vector<RoleOptions> Session::Impl::roleOptions() const {
  std::vector<RoleOptions> result(plan.stages.size());
  for (size_t i = 0; i < result.size(); ++i) {
    RoleOptions &role = result[i];
    role.timeoutNs = options.timeoutNs;
    role.spinNs = spins ? kSpinNs : 0;
    // Threads of an embedding process are its own business.
    bool mayPin = options.ownRole < 0 && (options.roles.empty() || options.ownsProcess);
    role.cpu = spins && mayPin ? int32_t(i) : -1;
    role.verifyBytes = options.verifyBytes;
    role.folder = plan.folder;
    role.recordFd = recording.descriptor();
    role.recordResults = options.recordResults;
    role.hangFile = options.hangFile;
    auto fault = options.faults.find(int32_t(i));
    if (fault != options.faults.end())
      role.fault = fault->second;
    if (options.ownRole >= 0 && plan.stages.size() > 1)
      role.fabric = options.hasMpi ? plan.folder + "/lib/" + kMpiPlugin : kTcpFabric;
    role.sharesMemory = options.sharesMemory;
  }
  return result;
}

Status Session::Impl::makeFabric() {
  int64_t numThreads = 0;
  bool single = true;
  for (const PlanStage &stage : plan.stages) {
    numThreads += stage.numThreads;
    single &= stage.numThreads == 1;
  }
  if (options.ownRole >= 0)
    numThreads = options.localRanks;
  // One more for this process, which feeds and collects: a spinning stage must not stand in its way.
  spins = options.spin == SessionOptions::kAuto && single && numThreads + 1 <= numCores();
  if (options.roles.empty()) {
    Status status = ShmHost::create(layoutOf(), plan.channels, plan.identity, shm);
    if (!status.ok())
      return status;
    transport = shm.get();
    control = shm->runControl();
    leaveOthers();
    return status;
  }
  if (options.roles.size() != plan.stages.size())
    return rt::fail(Code::kInvalid, "%zu roles were given, expected %zu as in the plan", options.roles.size(),
                    plan.stages.size());
  for (const rt_role_desc *role : options.roles) {
    RoleIdentity identity;
    if (Status status = readNote(role->note, identity); !status.ok())
      return status;
    if (Status status = checkIdentity(identity, identity.name, plan.identity, "plan.json"); !status.ok())
      return status;
  }
  if (Status status = InprocHub::create(layoutOf(), hub); !status.ok())
    return status;
  hub->setSpin(spins ? kSpinNs : 0);
  hubTransport = hub->makeTransport();
  transport = hubTransport.get();
  control = hub->control();
  return Status();
}

Status Session::Impl::startRecording() {
  if (options.recordFile.empty())
    return Status();
  Status status = recording.create(options.recordFile, plan.identity.fingerprint, int32_t(plan.channels.size()));
  if (!status.ok())
    return status;
  recordingTransport = makeRecordingTransport(*transport, recording.descriptor());
  transport = recordingTransport.get();
  return status;
}

/// Every rank feeds its own role: on each, the other consumers of a source's channel are absent.
void Session::Impl::leaveOthers() {
  for (const ChannelDesc &channel : plan.channels)
    for (size_t k = 0; k < channel.consumerStages.size(); ++k)
      if (channel.producerStage == RT_STAGE_SOURCE && !isOwn(channel.consumerStages[k]))
        control.cursors(channel.id)[k].absent = 1;
}

Status Session::Impl::openEnds() {
  int32_t firstFed = INT32_MAX;
  for (const ChannelDesc &channel : plan.channels) {
    bool fed = false;
    for (int32_t stage : channel.consumerStages) {
      fed |= isOwn(stage);
      if (channel.producerStage == RT_STAGE_SOURCE)
        firstFed = std::min(firstFed, stage);
    }
    EndInfo end;
    end.stage = RT_STAGE_SOURCE;
    HostEnd host;
    host.channel = channel.id;
    auto carriedBy = [&](const std::vector<PlanTensor> &tensors) {
      host.tensors.clear();
      for (size_t i = 0; i < tensors.size(); ++i)
        for (int32_t id : tensors[i].channels)
          if (id == channel.id)
            host.tensors.push_back(i);
    };
    if (channel.producerStage == RT_STAGE_SOURCE && fed) {
      carriedBy(plan.inputs);
      if (Status status = transport->open(channel, end, kNever, host.id); !status.ok())
        return status;
      sources.push_back(host);
    }
    end.isProducer = false;
    end.stage = RT_STAGE_SINK;
    for (size_t k = 0; k < channel.consumerStages.size(); ++k) {
      if (channel.consumerStages[k] != RT_STAGE_SINK || !isOwn(channel.producerStage))
        continue;
      end.consumer = int32_t(k);
      carriedBy(plan.outputs);
      if (Status status = transport->open(channel, end, kNever, host.id); !status.ok())
        return status;
      sinks.push_back(host);
    }
  }
  counts = isOwn(firstFed);
  return Status();
}

Status Session::Impl::open(const std::string &folder, const SessionOptions &given) {
  options = given;
  if (Status status = Plan::load(folder, plan); !status.ok())
    return status;
  PlanProof proof;
  if (Status status = provePlan(plan, proof); !status.ok())
    return status;
  if (options.ownRole >= int32_t(plan.stages.size()))
    return rt::fail(Code::kInvalid, "stage %d was asked for, expected one of 0..%zu", options.ownRole,
                    plan.stages.size() - 1);
  if (Status status = makeFabric(); !status.ok())
    return status;
  if (Status status = startRecording(); !status.ok())
    return status;
  if (Status status = openEnds(); !status.ok())
    return status;
  control.role(control.hostRole()).activity.store(uint32_t(Activity::kRunning));
  auto onFailure = [this](const Status &status) { fail(status); };
  if (shm)
    crew = makeProcessCrew(plan, options.ownRole, *shm, roleOptions(), options.timeoutNs, onFailure);
  else
    crew = makeThreadCrew(options.roles, *hub, roleOptions(), onFailure);
  if (Status status = crew->start(); !status.ok())
    return status;
  isRecording = recording.descriptor() >= 0;
  feeder = std::thread([this] { guard(&Impl::feed); });
  collector = std::thread([this] { guard(&Impl::gather); });
  return Status();
}

Session::Impl::~Impl() {
  {
    std::lock_guard<std::mutex> lock(mutex);
    if (!closed && failure.ok())
      failure = rt::fail(Code::kAborted, "the session was ended");
    closing = true;
    changed.notify_all();
  }
  if (control.valid() && !closed)
    control.abort();
  if (feeder.joinable())
    feeder.join();
  if (collector.joinable())
    collector.join();
  crew.reset();
  // Of a run that has failed, what went over the channels until then is worth the most.
  if (isRecording)
    (void)recording.finish(false);
}

/// Memory that cannot be had ends the session, not the process.
void Session::Impl::guard(void (Impl::*work)()) {
  try {
    (this->*work)();
  } catch (const std::bad_alloc &) {
    {
      std::lock_guard<std::mutex> lock(mutex);
      if (work == &Impl::feed)
        beingFed.reset();
    }
    fail(rt::fail(Code::kSystem, "memory for the inputs and outputs of the requests is exhausted"));
  }
}

/// The first failure ends the session.
void Session::Impl::fail(const Status &status) {
  {
    std::lock_guard<std::mutex> lock(mutex);
    if (!failure.ok())
      return;
    // What another part of the run has said before is nearer to the cause.
    Status told = control.firstFailure();
    bool aborted = status.code() == Code::kAborted;
    failure = aborted && !told.ok() ? told : status;
    changed.notify_all();
  }
  // The role passes it on to the other ranks.
  if (options.ownRole >= 0)
    control.reportFailure(control.hostRole(), status);
  control.abort();
}

int32_t Session::Impl::turnToTell() const {
  return options.ownRole < 0 || !control.valid() ? 0 : turnOf(control, options.ownRole);
}

Status Session::Impl::submit(const TensorViewMap &inputs, int64_t &id, std::shared_ptr<void> keepAlive) {
  auto request = std::make_shared<Request>();
  if (Status status = BoundRequest::bind(plan, inputs, request->bound); !status.ok())
    return status;
  request->keepAlive = std::move(keepAlive);
  return enqueue(std::move(request), id);
}

Status Session::Impl::submitElsewhere(int64_t &id) {
  auto request = std::make_shared<Request>();
  request->elsewhere = true;
  return enqueue(std::move(request), id);
}

Status Session::Impl::enqueue(std::shared_ptr<Request> request, int64_t &id) {
  std::lock_guard<std::mutex> lock(mutex);
  if (!failure.ok())
    return failure;
  if (closing)
    return rt::fail(Code::kProgram, "the session is closed");
  request->id = id = nextRequest++;
  feedQueue.push_back(request);
  gatherQueue.push_back(request);
  requests[id] = std::move(request);
  changed.notify_all();
  return Status();
}

Status Session::Impl::collect(int64_t id, TensorMap &outputs) {
  std::unique_lock<std::mutex> lock(mutex);
  auto found = requests.find(id);
  if (found == requests.end())
    return rt::fail(Code::kProgram, "request %lld was not submitted or is collected already", (long long)id);
  std::shared_ptr<Request> request = found->second;
  // The caller may free the inputs next: the feeder must be done with them, whatever has become of the request.
  changed.wait(lock, [&] { return (request->done || !failure.ok()) && beingFed != request; });
  if (!request->done)
    return failure;
  requests.erase(id);
  if (request->status.ok())
    outputs = std::move(request->outputs);
  return request->status;
}

bool Session::Impl::finished(int64_t id) {
  std::lock_guard<std::mutex> lock(mutex);
  auto found = requests.find(id);
  if (found == requests.end())
    return true;
  return (found->second->done || !failure.ok()) && beingFed != found->second;
}

Status Session::Impl::close() {
  {
    std::lock_guard<std::mutex> lock(mutex);
    if (closed)
      return closeStatus;
    closing = true;
    changed.notify_all();
  }
  if (feeder.joinable())
    feeder.join();
  if (collector.joinable())
    collector.join();
  Status status;
  {
    std::lock_guard<std::mutex> lock(mutex);
    status = failure;
  }
  int64_t patienceNs = options.timeoutNs > 0 ? options.timeoutNs : 30ll * 1000000000;
  if (options.ownRole >= 0)
    patienceNs += 1500000000; // the role waits for the others to end, and has a deadline of its own
  if (!status.ok())
    crew->stop();
  Status ended = crew->finish(patienceNs);
  status = status.ok() ? ended : status;
  if (isRecording) {
    isRecording = false;
    Status written = recording.finish(status.ok());
    status = status.ok() ? written : status;
  }
  std::lock_guard<std::mutex> lock(mutex);
  closed = true;
  closeStatus = status;
  if (failure.ok())
    failure = closeStatus;
  return closeStatus;
}

Status checkInputs(const Plan &plan, const TensorViewMap &inputs) {
  BoundRequest request;
  return BoundRequest::bind(plan, inputs, request);
}

Session::Session() : impl(new Impl) {}
Session::~Session() = default;

Status Session::open(const std::string &folder, const SessionOptions &options, std::unique_ptr<Session> &session,
                     int32_t *turnToTell) {
  std::unique_ptr<Session> made(new Session);
  if (Status status = made->impl->open(folder, options); !status.ok()) {
    if (turnToTell)
      *turnToTell = made->turnToTell();
    return status;
  }
  session = std::move(made);
  return Status();
}

const Plan &Session::plan() const { return impl->plan; }
bool Session::spinning() const { return impl->spins; }
Status Session::submit(const TensorViewMap &inputs, int64_t &request, std::shared_ptr<void> keepAlive) {
  return impl->submit(inputs, request, std::move(keepAlive));
}
Status Session::submitElsewhere(int64_t &request) { return impl->submitElsewhere(request); }
bool Session::feeds() const { return impl->feeds(); }
bool Session::collects() const { return impl->collects(); }
int32_t Session::turnToTell() const { return impl->turnToTell(); }
Status Session::collect(int64_t request, TensorMap &outputs) { return impl->collect(request, outputs); }
bool Session::finished(int64_t request) const { return impl->finished(request); }
Status Session::close() { return impl->close(); }

Status Session::run(const TensorViewMap &inputs, TensorMap &outputs) {
  int64_t request;
  if (Status status = submit(inputs, request); !status.ok())
    return status;
  return collect(request, outputs);
}

std::vector<StageFigures> Session::stageFigures() const {
  std::vector<StageFigures> result;
  for (int32_t i = 0; i < impl->control.numRoles(); ++i) {
    const RoleState &state = impl->control.role(i);
    if (!impl->isOwn(i))
      continue;
    StageFigures figures;
    figures.name = impl->plan.stages[size_t(i)].name;
    figures.busyNs = state.busyNs.load();
    figures.waitNs = state.waitNs.load();
    figures.sendNs = state.sendNs.load();
    figures.microbatches = state.microbatches.load();
    figures.stepNs = impl->control.stepTimes(i);
    figures.pid = state.pid.load();
    result.push_back(figures);
  }
  return result;
}

std::vector<ChannelFigures> Session::channelFigures() const {
  std::vector<ChannelFigures> result;
  for (const ChannelDesc &desc : impl->plan.channels) {
    bool source = desc.producerStage == RT_STAGE_SOURCE;
    if (!impl->isOwn(source ? desc.consumerStages[0] : desc.producerStage))
      continue;
    const ChannelControl &channel = impl->control.channel(desc.id);
    ChannelFigures figures;
    figures.name = desc.name;
    figures.tensor = desc.tensor;
    figures.messages = channel.messages.load();
    figures.bytes = channel.bytes.load();
    figures.bytesCopied = channel.bytesCopied.load();
    for (size_t k = 0; k < desc.consumerStages.size(); ++k)
      if (!source || impl->isOwn(desc.consumerStages[k]))
        figures.consumers.push_back({desc.consumerStages[k], impl->carrierOf(desc.id, int32_t(k))});
    result.push_back(figures);
  }
  return result;
}

const char *Session::Impl::carrierOf(int32_t channel, int32_t consumer) const {
  Carrier carrier = control.cursors(channel)[consumer].carrier.load();
  return carrier == Carrier::kMemory && hub ? "inproc" : carrierName(carrier);
}

std::string transportWords(const ChannelFigures &channel) {
  std::string text, last;
  for (const ChannelFigures::Consumer &consumer : channel.consumers) {
    text += text.empty() ? "" : ", ";
    if (consumer.transport != last)
      text += consumer.transport + " to ";
    last = consumer.transport;
    text += stageName(consumer.stage);
  }
  return text;
}

} // namespace rt
} // namespace penstock
