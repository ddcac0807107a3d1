//===- BenchRunner.h - Kernels timed on a device -------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Times kernels as a stage runs them: through the plug-in, many launches in one graph, graph behind graph on one
// stream, from the first one's begin to the last one's end by the host's clock. Each launch of a round has tensors of
// its own, so many that together they exceed the caches of the device where they are not very small; weights are read
// from memory, then, as in a model. The gap between two kernels of a graph is part of their time.
//
// Units: bytes. Threads: one.
//
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_TEST_GPU_BENCHRUNNER_H
#define PENSTOCK_TEST_GPU_BENCHRUNNER_H

#include "ByHand.h"
#include "CaseCode.h"
#include "Stage.h"

namespace penstock::test {

struct BenchOptions {
  int64_t touchedBytes = 256 << 20; ///< that the launches of a round read and write together, at least
  int64_t leastNs = 20000000;       ///< of one measurement
};

struct Figure {
  double us = 0;
  int64_t numBytes = 0;     ///< that one run must read and write
  int64_t touchedBytes = 0; ///< by a round; where it is little, the caches were measured
  int64_t flops = 0;        ///< of a product or a convolution
  double handUs = 0;        ///< of the fastest of what the library lists; 0: there is none
  int64_t handNumber = 0;   ///< that one's, from 1 on
  int64_t numWays = 0;
};

class BenchRunner {
public:
  /// `path`: of the folder. kSystem: there is no device, or it cannot be used.
  static rt::Status open(const std::string &path, const CaseFolder &folder, const BenchOptions &options,
                         std::unique_ptr<BenchRunner> &runner);
  ~BenchRunner();

  const rt::Device &device() const { return table; }
  /// Bytes per second that a copy within the device reads and writes.
  rt::Status measureCopy(double &bytesPerSecond);
  /// kSystem: a library that the kernel needs is missing.
  rt::Status measure(const Case &test, Figure &figure);

private:
  using Enqueue = std::function<rt::Status()>;

  BenchRunner(const CaseFolder &folder, const BenchOptions &options) : folder(folder), options(options) {}
  rt::Status openDevice(const std::string &path);
  /// How many sets of tensors of so many bytes a round has.
  int64_t numSetsOf(int64_t setBytes) const;
  rt::Status fill(const Case &test, int64_t setBytes);
  rt::Status copyIn(char *to, int32_t dtype, int64_t numBytes);
  /// The fastest of `numMeasurements`; `round` gives `numLaunches` launches to the compute stream.
  rt::Status time(const Enqueue &round, int64_t numLaunches, int64_t leastNs, int numMeasurements, double &us);
  /// The same, with the launches as a graph, once `launches` has done all that must not be in one.
  rt::Status timeGraph(const Enqueue &launches, int64_t numLaunches, int64_t leastNs, int numMeasurements, double &us);
  rt::Status measureRounds(const Enqueue &round, int64_t numRounds, int64_t &ns);
  rt::Status measureByHand(rt::CudaKernels &kernels, Figure &figure);
  /// Zero microseconds: the library refuses what it has listed.
  rt::Status timeWay(const ByHand::Ways &ways, size_t number, int64_t leastNs, int numMeasurements, double &us);
  rt::Status finish();
  char *tensors() const { return static_cast<char *>(stage->part(0)); }
  void *workspace() const { return stage->part(1); }

  const CaseFolder &folder;
  BenchOptions options;
  CaseCode code;
  rt::Device table;
  rt::DeviceEvent event;
  std::unique_ptr<rt::DeviceStage> stage;
  std::unique_ptr<ByHand> byHand;
  void *pinned = nullptr;
  int32_t pinnedType = 0; ///< of the numbers in it
  int64_t roomBytes = 0;  ///< for tensors
  int64_t numGraphs = 0;
};

} // namespace penstock::test

#endif // PENSTOCK_TEST_GPU_BENCHRUNNER_H
