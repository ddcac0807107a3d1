//===- Bounds.cpp - What no plan can beat -------------------------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The shared-out total: for any shares w_s >= 0 that sum to 1, T >= sum_s w_s * load_s >= sum_u min_s w_s * load(u, s).
// Two choices of shares are tried: equal ones, and ones by the speed of the stages.
//===----------------------------------------------------------------------===//
#include "Bounds.h"

#include <algorithm>
#include <limits>

using namespace penstock::partition;

namespace {

/// What unit u adds at least to the cost of stage s.
double addedCost(const Core &core, const Unit &unit, int stage) {
  switch (core.problem->balance) {
  case Balance::Params:
    return static_cast<double>(unit.weightBytes);
  case Balance::Memory:
    return static_cast<double>(unit.weightBytes + unit.residentBytes);
  case Balance::Time:
  case Balance::Uniform:
    break;
  }
  return unit.load[core.problem->stages[stage].deviceClass];
}

double sharedOut(const Core &core, const std::vector<double> &shares) {
  double total = 0;
  for (const Unit &unit : core.units) {
    double least = std::numeric_limits<double>::infinity();
    for (int s = unit.earliest; s <= unit.latest; ++s)
      least = std::min(least, shares[s] * addedCost(core, unit, s));
    total += least;
  }
  // Each shared item is paid at least once, by a stage that one of its users may be in.
  for (const SharedItem &item : core.shared) {
    double least = std::numeric_limits<double>::infinity();
    for (int s = 0; s < core.numStages; ++s) {
      Unit unit;
      unit.load = item.load.empty() ? std::vector<double>(core.numClasses, 0.0) : item.load;
      unit.weightBytes = item.weightBytes;
      unit.residentBytes = item.residentBytes;
      least = std::min(least, shares[s] * addedCost(core, unit, s));
    }
    total += least;
  }
  return total;
}

} // namespace

double penstock::partition::simpleBound(const Core &core) {
  double bound = 0;
  std::vector<double> equal(core.numStages, 1.0 / core.numStages), bySpeed(core.numStages, 0.0);
  for (const Unit &unit : core.units) {
    double least = std::numeric_limits<double>::infinity();
    for (int s = unit.earliest; s <= unit.latest; ++s)
      least = std::min(least, addedCost(core, unit, s));
    bound = std::max(bound, least);
  }
  double sum = 0;
  for (int s = 0; s < core.numStages; ++s) {
    double total = 0;
    for (const Unit &unit : core.units)
      total += addedCost(core, unit, s);
    bySpeed[s] = total > 0 ? 1 / total : 0;
    sum += bySpeed[s];
  }
  for (double &share : bySpeed)
    share = sum > 0 ? share / sum : 0;
  // Rounding must not lift the bound above the truth.
  return std::max({bound, sharedOut(core, equal), sharedOut(core, bySpeed)}) * (1 - 1e-12);
}
