//===- Bench.h - Measuring a session -----------------------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Random inputs, and the figures that `penstock bench` and `launch --repeat` print: throughput, latency with one
// request in flight and under load, what each stage spent its time on, what each channel carried.
//
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_RT_BENCH_H
#define PENSTOCK_RT_BENCH_H

#include "penstock/rt/Session.h"

namespace penstock {
namespace rt {

/// What stands in for real inputs.
struct RandomInputs {
  std::map<std::string, int64_t> dims;                ///< values of dimension symbols
  std::map<std::string, std::vector<int64_t>> shapes; ///< whole shapes of inputs
  uint64_t seed = 1;
};

/// Fills in every input of the plan that `inputs` lacks: floats in [0, 1), integers 0 or 1. Symbols that are not given
/// take their value from inputs that are there, else their typical value, else the upper bound, else 128 (1 for the
/// batch).
Status addRandomInputs(const Plan &plan, const RandomInputs &how, TensorMap &inputs);
/// "batch=3" and "x=1x3x224x224", as on the command line.
Status parseDimOption(const std::string &text, RandomInputs &how);
Status parseShapeOption(const std::string &text, RandomInputs &how);

struct BenchOptions {
  double seconds = 3, warmupSeconds = 0.5; ///< of each of the two measurements
  int64_t inFlight = 0;                    ///< under load; 0: twice the number of stages plus one
  double rate = 0; ///< requests per second that arrive whatever the pipeline does; 0: as inFlight allows
  int64_t maxRequests = INT64_MAX; ///< of each measurement
};

struct Latency {
  double p50Ms = 0, p99Ms = 0;
  int64_t count = 0;
};

/// One kernel call of a stage.
struct BenchKernel {
  std::string name, kernel; ///< ONNX node; function
  double ms = 0;            ///< per microbatch, under load
};

struct BenchStage {
  std::string name;
  double busyMs = 0, waitMs = 0, sendMs = 0; ///< per microbatch
  double aloneMs = 0;                        ///< busy, while no other stage was: one request in flight
  double predictedMs = -1;                   ///< from the plan; -1: not known
  double busyShare = 0;                      ///< of the measured time
  std::vector<BenchKernel> kernels;
};

struct BenchResult {
  double throughputPerSecond = 0; ///< requests
  int64_t inFlight = 0, microbatchesPerRequest = 1;
  bool spinning = false; ///< stages spin and are pinned: there are cores enough
  /// What the slowest stage would allow, were it always busy and never disturbed by the others.
  double limitPerSecond = 0;
  /// Time between two microbatches under load; what the proof predicts from the plan's times, -1 where it has none, and
  /// what that comes from.
  double periodMs = 0, predictedPeriodMs = -1;
  std::string periodLimit;
  Latency alone, loaded;
  std::vector<BenchStage> stages;
  std::vector<ChannelFigures> channels; ///< under load
};

/// Measures with one request in flight, then under load.
Status bench(Session &session, const TensorMap &inputs, const BenchOptions &options, BenchResult &result);
/// The result as `bench --json` prints it.
std::string benchToJson(const BenchResult &result);

} // namespace rt
} // namespace penstock

#endif // PENSTOCK_RT_BENCH_H
