//===- Segment.h - What the units between two downsets cost ----------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A Segment holds the sums of the units in I \ I' (a candidate stage). extend() adds one unit; the result does not
// depend on the order of adding, so a search may reach a segment along any path. Traffic is counted in whole messages
// and bytes, so that only the last step, the cost in seconds, is in floating point.
//
// Units, threads: as in Problem.h. Private to lib/Partition.
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_LIB_PARTITION_SEGMENT_H
#define PENSTOCK_LIB_PARTITION_SEGMENT_H

#include "Core.h"

namespace penstock::partition {

struct Segment {
  int64_t sendCount = 0, sendBytes = 0;     ///< to later stages
  int64_t sinkCount = 0, sinkBytes = 0;     ///< to the sink
  int64_t recvCount = 0, recvBytes = 0;     ///< from earlier stages
  int64_t sourceCount = 0, sourceBytes = 0; ///< from the source
  int64_t outBytes = 0;                     ///< of values sent anywhere, each once
  int64_t weightBytes = 0, residentBytes = 0, workspaceBytes = 0;

  int64_t trafficBytes() const { return recvBytes + sourceBytes; }
};

/// Adds `unit` to `segment`, whose units are `inside`; `set` is the downset that ends with them. `load` has one sum per
/// device class. Both sets are without `unit`.
void extend(const Core &core, int unit, const Word *set, const Word *inside, Segment &segment, double *load);

/// What a stage of given number charges for segments.
class StagePricer {
public:
  StagePricer(const Core &core, int stage);

  /// In the terms of Problem::balance.
  double cost(const Segment &segment, const double *load) const;
  /// At most the cost of this segment and of every segment that contains it.
  double floor(const Segment &segment, const double *load) const;
  int64_t memory(const Segment &segment) const;
  /// At most the memory of this segment and of every segment that contains it.
  int64_t memoryFloor(const Segment &segment) const;
  /// With slots by depth, values on their way to other stages count as if the next one read them: at most the true
  /// memory.
  bool fits(const Segment &segment) const { return memory(segment) <= limit; }
  bool mayFit(const Segment &segment) const { return memoryFloor(segment) <= limit; }
  bool operator==(const StagePricer &other) const;

private:
  const Problem *problem;
  Link in, out; ///< across the boundaries before and after the stage
  int deviceClass;
  int64_t limit, handicap, reserved;
  int sentSlots, sinkSlots;   ///< per value sent to stages only; per output of the model
  int recvSlots, sourceSlots; ///< per value received from stages; per input of the model
};

/// Seconds of `count` messages of `numBytes` together.
inline double linkSeconds(const Link &link, int64_t count, int64_t numBytes) {
  return link.latencySeconds * static_cast<double>(count) + static_cast<double>(numBytes) / link.bytesPerSecond;
}

} // namespace penstock::partition

#endif // PENSTOCK_LIB_PARTITION_SEGMENT_H
