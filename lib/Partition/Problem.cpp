//===- Problem.cpp - Checking a partition problem ---------------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// First the data (ranges, signs, cycles), then, when that is sound, whether pins and cuts contradict each other.
//===----------------------------------------------------------------------===//
#include "penstock/Partition/Problem.h"
#include "Core.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

using namespace penstock::partition;

namespace {

/// Sums beyond this are refused, so that no later addition overflows.
constexpr int64_t kMaxBytes = int64_t(1) << 56;
constexpr size_t kMaxErrors = 20;

std::string number(double value) {
  char text[40];
  std::snprintf(text, sizeof text, "%g", value);
  return text;
}

class Checker {
public:
  explicit Checker(const Problem &problem) : problem(problem), numKernels(static_cast<int>(problem.kernels.size())) {}

  std::vector<std::string> run() {
    checkCounts();
    checkKernels();
    checkValues();
    checkMachine();
    checkConstraints();
    checkTotals();
    if (errors.empty())
      checkCycles();
    if (errors.empty()) {
      Core core;
      errors = buildCore(problem, core);
    }
    return std::move(errors);
  }

private:
  const Problem &problem;
  int numKernels;
  std::vector<std::string> errors;

  void error(std::string text) {
    if (errors.size() < kMaxErrors)
      errors.push_back(std::move(text));
  }
  template <typename T> static std::string name(const char *what, const std::vector<T> &list, size_t index) {
    return std::string(what) + " " +
           (list[index].name.empty() ? "#" + std::to_string(index) : "'" + list[index].name + "'");
  }
  std::string kernelName(size_t k) const { return name("kernel", problem.kernels, k); }

  void checkCost(const std::string &thing, const char *what, double value) {
    if (!(value >= 0) || std::isinf(value))
      error(thing + " has " + what + " " + number(value) + "; expected a finite number, not negative");
  }
  void checkBytes(const std::string &thing, const char *what, int64_t value) {
    if (value < 0 || value > kMaxBytes)
      error(thing + " has " + what + " of " + std::to_string(value) + " bytes; expected 0 to 2^56");
  }
  bool checkIndex(const std::string &thing, const char *what, int index, int count) {
    if (index >= 0 && index < count)
      return true;
    error(thing + " names " + what + " " + std::to_string(index) + ", but there are " + std::to_string(count));
    return false;
  }

  void checkCounts() {
    if (problem.kernels.empty())
      error("there is no kernel to place");
    if (problem.stages.empty())
      error("the number of stages is 0; expected at least 1");
    else if (problem.numStages() > numKernels && numKernels)
      error("cannot make " + std::to_string(problem.numStages()) + " stages from " + std::to_string(numKernels) +
            (numKernels == 1 ? " kernel" : " kernels") + "; each stage needs at least one");
    if (problem.deviceClasses.empty())
      error("there is no device class; expected at least 1");
    if (problem.slotsPerSentValue < kSlotsByDepth || problem.slotsPerReceivedValue < kSlotsByDepth ||
        problem.slotsPerSentValue > 4096 || problem.slotsPerReceivedValue > 4096)
      error("slots per value are " + std::to_string(problem.slotsPerSentValue) + " sent and " +
            std::to_string(problem.slotsPerReceivedValue) + " received; expected 0 to 4096");
    if (problem.maxDepth < 0)
      error("the depth of channels is limited to " + std::to_string(problem.maxDepth) + "; expected at least 1, or 0");
  }

  void checkKernels() {
    for (size_t k = 0; k < problem.kernels.size(); ++k) {
      const Kernel &kernel = problem.kernels[k];
      if (kernel.seconds.size() != problem.deviceClasses.size())
        error(kernelName(k) + " has costs for " + std::to_string(kernel.seconds.size()) + " device classes; expected " +
              std::to_string(problem.deviceClasses.size()));
      for (double seconds : kernel.seconds)
        checkCost(kernelName(k), "a cost in seconds of", seconds);
      checkBytes(kernelName(k), "resident memory", kernel.residentBytes);
      checkBytes(kernelName(k), "a workspace", kernel.workspaceBytes);
      for (int weight : kernel.weights)
        checkIndex(kernelName(k), "weight", weight, static_cast<int>(problem.weights.size()));
    }
    for (size_t w = 0; w < problem.weights.size(); ++w)
      checkBytes(name("weight", problem.weights, w), "a length", problem.weights[w].numBytes);
  }

  void checkValues() {
    for (size_t v = 0; v < problem.values.size(); ++v) {
      const Value &value = problem.values[v];
      std::string thing = name("value", problem.values, v);
      checkBytes(thing, "a length", value.numBytes);
      if (value.producer != kSource && !checkIndex(thing, "as producer kernel", value.producer, numKernels))
        continue;
      for (int consumer : value.consumers)
        if (checkIndex(thing, "as consumer kernel", consumer, numKernels) && consumer == value.producer)
          error(kernelName(consumer) + " reads its own result " + thing.substr(6) +
                "; expected a graph without cycles");
    }
  }

  void checkLink(const std::string &thing, const Link &link) {
    checkCost(thing, "a latency in seconds of", link.latencySeconds);
    if (!(link.bytesPerSecond > 0))
      error(thing + " has a bandwidth of " + number(link.bytesPerSecond) + " bytes per second; expected more than 0");
  }

  void checkMachine() {
    for (size_t s = 0; s < problem.stages.size(); ++s) {
      std::string thing = "stage " + std::to_string(s);
      checkIndex(thing, "device class", problem.stages[s].deviceClass, static_cast<int>(problem.deviceClasses.size()));
      if (problem.stages[s].memoryLimitBytes <= 0)
        error(thing + " has a memory limit of " + std::to_string(problem.stages[s].memoryLimitBytes) +
              " bytes; expected more than 0");
      checkBytes(thing, "reserved memory", problem.stages[s].reservedBytes);
    }
    if (!problem.links.empty() && problem.links.size() + 1 != problem.stages.size())
      error("there are " + std::to_string(problem.links.size()) + " links for " +
            std::to_string(problem.stages.size()) + " stages; expected one per boundary, or none");
    for (size_t i = 0; i < problem.links.size(); ++i)
      checkLink("the link at boundary " + std::to_string(i), problem.links[i]);
    checkLink("the link from the source", problem.sourceLink);
    checkLink("the link to the sink", problem.sinkLink);
  }

  void checkConstraints() {
    std::vector<int> pinnedTo(problem.kernels.size(), -1);
    for (size_t p = 0; p < problem.pins.size(); ++p) {
      const Pin &pin = problem.pins[p];
      std::string thing = "pin #" + std::to_string(p);
      if (!checkIndex(thing, "kernel", pin.kernel, numKernels) ||
          !checkIndex(thing, "stage", pin.stage, problem.numStages()))
        continue;
      int &stage = pinnedTo[pin.kernel];
      if (stage >= 0 && stage != pin.stage)
        error(kernelName(pin.kernel) + " is pinned to stage " + std::to_string(stage) + " and to stage " +
              std::to_string(pin.stage));
      stage = pin.stage;
    }
    for (size_t c = 0; c < problem.cuts.size(); ++c) {
      const Cut &cut = problem.cuts[c];
      std::string thing = name("cut", problem.cuts, c);
      if (cut.before.empty())
        error(thing + " names no kernel that comes before it");
      for (int kernel : cut.before)
        checkIndex(thing, "kernel", kernel, numKernels);
      for (int kernel : cut.after)
        checkIndex(thing, "kernel", kernel, numKernels);
      if (cut.boundary)
        checkIndex(thing, "boundary", *cut.boundary, problem.numStages() - 1);
    }
    for (size_t g = 0; g < problem.colocations.size(); ++g)
      for (int kernel : problem.colocations[g].kernels)
        checkIndex(name("colocation group", problem.colocations, g), "kernel", kernel, numKernels);
  }

  /// Keeps all sums of bytes far from overflow, and all sums of seconds finite.
  void checkTotals() {
    if (!errors.empty())
      return;
    double bytes = 0, seconds = 0;
    auto count = [&](int slots) { return slots == kSlotsByDepth ? problem.numStages() + 2.0 : slots; };
    double slots = 1.0 + count(problem.slotsPerSentValue) + count(problem.slotsPerReceivedValue);
    for (const Device &stage : problem.stages)
      bytes += static_cast<double>(stage.reservedBytes);
    for (const Value &value : problem.values)
      bytes += slots * static_cast<double>(value.numBytes) * (1.0 + static_cast<double>(value.consumers.size()));
    for (const Weight &weight : problem.weights)
      bytes += static_cast<double>(weight.numBytes);
    for (const Kernel &kernel : problem.kernels) {
      bytes += static_cast<double>(kernel.residentBytes) + static_cast<double>(kernel.workspaceBytes);
      for (double s : kernel.seconds)
        seconds += s;
    }
    double copies = std::max(1, problem.numStages());
    if (bytes * copies > 4e18)
      error("all weights, values and workspaces together have about " + number(bytes) + " bytes; expected at most " +
            number(4e18 / copies));
    if (!std::isfinite(seconds * copies))
      error("the costs of all kernels together are not finite");
  }

  void checkCycles() {
    std::vector<std::vector<int>> succs(problem.kernels.size());
    std::vector<int> numPreds(problem.kernels.size(), 0);
    for (const Value &value : problem.values)
      if (value.producer != kSource)
        for (int consumer : value.consumers) {
          succs[value.producer].push_back(consumer);
          ++numPreds[consumer];
        }
    std::vector<int> ready;
    for (int k = 0; k < numKernels; ++k)
      if (!numPreds[k])
        ready.push_back(k);
    size_t numDone = 0;
    while (!ready.empty()) {
      int kernel = ready.back();
      ready.pop_back();
      ++numDone;
      for (int succ : succs[kernel])
        if (--numPreds[succ] == 0)
          ready.push_back(succ);
    }
    if (numDone < problem.kernels.size())
      error("the kernels form a cycle: " + describeCycle(succs, numPreds));
  }

  /// Walks backwards among what is left until a kernel repeats.
  std::string describeCycle(const std::vector<std::vector<int>> &succs, const std::vector<int> &numPreds) const {
    std::vector<int> pred(problem.kernels.size(), -1);
    int start = -1;
    for (int k = 0; k < numKernels; ++k)
      if (numPreds[k] > 0) {
        start = k;
        for (int succ : succs[k])
          pred[succ] = k;
      }
    std::vector<int> seenAt(problem.kernels.size(), -1), path;
    int at = start;
    while (seenAt[at] < 0) {
      seenAt[at] = static_cast<int>(path.size());
      path.push_back(at);
      at = pred[at];
    }
    std::string text = kernelName(at).substr(7);
    for (int i = static_cast<int>(path.size()) - 1; i >= seenAt[at]; --i)
      text += " -> " + kernelName(path[i]).substr(7);
    return text;
  }
};

} // namespace

std::vector<std::string> Problem::check() const { return Checker(*this).run(); }

const char *penstock::partition::toString(Method method) {
  switch (method) {
  case Method::Exact:
    return "exact";
  case Method::Absorbed:
    return "absorbed";
  case Method::Beam:
    return "beam";
  }
  return "unknown";
}

const char *penstock::partition::toString(Balance balance) {
  switch (balance) {
  case Balance::Time:
    return "time";
  case Balance::Params:
    return "params";
  case Balance::Memory:
    return "memory";
  case Balance::Uniform:
    return "uniform";
  }
  return "unknown";
}
