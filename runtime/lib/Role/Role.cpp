//===- Role.cpp - Running one role -------------------------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "Context.h"

#include "Cpu.h"
#include "RoleDevice.h"
#include "transports/record/Record.h"

#include <climits>
#include <new>
#include <pthread.h>
#include <unistd.h>

using namespace penstock;
using namespace penstock::rt;

rt_ctx::rt_ctx(const rt_role_desc &desc, Transport &transport, const RunControl &control, const RoleOptions &options)
    : desc(desc), transport(transport), control(control), state(control.role(desc.role)), options(options),
      watch(this->control, options.timeoutNs), folder(options.folder) {
  buffers.assign(size_t(desc.num_storages), nullptr);
  extents.assign(size_t(desc.num_extents), 0);
  symbols.assign(size_t(desc.num_symbols), 0);
  shapedFor.reserve(symbols.size());
}

rt_ctx::~rt_ctx() {
  for (size_t i = locals.size(); i-- > 0;)
    if (locals[i].destroy && locals[i].value)
      locals[i].destroy(locals[i].value);
}

Status rt_ctx::openChannels(int64_t deadlineNs) {
  channels.resize(size_t(desc.num_channels));
  for (int32_t i = 0; i < desc.num_channels; ++i) {
    Channel &channel = channels[size_t(i)];
    const rt_channel_desc &table = desc.channels[i];
    channel.desc = channelDescOf(desc, i);
    channel.dims.assign(size_t(table.num_dims), 0);
    channel.isStaged = onDevice && table.carrier == RT_CARRIER_HOST;
    EndInfo end;
    end.stage = desc.own_stages && desc.num_own_stages > 0 ? desc.own_stages[0] : desc.role;
    if (table.direction & RT_CHANNEL_OUT)
      if (Status status = transport.open(channel.desc, end, deadlineNs, channel.out); !status.ok())
        return status;
    if (!(table.direction & RT_CHANNEL_IN))
      continue;
    end.isProducer = false;
    end.consumer = table.consumer;
    if (Status status = transport.open(channel.desc, end, deadlineNs, channel.in); !status.ok())
      return status;
    if (firstInput < 0 && channel.out < 0)
      firstInput = i;
  }
  for (int32_t i = 0; i < desc.num_storages; ++i) {
    const rt_storage_desc &storage = desc.storages[i];
    if (storage.kind == RT_STORAGE_CHANNEL_IN)
      channels[size_t(storage.index)].inStorages.push_back(i);
    if (storage.kind == RT_STORAGE_CHANNEL_OUT)
      channels[size_t(storage.index)].outStorages.push_back(i);
  }
  return Status();
}

static std::string folderOfExecutable() {
  char path[PATH_MAX];
  ssize_t length = readlink("/proc/self/exe", path, sizeof(path));
  if (length <= 0 || length == ssize_t(sizeof(path)))
    return ".";
  std::string text(path, size_t(length));
  size_t slash = text.rfind('/');
  return slash == std::string::npos ? "." : text.substr(0, slash);
}

static Status setUp(rt_ctx &ctx) {
  if (Status status = checkCpu(ctx.desc.required_features); !status.ok())
    return status;
  if (Status status = checkThreads(ctx.desc.num_threads); !status.ok())
    return status;
  if (ctx.folder.empty())
    ctx.folder = folderOfExecutable();
  if (ctx.onDevice)
    if (Status status = ctx.onDevice->open(ctx.folder); !status.ok())
      return status;
  ctx.cudaKernels = ctx.onDevice ? ctx.onDevice->kernels() : nullptr;
  ctx.locals.reserve(256);
  ctx.control.setStepNames(ctx.desc.role, ctx.desc.steps, ctx.desc.num_steps);
  clockid_t clock;
  // The clock of the process can be read by all others; within one process each role is a thread with a clock of its
  // own.
  bool own = pthread_getcpuclockid(pthread_self(), &clock) == 0;
  if (ctx.state.pid.load() != 0)
    own = clock_getcpuclockid(getpid(), &clock) == 0;
  // Other ranks cannot read it: there, the transport to them tells what this role computes.
  if (own && ctx.options.fabric.empty())
    ctx.state.clock.store(int64_t(clock) + 1, std::memory_order_release);
  if (Status status = ctx.openChannels(deadlineAfter(ctx.options.timeoutNs)); !status.ok())
    return status;
  if (Status status = ctx.transport.start(deadlineAfter(ctx.options.timeoutNs)); !status.ok())
    return status;
  Status status = ctx.weights.open(ctx.desc, ctx.folder, ctx.options.verifyBytes, ctx.control);
  if (!status.ok())
    return status;
  return ctx.reserveArena();
}

static Status runProgram(rt_ctx &ctx) {
  ctx.state.activity.store(uint32_t(Activity::kRunning), std::memory_order_release);
  FlushToZero mode;
  int32_t code = ctx.desc.program(&ctx);
  if (!ctx.failure.ok())
    return ctx.failure;
  if ((code == RT_OK || code == RT_END) && !ctx.streamEnded)
    return fail(Code::kProgram, "%s: the program ended before the stream did", ctx.desc.role_name);
  if (code == RT_OK || code == RT_END)
    return Status();
  return fail(Code::kProgram, "%s: the program ended with code %d and no message", ctx.desc.role_name, code);
}

/// From the opening of the channels to the end of the stream.
static Status runFromStart(rt_ctx &ctx, const std::function<void()> &onReady) {
  try {
    Status status = ctx.faults ? ctx.faults->count(FaultPlan::kStart, ctx.desc.role_name) : Status();
    if (status.ok())
      status = setUp(ctx);
    if (!status.ok())
      return status;
    onReady();
    return runProgram(ctx);
  } catch (const std::bad_alloc &) {
    return fail(Code::kSystem, "%s: memory is exhausted", ctx.desc.role_name);
  }
}

Status rt::runRole(const rt_role_desc &role, Transport &given, const RunControl &control, const RoleOptions &options,
                   const std::function<void()> &onReady) {
  if (Status status = checkRole(role); !status.ok())
    return status;
  if (role.role >= control.numRoles())
    return fail(Code::kMismatch, "%s is role %d of a run of %d", role.role_name, role.role, control.numRoles());
  if (options.cpu >= 0 && role.num_threads == 1)
    pinToCore(options.cpu);
  Transport *transport = &given;
  std::unique_ptr<Transport> recording, faulty;
  std::unique_ptr<FaultInjector> injector;
  if (options.recordFd >= 0) {
    recording = makeRecordingTransport(*transport, options.recordFd);
    transport = recording.get();
  }
  std::unique_ptr<RoleDevice> onDevice = role.device ? role.device->make(role, *transport, control, options) : nullptr;
  if (onDevice)
    transport = &onDevice->transport();
  if (!options.fault.empty()) {
    FaultPlan plan;
    if (Status status = FaultPlan::parse(options.fault, plan); !status.ok())
      return status;
    injector = std::make_unique<FaultInjector>(std::move(plan));
    faulty = makeFaultyTransport(*transport, *injector);
    transport = faulty.get();
  }
  rt_ctx ctx(role, *transport, control, options);
  ctx.faults = injector.get();
  ctx.onDevice = onDevice.get();
  Status status = runFromStart(ctx, onReady);
  if (onDevice)
    status = onDevice->finish(status);
  if (!status.ok())
    control.reportFailure(role.role, status);
  ctx.state.clock.store(0);
  ctx.state.activity.store(uint32_t(Activity::kEnded), std::memory_order_release);
  return status;
}
