//===- Driver.cpp - libcuda.so.1 of the machine that is not there -*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Devices, contexts, memory and code. Streams, events and graphs are in Streams.cpp.
//
//===----------------------------------------------------------------------===//
#include "Entries.h"
#include "HostCode.h"
#include "Machine.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

using namespace standin;

static thread_local int current = -1;

int standin::currentDevice() { return current; }

namespace {

/// A device of an ordinal, or null.
const DeviceModel *modelOf(Ordinal device) {
  auto &devices = machine().configuration.devices;
  return machine().started && device >= 0 && size_t(device) < devices.size() ? &devices[size_t(device)] : nullptr;
}

/// As the real driver: a list of indices, cut at the first that is none.
std::vector<int> visibleDevices(size_t count) {
  std::vector<int> visible;
  const char *list = std::getenv("CUDA_VISIBLE_DEVICES");
  for (size_t i = 0; !list && i < count; ++i)
    visible.push_back(int(i));
  while (list && *list) {
    char *end = nullptr;
    long index = std::strtol(list, &end, 10);
    if (end == list || index < 0 || size_t(index) >= count)
      break;
    visible.push_back(int(index));
    list = *end == ',' ? end + 1 : end;
  }
  return visible;
}

uintptr_t newBlock(size_t numBytes, int device) {
  size_t room = std::max<size_t>((numBytes + 4095) / 4096 * 4096, 4096);
  void *data = std::aligned_alloc(4096, room);
  std::memset(data, 0xa5, room);
  auto begin = reinterpret_cast<uintptr_t>(data);
  machine().blocks[begin] = {numBytes, device};
  return begin;
}

/// Waits, as the real one does, for what uses the memory.
Result freeBlock(uintptr_t begin, bool pinned) {
  Machine &m = machine();
  auto found = m.blocks.find(begin);
  if (found == m.blocks.end() || (found->second.device < 0) != pinned)
    return kInvalidValue;
  uintptr_t end = begin + found->second.numBytes;
  for (StreamState *stream : m.streams)
    while (!stream->queue.empty() && m.runFront(*stream))
      ;
  if (std::string user = m.userOf(begin, end); !user.empty())
    m.faults.push_back(words("freed in use: memory of '%s', which cannot end", user.c_str()));
  m.forget(begin, end);
  std::free(reinterpret_cast<void *>(begin));
  m.blocks.erase(found);
  return kSuccess;
}

struct ErrorRow {
  Result code;
  const char *name, *words;
};
constexpr ErrorRow kErrors[] = {
    {kSuccess, "CUDA_SUCCESS", "no error"},
    {kInvalidValue, "CUDA_ERROR_INVALID_VALUE", "invalid argument"},
    {kOutOfMemory, "CUDA_ERROR_OUT_OF_MEMORY", "out of memory"},
    {kNoDevice, "CUDA_ERROR_NO_DEVICE", "no CUDA-capable device is detected"},
    {kInvalidContext, "CUDA_ERROR_INVALID_CONTEXT", "invalid device context"},
    {kInvalidHandle, "CUDA_ERROR_INVALID_HANDLE", "invalid resource handle"},
    {kIllegalAddress, "CUDA_ERROR_ILLEGAL_ADDRESS", "an illegal memory access was encountered"}};

} // namespace

extern "C" {

Result cuInit(uint32_t) {
  Entry entry("cuInit");
  Machine &m = machine();
  if (entry.code)
    return entry.code;
  if (!m.started)
    (void)readEnvironment(m.configuration);
  m.visible = visibleDevices(m.configuration.devices.size());
  m.started = !m.visible.empty();
  return m.started ? kSuccess : kNoDevice;
}

Result cuDriverGetVersion(int *version) {
  Entry entry("cuDriverGetVersion");
  if (!machine().started)
    (void)readEnvironment(machine().configuration);
  *version = machine().configuration.driverVersion;
  return entry.code;
}

Result cuGetErrorName(Result code, const char **name) {
  for (const ErrorRow &row : kErrors)
    if (row.code == code)
      return *name = row.name, kSuccess;
  return kInvalidValue;
}
Result cuGetErrorString(Result code, const char **text) {
  for (const ErrorRow &row : kErrors)
    if (row.code == code)
      return *text = row.words, kSuccess;
  return kInvalidValue;
}

Result cuDeviceGetCount(int *count) {
  Entry entry("cuDeviceGetCount");
  *count = int(machine().visible.size());
  return entry.code ? entry.code : machine().started ? kSuccess : kNotInitialized;
}

Result cuDeviceGet(Ordinal *device, int index) {
  Entry entry("cuDeviceGet", std::to_string(index));
  if (index < 0 || size_t(index) >= machine().visible.size())
    return kInvalidDevice;
  *device = machine().visible[size_t(index)];
  return entry.code;
}

Result cuDeviceGetName(char *name, int length, Ordinal device) {
  Entry entry("cuDeviceGetName");
  if (!modelOf(device))
    return kInvalidDevice;
  std::snprintf(name, size_t(length), "%s", modelOf(device)->name.c_str());
  return entry.code;
}

Result cuDeviceTotalMem_v2(size_t *numBytes, Ordinal device) {
  Entry entry("cuDeviceTotalMem");
  if (!modelOf(device))
    return kInvalidDevice;
  *numBytes = modelOf(device)->totalBytes;
  return entry.code;
}

Result cuDeviceGetAttribute(int *value, Attribute attribute, Ordinal device) {
  Entry entry("cuDeviceGetAttribute");
  const DeviceModel *model = modelOf(device);
  if (!model)
    return kInvalidDevice;
  *value = attribute == kCapabilityMajor ? model->major : attribute == kCapabilityMinor ? model->minor : 132;
  return entry.code;
}

Result cuDeviceGetPCIBusId(char *bus, int length, Ordinal device) {
  Entry entry("cuDeviceGetPCIBusId");
  std::snprintf(bus, size_t(length), "0000:%02x:00.0", 0x17 + unsigned(device));
  return entry.code;
}

Result cuDeviceGetP2PAttribute(int *value, Attribute attribute, Ordinal from, Ordinal to) {
  Entry entry("cuDeviceGetP2PAttribute");
  if (!modelOf(from) || !modelOf(to) || from == to)
    return kInvalidDevice;
  const Configuration &configuration = machine().configuration;
  const std::vector<int> &groups = configuration.nvlinkGroups;
  bool isGroup = groups.empty() || groups[size_t(from)] == groups[size_t(to)];
  *value = attribute == kPeerAccess || (configuration.nvlink && isGroup);
  return entry.code;
}

Result cuDevicePrimaryCtxRetain(Context *context, Ordinal device) {
  Entry entry("cuDevicePrimaryCtxRetain", std::to_string(device));
  if (entry.code)
    return entry.code;
  ++machine().contexts[device];
  *context = reinterpret_cast<Context>(uintptr_t(device) + 1);
  return kSuccess;
}
Result cuDevicePrimaryCtxRelease_v2(Ordinal device) {
  Entry entry("cuDevicePrimaryCtxRelease", std::to_string(device));
  return --machine().contexts[device] < 0 ? kInvalidContext : entry.code;
}
Result cuCtxSetCurrent(Context context) {
  current = int(reinterpret_cast<uintptr_t>(context)) - 1;
  return kSuccess;
}
Result cuCtxGetStreamPriorityRange(int *least, int *greatest) {
  Entry entry("cuCtxGetStreamPriorityRange");
  *least = 0, *greatest = -5;
  return current < 0 ? kInvalidContext : entry.code;
}

Result cuMemGetInfo_v2(size_t *freeBytes, size_t *totalBytes) {
  Entry entry("cuMemGetInfo");
  if (current < 0)
    return kInvalidContext;
  *totalBytes = modelOf(current)->totalBytes;
  *freeBytes = *totalBytes - machine().usedBytes(current);
  return entry.code;
}

Result cuMemAlloc_v2(Address *address, size_t numBytes) {
  Entry entry("cuMemAlloc", std::to_string(numBytes));
  if (entry.code || current < 0 || numBytes == 0)
    return entry.code ? entry.code : current < 0 ? kInvalidContext : kInvalidValue;
  if (numBytes > modelOf(current)->totalBytes - machine().usedBytes(current))
    return kOutOfMemory;
  *address = newBlock(numBytes, current);
  return kSuccess;
}
Result cuMemFree_v2(Address address) {
  Entry entry("cuMemFree");
  return freeBlock(uintptr_t(address), false);
}
Result cuMemHostAlloc(void **data, size_t numBytes, uint32_t) {
  Entry entry("cuMemHostAlloc", std::to_string(numBytes));
  if (entry.code || current < 0)
    return entry.code ? entry.code : kInvalidContext;
  *data = reinterpret_cast<void *>(newBlock(numBytes, -1));
  return kSuccess;
}
Result cuMemFreeHost(void *data) {
  Entry entry("cuMemFreeHost");
  return freeBlock(reinterpret_cast<uintptr_t>(data), true);
}

Result cuModuleLoadData(Module *module, const void *image) {
  Entry entry("cuModuleLoadData");
  if (entry.code || current < 0)
    return entry.code ? entry.code : kInvalidContext;
  const DeviceModel *model = modelOf(current);
  if (isHostCode(image)) {
    void *code = loadHostCode(image);
    auto *made = new ModuleState{current, code};
    machine().modules.insert(made);
    *module = reinterpret_cast<Module>(made);
    return code ? kSuccess : kInvalidImage;
  }
  if (Result code = judgeImage(image, model->major, model->minor))
    return code;
  auto *made = new ModuleState{current};
  machine().modules.insert(made);
  *module = reinterpret_cast<Module>(made);
  return kSuccess;
}
Result cuModuleUnload(Module module) {
  Entry entry("cuModuleUnload");
  auto *state = reinterpret_cast<ModuleState *>(module);
  if (machine().modules.erase(state) == 0)
    return kInvalidHandle;
  if (state->hostCode)
    dropHostCode(state->hostCode);
  delete state;
  return entry.code;
}

Result cuModuleGetFunction(Function *function, Module module, const char *name) {
  Entry entry("cuModuleGetFunction", name);
  Machine &m = machine();
  auto *state = reinterpret_cast<ModuleState *>(module);
  if (m.modules.count(state) == 0)
    return kInvalidHandle;
  KernelModel kernel;
  if (state->hostCode && findHostKernel(state->hostCode, name, kernel))
    m.kernels[name] = kernel;
  auto found = m.kernels.find(name);
  if (found == m.kernels.end())
    return kNotFound;
  auto *made = new FunctionState{found->second};
  m.functions.insert(made);
  *function = reinterpret_cast<Function>(made);
  return entry.code;
}
Result cuFuncSetAttribute(Function function, Attribute attribute, int value) {
  Entry entry("cuFuncSetAttribute");
  auto *state = reinterpret_cast<FunctionState *>(function);
  if (machine().functions.count(state) == 0 || attribute != kMaxDynamicShared)
    return kInvalidValue;
  state->maxDynamicShared = value;
  return entry.code;
}

} // extern "C"
