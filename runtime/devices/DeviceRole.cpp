//===- DeviceRole.cpp - A role whose kernels run on a device -----*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "DeviceRole.h"

#include <algorithm>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <unistd.h>
#include <utility>

// The linker's bounds of all kernels for CUDA devices in an executable; null where there are none.
extern "C" {
extern const rt_cuda_kernel *const __start_rt_cuda_kernels[] __attribute__((weak, visibility("hidden")));
extern const rt_cuda_kernel *const __stop_rt_cuda_kernels[] __attribute__((weak, visibility("hidden")));
}

namespace penstock {
namespace rt {

static constexpr int64_t kPinnedBytes = int64_t(4) << 20;
/// Parts of the stage's memory; the slots of channels come behind them.
enum MemoryPart { kWeights, kConstants, kStates, kArena, kSlots };

DeviceRole::DeviceRole(const rt_role_desc &role, Transport &host, const RunControl &control, const RoleOptions &options,
                       const char *plugin, Span<const rt_cuda_kernel *const> code)
    : role(role), host(host), control(control), timeoutNs(options.timeoutNs), isLocal(options.fabric.empty()),
      plugin(plugin), allCode(code), who(stageName(role.num_own_stages > 0 ? role.own_stages[0] : role.role)),
      watch([this]() -> Status {
        if (this->control.aborted())
          return fail(Code::kAborted, "%s: the run was ended", who.c_str());
        return nccl ? nccl->check() : Status();
      }),
      staged(host, control, {role.role, options.timeoutNs}), channels(staged) {}

DeviceRole::~DeviceRole() {
  code.reset();
  nccl.reset();
  staged.close();
  copied = DeviceEvent();
  if (pinned)
    (void)device.releaseHost(device.self, pinned);
  if (freeArena)
    (void)device.release(device.self, freeArena);
  stage.reset();
  if (isOpen)
    (void)device.close(device.self);
}

//===----------------------------------------------------------------------===//
// The start
//===----------------------------------------------------------------------===//

/// Streams of which one waits for another stage must not share a queue of the device with others, as they do where
/// there are more of them than queues. Read by the driver when it starts.
static void askForQueues(const rt_role_desc &role) {
  for (int32_t i = 0; i < role.num_channels; ++i)
    if (role.channels[i].carrier == RT_CARRIER_NCCL)
      setenv("CUDA_DEVICE_MAX_CONNECTIONS", "32", /*overwrite=*/0);
}

Status DeviceRole::openDevice(const std::string &folder) {
  if (ownsProcess())
    askForQueues(role);
  std::string path = folder + "/lib/" + plugin;
  DeviceList list;
  Status status = listDevices(path, list);
  if (status.ok()) {
    numDevices = list.numDevices;
    status = loadDevice(path, orderByLinks(list)[size_t(role.device_number % numDevices)], device);
    isOpen = status.ok();
  }
  return withName(status);
}

Status DeviceRole::planMemory() {
  std::vector<DeviceStage::Part> parts = {{"weights", role.weights_bytes},
                                          {"constants", 0},
                                          {"states", 0},
                                          {"arena", std::max<int64_t>(role.arena_bytes, 0)}};
  for (int32_t i = 0; i < role.num_storages; ++i) {
    const rt_storage_desc &storage = role.storages[i];
    if (storage.kind == RT_STORAGE_CONSTANT)
      parts[kConstants].numBytes += alignForDevice(storage.num_bytes);
    if (storage.kind == RT_STORAGE_STATE)
      parts[kStates].numBytes += alignForDevice(storage.num_bytes);
  }
  std::vector<std::pair<int32_t, int64_t>> offsets;
  parts.push_back({"slots", 0});
  for (int32_t i = 0; i < role.num_channels; ++i) {
    const rt_channel_desc &channel = role.channels[i];
    if (channel.slot_bytes < 0 || channel.carrier != RT_CARRIER_HOST)
      continue;
    offsets.emplace_back(channel.id, parts[kSlots].numBytes);
    parts[kSlots].numBytes += StagedTransport::slotBytes(channel.slot_bytes);
  }
  if (Status status = DeviceStage::open(device, who, parts, watch, stage); !status.ok())
    return status;
  std::vector<std::pair<int32_t, void *>> slots;
  for (const auto &[id, offset] : offsets)
    slots.emplace_back(id, static_cast<char *>(stage->part(kSlots)) + offset);
  staged.use(*stage, [this] { return code->flush(); }, std::move(slots));
  return Status();
}

/// NCCL takes stages on one device only where it believes them to be on different hosts, which it then joins by
/// sockets. The stages of each turn around the devices get a host of their own; within a turn they reach each other
/// directly.
Status DeviceRole::nameHost() {
  int32_t turn = role.device_number / numDevices;
  // Ranks may each see other devices than the rest: whoever starts them names their hosts.
  if (turn == 0 || !isLocal)
    return Status();
  if (!ownsProcess())
    return fail(
        Code::kSystem,
        "%s: over NCCL the stages of one process need a device each, and there %s %d; run them as processes, or "
        "compile without --transport nccl",
        who.c_str(), numDevices == 1 ? "is" : "are", numDevices);
  char name[HOST_NAME_MAX + 1] = "";
  const char *given = std::getenv("NCCL_HOSTID");
  if (!given)
    (void)gethostname(name, sizeof(name) - 1);
  std::string host = std::string(given ? given : name) + "-turn-" + std::to_string(turn);
  setenv("NCCL_HOSTID", host.c_str(), 1);
  std::fprintf(stderr, "warning: %s shares %s with other stages; NCCL joins it to them by sockets (NCCL_HOSTID=%s)\n",
               who.c_str(), deviceWords(device).c_str(), host.c_str());
  return Status();
}

/// For the channels that are NCCL's, if there are any.
Status DeviceRole::openLinks(const std::string &folder) {
  std::vector<int32_t> ids;
  for (int32_t i = 0; i < role.num_channels; ++i)
    if (role.channels[i].carrier == RT_CARRIER_NCCL)
      ids.push_back(role.channels[i].id);
  if (ids.empty())
    return Status();
  if (Status status = nameHost(); !status.ok())
    return status;
  if (Status status = loadLinks(folder + "/lib/libpenstock-nccl.so", links); !status.ok())
    return withName(status);
  NcclTransport::Place place;
  place.role = role.role;
  place.timeoutNs = timeoutNs;
  nccl = std::make_unique<NcclTransport>(device, links, host, control, place);
  staged.explainWaits([this] { return nccl->awaited(); });
  channels.use(*nccl, std::move(ids), stage->compute(), [this] { return code->flush(); });
  return Status();
}

Status DeviceRole::finish(const Status &result) {
  if (result.ok())
    code->products().keepTuning();
  return result.ok() && nccl ? nccl->finish(result, deadlineAfter(timeoutNs)) : result;
}

/// An executable of several roles has the kernels of all.
Status DeviceRole::loadCode(const std::string &folder) {
  std::vector<const rt_cuda_kernel *> own;
  for (const rt_cuda_kernel *kernel : allCode)
    for (int32_t i = 0; i < role.num_steps; ++i)
      if (std::strcmp(role.steps[i].kernel, kernel->name) == 0) {
        own.push_back(kernel);
        break;
      }
  code = std::make_unique<CudaKernels>(*stage);
  code->collect();
  Status status = code->load({own.data(), own.size()});
  if (status.ok())
    code->products().tune(folder + "/tuning/" + role.role_name + "." + device.facts.arch + ".txt");
  return status;
}

Status DeviceRole::open(const std::string &folder) {
  if (Status status = openDevice(folder); !status.ok())
    return status;
  if (Status status = planMemory(); !status.ok())
    return status;
  if (Status status = openLinks(folder); !status.ok())
    return status;
  if (Status status = loadCode(folder); !status.ok())
    return status;
  if (int32_t error = device.allocateHost(device.self, kPinnedBytes, &pinned))
    return deviceFailure(device, who, "pin memory of the host", error);
  return DeviceEvent::make(device, who, copied);
}

//===----------------------------------------------------------------------===//
// Memory
//===----------------------------------------------------------------------===//

/// Waits for all that is on the compute stream.
Status DeviceRole::awaitCompute() {
  if (int32_t error = device.mark(device.self, copied.get(), stage->compute().handle))
    return deviceFailure(device, who, "mark the end of its work", error);
  return awaitEvent(device, who, "finish its work", copied.get(), kNever, watch);
}

/// From memory of any kind, or zeros; the copies are done on return.
Status DeviceRole::write(void *to, const void *from, int64_t numBytes) {
  for (int64_t done = 0; done < numBytes; done += kPinnedBytes) {
    int64_t length = std::min(kPinnedBytes, numBytes - done);
    if (from)
      std::memcpy(pinned, static_cast<const char *>(from) + done, size_t(length));
    else
      std::memset(pinned, 0, size_t(length));
    if (int32_t error =
            device.copyIn(device.self, static_cast<char *>(to) + done, pinned, length, stage->compute().handle))
      return deviceFailure(device, who, "copy to the device", error);
    if (Status status = awaitCompute(); !status.ok())
      return status;
  }
  return Status();
}

Status DeviceRole::fill(const char *weights, std::vector<void *> &buffers) {
  if (weights)
    if (Status status = write(stage->part(kWeights), weights, role.weights_bytes); !status.ok())
      return status;
  char *constants = static_cast<char *>(stage->part(kConstants)), *states = static_cast<char *>(stage->part(kStates));
  char *arena = static_cast<char *>(stage->part(kArena));
  for (int32_t i = 0; i < role.num_storages; ++i) {
    const rt_storage_desc &storage = role.storages[i];
    void *&buffer = buffers[size_t(i)];
    buffer = arena;
    if (storage.kind == RT_STORAGE_ARENA && storage.offset >= 0)
      buffer = arena + storage.offset;
    if (storage.kind == RT_STORAGE_WEIGHT)
      buffer = static_cast<char *>(stage->part(kWeights)) + storage.offset;
    if (storage.kind == RT_STORAGE_CONSTANT) {
      if (Status status = write(constants, storage.data, storage.num_bytes); !status.ok())
        return status;
      buffer = constants;
      constants += alignForDevice(storage.num_bytes);
    }
    if (storage.kind == RT_STORAGE_STATE) {
      if (Status status = clear(states, storage.num_bytes); !status.ok())
        return status;
      buffer = states;
      states += alignForDevice(storage.num_bytes);
    }
  }
  return Status();
}

Status DeviceRole::makeArena(int64_t numBytes, char *&data) {
  if (numBytes > freeArenaBytes) {
    if (Status status = awaitCompute(); !status.ok()) // kernels of earlier microbatches use the old one
      return status;
    if (freeArena)
      (void)device.release(device.self, std::exchange(freeArena, nullptr));
    freeArenaBytes = 0;
    void *made = nullptr;
    std::string needs = "arena " + bytesToString(numBytes);
    if (Status status = allocateMemory(device, who, needs, alignForDevice(numBytes), made); !status.ok())
      return status;
    freeArena = static_cast<char *>(made);
    freeArenaBytes = numBytes;
  }
  data = freeArena;
  return Status();
}

Status DeviceRole::read(void *to, const void *from, int64_t numBytes) {
  if (Status status = flush(); !status.ok())
    return status;
  for (int64_t done = 0; done < numBytes; done += kPinnedBytes) {
    int64_t length = std::min(kPinnedBytes, numBytes - done);
    if (int32_t error = device.copyOut(device.self, pinned, static_cast<const char *>(from) + done, length,
                                       stage->compute().handle))
      return deviceFailure(device, who, "copy from the device", error);
    if (Status status = awaitCompute(); !status.ok())
      return status;
    std::memcpy(static_cast<char *>(to) + done, pinned, size_t(length));
  }
  return Status();
}

static std::unique_ptr<RoleDevice> makeCudaRole(const rt_role_desc &role, Transport &host, const RunControl &control,
                                                const RoleOptions &options) {
  Span<const rt_cuda_kernel *const> code;
  if (__start_rt_cuda_kernels)
    code = {__start_rt_cuda_kernels, size_t(__stop_rt_cuda_kernels - __start_rt_cuda_kernels)};
  return std::make_unique<DeviceRole>(role, host, control, options, "libpenstock-cuda.so", code);
}

} // namespace rt
} // namespace penstock

extern "C" {
const rt_device rt_cuda_device = {"cuda", &penstock::rt::makeCudaRole};
}
