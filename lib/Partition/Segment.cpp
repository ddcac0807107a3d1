//===- Segment.cpp - What the units between two downsets cost --------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// See Segment.h; the formulas are in docs/Partition.md.
//===----------------------------------------------------------------------===//
#include "Segment.h"

#include <algorithm>

using namespace penstock::partition;

namespace {

bool anyInside(const std::vector<int> &users, const Word *inside) {
  for (int user : users)
    if (testBit(inside, user))
      return true;
  return false;
}

/// True if all users but `unit` are in `set`.
bool restIsIn(const std::vector<int> &users, int unit, const Word *set) {
  for (int user : users)
    if (user != unit && !testBit(set, user))
      return false;
  return true;
}

} // namespace

void penstock::partition::extend(const Core &core, int unit, const Word *set, const Word *inside, Segment &segment,
                                 double *load) {
  const Unit &u = core.units[unit];
  for (int c = 0; c < core.numClasses; ++c)
    load[c] += u.load[c];
  segment.weightBytes += u.weightBytes;
  segment.residentBytes += u.residentBytes;
  segment.workspaceBytes = std::max(segment.workspaceBytes, u.workspaceBytes);
  segment.sinkCount += u.sinkCount;
  segment.sinkBytes += u.sinkBytes;
  for (int m : u.makes) {
    const Message &message = core.messages[m];
    if (!message.users.empty()) {
      ++segment.sendCount;
      segment.sendBytes += message.numBytes;
    }
    segment.outBytes += message.numBytes;
  }
  for (int m : u.reads) {
    const Message &message = core.messages[m];
    if (message.producer != kSource && testBit(inside, message.producer)) {
      if (!restIsIn(message.users, unit, set))
        continue;
      --segment.sendCount;
      segment.sendBytes -= message.numBytes;
      if (!message.isOutput)
        segment.outBytes -= message.numBytes;
    } else if (!anyInside(message.users, inside)) {
      (message.producer == kSource ? segment.sourceCount : segment.recvCount) += 1;
      (message.producer == kSource ? segment.sourceBytes : segment.recvBytes) += message.numBytes;
    }
  }
  for (int s : u.shared) {
    const SharedItem &item = core.shared[s];
    if (anyInside(item.users, inside))
      continue;
    segment.weightBytes += item.weightBytes;
    segment.residentBytes += item.residentBytes;
    segment.workspaceBytes = std::max(segment.workspaceBytes, item.workspaceBytes);
    for (size_t c = 0; c < item.load.size(); ++c)
      load[c] += item.load[c];
  }
}

StagePricer::StagePricer(const Core &core, int stage)
    : problem(core.problem), deviceClass(problem->stages[stage].deviceClass),
      limit(problem->stages[stage].memoryLimitBytes),
      handicap(core.memoryHandicap.empty() ? 0 : core.memoryHandicap[stage]),
      reserved(problem->stages[stage].reservedBytes), sentSlots(problem->slotsPerSentValue),
      sinkSlots(problem->slotsPerSentValue), recvSlots(problem->slotsPerReceivedValue),
      sourceSlots(problem->slotsPerReceivedValue) {
  if (!core.memoryReserve.empty() && limit != kUnlimited)
    limit -= core.memoryReserve[stage];
  // Where memory does not matter, stages should look alike.
  bool matters = limit != kUnlimited || problem->balance == Balance::Memory;
  if (problem->slotsPerSentValue == kSlotsByDepth) {
    sentSlots = problem->slotsByDepth(2);
    sinkSlots = matters ? problem->slotsByDepth(core.numStages - stage + 1) : sentSlots;
  }
  if (problem->slotsPerReceivedValue == kSlotsByDepth) {
    recvSlots = problem->slotsByDepth(2);
    sourceSlots = matters ? problem->slotsByDepth(stage + 2) : recvSlots;
  }
  if (problem->links.empty())
    return;
  if (stage > 0)
    in = problem->links[stage - 1];
  if (stage + 1 < core.numStages)
    out = problem->links[stage];
}

bool StagePricer::operator==(const StagePricer &other) const {
  auto same = [](const Link &a, const Link &b) {
    return a.latencySeconds == b.latencySeconds && a.bytesPerSecond == b.bytesPerSecond;
  };
  return same(in, other.in) && same(out, other.out) && deviceClass == other.deviceClass && limit == other.limit &&
         handicap == other.handicap && reserved == other.reserved && sinkSlots == other.sinkSlots &&
         sourceSlots == other.sourceSlots;
}

int64_t StagePricer::memory(const Segment &segment) const {
  return memoryFloor(segment) + sentSlots * (segment.outBytes - segment.sinkBytes) + sinkSlots * segment.sinkBytes;
}

int64_t StagePricer::memoryFloor(const Segment &segment) const {
  return segment.weightBytes + segment.residentBytes + segment.workspaceBytes + reserved +
         recvSlots * segment.recvBytes + sourceSlots * segment.sourceBytes;
}

double StagePricer::cost(const Segment &segment, const double *load) const {
  switch (problem->balance) {
  case Balance::Params:
    return static_cast<double>(segment.weightBytes);
  case Balance::Memory:
    return static_cast<double>(memory(segment) + handicap);
  case Balance::Uniform:
    return load[deviceClass];
  case Balance::Time:
    break;
  }
  double compute = load[deviceClass];
  double send = linkSeconds(out, segment.sendCount, segment.sendBytes) +
                linkSeconds(problem->sinkLink, segment.sinkCount, segment.sinkBytes);
  double recv = linkSeconds(in, segment.recvCount, segment.recvBytes) +
                linkSeconds(problem->sourceLink, segment.sourceCount, segment.sourceBytes);
  return problem->isOverlapped ? std::max({compute, send, recv}) : compute + send + recv;
}

double StagePricer::floor(const Segment &segment, const double *load) const {
  switch (problem->balance) {
  case Balance::Params:
    return static_cast<double>(segment.weightBytes);
  case Balance::Memory:
    return static_cast<double>(memoryFloor(segment) + handicap);
  case Balance::Uniform:
    return load[deviceClass];
  case Balance::Time:
    break;
  }
  double sink = linkSeconds(problem->sinkLink, segment.sinkCount, segment.sinkBytes);
  double recv = linkSeconds(in, segment.recvCount, segment.recvBytes) +
                linkSeconds(problem->sourceLink, segment.sourceCount, segment.sourceBytes);
  return problem->isOverlapped ? std::max({load[deviceClass], sink, recv}) : load[deviceClass] + sink + recv;
}
