//===- CudaPlugin.cpp - A CUDA device behind the table of Device.h -*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Part of libpenstock-cuda.so, which is linked without any library of CUDA: the driver is opened when a device is. Each
// call makes the device's primary context current first, as any thread may call.
//
//===----------------------------------------------------------------------===//
#include "CudaDriver.h"
#include "CudaTimeline.h"
#include "cublaslt/CublasLt.h"
#include "cudnn/Cudnn.h"

#include <cstdio>
#include <memory>
#include <mutex>

using namespace penstock::rt;
using namespace penstock::rt::cuda;

namespace {

struct Cuda {
  DriverCalls calls;
  Ordinal device = 0;
  Context context = nullptr;
  int urgentPriority = 0;
  std::mutex mutex; ///< guards the opening of libraries
  std::unique_ptr<CublasLt> blas;
  std::unique_ptr<Cudnn> dnn;
  std::unique_ptr<CudaTimeline> timeline; ///< null: nobody wants it
};

/// Codes from here on are a library's.
constexpr int32_t kFirstOfBlas = 1 << 20, kFirstOfDnn = 1 << 21;

/// The calls of a device whose context is current for this thread; a context that is gone shows in the call itself.
const DriverCalls &callsOf(void *self) {
  Cuda &cuda = *static_cast<Cuda *>(self);
  (void)cuda.calls.setContext(cuda.context);
  return cuda.calls;
}

Address addressOf(const void *data) { return static_cast<Address>(reinterpret_cast<uintptr_t>(data)); }

/// Gives what `call` does to the stream, with its place on the timeline.
template <typename Call>
int32_t timed(void *self, const char *category, const char *name, int64_t numBytes, void *stream, const Call &call) {
  CudaTimeline *timeline = static_cast<Cuda *>(self)->timeline.get();
  if (!timeline)
    return call();
  (void)callsOf(self);
  return timeline->time(category, name, numBytes, static_cast<cuda::Stream>(stream), call);
}

/// Codes of the driver that have a meaning on every device.
int32_t translate(Result code) {
  switch (code) {
  case kOutOfMemory:
    return kDeviceFull;
  case kNoBinaryForDevice:
  case kUnsupportedPtx:
    return kDeviceWrongImage;
  case kNotFound:
    return kDeviceNoKernel;
  default:
    return code;
  }
}

int32_t enter(void *self) {
  Cuda &cuda = *static_cast<Cuda *>(self);
  return cuda.calls.setContext(cuda.context);
}

int32_t freeBytes(void *self, int64_t *numBytes) {
  size_t unused = 0, total = 0;
  Result code = callsOf(self).memoryInfo(&unused, &total);
  *numBytes = int64_t(unused);
  return code;
}

int32_t allocate(void *self, int64_t numBytes, void **data) {
  Address address = 0;
  Result code = callsOf(self).allocate(&address, size_t(numBytes));
  *data = reinterpret_cast<void *>(uintptr_t(address));
  return translate(code);
}
int32_t release(void *self, void *data) { return callsOf(self).release(addressOf(data)); }

int32_t allocateHost(void *self, int64_t numBytes, void **data) {
  return translate(callsOf(self).allocateHost(data, size_t(numBytes), 0));
}
int32_t releaseHost(void *self, void *data) { return callsOf(self).releaseHost(data); }

int32_t copyIn(void *self, void *to, const void *from, int64_t numBytes, void *stream) {
  return timed(self, "copy", "copy in", numBytes, stream, [&] {
    return callsOf(self).copyIn(addressOf(to), from, size_t(numBytes), static_cast<cuda::Stream>(stream));
  });
}
int32_t copyOut(void *self, void *to, const void *from, int64_t numBytes, void *stream) {
  return timed(self, "copy", "copy out", numBytes, stream, [&] {
    return callsOf(self).copyOut(to, addressOf(from), size_t(numBytes), static_cast<cuda::Stream>(stream));
  });
}

int32_t makeStream(void *self, int32_t urgent, void **stream) {
  cuda::Stream made = nullptr;
  int priority = urgent ? static_cast<Cuda *>(self)->urgentPriority : 0;
  Result code = callsOf(self).makeStream(&made, kStreamNonBlocking, priority);
  *stream = made;
  return code;
}
int32_t dropStream(void *self, void *stream) { return callsOf(self).dropStream(static_cast<cuda::Stream>(stream)); }

int32_t makeEvent(void *self, void **event) {
  Event made = nullptr;
  Result code = callsOf(self).makeEvent(&made, kEventWithoutTiming);
  *event = made;
  return code;
}
int32_t dropEvent(void *self, void *event) { return callsOf(self).dropEvent(static_cast<Event>(event)); }
int32_t mark(void *self, void *event, void *stream) {
  return callsOf(self).mark(static_cast<Event>(event), static_cast<cuda::Stream>(stream));
}
int32_t await(void *self, void *stream, void *event) {
  return callsOf(self).await(static_cast<cuda::Stream>(stream), static_cast<Event>(event), 0);
}
int32_t test(void *self, void *event, int32_t *happened) {
  Result code = callsOf(self).test(static_cast<Event>(event));
  *happened = code == kSuccess;
  return code == kNotReady ? int32_t(kSuccess) : code;
}

int32_t loadImage(void *self, const void *image, void **handle) {
  Module module = nullptr;
  Result code = callsOf(self).loadImage(&module, image);
  *handle = module;
  return translate(code);
}
int32_t dropImage(void *self, void *handle) { return callsOf(self).dropImage(static_cast<Module>(handle)); }
int32_t findKernel(void *self, void *handle, const char *name, int32_t sharedBytes, void **kernel) {
  const DriverCalls &calls = callsOf(self);
  Function function = nullptr;
  Result code = calls.findKernel(&function, static_cast<Module>(handle), name);
  if (code == kSuccess && sharedBytes > kDefaultDynamicShared)
    code = calls.setAttribute(function, kMaxDynamicShared, sharedBytes);
  *kernel = function;
  return translate(code);
}
int32_t launch(void *self, const Launch *launch, void *stream) {
  const uint32_t *grid = launch->grid, *block = launch->block;
  return timed(self, "compute", "launch", 0, stream, [&] {
    return callsOf(self).launch(static_cast<Function>(launch->kernel), grid[0], grid[1], grid[2], block[0], block[1],
                                block[2], launch->sharedBytes, static_cast<cuda::Stream>(stream), launch->parameters,
                                nullptr);
  });
}

void markRecording(void *self, void *stream, bool isRecording) {
  if (CudaTimeline *timeline = static_cast<Cuda *>(self)->timeline.get())
    timeline->record(static_cast<cuda::Stream>(stream), isRecording);
}

int32_t beginGraph(void *self, void *stream) {
  markRecording(self, stream, true);
  return callsOf(self).beginGraph(static_cast<cuda::Stream>(stream), kCaptureThreadLocal);
}
int32_t endGraph(void *self, void *stream, void **graph) {
  const DriverCalls &calls = callsOf(self);
  Graph captured = nullptr;
  GraphExec made = nullptr;
  markRecording(self, stream, false);
  Result code = calls.endGraph(static_cast<cuda::Stream>(stream), &captured);
  if (code == kSuccess)
    code = calls.makeExecutable(&made, captured, 0);
  if (captured)
    (void)calls.dropGraph(captured);
  *graph = made;
  return translate(code);
}
int32_t runGraph(void *self, void *graph, void *stream) {
  return timed(self, "compute", "graph", 0, stream, [&] {
    return callsOf(self).runGraph(static_cast<GraphExec>(graph), static_cast<cuda::Stream>(stream));
  });
}
int32_t dropGraph(void *self, void *graph) { return callsOf(self).dropExecutable(static_cast<GraphExec>(graph)); }

template <typename Library>
int32_t openLibrary(void *self, std::unique_ptr<Library> Cuda::*member, char *error, int64_t numBytes) {
  Cuda &cuda = *static_cast<Cuda *>(self);
  std::lock_guard<std::mutex> lock(cuda.mutex);
  std::string words;
  (void)callsOf(self);
  if (!(cuda.*member))
    cuda.*member = Library::open(words);
  std::snprintf(error, size_t(numBytes), "%s", words.c_str());
  return cuda.*member ? 0 : 1;
}

int32_t openProducts(void *self, char *error, int64_t numBytes) {
  return openLibrary(self, &Cuda::blas, error, numBytes);
}
int32_t translateBlas(blas::Outcome outcome) {
  return outcome == blas::kNotSupported ? int32_t(kDeviceNoAlgorithm) : outcome ? kFirstOfBlas + outcome : 0;
}
void describeProducts(void *self, char *words, int64_t numBytes) {
  std::snprintf(words, size_t(numBytes), "cuBLASLt %zu", static_cast<Cuda *>(self)->blas->version());
}
int32_t makeProduct(void *self, const ProductProblem *problem, ProductChoice *choice, void **plan) {
  (void)callsOf(self);
  std::unique_ptr<ProductPlan> made;
  blas::Outcome outcome = static_cast<Cuda *>(self)->blas->make(*problem, *choice, made);
  *plan = made.release();
  return translateBlas(outcome);
}
int32_t runProduct(void *self, void *plan, const ProductBuffers *buffers, void *stream) {
  return timed(self, "compute", "library call", 0, stream, [&] {
    (void)callsOf(self);
    return translateBlas(static_cast<Cuda *>(self)->blas->run(*static_cast<ProductPlan *>(plan), *buffers,
                                                              static_cast<cuda::Stream>(stream)));
  });
}
int32_t dropProduct(void *, void *plan) {
  delete static_cast<ProductPlan *>(plan);
  return 0;
}

int32_t openDnn(void *self, char *error, int64_t numBytes) { return openLibrary(self, &Cuda::dnn, error, numBytes); }
int32_t translateDnn(dnn::Outcome outcome) {
  return dnn::isNotSupported(outcome) ? int32_t(kDeviceNoPlan) : outcome ? kFirstOfDnn + outcome : 0;
}
int32_t makeDnnPlan(void *self, const DnnProblem *problem, void **plan) {
  (void)callsOf(self);
  std::unique_ptr<CudnnPlan> made;
  dnn::Outcome outcome = static_cast<Cuda *>(self)->dnn->make(*problem, made);
  *plan = made.release();
  return translateDnn(outcome);
}
int32_t runDnnPlan(void *self, void *plan, const DnnBuffers *buffers, void *stream) {
  return timed(self, "compute", "library call", 0, stream, [&] {
    (void)callsOf(self);
    return translateDnn(static_cast<Cuda *>(self)->dnn->run(*static_cast<CudnnPlan *>(plan), *buffers,
                                                            static_cast<cuda::Stream>(stream)));
  });
}
int32_t dropDnnPlan(void *, void *plan) {
  delete static_cast<CudnnPlan *>(plan);
  return 0;
}

int32_t closeDevice(void *self) {
  std::unique_ptr<Cuda> cuda(static_cast<Cuda *>(self));
  (void)callsOf(self);
  cuda->blas.reset(), cuda->dnn.reset();
  if (cuda->timeline)
    cuda->timeline->write();
  cuda->timeline.reset();
  return cuda->calls.releaseContext(cuda->device);
}

void explain(void *self, int32_t code, char *words, int64_t numBytes) {
  const Cuda &cuda = *static_cast<Cuda *>(self);
  const char *known = code == kDeviceFull          ? "its memory is full"
                      : code == kDeviceWrongImage  ? "the code was compiled for other chips"
                      : code == kDeviceNoKernel    ? "the code has no kernel of this name"
                      : code == kDeviceNoAlgorithm ? "cuBLASLt has no algorithm for it"
                      : code == kDeviceNoPlan      ? "cuDNN has no engine for it; some need libnvrtc.so.13"
                      : code >= kFirstOfDnn        ? cuda.dnn->wordsOf(code - kFirstOfDnn)
                      : code >= kFirstOfBlas       ? cuda.blas->wordsOf(code - kFirstOfBlas)
                                                   : nullptr;
  std::string said = known ? known : wordsOf(cuda.calls, code);
  std::snprintf(words, size_t(numBytes), "%s", said.c_str());
}

void fillTable(Device &device) {
  device.enter = enter, device.freeBytes = freeBytes;
  device.allocate = allocate, device.release = release;
  device.allocateHost = allocateHost, device.releaseHost = releaseHost;
  device.copyIn = copyIn, device.copyOut = copyOut;
  device.makeStream = makeStream, device.dropStream = dropStream;
  device.makeEvent = makeEvent, device.dropEvent = dropEvent;
  device.mark = mark, device.await = await, device.test = test;
  device.loadImage = loadImage, device.dropImage = dropImage;
  device.findKernel = findKernel, device.launch = launch;
  device.beginGraph = beginGraph, device.endGraph = endGraph;
  device.runGraph = runGraph, device.dropGraph = dropGraph;
  device.openProducts = openProducts, device.describeProducts = describeProducts;
  device.makeProduct = makeProduct;
  device.runProduct = runProduct, device.dropProduct = dropProduct;
  device.openDnn = openDnn, device.makeDnnPlan = makeDnnPlan;
  device.runDnnPlan = runDnnPlan, device.dropDnnPlan = dropDnnPlan;
  device.close = closeDevice, device.explain = explain;
}

} // namespace

extern "C" __attribute__((visibility("default"))) int32_t penstock_open_device(uint32_t version, int32_t index,
                                                                               Device *device, char *error,
                                                                               int64_t numBytes) {
  if (int32_t refused = checkVersion(version, error, numBytes))
    return refused;
  auto cuda = std::make_unique<Cuda>();
  int driver = 0, count = 0;
  std::string words;
  if (!startDriver(cuda->calls, driver, count, words))
    return refuse(error, numBytes, words);
  if (index < 0 || index >= count)
    return refuse(
        error, numBytes,
        text("no CUDA device %d: there %s %d%s", index, count == 1 ? "is" : "are", count, visibilityWords().c_str()));
  if (!describeDevice(cuda->calls, index, cuda->device, device->facts))
    return refuse(error, numBytes, text("the driver does not describe CUDA device %d", index));
  int least = 0;
  Result code = cuda->calls.retainContext(&cuda->context, cuda->device);
  if (code == kSuccess)
    code = cuda->calls.setContext(cuda->context);
  if (code == kSuccess)
    code = cuda->calls.priorities(&least, &cuda->urgentPriority);
  if (code != kSuccess) {
    if (cuda->context)
      (void)cuda->calls.releaseContext(cuda->device);
    return refuse(
        error, numBytes,
        text("cannot use CUDA device %d (%s): %s", index, device->facts.name, wordsOf(cuda->calls, code).c_str()));
  }
  std::snprintf(device->library, sizeof(device->library), "CUDA %s", versionWords(driver).c_str());
  cuda->timeline = CudaTimeline::open(cuda->calls, device->facts);
  fillTable(*device);
  device->self = cuda.release();
  return 0;
}
