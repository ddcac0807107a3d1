//===- Check.cpp - Well-formed placement problems -----------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Everything that the planner later relies on is refused here with a message: the sizes may come from a user's
// dimensions and the lifetimes from an edited dump.
//
//===----------------------------------------------------------------------===//

#include "Groups.h"

#include <algorithm>
#include <limits>

using namespace penstock::place;

namespace {
constexpr int64_t kMax = std::numeric_limits<int64_t>::max();

bool fail(std::string &error, std::string message) {
  error = std::move(message);
  return false;
}

bool checkValue(const Problem &problem, int32_t value, std::string &error) {
  const Lifetime &lifetime = problem.values[value];
  if (lifetime.numBytes < 0)
    return fail(error,
                nameOf(problem, value) + " has " + std::to_string(lifetime.numBytes) + " bytes; expected 0 or more");
  if (roundUp(lifetime.numBytes, problem.alignment) < 0)
    return fail(error, nameOf(problem, value) + " has " + std::to_string(lifetime.numBytes) +
                           " bytes, which overflows when rounded up to " + std::to_string(problem.alignment));
  if (lifetime.firstUse > lifetime.lastUse)
    return fail(error, nameOf(problem, value) + " is first used at event " + std::to_string(lifetime.firstUse) +
                           " but last used at event " + std::to_string(lifetime.lastUse));
  if (lifetime.fixedOffset < -1 || (lifetime.fixedOffset > 0 && lifetime.fixedOffset % problem.alignment != 0))
    return fail(error, nameOf(problem, value) + " has fixed offset " + std::to_string(lifetime.fixedOffset) +
                           "; expected a multiple of " + std::to_string(problem.alignment));
  if (lifetime.fixedOffset > kMax - roundUp(lifetime.numBytes, problem.alignment))
    return fail(error, nameOf(problem, value) + " overflows at fixed offset " + std::to_string(lifetime.fixedOffset));
  return true;
}

/// The alias trees laid out so that the descendants of a value follow it directly.
struct Preorder {
  std::vector<int32_t> order;    ///< values, tree by tree
  std::vector<int32_t> position; ///< where a value stands in `order`
  std::vector<int32_t> end;      ///< one past the last descendant of a value
  std::vector<int32_t> treeEnd;  ///< one past the last position of a value's tree
};

Preorder layOut(const Problem &problem, const std::vector<int32_t> &roots) {
  int32_t numValues = static_cast<int32_t>(problem.values.size());
  // Children as linked lists, then an explicit stack: chains can be long.
  std::vector<int32_t> firstChild(numValues, -1), nextSibling(numValues, -1);
  for (int32_t value = numValues - 1; value >= 0; --value)
    if (int32_t parent = problem.values[value].aliasOf; parent >= 0) {
      nextSibling[value] = firstChild[parent];
      firstChild[parent] = value;
    }
  Preorder result;
  result.position.resize(numValues);
  result.end.resize(numValues);
  std::vector<int32_t> stack;
  for (int32_t root = 0; root < numValues; ++root) {
    if (roots[root] != root)
      continue;
    stack.push_back(root);
    while (!stack.empty()) {
      int32_t value = stack.back();
      stack.pop_back();
      result.position[value] = static_cast<int32_t>(result.order.size());
      result.order.push_back(value);
      for (int32_t child = firstChild[value]; child >= 0; child = nextSibling[child])
        stack.push_back(child);
    }
  }
  for (int32_t value = 0; value < numValues; ++value)
    result.end[value] = result.position[value] + 1;
  for (int32_t at = numValues - 1; at >= 0; --at)
    if (int32_t parent = problem.values[result.order[at]].aliasOf; parent >= 0)
      result.end[parent] = std::max(result.end[parent], result.end[result.order[at]]);
  result.treeEnd.resize(numValues);
  for (int32_t value = 0; value < numValues; ++value)
    result.treeEnd[value] = result.end[roots[value]];
  return result;
}

/// A value that overwrites its alias must begin no earlier than every other value with the same bytes ends, except
/// those made from it.
bool checkOverwrites(const Problem &problem, const std::vector<int32_t> &roots, std::string &error) {
  Preorder tree = layOut(problem, roots);
  int32_t numValues = static_cast<int32_t>(problem.values.size());
  // Value with the latest last use among the positions of the same tree before, and from, a position.
  std::vector<int32_t> latestBefore(numValues + 1, -1), latestFrom(numValues + 1, -1);
  auto later = [&](int32_t a, int32_t b) {
    if (a < 0 || b < 0)
      return a < 0 ? b : a;
    return problem.values[a].lastUse >= problem.values[b].lastUse ? a : b;
  };
  for (int32_t at = 0; at + 1 < numValues; ++at) {
    int32_t value = tree.order[at];
    latestBefore[at + 1] = tree.treeEnd[value] == at + 1 ? -1 : later(latestBefore[at], value);
  }
  for (int32_t at = numValues - 1; at >= 0; --at) {
    int32_t value = tree.order[at];
    latestFrom[at] = later(tree.treeEnd[value] == at + 1 ? -1 : latestFrom[at + 1], value);
  }
  for (int32_t value = 0; value < numValues; ++value) {
    const Lifetime &lifetime = problem.values[value];
    if (lifetime.aliasOf < 0)
      continue;
    if (lifetime.firstUse < problem.values[lifetime.aliasOf].firstUse)
      return fail(error, nameOf(problem, value) + " begins at event " + std::to_string(lifetime.firstUse) +
                             ", before " + nameOf(problem, lifetime.aliasOf) + " whose bytes it shares");
    if (lifetime.sharing != Sharing::kInPlace)
      continue;
    int32_t end = tree.end[value];
    int32_t latest = later(latestBefore[tree.position[value]], end < tree.treeEnd[value] ? latestFrom[end] : -1);
    if (latest >= 0 && problem.values[latest].lastUse > lifetime.firstUse)
      return fail(error, nameOf(problem, value) + " overwrites " + nameOf(problem, latest) + " at event " +
                             std::to_string(lifetime.firstUse) + ", which is needed until event " +
                             std::to_string(problem.values[latest].lastUse));
  }
  return true;
}

/// Fixed offsets within one group must agree.
bool checkFixed(const Problem &problem, const std::vector<int32_t> &roots, std::string &error) {
  std::vector<int32_t> fixedBy(problem.values.size(), -1);
  for (size_t value = 0; value < problem.values.size(); ++value) {
    if (problem.values[value].fixedOffset < 0)
      continue;
    int32_t &first = fixedBy[roots[value]];
    if (first >= 0 && problem.values[first].fixedOffset != problem.values[value].fixedOffset)
      return fail(error, nameOf(problem, static_cast<int32_t>(value)) + " has fixed offset " +
                             std::to_string(problem.values[value].fixedOffset) + " but shares the bytes of " +
                             nameOf(problem, first) + " at offset " +
                             std::to_string(problem.values[first].fixedOffset));
    if (first < 0)
      first = static_cast<int32_t>(value);
  }
  return true;
}

/// The sum of all blocks above the highest fixed end must be a number: no placement then overflows.
bool checkSum(const Problem &problem, std::string &error) {
  int64_t sum = 0;
  for (const Block &block : makeGroups(problem).blocks)
    sum = std::max(sum, block.fixedOffset >= 0 ? block.fixedOffset + block.numBytes : 0);
  for (const Block &block : makeGroups(problem).blocks) {
    if (block.numBytes > kMax - sum)
      return fail(error,
                  "the sizes of " + std::to_string(problem.values.size()) + " values add up to more than 2^63 bytes");
    sum += block.numBytes;
  }
  return true;
}

/// Two blocks with fixed offsets must not collide. Few values are fixed, so pairs are compared.
bool checkFixedPairs(const Problem &problem, std::string &error) {
  Groups groups = makeGroups(problem);
  std::vector<int32_t> fixed;
  for (size_t value = 0; value < problem.values.size(); ++value)
    if (problem.values[value].fixedOffset >= 0)
      fixed.push_back(static_cast<int32_t>(value));
  for (size_t i = 0; i < fixed.size(); ++i) {
    const Block &a = groups.blocks[groups.blockOf[fixed[i]]];
    for (size_t j = 0; j < i; ++j) {
      const Block &b = groups.blocks[groups.blockOf[fixed[j]]];
      if (&a != &b && a.firstUse <= b.lastUse && b.firstUse <= a.lastUse &&
          a.fixedOffset < b.fixedOffset + b.numBytes && b.fixedOffset < a.fixedOffset + a.numBytes)
        return fail(error, nameOf(problem, fixed[j]) + " and " + nameOf(problem, fixed[i]) +
                               " are live together and their fixed offsets " + std::to_string(b.fixedOffset) + " and " +
                               std::to_string(a.fixedOffset) + " make them overlap");
    }
  }
  return true;
}
} // namespace

bool penstock::place::check(const Problem &problem, std::string &error) {
  if (problem.alignment <= 0 || (problem.alignment & (problem.alignment - 1)) != 0)
    return fail(error, "alignment is " + std::to_string(problem.alignment) + "; expected a power of two");
  if (problem.values.size() > static_cast<size_t>(std::numeric_limits<int32_t>::max() - 1))
    return fail(error, "there are " + std::to_string(problem.values.size()) + " values; expected fewer than 2^31");
  for (size_t value = 0; value < problem.values.size(); ++value)
    if (!checkValue(problem, static_cast<int32_t>(value), error))
      return false;
  int32_t bad = -1;
  std::vector<int32_t> roots = findRoots(problem, bad);
  if (bad >= 0)
    return fail(error, nameOf(problem, bad) + " is an alias of value " + std::to_string(problem.values[bad].aliasOf) +
                           "; expected an earlier link of a chain without "
                           "a cycle, among " +
                           std::to_string(problem.values.size()) + " values");
  return checkOverwrites(problem, roots, error) && checkFixed(problem, roots, error) && checkSum(problem, error) &&
         checkFixedPairs(problem, error);
}

bool penstock::place::canOverwrite(const Problem &problem, int32_t target, int32_t value) {
  int32_t numValues = static_cast<int32_t>(problem.values.size());
  if (target < 0 || target >= numValues || value < 0 || value >= numValues || target == value)
    return false;
  const Lifetime &lifetime = problem.values[value];
  if (lifetime.aliasOf >= 0 || problem.values[target].firstUse > lifetime.firstUse)
    return false;
  int32_t bad = -1;
  std::vector<int32_t> roots = findRoots(problem, bad);
  if (bad >= 0 || roots[target] == roots[value])
    return false;
  // `value` may itself be the root of views; those read the new bytes.
  for (int32_t other = 0; other < numValues; ++other)
    if (roots[other] == roots[target] && problem.values[other].lastUse > lifetime.firstUse)
      return false;
  return true;
}

std::vector<int32_t> penstock::place::findRoots(const Problem &problem, int32_t &bad) {
  bad = -1;
  int32_t numValues = static_cast<int32_t>(problem.values.size());
  std::vector<int32_t> roots(numValues, -1), chain;
  constexpr int32_t kOpen = -2;
  for (int32_t value = 0; value < numValues; ++value) {
    chain.clear();
    int32_t at = value;
    while (roots[at] == -1) {
      chain.push_back(at);
      roots[at] = kOpen;
      int32_t next = problem.values[at].aliasOf;
      if (next == -1) {
        roots[at] = at;
        break;
      }
      if (next < 0 || next >= numValues || roots[next] == kOpen) {
        bad = at;
        return {};
      }
      at = next;
    }
    for (int32_t link : chain)
      roots[link] = roots[at];
  }
  return roots;
}

Groups penstock::place::makeGroups(const Problem &problem) {
  int32_t bad = -1;
  std::vector<int32_t> roots = findRoots(problem, bad);
  Groups groups;
  groups.blockOf.assign(problem.values.size(), -1);
  std::vector<int32_t> blockOfRoot(problem.values.size(), -1);
  for (size_t value = 0; value < roots.size(); ++value) {
    const Lifetime &lifetime = problem.values[value];
    int64_t numBytes = roundUp(lifetime.numBytes, problem.alignment);
    int32_t &block = blockOfRoot[roots[value]];
    if (block < 0) {
      block = static_cast<int32_t>(groups.blocks.size());
      groups.blocks.push_back({numBytes, lifetime.firstUse, lifetime.lastUse, lifetime.fixedOffset});
    }
    Block &merged = groups.blocks[block];
    merged.numBytes = std::max(merged.numBytes, numBytes);
    merged.firstUse = std::min(merged.firstUse, lifetime.firstUse);
    merged.lastUse = std::max(merged.lastUse, lifetime.lastUse);
    merged.fixedOffset = std::max(merged.fixedOffset, lifetime.fixedOffset);
    groups.blockOf[value] = block;
  }
  return groups;
}

int64_t penstock::place::roundUp(int64_t numBytes, int64_t alignment) {
  if (numBytes > kMax - (alignment - 1))
    return -1;
  return (numBytes + alignment - 1) & ~(alignment - 1);
}

std::string penstock::place::nameOf(const Problem &problem, int32_t value) {
  std::string text = "value " + std::to_string(value);
  if (const char *name = problem.values[value].name)
    text += " ('" + std::string(name) + "')";
  return text;
}
