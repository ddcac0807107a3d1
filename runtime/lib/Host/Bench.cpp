//===- Bench.cpp - Measuring a session ---------------------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "penstock/rt/Bench.h"

#include "FiguresJson.h"
#include "penstock/rt/Prove.h"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

namespace penstock {
namespace rt {

namespace {

/// Keeps requests coming for a time and measures each. One thread submits, another collects.
class Load {
public:
  Load(Session &session, const TensorMap &inputs, int64_t inFlight, double rate)
      : session(session), views(viewsOf(inputs)), inFlight(inFlight), rate(rate) {}

  Status run(double seconds, int64_t maxRequests) {
    latencies.clear();
    ended = false;
    failure = Status();
    int64_t begin = nowNs(), until = begin + int64_t(seconds * 1e9);
    std::thread collector([this] { collect(); });
    Status status;
    for (int64_t i = 0; i < maxRequests && (i == 0 || nowNs() < until) && status.ok(); ++i)
      status = submitOne(begin, i);
    {
      std::lock_guard<std::mutex> lock(mutex);
      ended = true;
      changed.notify_all();
    }
    collector.join();
    elapsedNs = nowNs() - begin;
    return failure.ok() ? status : failure;
  }

  std::vector<double> latencies; ///< ms
  int64_t elapsedNs = 0;

private:
  struct Item {
    int64_t request, beginNs;
  };

  Status submitOne(int64_t begin, int64_t index) {
    int64_t arrival = nowNs();
    if (rate > 0) {
      // Latency counts from when the request was due, so that a pipeline that falls behind cannot hide it.
      arrival = begin + int64_t(double(index) * 1e9 / rate);
      int64_t early = arrival - nowNs();
      if (early > 0)
        std::this_thread::sleep_for(std::chrono::nanoseconds(early));
    } else {
      std::unique_lock<std::mutex> lock(mutex);
      changed.wait(lock, [&] { return open < inFlight || !failure.ok(); });
      arrival = nowNs();
    }
    int64_t request;
    if (Status status = session.submit(views, request); !status.ok())
      return status;
    std::lock_guard<std::mutex> lock(mutex);
    ++open;
    items.push_back({request, arrival});
    changed.notify_all();
    return failure;
  }

  void collect() {
    for (;;) {
      Item item;
      {
        std::unique_lock<std::mutex> lock(mutex);
        changed.wait(lock, [&] { return !items.empty() || ended; });
        if (items.empty())
          return;
        item = items.front();
        items.pop_front();
      }
      TensorMap outputs;
      Status status = session.collect(item.request, outputs);
      latencies.push_back(double(nowNs() - item.beginNs) * 1e-6);
      std::lock_guard<std::mutex> lock(mutex);
      --open;
      if (failure.ok())
        failure = status;
      changed.notify_all();
    }
  }

  Session &session;
  TensorViewMap views;
  int64_t inFlight;
  double rate;
  std::mutex mutex; ///< guards what follows
  std::condition_variable changed;
  std::deque<Item> items;
  int64_t open = 0;
  bool ended = false;
  Status failure;
};

} // namespace

static Latency summarizeLatency(std::vector<double> values) {
  Latency result;
  result.count = int64_t(values.size());
  if (values.empty())
    return result;
  std::sort(values.begin(), values.end());
  auto at = [&](double share) { return values[std::min(values.size() - 1, size_t(share * double(values.size())))]; };
  result.p50Ms = at(0.5);
  result.p99Ms = at(0.99);
  return result;
}

/// The kernels of a stage under load; none where the plan does not name as many as the stage has run.
static void takeKernels(const PlanStage &plan, const StageFigures &before, const StageFigures &after, double count,
                        BenchStage &stage) {
  if (plan.steps.size() != after.stepNs.size() || before.stepNs.size() != after.stepNs.size())
    return;
  for (size_t i = 0; i < plan.steps.size(); ++i)
    stage.kernels.push_back(
        {plan.steps[i].name, plan.steps[i].kernel, double(after.stepNs[i] - before.stepNs[i]) * 1e-6 / count});
}

/// Busy time per microbatch of each stage while one request was in flight, so that no other stage ran.
static std::vector<double> takeAlone(const std::vector<StageFigures> &before, const std::vector<StageFigures> &after) {
  std::vector<double> result;
  for (size_t i = 0; i < after.size(); ++i)
    result.push_back(double(after[i].busyNs - before[i].busyNs) * 1e-6 /
                     double(std::max<int64_t>(1, after[i].microbatches - before[i].microbatches)));
  return result;
}

static void takeStages(const Session &session, const std::vector<StageFigures> &before, int64_t elapsedNs,
                       BenchResult &result) {
  std::vector<StageFigures> after = session.stageFigures();
  for (size_t i = 0; i < after.size(); ++i) {
    BenchStage stage;
    double count = double(std::max<int64_t>(1, after[i].microbatches - before[i].microbatches));
    stage.name = after[i].name;
    stage.busyMs = double(after[i].busyNs - before[i].busyNs) * 1e-6 / count;
    stage.waitMs = double(after[i].waitNs - before[i].waitNs) * 1e-6 / count;
    stage.sendMs = double(after[i].sendNs - before[i].sendNs) * 1e-6 / count;
    stage.busyShare = double(after[i].busyNs - before[i].busyNs) / double(std::max<int64_t>(1, elapsedNs));
    stage.predictedMs = session.plan().stages[i].predictedMs;
    takeKernels(session.plan().stages[i], before[i], after[i], count, stage);
    result.stages.push_back(stage);
  }
}

Status bench(Session &session, const TensorMap &inputs, const BenchOptions &options, BenchResult &result) {
  result = BenchResult();
  result.inFlight = options.inFlight > 0 ? options.inFlight : 2 * int64_t(session.plan().stages.size()) + 1;
  result.spinning = session.spinning();
  Load alone(session, inputs, 1, 0), loaded(session, inputs, result.inFlight, options.rate);
  if (Status status = alone.run(options.warmupSeconds, options.maxRequests); !status.ok())
    return status;
  std::vector<StageFigures> before = session.stageFigures();
  if (Status status = alone.run(options.seconds, options.maxRequests); !status.ok())
    return status;
  int64_t numRequests = std::max<int64_t>(1, int64_t(alone.latencies.size()));
  std::vector<double> aloneMs = takeAlone(before, session.stageFigures());
  int64_t microbatches = session.stageFigures()[0].microbatches - before[0].microbatches;
  result.microbatchesPerRequest = std::max<int64_t>(1, (microbatches + numRequests / 2) / numRequests);
  result.alone = summarizeLatency(alone.latencies);
  if (Status status = loaded.run(options.warmupSeconds, options.maxRequests); !status.ok())
    return status;
  std::vector<StageFigures> stages = session.stageFigures();
  std::vector<ChannelFigures> channels = session.channelFigures();
  if (Status status = loaded.run(options.seconds, options.maxRequests); !status.ok())
    return status;
  takeStages(session, stages, loaded.elapsedNs, result);
  double slowestMs = 0;
  for (size_t i = 0; i < aloneMs.size(); ++i) {
    result.stages[i].aloneMs = aloneMs[i];
    slowestMs = std::max(slowestMs, aloneMs[i]);
  }
  if (slowestMs > 0)
    result.limitPerSecond = 1e3 / (slowestMs * double(result.microbatchesPerRequest));
  result.channels = session.channelFigures();
  for (size_t i = 0; i < channels.size(); ++i) {
    result.channels[i].messages -= channels[i].messages;
    result.channels[i].bytes -= channels[i].bytes;
    result.channels[i].bytesCopied -= channels[i].bytesCopied;
  }
  result.loaded = summarizeLatency(loaded.latencies);
  result.throughputPerSecond = double(loaded.latencies.size()) * 1e9 / double(std::max<int64_t>(1, loaded.elapsedNs));
  if (result.throughputPerSecond > 0)
    result.periodMs = 1e3 / (result.throughputPerSecond * double(result.microbatchesPerRequest));
  PlanProof proof;
  Status status = provePlan(session.plan(), proof);
  result.predictedPeriodMs = proof.periodMs;
  result.periodLimit = proof.limit;
  return status;
}

std::string benchToJson(const BenchResult &result) {
  using nlohmann::ordered_json;
  auto latency = [](const Latency &value) {
    return ordered_json{{"p50", value.p50Ms}, {"p99", value.p99Ms}, {"count", value.count}};
  };
  auto kernels = [](const BenchStage &stage) {
    ordered_json list = ordered_json::array();
    for (const BenchKernel &kernel : stage.kernels)
      list.push_back({{"name", kernel.name}, {"kernel", kernel.kernel}, {"ms", kernel.ms}});
    return list;
  };
  ordered_json root = {
      {"throughput_per_second", result.throughputPerSecond},
      {"limit_per_second", result.limitPerSecond},
      {"in_flight", result.inFlight},
      {"microbatches_per_request", result.microbatchesPerRequest},
      {"spinning", result.spinning},
      {"period_ms",
       {{"measured", result.periodMs},
        {"predicted", result.predictedPeriodMs < 0 ? ordered_json() : ordered_json(result.predictedPeriodMs)},
        {"limit", result.periodLimit}}},
      {"latency_ms", latency(result.alone)},
      {"latency_under_load_ms", latency(result.loaded)},
      {"stages", ordered_json::array()},
      {"channels", ordered_json::array()}};
  for (const BenchStage &stage : result.stages)
    root["stages"].push_back(
        {{"name", stage.name},
         {"busy_ms", stage.busyMs},
         {"wait_ms", stage.waitMs},
         {"send_ms", stage.sendMs},
         {"busy_share", stage.busyShare},
         {"alone_ms", stage.aloneMs},
         {"predicted_ms", stage.predictedMs < 0 ? ordered_json() : ordered_json(stage.predictedMs)},
         {"kernels", kernels(stage)}});
  for (const ChannelFigures &channel : result.channels)
    root["channels"].push_back(channelToJson(channel));
  return root.dump(2, ' ', false, ordered_json::error_handler_t::replace);
}

} // namespace rt
} // namespace penstock
