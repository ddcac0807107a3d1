//===- BenchCommand.cpp - penstock bench -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
// Measures a compiled folder with random inputs: the runtime's own routine, and its figures as a table.
//===----------------------------------------------------------------------===//
#include "Commands.h"

#include "penstock/rt/Bench.h"

#include <cmath>
#include <cstdio>
#include <memory>

namespace penstock::tool {
namespace {

struct BenchCommand {
  CommonOptions common;
  std::string folder;
  rt::BenchOptions options;
  std::vector<std::string> dims, shapes;
  uint64_t seed = 1;
  double timeoutSeconds = 30;

  void addOptions(CLI::App &app);
  int run();
  rt::Status measure(rt::BenchResult &result);
};

void BenchCommand::addOptions(CLI::App &app) {
  addCommonOptions(app, common);
  app.add_option("DIR", folder, "a folder that penstock compile wrote")->required();
  app.add_option("--seconds", options.seconds,
                 "how long to measure: with one request at a time, then as long under load")
      ->type_name("S")
      ->check(CLI::Range(0.001, 1e6).description(""))
      ->capture_default_str();
  app.add_option("--warmup", options.warmupSeconds, "how long to run before each of the two")
      ->type_name("S")
      ->check(CLI::Range(0.0, 1e6).description(""))
      ->capture_default_str();
  app.add_option("--inflight", options.inFlight, "requests in flight under load (default: 2 * stages + 1)")
      ->type_name("K")
      ->check(atLeastOne());
  app.add_option("--rate", options.rate, "requests per second that arrive, whatever the pipeline does")
      ->type_name("R")
      ->check(CLI::Range(1e-3, 1e9).description(""));
  app.add_option("--dim", dims, "value of a free dimension")->type_name("NAME=N");
  app.add_option("--shape", shapes, "shape of an input, as x=1x3x224x224")->type_name("INPUT=SHAPE");
  app.add_option("--seed", seed, "of the random inputs")->type_name("N")->capture_default_str();
  app.add_option("--timeout", timeoutSeconds, "seconds to wait without progress; 0: for ever")
      ->type_name("S")
      ->check(CLI::Range(0.0, 1e9).description(""))
      ->capture_default_str();
}

/// What can be wrong in what the user gave is found before a stage is started.
rt::Status BenchCommand::measure(rt::BenchResult &result) {
  rt::Plan plan;
  if (rt::Status status = rt::Plan::load(folder, plan); !status.ok())
    return status;
  rt::RandomInputs how;
  how.seed = seed;
  for (const std::string &text : dims)
    if (rt::Status status = rt::parseDimOption(text, how); !status.ok())
      return status;
  for (const std::string &text : shapes)
    if (rt::Status status = rt::parseShapeOption(text, how); !status.ok())
      return status;
  rt::TensorMap inputs;
  if (rt::Status status = rt::addRandomInputs(plan, how, inputs); !status.ok())
    return status;
  if (rt::Status status = rt::checkInputs(plan, rt::viewsOf(inputs)); !status.ok())
    return status;
  rt::SessionOptions sessionOptions;
  sessionOptions.timeoutNs = int64_t(timeoutSeconds * 1e9);
  std::unique_ptr<rt::Session> session;
  if (rt::Status status = rt::Session::open(folder, sessionOptions, session); !status.ok())
    return status;
  if (rt::Status status = rt::bench(*session, inputs, options, result); !status.ok())
    return status;
  return session->close();
}

void printLatency(const char *when, const rt::Latency &latency) {
  std::printf("latency     %-24s p50 %.4g ms, p99 %.4g ms (%lld requests)\n", when, latency.p50Ms, latency.p99Ms,
              (long long)latency.count);
}

void printStages(const std::vector<rt::BenchStage> &stages) {
  int width = 5;
  for (const rt::BenchStage &stage : stages)
    width = std::max(width, int(stage.name.size()));
  std::printf("\n%-*s  %10s  %10s  %10s  %6s  %10s  %12s  %s\n", width, "stage", "busy ms", "wait ms", "send ms",
              "busy", "alone ms", "predicted ms", "measured/predicted");
  for (const rt::BenchStage &stage : stages) {
    std::string predicted = stage.predictedMs < 0 ? "-" : rt::format("%.4g", stage.predictedMs);
    std::string ratio = stage.predictedMs > 0 ? rt::format("%.2f", stage.busyMs / stage.predictedMs) : "-";
    std::printf("%-*s  %10.4g  %10.4g  %10.4g  %5.1f%%  %10.4g  %12s  %s\n", width, stage.name.c_str(), stage.busyMs,
                stage.waitMs, stage.sendMs, 100 * stage.busyShare, stage.aloneMs, predicted.c_str(), ratio.c_str());
  }
}

void printChannels(const std::vector<rt::ChannelFigures> &channels) {
  int width = 7;
  for (const rt::ChannelFigures &channel : channels)
    width = std::max(width, int(channel.name.size()));
  std::printf("\n%-*s  %10s  %14s  %12s  %-24s  %s\n", width, "channel", "messages", "bytes", "copied", "transport",
              "tensor");
  for (const rt::ChannelFigures &channel : channels)
    std::printf("%-*s  %10lld  %14lld  %12lld  %-24s  %s\n", width, channel.name.c_str(), (long long)channel.messages,
                (long long)channel.bytes, (long long)channel.bytesCopied, rt::transportWords(channel).c_str(),
                channel.tensor.c_str());
}

void printResult(const rt::BenchResult &result) {
  std::printf("throughput  %.4g requests per second, %lld in flight, %lld microbatch%s each; stages %s\n",
              result.throughputPerSecond, (long long)result.inFlight, (long long)result.microbatchesPerRequest,
              result.microbatchesPerRequest == 1 ? "" : "es",
              result.spinning ? "spin before they sleep" : "sleep at once: fewer cores than threads");
  if (result.limitPerSecond > 0)
    std::printf(
        "limit       %.4g requests per second if the slowest stage, measured alone, were always busy: %.0f%% reached\n",
        result.limitPerSecond, 100 * result.throughputPerSecond / result.limitPerSecond);
  if (result.predictedPeriodMs > 0)
    std::printf("period      %.4g ms per microbatch, predicted %.4g ms (measured/predicted %.2f): %s\n",
                result.periodMs, result.predictedPeriodMs, result.periodMs / result.predictedPeriodMs,
                result.periodLimit.c_str());
  else
    std::printf("period      %.4g ms per microbatch; the plan predicts none\n", result.periodMs);
  printLatency("one request in flight", result.alone);
  printLatency("under load", result.loaded);
  printStages(result.stages);
  printChannels(result.channels);
}

int BenchCommand::run() {
  rt::BenchResult result;
  if (rt::Status status = measure(result); !status.ok()) {
    std::fprintf(stderr, "error: %s\n", status.message().c_str());
    return status.exitStatus();
  }
  if (common.json)
    std::printf("%s\n", rt::benchToJson(result).c_str());
  else if (!common.quiet)
    printResult(result);
  return 0;
}

} // namespace

Command addBenchCommand(CLI::App &parent) {
  return addCommand<BenchCommand>(parent, "bench", "measure a compiled folder: throughput, latency, stages, channels");
}

} // namespace penstock::tool
