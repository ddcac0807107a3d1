//===- RandomProblem.h - Small random problems for the partition tests -*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The same seed gives the same problem on every machine. Costs are multiples of 1/8, so that sums are exact.
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_TEST_UNIT_PARTITION_RANDOMPROBLEM_H
#define PENSTOCK_TEST_UNIT_PARTITION_RANDOMPROBLEM_H

#include "penstock/Partition/Problem.h"

#include <random>

namespace penstock::partition::test {

class RandomProblem {
public:
  explicit RandomProblem(unsigned seed) : random(seed * 2654435761u + 17) {}

  /// At most `maxKernels` kernels; with everything that a problem can have when `isRich`.
  Problem make(int numStages, int maxKernels, bool isRich) {
    Problem p;
    int n = between(numStages, maxKernels);
    if (isRich && chance(30))
      p.deviceClasses.push_back("gpu");
    for (int s = 0; s < numStages; ++s) {
      Device device;
      device.deviceClass = between(0, static_cast<int>(p.deviceClasses.size()) - 1);
      p.stages.push_back(device);
    }
    addKernels(p, n, isRich);
    addValues(p, n);
    p.slotsPerSentValue = 2;
    if (isRich) {
      addLinks(p);
      addMemory(p);
      addConstraints(p);
      p.isOverlapped = chance(70);
      if (chance(30))
        p.balance = static_cast<Balance>(between(0, 3));
    }
    return p;
  }

private:
  std::mt19937 random;

  int between(int low, int high) { return low + static_cast<int>(random() % static_cast<unsigned>(high - low + 1)); }
  bool chance(int percent) { return between(1, 100) <= percent; }

  void addKernels(Problem &p, int n, bool isRich) {
    int numWeights = between(0, n);
    for (int w = 0; w < numWeights; ++w)
      p.weights.push_back({"w" + std::to_string(w), between(0, 40)});
    for (int i = 0; i < n; ++i) {
      Kernel kernel;
      kernel.name = "k" + std::to_string(i);
      for (size_t c = 0; c < p.deviceClasses.size(); ++c)
        kernel.seconds.push_back(chance(10) ? 0 : between(1, 64) * 0.125);
      for (int w = 0; w < numWeights; ++w)
        if (w == i || chance(10))
          kernel.weights.push_back(w);
      kernel.residentBytes = chance(20) ? between(0, 20) : 0;
      kernel.workspaceBytes = between(0, 20);
      kernel.cloneable = isRich && chance(25);
      p.kernels.push_back(kernel);
    }
  }

  void addValues(Problem &p, int n) {
    int density = between(5, 45);
    for (int i = 0; i < n; ++i) {
      Value value;
      value.name = "v" + std::to_string(i);
      value.producer = i;
      value.numBytes = between(0, 32);
      for (int j = i + 1; j < n; ++j)
        if (chance(density) || (j == i + 1 && chance(60)))
          value.consumers.push_back(j);
      value.isOutput = value.consumers.empty() || chance(8);
      p.values.push_back(value);
      if (!chance(15))
        continue;
      // A second result with readers of its own.
      value.name += "b";
      value.numBytes = between(0, 32);
      value.isOutput = false;
      if (!value.consumers.empty())
        value.consumers.resize(static_cast<size_t>(between(1, static_cast<int>(value.consumers.size()))));
      p.values.push_back(value);
    }
    int numInputs = between(0, 2);
    for (int i = 0; i < numInputs; ++i) {
      Value value;
      value.name = "x" + std::to_string(i);
      value.numBytes = between(0, 32);
      for (int j = 0; j < n; ++j)
        if (chance(25))
          value.consumers.push_back(j);
      p.values.push_back(value);
    }
  }

  Link makeLink() {
    Link link;
    link.latencySeconds = between(0, 8) * 0.125;
    link.bytesPerSecond = chance(20) ? std::numeric_limits<double>::infinity() : 1 << between(0, 6);
    link.isShared = chance(25);
    return link;
  }

  void addLinks(Problem &p) {
    if (chance(75))
      for (int b = 0; b + 1 < p.numStages(); ++b)
        p.links.push_back(makeLink());
    if (chance(40))
      p.sourceLink = makeLink();
    if (chance(40))
      p.sinkLink = makeLink();
    p.slotsPerSentValue = between(0, 3);
    p.slotsPerReceivedValue = between(0, 2);
  }

  void addMemory(Problem &p) {
    if (!chance(40))
      return;
    int typical = between(40, 400);
    for (Device &stage : p.stages)
      if (chance(80))
        stage.memoryLimitBytes = typical + between(0, 60);
    for (Device &stage : p.stages)
      stage.reservedBytes = chance(30) ? between(0, 20) : 0;
  }

  void addConstraints(Problem &p) {
    int n = static_cast<int>(p.kernels.size()), k = p.numStages();
    if (chance(20))
      p.pins.push_back({between(0, n - 1), between(0, k - 1)});
    if (chance(15) && n > 1) {
      int a = between(0, n - 2);
      p.colocations.push_back({"state", {a, between(a + 1, n - 1)}});
    }
    if (k > 1 && chance(30)) {
      Cut cut;
      const Value &value = p.values[static_cast<size_t>(between(0, n - 1))];
      if (value.producer == kSource)
        return;
      cut.name = value.name;
      cut.before = {value.producer};
      if (chance(70))
        cut.after = value.consumers;
      if (chance(40))
        cut.boundary = between(0, k - 2);
      p.cuts.push_back(cut);
    }
  }
};

} // namespace penstock::partition::test

#endif // PENSTOCK_TEST_UNIT_PARTITION_RANDOMPROBLEM_H
