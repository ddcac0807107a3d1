//===- KernelsRun.h - Kernels of a stage of the machine that is not there -*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What generated code has when it is called: a context, and kernels of a stage on a device. The machine must find
// nothing wrong, and nothing may be left.
//
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_TEST_RUNTIME_KERNELSRUN_H
#define PENSTOCK_TEST_RUNTIME_KERNELSRUN_H

#include "CudaKernels.h"
#include "DeviceRun.h"
#include "lib/Role/Context.h"
#include "transports/inproc/Inproc.h"

namespace testdevice {

class KernelsOnDevice {
public:
  explicit KernelsOnDevice(const std::vector<DeviceStage::Part> &parts) {
    standin::reset();
    device = std::make_unique<OpenDevice>();
    EXPECT_TRUE(DeviceStage::open(device->table, "stage 0", parts, Watch(), stage).ok());
    kernels = std::make_unique<CudaKernels>(*stage);
    ControlLayout layout;
    layout.numRoles = 1;
    EXPECT_TRUE(InprocHub::create(layout, hub).ok());
    transport = hub->makeTransport();
    role.role_name = "stage-0";
    ctx = std::make_unique<rt_ctx>(role, *transport, hub->control(), RoleOptions());
    ctx->cudaKernels = kernels.get();
  }
  ~KernelsOnDevice() {
    kernels.reset(), stage.reset(), device.reset();
    standin::checkLeaks();
    EXPECT_EQ(faultWords(), "");
  }

  /// Until all is done that the compute stream has.
  void awaitCompute() {
    DeviceEvent event;
    ASSERT_TRUE(DeviceEvent::make(device->table, "a test", event).ok());
    ASSERT_EQ(device->table.mark(device->table.self, event.get(), stage->compute().handle), 0);
    ASSERT_TRUE(awaitEvent(device->table, "a test", "compute", event.get(), deadlineAfter(kLong), Watch()).ok());
  }

  std::unique_ptr<OpenDevice> device;
  std::unique_ptr<DeviceStage> stage;
  std::unique_ptr<CudaKernels> kernels;
  std::unique_ptr<InprocHub> hub;
  std::unique_ptr<Transport> transport;
  rt_role_desc role = {};
  std::unique_ptr<rt_ctx> ctx;
};

class KernelsRun : public testing::Test, protected KernelsOnDevice {
protected:
  using KernelsOnDevice::KernelsOnDevice;
};

/// Calls of a library: five tensors of floats, and scratch memory.
class LibraryCallsRun : public KernelsRun {
protected:
  static constexpr size_t kRoom = 16384; ///< bytes of each tensor
  static constexpr size_t kWorkspace = 5;

  explicit LibraryCallsRun(int64_t scratchBytes) : KernelsRun(listParts(scratchBytes)) {
    for (size_t i = 0; i <= kWorkspace; ++i)
      buffers.push_back(stage->part(i));
    // As little aligned as memory may be that is planned.
    buffers[kWorkspace] = static_cast<char *>(buffers[kWorkspace]) + RT_ALIGNMENT;
  }

  void write(size_t buffer, const std::vector<float> &numbers) {
    ASSERT_LE(numbers.size() * sizeof(float), kRoom);
    device->write(buffers[buffer], numbers.data(), numbers.size() * sizeof(float));
  }
  /// Waits for what was called.
  void read(size_t buffer, std::vector<float> &numbers) {
    ASSERT_FALSE(ctx->kernelFailed) << ctx->kernelMessage;
    ASSERT_NO_FATAL_FAILURE(awaitCompute());
    device->read(numbers.data(), buffers[buffer], numbers.size() * sizeof(float));
  }

  std::vector<void *> buffers;

private:
  static std::vector<DeviceStage::Part> listParts(int64_t scratchBytes) {
    std::vector<DeviceStage::Part> parts(kWorkspace, {"arena", kRoom});
    parts.push_back({"workspace", scratchBytes + RT_CUDA_LIBRARY_ALIGNMENT});
    return parts;
  }
};

} // namespace testdevice

#endif // PENSTOCK_TEST_RUNTIME_KERNELSRUN_H
