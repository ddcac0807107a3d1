//===- Staging.cpp - Tensors between the host and a device -------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// One slot's life, as an input:   host writes pinned | copied in, after `freed` | `copied` | kernels read | `freed`
//                  as an output:  kernels write, after `copied` | `freed` | copied out | `copied` | host reads pinned
//
//===----------------------------------------------------------------------===//
#include "Stage.h"

#include <cstring>

namespace penstock {
namespace rt {

int64_t StagedTensor::deviceBytes(int64_t numBytes, int32_t depth) { return alignForDevice(numBytes) * depth; }

Status StagedTensor::openSlots(int32_t depth, void *memory) {
  if (int32_t code = device.makeStream(device.self, 1, &stream))
    return deviceFailure(device, who, "make a stream", code);
  for (int32_t i = 0; i < depth; ++i) {
    slots.emplace_back();
    Staged &slot = slots.back();
    slot.data = static_cast<char *>(memory) + i * alignForDevice(roomBytes);
    if (int32_t code = device.allocateHost(device.self, alignForDevice(roomBytes), &slot.pinned))
      return deviceFailure(device, who, "pin memory of the host", code);
    if (Status status = DeviceEvent::make(device, who, slot.copied); !status.ok())
      return status;
    if (Status status = DeviceEvent::make(device, who, slot.freed); !status.ok())
      return status;
  }
  return Status();
}

StagedTensor::~StagedTensor() {
  if (stream)
    (void)device.dropStream(device.self, stream);
  for (Staged &slot : slots)
    if (slot.pinned)
      (void)device.releaseHost(device.self, slot.pinned);
}

Status StagedTensor::checkBytes(int64_t numBytes) const {
  if (numBytes >= 0 && numBytes <= roomBytes)
    return Status();
  return fail(Code::kInvalid, "%s: %lld bytes, expected at most %lld", who.c_str(), (long long)numBytes,
              (long long)roomBytes);
}

//===----------------------------------------------------------------------===//
// From the host
//===----------------------------------------------------------------------===//

Status StagedInput::open(DeviceStage &stage, const std::string &tensor, int64_t numBytes, int32_t depth, void *memory,
                         std::unique_ptr<StagedInput> &made) {
  made.reset(new StagedInput(stage, tensor, numBytes));
  return made->openSlots(depth, memory);
}

Status StagedInput::take(const void *from, int64_t numBytes, int64_t deadlineNs, void *&data) {
  if (numTaken - numReleased >= slots.size())
    return fail(Code::kProgram, "%s: all %zu slots are taken", who.c_str(), slots.size());
  if (Status status = checkBytes(numBytes); !status.ok())
    return status;
  Staged &slot = slotOf(numTaken);
  constexpr const char *kWhat = "copy to the device";
  Status status = awaitEvent(device, who, kWhat, slot.copied.get(), deadlineNs, stage.watch());
  if (!status.ok())
    return status;
  std::memcpy(slot.pinned, from, size_t(numBytes));
  int32_t code = device.await(device.self, stream, slot.freed.get());
  if (!code && numBytes > 0)
    code = device.copyIn(device.self, slot.data, slot.pinned, numBytes, stream);
  if (!code)
    code = device.mark(device.self, slot.copied.get(), stream);
  if (!code)
    code = device.await(device.self, stage.compute().handle, slot.copied.get());
  if (code)
    return deviceFailure(device, who, kWhat, code);
  data = slot.data;
  ++numTaken;
  return Status();
}

Status StagedInput::release() {
  if (numReleased >= numTaken)
    return fail(Code::kProgram, "%s: no slot is taken", who.c_str());
  if (int32_t code = device.mark(device.self, slotOf(numReleased).freed.get(), stage.compute().handle))
    return deviceFailure(device, who, "mark the end of its use", code);
  ++numReleased;
  return Status();
}

//===----------------------------------------------------------------------===//
// To the host
//===----------------------------------------------------------------------===//

Status StagedOutput::open(DeviceStage &stage, const std::string &tensor, int64_t numBytes, int32_t depth, void *memory,
                          std::unique_ptr<StagedOutput> &made) {
  made.reset(new StagedOutput(stage, tensor, numBytes));
  return made->openSlots(depth, memory);
}

/// A slot whose result has been taken is not being copied any more: later work needs to wait for nothing.
Status StagedOutput::acquire(void *&data) {
  if (numAcquired != numPublished)
    return fail(Code::kProgram, "%s: a slot is acquired already", who.c_str());
  if (numAcquired - numTaken >= slots.size())
    return fail(Code::kProgram, "%s: all %zu slots hold results", who.c_str(), slots.size());
  data = slotOf(numAcquired++).data;
  return Status();
}

Status StagedOutput::publish(int64_t numBytes) {
  if (numPublished == numAcquired)
    return fail(Code::kProgram, "%s: no slot is acquired", who.c_str());
  if (Status status = checkBytes(numBytes); !status.ok())
    return status;
  Staged &slot = slotOf(numPublished);
  slot.numBytes = numBytes;
  int32_t code = device.mark(device.self, slot.freed.get(), stage.compute().handle);
  if (!code)
    code = device.await(device.self, stream, slot.freed.get());
  if (!code && numBytes > 0)
    code = device.copyOut(device.self, slot.pinned, slot.data, numBytes, stream);
  if (!code)
    code = device.mark(device.self, slot.copied.get(), stream);
  if (code)
    return deviceFailure(device, who, "copy from the device", code);
  ++numPublished;
  return Status();
}

Status StagedOutput::take(void *to, int64_t room, int64_t deadlineNs, int64_t &numBytes) {
  if (numTaken == numPublished)
    return fail(Code::kProgram, "%s: no result is on its way", who.c_str());
  Staged &slot = slotOf(numTaken);
  if (slot.numBytes > room)
    return fail(Code::kProgram, "%s: room for %lld bytes, expected %lld", who.c_str(), (long long)room,
                (long long)slot.numBytes);
  Status status = awaitEvent(device, who, "copy from the device", slot.copied.get(), deadlineNs, stage.watch());
  if (!status.ok())
    return status;
  std::memcpy(to, slot.pinned, size_t(slot.numBytes));
  numBytes = slot.numBytes;
  ++numTaken;
  return Status();
}

} // namespace rt
} // namespace penstock
