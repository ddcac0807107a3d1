//===- Device.h - A device with memory and streams of its own ----*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What a stage needs of a device that is not the CPU, as a table of plain C functions, so that the calls of a vendor's
// driver can be a plug-in (devices/cuda, `lib/libpenstock-cuda.so` of an output folder) which only a plan that uses it
// opens. What is made of these calls (memory planned for a stage, staging, graphs) is Stage.h, for every device.
//
// Units: lengths in bytes. Order: work on one stream is done in the order in which it was given; between streams, and
// between a stream and the host, only events order anything. Nothing here waits for the device, except that memory, an
// image or a stream may be given back late. Threads: any, one call at a time per stream. Ownership: what is made here
// is dropped here, before close(). Errors: a code that is not 0; explain() has its words.
//
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_RT_DEVICES_DEVICE_H
#define PENSTOCK_RT_DEVICES_DEVICE_H

#include "penstock/rt/Status.h"

#include <string>
#include <vector>

namespace penstock {
namespace rt {

struct ProductProblem; ///< cuda/cublaslt/Product.h
struct ProductBuffers;
struct ProductChoice;
struct DnnProblem; ///< cuda/cudnn/Dnn.h
struct DnnBuffers;

constexpr uint32_t kDeviceVersion = 5;
constexpr int32_t kMaxDevices = 16;

/// Codes that mean the same on every device; others are the driver's own.
enum DeviceCode : int32_t {
  kDeviceOk = 0,
  kDeviceFull = -1,
  kDeviceWrongImage = -2,
  kDeviceNoKernel = -3,
  kDeviceNoAlgorithm = -4,
  kDeviceNoPlan = -5
};

struct DeviceFacts {
  int32_t index = 0; ///< among those that this process may see
  char name[96] = "";
  char arch[16] = ""; ///< as `--arch` has it: "sm_90"
  char bus[24] = "";  ///< where it is plugged in: "0000:17:00.0"
  int64_t totalBytes = 0;
  int32_t numProcessors = 0;
};

/// The threads and the shared memory of one kernel, and where its parameters lie.
struct Launch {
  void *kernel = nullptr;
  uint32_t grid[3] = {1, 1, 1}, block[3] = {1, 1, 1}, sharedBytes = 0;
  void **parameters = nullptr; ///< one address per parameter, read during the call
};

struct Device {
  void *self = nullptr;
  DeviceFacts facts;
  char library[128] = ""; ///< for `doctor` and messages

  /// Makes the device current for the calling thread, for libraries that ask for it; the other calls do so themselves.
  int32_t (*enter)(void *self) = nullptr;
  int32_t (*freeBytes)(void *self, int64_t *numBytes) = nullptr;
  int32_t (*allocate)(void *self, int64_t numBytes, void **data) = nullptr;
  int32_t (*release)(void *self, void *data) = nullptr;
  /// Memory of the host that the device can reach while the host does something else.
  int32_t (*allocateHost)(void *self, int64_t numBytes, void **data) = nullptr;
  int32_t (*releaseHost)(void *self, void *data) = nullptr;
  /// From and to such memory, in the order of the stream.
  int32_t (*copyIn)(void *self, void *to, const void *from, int64_t numBytes, void *stream) = nullptr;
  int32_t (*copyOut)(void *self, void *to, const void *from, int64_t numBytes, void *stream) = nullptr;

  /// `urgent`: its work goes first where the device can choose.
  int32_t (*makeStream)(void *self, int32_t urgent, void **stream) = nullptr;
  int32_t (*dropStream)(void *self, void *stream) = nullptr;
  int32_t (*makeEvent)(void *self, void **event) = nullptr;
  int32_t (*dropEvent)(void *self, void *event) = nullptr;
  /// The event happens when the work that is on the stream by now is done. One that was never marked has happened.
  int32_t (*mark)(void *self, void *event, void *stream) = nullptr;
  /// Later work on the stream begins after the event.
  int32_t (*await)(void *self, void *stream, void *event) = nullptr;
  int32_t (*test)(void *self, void *event, int32_t *happened) = nullptr;

  /// Code for the device. kDeviceWrongImage: it is for other chips than this one.
  int32_t (*loadImage)(void *self, const void *image, void **handle) = nullptr;
  int32_t (*dropImage)(void *self, void *handle) = nullptr;
  /// `sharedBytes`: the most that its launches will ask for. kDeviceNoKernel: the image has none of this name.
  int32_t (*findKernel)(void *self, void *handle, const char *name, int32_t sharedBytes, void **kernel) = nullptr;
  int32_t (*launch)(void *self, const Launch *launch, void *stream) = nullptr;

  /// What is given to the stream between the two calls becomes a graph instead of being done.
  int32_t (*beginGraph)(void *self, void *stream) = nullptr;
  int32_t (*endGraph)(void *self, void *stream, void **graph) = nullptr;
  int32_t (*runGraph)(void *self, void *graph, void *stream) = nullptr;
  int32_t (*dropGraph)(void *self, void *graph) = nullptr;

  /// Opens the library of products; a second time is nothing to do. Not 0: `error` says what is missing.
  int32_t (*openProducts)(void *self, char *error, int64_t numBytes) = nullptr;
  /// The opened library and its version, which a choice is for.
  void (*describeProducts)(void *self, char *words, int64_t numBytes) = nullptr;
  /// `choice`: a known one is taken if the library accepts it; else its own is, and becomes `choice`.
  /// kDeviceNoAlgorithm: the library has none for the problem. Gives nothing to any stream.
  int32_t (*makeProduct)(void *self, const ProductProblem *problem, ProductChoice *choice, void **plan) = nullptr;
  int32_t (*runProduct)(void *self, void *plan, const ProductBuffers *buffers, void *stream) = nullptr;
  /// Work that was given to a stream is done all the same.
  int32_t (*dropProduct)(void *self, void *plan) = nullptr;

  /// The same for problems of another library. kDeviceNoPlan: it has none.
  int32_t (*openDnn)(void *self, char *error, int64_t numBytes) = nullptr;
  int32_t (*makeDnnPlan)(void *self, const DnnProblem *problem, void **plan) = nullptr;
  int32_t (*runDnnPlan)(void *self, void *plan, const DnnBuffers *buffers, void *stream) = nullptr;
  int32_t (*dropDnnPlan)(void *self, void *plan) = nullptr;

  int32_t (*close)(void *self) = nullptr;
  void (*explain)(void *self, int32_t code, char *text, int64_t numBytes) = nullptr;
};

/// How two devices reach each other's memory.
enum class DeviceLink : uint8_t { kHost, kPeer, kPeerWithAtomics };

/// The devices that this process may see.
struct DeviceList {
  int32_t numDevices = 0;
  bool isOrdered = false; ///< whoever started the process has chosen them and their order
  DeviceLink links[kMaxDevices][kMaxDevices] = {};
};

/// What is on this machine, for `doctor`.
struct DeviceReport : DeviceList {
  struct Library {
    char name[32] = "", soname[32] = "", version[32] = "";
    int32_t works = 0;
    char trouble[256] = ""; ///< what is missing, and what to do
  };
  Library driver;
  DeviceFacts devices[kMaxDevices];
  int32_t numLibraries = 0;
  Library libraries[8]; ///< beside the driver
};

/// The symbols of the plug-in. 0, or `error` says what is wrong.
using ListDevicesFn = int32_t (*)(uint32_t version, DeviceList *list, char *error, int64_t numBytes);
using OpenDeviceFn = int32_t (*)(uint32_t version, int32_t index, Device *device, char *error, int64_t numBytes);
using ProbeDevicesFn = int32_t (*)(uint32_t version, DeviceReport *report, char *error, int64_t numBytes);
constexpr const char *kListDevicesName = "penstock_list_devices";
constexpr const char *kOpenDeviceName = "penstock_open_device";
constexpr const char *kProbeDevicesName = "penstock_probe_devices";

/// At least one device. Fails as loadDevice() does.
Status listDevices(const std::string &path, DeviceList &list);
/// The devices, by index, in the order in which stages take them: the given one, or else from the first one on, each
/// time, of those that are left, the one that the last one reaches best, of several the lower index. Neighbouring
/// stages talk most.
std::vector<int32_t> orderByLinks(const DeviceList &list);
/// Loads the plug-in at `path` and opens one device with it. kSystem: there is no driver or no such device, or they are
/// too old. kInvalid: the plug-in cannot be used.
Status loadDevice(const std::string &path, int32_t index, Device &device);
/// What the plug-in finds here. A machine without a driver or a device is no failure: the report says so.
Status probeDevices(const std::string &path, DeviceReport &report);

/// "device 0 (NVIDIA H200, sm_90)", for messages.
std::string deviceWords(const Device &device);
/// "stage 1: cannot WHAT on device 0 (NVIDIA H200, sm_90): WORDS OF THE CODE".
Status deviceFailure(const Device &device, const std::string &who, const char *what, int32_t code);

} // namespace rt
} // namespace penstock

#endif // PENSTOCK_RT_DEVICES_DEVICE_H
