//===- Planner.cpp - Greedy placement in several orders -----------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A block is placed into the gaps left by those already placed that are live with it. What decides the quality is the
// order; several are tried and the best is then improved by moving the blocks that make the peak to the front.
//
//===----------------------------------------------------------------------===//

#include "Groups.h"

#include <algorithm>
#include <numeric>

using namespace penstock::place;

namespace {
using Order = std::vector<int32_t>;

/// Which gap a block takes: the lowest that fits, or the tightest.
enum class Fit { kFirst, kBest };

/// A block that has an offset.
struct Placed {
  int64_t offset, end, firstUse, lastUse;
};

/// What one run of the greedy placement gives.
struct Attempt {
  std::vector<int64_t> offsets;
  int64_t numBytes = 0;
};

/// Live bytes over time, at the events where they can only have grown.
struct Profile {
  int64_t peakBytes = 0, peakEvent = 0;
  std::vector<int64_t> breadthOf; ///< per block: the most bytes live at one event of its lifetime
};

class Search {
public:
  Search(const std::vector<Block> &blocks, const Profile &profile, int64_t lowerBound, int64_t maxWork)
      : blocks(blocks), profile(profile), lowerBound(lowerBound), maxWork(maxWork) {}

  Attempt run();

private:
  void tryOrder(Order order, Fit fit);
  void improve();
  Attempt placeAll(const Order &order, Fit fit);
  int64_t findOffset(const Block &block, const std::vector<Placed> &placed, Fit fit);
  bool done() const { return best.numBytes == lowerBound || (work >= maxWork && numTried >= 2); }

  const std::vector<Block> &blocks;
  const Profile &profile;
  int64_t lowerBound, maxWork;
  int64_t work = 0;
  int64_t numTried = 0;
  Attempt best;
  Order bestOrder;
  Fit bestFit = Fit::kFirst;
};

/// Live bytes event by event. Blocks without bytes are left out.
Profile measure(const std::vector<Block> &blocks) {
  struct Edge {
    int64_t event;
    bool begins; ///< ends come after begins at the same event, since both ends are included
    int32_t block;
  };
  std::vector<Edge> edges;
  for (size_t i = 0; i < blocks.size(); ++i) {
    edges.push_back({blocks[i].firstUse, true, static_cast<int32_t>(i)});
    edges.push_back({blocks[i].lastUse, false, static_cast<int32_t>(i)});
  }
  std::sort(edges.begin(), edges.end(), [](const Edge &a, const Edge &b) {
    return a.event != b.event ? a.event < b.event : a.begins != b.begins ? a.begins : a.block < b.block;
  });
  Profile profile;
  profile.breadthOf.assign(blocks.size(), 0);
  if (!edges.empty())
    profile.peakEvent = edges.front().event;
  // The breadth of a block is the greatest live sum between its begin and its end: sums at begins, as a monotone stack
  // that answers "maximum since" by binary search.
  struct Maximum {
    size_t at;
    int64_t numBytes;
  };
  std::vector<Maximum> maxima;
  std::vector<size_t> beginAt(blocks.size());
  int64_t live = 0;
  for (size_t at = 0; at < edges.size(); ++at) {
    const Edge &edge = edges[at];
    if (!edge.begins) {
      auto since = std::lower_bound(maxima.begin(), maxima.end(), beginAt[edge.block],
                                    [](const Maximum &m, size_t begin) { return m.at < begin; });
      profile.breadthOf[edge.block] = since->numBytes;
      live -= blocks[edge.block].numBytes;
      continue;
    }
    beginAt[edge.block] = at;
    live += blocks[edge.block].numBytes;
    while (!maxima.empty() && maxima.back().numBytes <= live)
      maxima.pop_back();
    maxima.push_back({at, live});
    if (live > profile.peakBytes) {
      profile.peakBytes = live;
      profile.peakEvent = edge.event;
    }
  }
  return profile;
}

/// The lowest, or the tightest, gap of `block.numBytes` among the placed blocks that are live with it. `placed` is
/// sorted by offset.
int64_t Search::findOffset(const Block &block, const std::vector<Placed> &placed, Fit fit) {
  int64_t end = 0, chosen = -1, chosenGap = 0;
  work += static_cast<int64_t>(placed.size());
  for (const Placed &other : placed) {
    if (other.firstUse > block.lastUse || other.lastUse < block.firstUse)
      continue;
    int64_t gap = other.offset - end;
    if (gap >= block.numBytes && (chosen < 0 || gap < chosenGap)) {
      chosen = end;
      chosenGap = gap;
      if (fit == Fit::kFirst || gap == block.numBytes)
        return chosen;
    }
    end = std::max(end, other.end);
  }
  return chosen >= 0 ? chosen : end;
}

Attempt Search::placeAll(const Order &order, Fit fit) {
  Attempt attempt;
  attempt.offsets.assign(blocks.size(), 0);
  std::vector<Placed> placed;
  placed.reserve(order.size());
  auto put = [&](int32_t index, int64_t offset) {
    const Block &block = blocks[index];
    attempt.offsets[index] = offset;
    Placed entry{offset, offset + block.numBytes, block.firstUse, block.lastUse};
    attempt.numBytes = std::max(attempt.numBytes, entry.end);
    placed.insert(std::upper_bound(placed.begin(), placed.end(), offset,
                                   [](int64_t value, const Placed &p) { return value < p.offset; }),
                  entry);
  };
  for (size_t i = 0; i < blocks.size(); ++i)
    if (blocks[i].fixedOffset >= 0)
      put(static_cast<int32_t>(i), blocks[i].fixedOffset);
  for (int32_t index : order)
    put(index, findOffset(blocks[index], placed, fit));
  return attempt;
}

void Search::tryOrder(Order order, Fit fit) {
  if (numTried > 0 && done())
    return;
  Attempt attempt = placeAll(order, fit);
  if (numTried++ == 0 || attempt.numBytes < best.numBytes) {
    best = std::move(attempt);
    bestOrder = std::move(order);
    bestFit = fit;
  }
}

/// Moves one block that ends at the peak to the front of the order, again and again. A step that makes the peak no
/// worse is kept as the place to go on from; blocks at the peak take turns.
void Search::improve() {
  Order order = bestOrder;
  Attempt current = best;
  for (int64_t turn = 0, failures = 0; !done() && failures < 64; ++turn) {
    Order atPeak;
    for (int32_t index : order)
      if (current.offsets[index] + blocks[index].numBytes == current.numBytes)
        atPeak.push_back(index);
    if (atPeak.empty())
      return; // the peak is a fixed block
    int32_t moved = atPeak[static_cast<size_t>(turn) % atPeak.size()];
    Order next = order;
    auto at = std::find(next.begin(), next.end(), moved);
    // Alternately to the very front, and half way there.
    auto to = turn % 2 == 0 ? next.begin() : next.begin() + (at - next.begin()) / 2;
    std::rotate(to, at, at + 1);
    Attempt attempt = placeAll(next, bestFit);
    failures = attempt.numBytes < best.numBytes ? 0 : failures + 1;
    if (attempt.numBytes > current.numBytes && turn % 3 != 0)
      continue;
    order = std::move(next);
    current = std::move(attempt);
    if (current.numBytes < best.numBytes) {
      best = current;
      bestOrder = order;
    }
  }
}

Attempt Search::run() {
  Order free;
  for (size_t i = 0; i < blocks.size(); ++i)
    if (blocks[i].fixedOffset < 0 && blocks[i].numBytes > 0)
      free.push_back(static_cast<int32_t>(i));
  auto sorted = [&](auto key) {
    Order order = free;
    std::sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
      auto keyA = key(a), keyB = key(b);
      return keyA != keyB ? keyA < keyB : a < b;
    });
    return order;
  };
  auto bytes = [&](int32_t i) { return blocks[i].numBytes; };
  auto length = [&](int32_t i) {
    return static_cast<double>(blocks[i].lastUse) - static_cast<double>(blocks[i].firstUse) + 1;
  };
  Order bySize = sorted([&](int32_t i) { return std::make_pair(-bytes(i), -length(i)); });
  Order byBreadth = sorted([&](int32_t i) { return std::make_pair(-profile.breadthOf[i], -bytes(i)); });
  tryOrder(bySize, Fit::kFirst);
  tryOrder(byBreadth, Fit::kBest);
  tryOrder(bySize, Fit::kBest);
  tryOrder(byBreadth, Fit::kFirst);
  Order byArea = sorted([&](int32_t i) { return -static_cast<double>(bytes(i)) * length(i); });
  tryOrder(byArea, Fit::kFirst);
  tryOrder(byArea, Fit::kBest);
  Order byLength = sorted([&](int32_t i) { return std::make_pair(-length(i), static_cast<double>(-bytes(i))); });
  tryOrder(byLength, Fit::kFirst);
  tryOrder(byLength, Fit::kBest);
  Order byTime = sorted([&](int32_t i) { return std::make_pair(blocks[i].firstUse, -bytes(i)); });
  tryOrder(byTime, Fit::kBest);
  improve();
  return best;
}
} // namespace

bool penstock::place::plan(const Problem &problem, Plan &result, std::string &error, const Options &options) {
  if (!check(problem, error))
    return false;
  Groups groups = makeGroups(problem);
  Profile profile = measure(groups.blocks);
  Plan answer;
  answer.lowerBound = profile.peakBytes;
  answer.peakEvent = profile.peakEvent;
  for (const Block &block : groups.blocks) {
    answer.noReuse += block.numBytes;
    if (block.fixedOffset >= 0)
      answer.lowerBound = std::max(answer.lowerBound, block.fixedOffset + block.numBytes);
  }
  Attempt best = Search(groups.blocks, profile, answer.lowerBound, options.maxWork).run();
  answer.numBytes = best.numBytes;
  answer.offsets.reserve(problem.values.size());
  for (int32_t block : groups.blockOf)
    answer.offsets.push_back(best.offsets[block]);
  if (!verify(problem, answer, error))
    return false;
  result = std::move(answer);
  return true;
}
