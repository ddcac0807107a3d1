//===- BenchRunner.cpp - Kernels timed on a device -----------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "BenchRunner.h"

#include "penstock/rt/Types.h"

#include <algorithm>
#include <cstring>
#include <dlfcn.h>
#include <random>

using namespace penstock;
using namespace penstock::test;
using rt::Status;

static constexpr const char *kWho = "a benchmark";
static constexpr int64_t kPatienceNs = 60000000000;
static constexpr int64_t kPinnedBytes = 4 << 20;
/// More sets of very small tensors fill no cache either.
static constexpr int64_t kMostSets = 512;
static constexpr int64_t kLeastLaunches = 16, kNumCopies = 8;
static constexpr int kNumMeasurements = 3;
/// What a library lists is tried for a shorter time; so many of the fastest are measured as everything else is.
static constexpr int64_t kTrialShare = 10;
static constexpr size_t kNumFinalists = 3;

static int64_t setBytesOf(const Case &test) {
  int64_t total = 0;
  for (const auto *tensors : {&test.inputs, &test.results})
    for (const CaseTensor &tensor : *tensors)
      total += rt::alignForDevice(tensor.numBytes);
  return total;
}

int64_t BenchRunner::numSetsOf(int64_t setBytes) const {
  return std::clamp<int64_t>((options.touchedBytes + setBytes - 1) / setBytes, 1, kMostSets);
}

/// Every set comes equally often.
static int64_t numLaunchesOf(int64_t numSets) { return (kLeastLaunches + numSets - 1) / numSets * numSets; }

Status BenchRunner::open(const std::string &path, const CaseFolder &folder, const BenchOptions &options,
                         std::unique_ptr<BenchRunner> &runner) {
  std::unique_ptr<BenchRunner> made(new BenchRunner(folder, options));
  if (Status status = made->code.open(path); !status.ok())
    return status;
  if (Status status = made->openDevice(path); !status.ok())
    return status;
  runner = std::move(made);
  return Status();
}

Status BenchRunner::openDevice(const std::string &path) {
  int64_t workspaceBytes = RT_CUDA_LIBRARY_ALIGNMENT;
  roomBytes = 2 * options.touchedBytes;
  for (const Case &test : folder.cases) {
    workspaceBytes = std::max(workspaceBytes, test.workspaceBytes);
    roomBytes = std::max(roomBytes, numSetsOf(setBytesOf(test)) * setBytesOf(test));
  }
  if (Status status = rt::loadDevice(path + "/" + kPluginFile, 0, table); !status.ok())
    return status;
  if (Status status = rt::DeviceEvent::make(table, kWho, event); !status.ok())
    return status;
  if (int32_t failure = table.allocateHost(table.self, kPinnedBytes, &pinned))
    return rt::deviceFailure(table, kWho, "allocate pinned memory", failure);
  byHand = std::make_unique<ByHand>();
  return rt::DeviceStage::open(table, kWho, {{"tensors", roomBytes}, {"workspace", workspaceBytes}}, rt::Watch(),
                               stage);
}

BenchRunner::~BenchRunner() {
  if (!table.self)
    return;
  (void)table.enter(table.self);
  byHand.reset(), stage.reset();
  event = rt::DeviceEvent();
  if (pinned)
    (void)table.releaseHost(table.self, pinned);
  (void)table.close(table.self);
}

//===----------------------------------------------------------------------===//
// Time
//===----------------------------------------------------------------------===//

/// Asks again and again, for a nap would be measured.
Status BenchRunner::finish() {
  int32_t failure = table.mark(table.self, event.get(), stage->compute().handle), happened = 0;
  int64_t deadlineNs = rt::nowNs() + kPatienceNs;
  while (!failure && !happened && rt::nowNs() < deadlineNs)
    failure = table.test(table.self, event.get(), &happened);
  if (failure)
    return rt::deviceFailure(table, kWho, "run", failure);
  return happened ? Status() : rt::fail(rt::Code::kTimeout, "it did not end within %lld s", kPatienceNs / 1000000000LL);
}

Status BenchRunner::measureRounds(const Enqueue &round, int64_t numRounds, int64_t &ns) {
  int64_t beginNs = rt::nowNs();
  Status status;
  for (int64_t i = 0; i < numRounds && status.ok(); ++i)
    status = round();
  if (status.ok())
    status = finish();
  ns = rt::nowNs() - beginNs;
  return status;
}

Status BenchRunner::time(const Enqueue &round, int64_t numLaunches, int64_t leastNs, int numMeasurements, double &us) {
  int64_t numRounds = 1, ns = 0, fastestNs = INT64_MAX;
  if (Status status = measureRounds(round, 1, ns); !status.ok()) // memory and clocks warm up
    return status;
  for (int measured = 0; measured < numMeasurements;) {
    if (Status status = measureRounds(round, numRounds, ns); !status.ok())
      return status;
    if (ns >= leastNs) {
      fastestNs = std::min(fastestNs, ns / numRounds);
      ++measured;
      continue;
    }
    numRounds = std::max(2 * numRounds, numRounds * leastNs / std::max<int64_t>(ns, 1));
    fastestNs = INT64_MAX, measured = 0;
  }
  us = double(fastestNs) / double(numLaunches) * 1e-3;
  return Status();
}

Status BenchRunner::timeGraph(const Enqueue &launches, int64_t numLaunches, int64_t leastNs, int numMeasurements,
                              double &us) {
  // Libraries load code when they are called first, which no graph may see.
  Status status = launches();
  if (status.ok())
    status = finish();
  if (!status.ok())
    return status;
  int64_t number = ++numGraphs;
  auto round = [&] { return stage->runGraph({number}, launches); };
  return time(round, numLaunches, leastNs, numMeasurements, us);
}

Status BenchRunner::measureCopy(double &bytesPerSecond) {
  // Beside the driver's calls that a stage needs.
  using Copy = int32_t (*)(unsigned long long to, unsigned long long from, size_t numBytes, void *stream);
  void *driver = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
  auto copy = driver ? reinterpret_cast<Copy>(dlsym(driver, "cuMemcpyDtoDAsync_v2")) : nullptr;
  if (!copy)
    return rt::fail(rt::Code::kSystem, "libcuda.so.1 has no 'cuMemcpyDtoDAsync_v2'");
  (void)table.enter(table.self);
  auto from = static_cast<unsigned long long>(reinterpret_cast<uintptr_t>(tensors()));
  int64_t numBytes = options.touchedBytes;
  auto round = [&]() -> Status {
    int32_t failure = 0;
    for (int64_t i = 0; i < kNumCopies && !failure; ++i)
      failure = copy(from + static_cast<unsigned long long>(numBytes), from, size_t(numBytes), stage->compute().handle);
    return failure ? rt::deviceFailure(table, kWho, "copy within the device", failure) : Status();
  };
  double us = 0;
  Status status = time(round, kNumCopies, options.leastNs, kNumMeasurements, us);
  bytesPerSecond = 2 * double(numBytes) / us * 1e6;
  return status;
}

//===----------------------------------------------------------------------===//
// Cases
//===----------------------------------------------------------------------===//

/// Numbers between -1 and 1, the same ones each time.
Status BenchRunner::copyIn(char *to, int32_t dtype, int64_t numBytes) {
  if (dtype != RT_F32 && dtype != RT_BF16)
    return rt::fail(rt::Code::kInvalid, "an input of type %s, expected f32 or bf16", rt::dtypeName(dtype));
  if (pinnedType != dtype) {
    if (Status status = finish(); !status.ok())
      return status;
    std::minstd_rand engine(1);
    std::uniform_real_distribution<float> uniform(-1, 1);
    int64_t elementBytes = rt::dtypeBytes(dtype);
    for (int64_t at = 0; at < kPinnedBytes; at += elementBytes) {
      float value = uniform(engine);
      // The upper half of an f32 is a bf16.
      std::memcpy(static_cast<char *>(pinned) + at, reinterpret_cast<char *>(&value) + sizeof(value) - elementBytes,
                  size_t(elementBytes));
    }
    pinnedType = dtype;
  }
  for (int64_t done = 0; done < numBytes; done += kPinnedBytes) {
    int64_t length = std::min(kPinnedBytes, numBytes - done);
    if (int32_t failure = table.copyIn(table.self, to + done, pinned, length, stage->compute().handle))
      return rt::deviceFailure(table, kWho, "copy tensors in", failure);
  }
  return Status();
}

Status BenchRunner::fill(const Case &test, int64_t setBytes) {
  for (int64_t set = 0; set < numSetsOf(setBytes); ++set) {
    char *to = tensors() + set * setBytes;
    for (const CaseTensor &input : test.inputs) {
      if (Status status = copyIn(to, input.dtype, input.numBytes); !status.ok())
        return status;
      to += rt::alignForDevice(input.numBytes);
    }
  }
  return finish();
}

Status BenchRunner::measure(const Case &test, Figure &figure) {
  const CaseKernel &kernel = folder.kernels[test.kernel];
  rt::CudaKernels kernels(*stage);
  rt_kernel_fn function = nullptr;
  Status status = code.find(kernel, function);
  if (status.ok())
    status = code.openLibrary(kernel, kernels);
  if (status.ok())
    status = code.load(kernel, kernels);
  int64_t setBytes = setBytesOf(test), numSets = numSetsOf(setBytes), numLaunches = numLaunchesOf(numSets);
  if (status.ok())
    status = fill(test, setBytes);
  if (!status.ok())
    return status;
  std::vector<std::vector<void *>> sets(static_cast<size_t>(numSets));
  for (size_t set = 0; set < sets.size(); ++set) {
    char *at = tensors() + int64_t(set) * setBytes;
    for (const auto *list : {&test.inputs, &test.results})
      for (const CaseTensor &tensor : *list) {
        sets[set].push_back(at);
        at += rt::alignForDevice(tensor.numBytes);
        figure.numBytes += set == 0 ? tensor.numBytes : 0;
      }
    sets[set].push_back(workspace());
  }
  figure.touchedBytes = numSets * figure.numBytes;
  auto launches = [&] {
    Status called;
    for (int64_t i = 0; i < numLaunches && called.ok(); ++i)
      called = code.call(function, kernels, sets[size_t(i % numSets)], test.symbols);
    return called;
  };
  status = timeGraph(launches, numLaunches, options.leastNs, kNumMeasurements, figure.us);
  return status.ok() ? measureByHand(kernels, figure) : status;
}

Status BenchRunner::measureByHand(rt::CudaKernels &kernels, Figure &figure) {
  ByHand::Ways ways;
  Status status;
  (void)table.enter(table.self);
  for (const rt::ProductProblem &problem : kernels.products().problems())
    status = byHand->find(problem, ways);
  for (const rt::DnnProblem &problem : kernels.dnn().problems())
    status = byHand->find(problem, ways);
  if (!status.ok() || ways.list.empty())
    return status;
  figure.flops = ways.flops;
  std::vector<std::pair<double, size_t>> tried;
  for (size_t number = 0; number < ways.list.size() && status.ok(); ++number) {
    double us = 0;
    status = timeWay(ways, number, options.leastNs / kTrialShare, 1, us);
    if (us > 0)
      tried.emplace_back(us, number);
  }
  std::sort(tried.begin(), tried.end());
  figure.numWays = int64_t(tried.size());
  tried.resize(std::min(tried.size(), kNumFinalists));
  for (auto [trialUs, number] : tried) {
    double us = 0;
    if (status.ok())
      status = timeWay(ways, number, options.leastNs, kNumMeasurements, us);
    if (us > 0 && (figure.handUs == 0 || us < figure.handUs))
      figure.handUs = us, figure.handNumber = int64_t(number) + 1;
  }
  return status;
}

Status BenchRunner::timeWay(const ByHand::Ways &ways, size_t number, int64_t leastNs, int numMeasurements, double &us) {
  int64_t numSets = numSetsOf(ways.setBytes), numLaunches = numLaunchesOf(numSets);
  int32_t refusal = 0;
  auto launches = [&]() -> Status {
    (void)table.enter(table.self);
    for (int64_t i = 0; i < numLaunches && !refusal; ++i)
      refusal = ways.list[number](tensors() + i % numSets * ways.setBytes, rt::scratchIn(workspace()),
                                  stage->compute().handle);
    return refusal ? rt::fail(rt::Code::kSystem, "the library refuses with code %d", refusal) : Status();
  };
  Status status = timeGraph(launches, numLaunches, leastNs, numMeasurements, us);
  return refusal ? Status() : status;
}
