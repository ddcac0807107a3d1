//===- DeviceTest.cpp - Machines that cannot be used, in words ---*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "DeviceRun.h"
#include "Links.h"

#include <cstdlib>
#include <dlfcn.h>
#include <fstream>

using namespace testdevice;

namespace {

/// Why a device of a machine cannot be opened.
std::string refusal(const standin::Configuration &machine, int32_t index = 0) {
  standin::reset(machine);
  Device device;
  Status status = loadDevice(PENSTOCK_TEST_CUDA, index, device);
  EXPECT_EQ(status.code(), Code::kSystem);
  EXPECT_EQ(status.exitStatus(), 1);
  return status.message();
}

// A driver that is too old for the code that the compiler writes.
TEST(CudaDevice, oldDriver) {
  standin::Configuration machine;
  machine.driverVersion = 12040;
  EXPECT_EQ(refusal(machine), "the CUDA driver supports CUDA 12.4, expected 13.0 or newer; install the NVIDIA driver "
                              "580 or newer");
}

// A driver that cannot be asked.
TEST(CudaDevice, brokenDriver) {
  standin::reset();
  standin::failCall("cuDriverGetVersion", 1, 999);
  Device device;
  EXPECT_EQ(loadDevice(PENSTOCK_TEST_CUDA, 0, device).message(),
            "libcuda.so.1 does not tell its version; install the NVIDIA driver 580 or newer");
}

// No device, because there is none or because none is visible.
TEST(CudaDevice, noDevice) {
  standin::Configuration machine;
  machine.devices.clear();
  EXPECT_EQ(refusal(machine), "no CUDA device: CUDA_ERROR_NO_DEVICE (no CUDA-capable device is detected)");
  setenv("CUDA_VISIBLE_DEVICES", "", 1);
  EXPECT_EQ(refusal(standin::Configuration()),
            "no CUDA device: CUDA_ERROR_NO_DEVICE (no CUDA-capable device is detected); CUDA_VISIBLE_DEVICES is ''");
  unsetenv("CUDA_VISIBLE_DEVICES");
}

// A device beyond those that are there, or that this process may see.
TEST(CudaDevice, noSuchDevice) {
  EXPECT_EQ(refusal(standin::Configuration(), 4), "no CUDA device 4: there are 4");
  EXPECT_EQ(refusal(standin::Configuration(), -1), "no CUDA device -1: there are 4");
  setenv("CUDA_VISIBLE_DEVICES", "2", 1);
  EXPECT_EQ(refusal(standin::Configuration(), 1), "no CUDA device 1: there is 1; CUDA_VISIBLE_DEVICES is '2'");
  standin::reset();
  {
    OpenDevice open;
    EXPECT_STREQ(open.table.facts.bus, "0000:19:00.0"); // the third one
  }
  unsetenv("CUDA_VISIBLE_DEVICES");
}

// A device that the driver lists and does not give.
TEST(CudaDevice, refusedDevice) {
  standin::reset();
  standin::failCall("cuDevicePrimaryCtxRetain", 1, 2);
  Device device;
  EXPECT_EQ(loadDevice(PENSTOCK_TEST_CUDA, 0, device).message(),
            "cannot use CUDA device 0 (NVIDIA H200): CUDA_ERROR_OUT_OF_MEMORY (out of memory)");
  standin::checkLeaks();
  EXPECT_EQ(faultWords(), "");
}

// What is known of a device.
TEST(CudaDevice, facts) {
  standin::reset();
  OpenDevice open(1);
  EXPECT_STREQ(open.table.facts.name, "NVIDIA H200");
  EXPECT_STREQ(open.table.facts.arch, "sm_90");
  EXPECT_EQ(open.table.facts.totalBytes, int64_t(1) << 30);
  EXPECT_STREQ(open.table.library, "CUDA 13.0");
  EXPECT_EQ(deviceWords(open.table), "device 1 (NVIDIA H200, sm_90)");
}

// A plug-in that is not there, or is none.
TEST(CudaDevice, damagedPlugin) {
  Device device;
  Status status = loadDevice("/nowhere/libpenstock-cuda.so", 0, device);
  EXPECT_EQ(status.code(), Code::kInvalid);
  EXPECT_NE(status.message().find("the folder is damaged"), std::string::npos) << status.message();
  DeviceReport report;
  EXPECT_EQ(probeDevices(PENSTOCK_TEST_NCCL, report).code(), Code::kInvalid); // has no such symbol
  Links links;
  EXPECT_EQ(loadLinks(PENSTOCK_TEST_CUDA, links).code(), Code::kInvalid);
  EXPECT_EQ(loadLinks("/nowhere/libpenstock-nccl.so", links).code(), Code::kInvalid);
}

/// A plug-in asked in another version than its own.
template <typename Fn, typename State> std::string versionWords(const char *path, const char *name, State &state) {
  void *plugin = dlopen(path, RTLD_NOW);
  auto function = reinterpret_cast<Fn>(dlsym(plugin, name));
  char error[128] = "";
  if constexpr (std::is_same<Fn, OpenDeviceFn>::value)
    EXPECT_NE(function(99, 0, &state, error, sizeof(error)), 0);
  else
    EXPECT_NE(function(99, &state, error, sizeof(error)), 0);
  return error;
}

// A folder whose plug-ins are those of another version.
TEST(CudaDevice, pluginsOfAnotherVersion) {
  Device device;
  DeviceReport report;
  Links links;
  const char *expected = "the plug-in has version 5, expected 99";
  EXPECT_EQ(versionWords<OpenDeviceFn>(PENSTOCK_TEST_CUDA, kOpenDeviceName, device), expected);
  EXPECT_EQ(versionWords<ProbeDevicesFn>(PENSTOCK_TEST_CUDA, kProbeDevicesName, report), expected);
  EXPECT_EQ(versionWords<OpenLinksFn>(PENSTOCK_TEST_NCCL, kOpenLinksName, links),
            "the plug-in has version 1, expected 99");
}

// The report for doctor: devices, how they are joined, and the libraries.
TEST(CudaDevice, report) {
  for (const char *library : {"libcublasLt.so.13", "libcudnn.so.9"})
    ASSERT_NE(dlopen((std::string(PENSTOCK_TEST_STANDIN) + "/" + library).c_str(), RTLD_NOW), nullptr) << dlerror();
  standin::Configuration machine;
  machine.devices.resize(2);
  machine.devices[1] = {"NVIDIA A100", 8, 0, size_t(1) << 34};
  for (bool nvlink : {true, false}) {
    machine.nvlink = nvlink;
    standin::reset(machine);
    DeviceReport report;
    ASSERT_TRUE(probeDevices(PENSTOCK_TEST_CUDA, report).ok());
    EXPECT_TRUE(report.driver.works);
    EXPECT_STREQ(report.driver.version, "13.0");
    ASSERT_EQ(report.numDevices, 2);
    EXPECT_STREQ(report.devices[1].arch, "sm_80");
    EXPECT_EQ(report.links[0][0], DeviceLink::kHost);
    EXPECT_EQ(report.links[0][1], nvlink ? DeviceLink::kPeerWithAtomics : DeviceLink::kPeer);
    ASSERT_EQ(report.numLibraries, 4);
    const char *versions[] = {"13.1.0", "9.19.0", "13.0.0", "2.28.9"};
    for (int32_t i = 0; i < 4; ++i) {
      EXPECT_TRUE(report.libraries[i].works) << report.libraries[i].name;
      EXPECT_STREQ(report.libraries[i].version, versions[i]);
    }
    standin::checkLeaks(); // looking takes nothing of a device
    EXPECT_EQ(faultWords(), "");
  }
}

/// Devices of which those of one group are joined by NVLink, and those of one host bridge (a letter) by PCIe.
DeviceList listOf(const std::vector<int> &groups, const std::string &bridges) {
  DeviceList list;
  list.numDevices = int32_t(groups.size());
  for (size_t i = 0; i < groups.size(); ++i)
    for (size_t k = 0; k < groups.size(); ++k)
      if (i != k)
        list.links[i][k] = groups[i] == groups[k]     ? DeviceLink::kPeerWithAtomics
                           : bridges[i] == bridges[k] ? DeviceLink::kPeer
                                                      : DeviceLink::kHost;
  return list;
}

// Neighbours are joined by NVLink where that can be, else by PCIe; equal ones keep their order, and a given order
// stays.
TEST(CudaDevice, orderByLinks) {
  using Order = std::vector<int32_t>;
  EXPECT_EQ(orderByLinks(listOf({0}, "a")), (Order{0}));
  EXPECT_EQ(orderByLinks(listOf({0, 0, 0, 0}, "aaaa")), (Order{0, 1, 2, 3}));
  EXPECT_EQ(orderByLinks(listOf({0, 1, 2, 3}, "aaaa")), (Order{0, 1, 2, 3}));
  EXPECT_EQ(orderByLinks(listOf({0, 1, 0, 1}, "aaaa")), (Order{0, 2, 1, 3}));
  EXPECT_EQ(orderByLinks(listOf({0, 1, 2, 3}, "abab")), (Order{0, 2, 1, 3}));
  EXPECT_EQ(orderByLinks(listOf({0, 1, 1, 0, 2, 2}, "abbbaa")), (Order{0, 3, 1, 2, 4, 5}));
  DeviceList given = listOf({0, 1, 0, 1}, "aaaa");
  given.isOrdered = true;
  EXPECT_EQ(orderByLinks(given), (Order{0, 1, 2, 3}));
}

// A machine without a device is no failure of looking at it.
TEST(CudaDevice, reportWithoutDevice) {
  standin::Configuration machine;
  machine.devices.clear();
  standin::reset(machine);
  DeviceReport report;
  ASSERT_TRUE(probeDevices(PENSTOCK_TEST_CUDA, report).ok());
  EXPECT_FALSE(report.driver.works);
  EXPECT_EQ(report.numDevices, 0);
  EXPECT_NE(std::string(report.driver.trouble).find("no CUDA device"), std::string::npos);
}

} // namespace
