//===- ProofTime.cpp - How long the proof takes -------------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The proof that the compiler and `launch` run (schedule::verify), over pipelines with skip connections, of 1 to 1,024
// stages with 32 kernels each: every stage on a role of its own, and several on one. bench/proof.py prints the figures.
//===----------------------------------------------------------------------===//
#include "penstock/Schedule/Algorithms.h"

#include <benchmark/benchmark.h>

using namespace penstock::schedule;

/// Neighbours joined, and every fourth stage to one eight stages on and to the last one.
static Problem makePipeline(int32_t numStages, int32_t stagesPerRole) {
  Problem problem;
  int32_t numRoles = (numStages + stagesPerRole - 1) / stagesPerRole;
  auto join = [&](int32_t producer, std::vector<int32_t> consumers) {
    Channel channel;
    channel.name = "c" + std::to_string(problem.channels.size());
    channel.tensor = "/blk." + std::to_string(producer) + "/add";
    channel.type = "tensor<?x128x768xf32, #nn.extents<[s0, 128, 768]>>";
    channel.producer = producer;
    channel.consumers = std::move(consumers);
    problem.channels.push_back(std::move(channel));
  };
  for (int32_t i = 0; i < numStages; ++i) {
    Stage stage;
    stage.role = i % numRoles;
    stage.timeNs = 1000000 + 7919 * (i % 101);
    for (int32_t k = 0; k < 32; ++k) {
      problem.kernels.push_back("/blk." + std::to_string(i) + "/" + std::to_string(k));
      stage.kernels.push_back({problem.kernels.back(), problem.kernels.back(), ""});
    }
    problem.stages.push_back(std::move(stage));
    join(i - 1, {i}); // the first one comes from the source
    if (i % 4 == 0 && i + 8 < numStages - 1)
      join(i, {i + 8, numStages - 1});
  }
  join(numStages - 1, {kSink});
  return problem;
}

static void proveIt(benchmark::State &state) {
  Problem problem = makePipeline(static_cast<int32_t>(state.range(0)), static_cast<int32_t>(state.range(1)));
  Schedule schedule;
  std::string error;
  if (!makeSchedule(problem, schedule, error))
    return state.SkipWithError(error.c_str());
  for (auto _ : state) {
    Verdict verdict = verify(problem, schedule);
    if (!verdict.holds())
      return state.SkipWithError(verdict.faults.front().c_str());
    benchmark::DoNotOptimize(verdict.proof.period);
  }
}
BENCHMARK(proveIt)
    ->ArgNames({"stages", "per_role"})
    ->ArgsProduct({{1, 4, 16, 64, 256, 1024}, {1}})
    ->ArgsProduct({{16, 64}, {8}})
    ->Unit(benchmark::kMillisecond);

BENCHMARK_MAIN();
