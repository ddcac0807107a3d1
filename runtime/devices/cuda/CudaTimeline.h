//===- CudaTimeline.h - When a device did what it was given -------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A trace of the host knows when work was given to a device, not when it was done. Where PENSTOCK_CUDA_TIMELINE names a
// file, the plug-in marks the begin and the end of each graph, launch, call of a library and copy on its stream with an
// event that has the device's time, and writes FILE.PID when the device is closed (FILE.PID.1 for a second device of
// the process, and so on): trace events as Perfetto reads them, a row per stream, in microseconds of the host's steady
// clock, so that files of several processes fit together (within the 20 us or so that it takes to read both clocks).
// Kernels of one graph are one event.
//
// Threads: any. Errors: what has no times is left out; a file that cannot be written is a warning.
//
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_RT_DEVICES_CUDATIMELINE_H
#define PENSTOCK_RT_DEVICES_CUDATIMELINE_H

#include "CudaApi.h"
#include "Device.h"

#include <map>
#include <memory>
#include <mutex>
#include <set>

namespace penstock {
namespace rt {
namespace cuda {

class CudaTimeline {
public:
  /// Null where nobody has asked for it. The context is current.
  static std::unique_ptr<CudaTimeline> open(const DriverCalls &calls, const DeviceFacts &facts);
  /// Gives all back. After write().
  ~CudaTimeline();
  CudaTimeline(const CudaTimeline &) = delete;
  CudaTimeline &operator=(const CudaTimeline &) = delete;

  /// What `call` gives to the stream. `category`: "compute" or "copy"; `name`: what it is.
  template <typename Call>
  int32_t time(const char *category, const char *name, int64_t numBytes, Stream stream, const Call &call) {
    Span span = {category, name, numBytes, stream};
    bool isTimed = begin(span);
    int32_t code = call();
    if (isTimed)
      end(span);
    return code;
  }
  /// What is recorded as a graph has no times.
  void record(Stream stream, bool isRecording);
  /// Of all that is done by now.
  void write();

private:
  struct Span {
    const char *category, *name;
    int64_t numBytes = 0;
    Stream stream = nullptr;
    Event begin = nullptr, end = nullptr;
  };
  explicit CudaTimeline(const DriverCalls &calls) : calls(calls) {}
  bool readClocks();
  bool begin(Span &span);
  void end(Span span);
  /// Null: it cannot be made.
  Event mark(Stream stream);

  const DriverCalls &calls;
  DeviceFacts facts;
  std::string path;
  std::mutex mutex;
  Event origin = nullptr;
  int64_t originNs = 0; ///< of the host, when `origin` happened
  std::vector<Span> spans;
  std::set<Stream> recording;
};

} // namespace cuda
} // namespace rt
} // namespace penstock

#endif // PENSTOCK_RT_DEVICES_CUDATIMELINE_H
