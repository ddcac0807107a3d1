//===- Standin.h - A machine with CUDA devices that is not there -*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A stand-in for the driver, NCCL, cuBLASLt and cuDNN: shared libraries with the names of the real ones, which only
// tests load. Memory of a device is memory of the host; kernels are functions that a test registers. It is unkind: work
// is done as late as the rules allow, new memory and results that are still on their way hold rubbish, and a query of
// an event says "not yet" at first. What a program may not rely on becomes a fault, in words:
//
//   use before an event    one stream reads what another has not been made to have written
//   overwritten in flight  a stream writes what another may still use; the host writes what is being copied
//   out of place           an access outside of an allocation, a copy from memory that is not pinned
//   mismatch               a send and a receive of different lengths, or one without the other
//   leak                   what is left at the end
//
// What happens before what is followed with a clock per stream, so that a missing event is found whatever the order in
// which work happens to be done. All threads of the host count as one.
//
// Where the variable PENSTOCK_STANDIN_REPORT is set, a process that ends writes what it called, its faults and what it
// leaks to the file of this name with its process number behind it: lines of "call NAME COUNT" and "fault WORDS".
//
// Where the variable PENSTOCK_STANDIN is set, it describes the machine:
//     driver=12040;nccl=21200;blind=1;nvlink=0;lost=7;device=Tesla V100|7|0|34359738368;device=...
// nvlink=0101 says which of the devices are of one group.
//
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_TEST_STANDIN_H
#define PENSTOCK_TEST_STANDIN_H

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#pragma GCC visibility push(default)
namespace standin {

struct DeviceModel {
  std::string name = "NVIDIA H200";
  int major = 9, minor = 0;
  size_t totalBytes = size_t(1) << 30;
};

struct Configuration {
  int driverVersion = 13000;
  int ncclVersion = 22809;
  bool isNcclBlind = false;      ///< a process that is gone is not noticed by its peers
  bool nvlink = true;            ///< between all devices; else PCIe
  std::vector<int> nvlinkGroups; ///< of each device: NVLink is between those of one group only; empty: all are one
  int64_t lostWithLaunch = 0;    ///< after this one every call fails, as after an illegal address; 0: never
  std::vector<DeviceModel> devices = std::vector<DeviceModel>(4);
};

struct Access {
  const void *data = nullptr;
  size_t numBytes = 0;
  bool writes = false;
};

struct KernelCall {
  uint32_t grid[3], block[3], sharedBytes;
  std::vector<uint64_t> parameters;
};

/// A kernel that any image has.
struct KernelModel {
  std::string name;
  size_t numParameters = 0; ///< each of 8 bytes
  std::function<std::vector<Access>(const KernelCall &)> accesses;
  std::function<void(const KernelCall &)> run;
  /// Instead of both: does it, and tells what it has touched.
  std::function<std::vector<Access>(const KernelCall &)> play;
};

/// A new machine; faults, calls and plans of the last one are forgotten.
void reset(const Configuration &configuration = Configuration());
void addKernel(KernelModel kernel);
/// The n-th call of an entry point from now on, counted from 1, returns `code` and does nothing.
void failCall(const std::string &entry, int64_t number, int32_t code);
/// What was called, in order, as "cuLaunchKernel k_add on stream 1".
std::vector<std::string> calls();
/// Calls whose line begins with these words.
int64_t numCalls(const std::string &words);
std::vector<std::string> faults();
/// Makes a fault of all that is still there.
void checkLeaks();
/// An image with code for one chip, as small as one can be: 90 for sm_90.
std::vector<char> makeImage(int arch);

//===----------------------------------------------------------------------===//
// For the other libraries of the stand-in.
//===----------------------------------------------------------------------===//

struct StreamState;

struct Operation {
  std::string name;
  std::vector<Access> accesses;
  std::function<bool()> ready; ///< may it be done now? Empty: yes
  std::function<void()> run;
  std::function<std::vector<Access>()> play; ///< does it, where only that shows what it touches
  // The machine's own.
  StreamState *stream = nullptr;
  uint64_t number = 0;
  std::vector<uint64_t> clock;
  std::vector<std::shared_ptr<Operation>> after;
  bool done = false, visiting = false;
};

/// Held during a call of an entry point, which it notes. `code` is not 0 where a failure was planned.
class Entry {
public:
  explicit Entry(const char *name, const std::string &what = std::string());
  ~Entry();
  int32_t code = 0;
};

/// Held by threads of the libraries' own, in which no entry point has been called.
class Hold {
public:
  Hold();
  ~Hold();
};

/// The version that NCCL has on this machine.
int ncclVersion();
bool isNcclBlind();
/// The ordinal of the device that is current for this thread, or -1.
int currentDevice();
int deviceOf(void *stream);
/// Is any stream being recorded?
bool isCapturing();
std::string streamName(void *stream);
/// 0, or the driver's code.
int32_t enqueue(void *stream, const std::shared_ptr<Operation> &operation);
/// Does what comes before an operation on its stream, as far as possible; true when it is next.
bool reach(const std::shared_ptr<Operation> &operation);
bool complete(const std::shared_ptr<Operation> &operation);
void addFault(const std::string &words);
/// Called by checkLeaks().
void addLeakCheck(const std::function<void()> &check);
/// Called by reset().
void addReset(const std::function<void()> &forget);

} // namespace standin
#pragma GCC visibility pop

#endif // PENSTOCK_TEST_STANDIN_H
