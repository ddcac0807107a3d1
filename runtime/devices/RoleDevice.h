//===- RoleDevice.h - What a role asks of its device -------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Between the role's calls (lib/Role) and what it has on a device (DeviceRole.h). A role on the host has none, and its
// executable has no code for one: the tables of a role on a device name `rt_cuda_device` of Abi.h, which brings it.
//
// Units: bytes. Threads: the role's. Errors name the stage, the device and what could not be done.
//
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_RT_DEVICES_ROLEDEVICE_H
#define PENSTOCK_RT_DEVICES_ROLEDEVICE_H

#include "penstock/rt/Role.h"

#include <memory>
#include <string>
#include <vector>

namespace penstock {
namespace rt {

class CudaKernels;

class RoleDevice {
public:
  virtual ~RoleDevice() = default;
  /// Opens the device with the plug-in in `folder`, takes all memory that is known now, and loads the code. kSystem:
  /// there is no driver, no device, or too little memory. kMismatch: no code for this chip.
  virtual Status open(const std::string &folder) = 0;
  /// Channels whose slots are memory of the device. It may be opened after open().
  virtual Transport &transport() = 0;
  /// Begins to copy what was received from a channel of the host to the device; `slot.data` is where kernels that are
  /// called later find it. kTimeout: the device still copies an earlier message; to be called again.
  virtual Status upload(ChannelId channel, int64_t deadlineNs, Slot &slot) = 0;
  /// What kernels called so far write to the acquired slot of a channel of the host, `slot.numBytes` of it, is copied
  /// to the host before it is published there. Waits for nothing.
  virtual Status download(ChannelId channel, const Slot &slot) = 0;
  /// Copies weights and constants, clears states, and points `buffers` to all storages but those of a free arena.
  virtual Status fill(const char *weights, std::vector<void *> &buffers) = 0;
  /// An arena of a free size, at least so large; the last one is gone.
  virtual Status makeArena(int64_t numBytes, char *&data) = 0;
  /// Begins what kernels have been called.
  virtual Status flush() = 0;
  /// Bytes of the device, once all that was begun is done.
  virtual Status read(void *to, const void *from, int64_t numBytes) = 0;
  virtual CudaKernels *kernels() = 0;
  /// The role has ended with `result`. If well: all that is under way arrives, and the role leaves its peers together
  /// with them. Returns how it went.
  virtual Status finish(const Status &result) = 0;
};

} // namespace rt
} // namespace penstock

/// A kind of device, as Abi.h names them.
struct rt_device {
  const char *name;
  std::unique_ptr<penstock::rt::RoleDevice> (*make)(const rt_role_desc &role, penstock::rt::Transport &host,
                                                    const penstock::rt::RunControl &control,
                                                    const penstock::rt::RoleOptions &options);
};

#endif // PENSTOCK_RT_DEVICES_ROLEDEVICE_H
