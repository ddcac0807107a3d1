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

class KernelsRun : public testing::Test {
protected:
  explicit KernelsRun(const std::vector<DeviceStage::Part> &parts) {
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
  ~KernelsRun() override {
    kernels.reset(), stage.reset(), device.reset();
    standin::checkLeaks();
    EXPECT_EQ(faultWords(), "");
  }

  std::unique_ptr<OpenDevice> device;
  std::unique_ptr<DeviceStage> stage;
  std::unique_ptr<CudaKernels> kernels;
  std::unique_ptr<InprocHub> hub;
  std::unique_ptr<Transport> transport;
  rt_role_desc role = {};
  std::unique_ptr<rt_ctx> ctx;
};

} // namespace testdevice

#endif // PENSTOCK_TEST_RUNTIME_KERNELSRUN_H
