//===- DeviceRole.h - A role whose kernels run on a device -------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//   memory    one piece of the device: weights, constants, states, arena, and the slots of its channels. What is of a
//             free size has pieces of its own, which grow
//   launches  are collected while the program calls kernels, and begun as one graph where a message needs them; equal
//             launches (the same slots, shapes and kernels) are the same graph
//
// Roles of one host are dealt out to its devices in the order of orderByLinks(), and begin again with the first where
// there are fewer.
//
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_RT_DEVICES_DEVICEROLE_H
#define PENSTOCK_RT_DEVICES_DEVICEROLE_H

#include "DeviceTransport.h"
#include "RoleDevice.h"
#include "cuda/CudaKernels.h"

namespace penstock {
namespace rt {

class DeviceRole final : public RoleDevice {
public:
  /// `plugin`: file in the folder's lib. `code`: of all kernels of the executable; those of the role are loaded.
  DeviceRole(const rt_role_desc &role, Transport &host, const RunControl &control, const RoleOptions &options,
             const char *plugin, Span<const rt_cuda_kernel *const> code);
  ~DeviceRole() override;

  Status open(const std::string &folder) override;
  Transport &transport() override { return channels; }
  Status upload(ChannelId channel, int64_t deadlineNs, Slot &slot) override {
    return channels.upload(channel, deadlineNs, slot);
  }
  Status download(ChannelId channel, const Slot &slot) override { return channels.download(channel, slot); }
  Status fill(const char *weights, std::vector<void *> &buffers) override;
  Status makeArena(int64_t numBytes, char *&data) override;
  Status flush() override { return code->flush(); }
  Status read(void *to, const void *from, int64_t numBytes) override;
  CudaKernels *kernels() override { return code.get(); }
  Status finish(const Status &result) override;

private:
  /// What a plug-in says, which does not know whom it serves.
  Status withName(const Status &status) const {
    return status.ok() ? status : Status(status.code(), who + ": " + status.message());
  }
  /// False for a role that is a thread of one with others.
  bool ownsProcess() const { return control.role(role.role).pid.load() != 0; }
  Status openDevice(const std::string &folder);
  Status openLinks(const std::string &folder);
  Status nameHost();
  Status planMemory();
  Status loadCode(const std::string &folder);
  Status clear(void *data, int64_t numBytes) { return write(data, nullptr, numBytes); }
  Status write(void *to, const void *from, int64_t numBytes);
  Status awaitCompute();

  const rt_role_desc &role;
  Transport &host;
  RunControl control;
  int64_t timeoutNs;
  bool isLocal; ///< all roles of the run are on this host, and see the same devices
  const char *plugin;
  Span<const rt_cuda_kernel *const> allCode;
  std::string who; ///< "stage 1"
  Watch watch;     ///< the run has not been ended
  Device device;
  int32_t numDevices = 0; ///< that this process may see
  bool isOpen = false;
  std::unique_ptr<DeviceStage> stage;
  Links links;
  std::unique_ptr<NcclTransport> nccl; ///< null: no channel is NCCL's
  StagedTransport staged;
  DeviceTransport channels;
  std::unique_ptr<CudaKernels> code;
  char *freeArena = nullptr;
  int64_t freeArenaBytes = 0;
  void *pinned = nullptr; ///< what is copied at the start and read back passes through it
  DeviceEvent copied;
};

} // namespace rt
} // namespace penstock

#endif // PENSTOCK_RT_DEVICES_DEVICEROLE_H
