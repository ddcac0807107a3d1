//===- Verify.cpp - Is a placement correct? -----------------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A sweep over time that keeps the live values sorted by offset, so that a value is compared with its two neighbours
// only. Also used on plans that were read from a file.
//
//===----------------------------------------------------------------------===//

#include "Groups.h"

#include <algorithm>
#include <map>

using namespace penstock::place;

namespace {
bool fail(std::string &error, std::string message) {
  error = std::move(message);
  return false;
}

bool verifyOffset(const Problem &problem, const Plan &plan, int32_t value, std::string &error) {
  const Lifetime &lifetime = problem.values[value];
  int64_t offset = plan.offsets[value];
  if (offset < 0 || offset % problem.alignment != 0)
    return fail(error, nameOf(problem, value) + " is at offset " + std::to_string(offset) +
                           "; expected a multiple of " + std::to_string(problem.alignment));
  if (offset > plan.numBytes || lifetime.numBytes > plan.numBytes - offset)
    return fail(error, nameOf(problem, value) + " at offset " + std::to_string(offset) + " with " +
                           std::to_string(lifetime.numBytes) + " bytes leaves the arena of " +
                           std::to_string(plan.numBytes) + " bytes");
  if (lifetime.fixedOffset >= 0 && offset != lifetime.fixedOffset)
    return fail(error, nameOf(problem, value) + " is at offset " + std::to_string(offset) +
                           "; expected its fixed offset " + std::to_string(lifetime.fixedOffset));
  if (lifetime.aliasOf >= 0 && offset != plan.offsets[lifetime.aliasOf])
    return fail(error, nameOf(problem, value) + " is at offset " + std::to_string(offset) + "; expected " +
                           std::to_string(plan.offsets[lifetime.aliasOf]) + ", that of " +
                           nameOf(problem, lifetime.aliasOf));
  return true;
}

/// The values of one alias group that are live, seen as one interval of the arena.
struct Live {
  int64_t end;   ///< offset plus the bytes of the largest value of the group
  int32_t root;  ///< of the group
  int32_t count; ///< values of the group that are live
};

/// Adds `value` to the live values, or says with which one it collides.
bool begin(const Problem &problem, const Plan &plan, int32_t value, int32_t root, int64_t numBytes,
           std::map<int64_t, Live> &live, std::string &error) {
  int64_t offset = plan.offsets[value];
  auto next = live.lower_bound(offset);
  if (next != live.end() && next->first == offset && next->second.root == root) {
    ++next->second.count;
    return true;
  }
  int32_t other = -1;
  if (next != live.end() && next->first < offset + numBytes)
    other = next->second.root;
  if (next != live.begin() && std::prev(next)->second.end > offset)
    other = std::prev(next)->second.root;
  if (other >= 0)
    return fail(error, nameOf(problem, value) + " at offset " + std::to_string(offset) + " overlaps " +
                           nameOf(problem, other) + " at offset " + std::to_string(plan.offsets[other]) +
                           "; both are live at event " + std::to_string(problem.values[value].firstUse));
  live.insert({offset, {offset + numBytes, root, 1}});
  return true;
}
} // namespace

bool penstock::place::verify(const Problem &problem, const Plan &plan, std::string &error) {
  if (plan.offsets.size() != problem.values.size())
    return fail(error, "the plan has " + std::to_string(plan.offsets.size()) + " offsets for " +
                           std::to_string(problem.values.size()) + " values");
  int32_t numValues = static_cast<int32_t>(problem.values.size());
  for (int32_t value = 0; value < numValues; ++value)
    if (!verifyOffset(problem, plan, value, error))
      return false;

  int32_t bad = -1;
  std::vector<int32_t> roots = findRoots(problem, bad);
  if (bad >= 0)
    return fail(error, nameOf(problem, bad) + " belongs to a broken chain of aliases");
  std::vector<int64_t> groupBytes(numValues, 0);
  for (int32_t value = 0; value < numValues; ++value)
    groupBytes[roots[value]] = std::max(groupBytes[roots[value]], problem.values[value].numBytes);

  std::vector<int32_t> begins, ends;
  for (int32_t value = 0; value < numValues; ++value)
    if (groupBytes[roots[value]] > 0)
      begins.push_back(value);
  ends = begins;
  auto sortBy = [&](std::vector<int32_t> &values, int64_t Lifetime::*event) {
    std::sort(values.begin(), values.end(), [&](int32_t a, int32_t b) {
      int64_t eventA = problem.values[a].*event, eventB = problem.values[b].*event;
      return eventA != eventB ? eventA < eventB : a < b;
    });
  };
  sortBy(begins, &Lifetime::firstUse);
  sortBy(ends, &Lifetime::lastUse);
  std::map<int64_t, Live> live;
  size_t ended = 0;
  for (int32_t value : begins) {
    for (; ended < ends.size() && problem.values[ends[ended]].lastUse < problem.values[value].firstUse; ++ended) {
      auto at = live.find(plan.offsets[ends[ended]]);
      if (--at->second.count == 0)
        live.erase(at);
    }
    if (!begin(problem, plan, value, roots[value], groupBytes[roots[value]], live, error))
      return false;
  }
  return true;
}
