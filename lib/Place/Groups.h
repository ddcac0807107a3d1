//===- Groups.h - Values that share one offset --------------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Values joined by `aliasOf` form a tree; the planner places the tree as one block whose size is that of its largest
// member and whose lifetime is the hull of its members' lifetimes. Private to this library.
//
//===----------------------------------------------------------------------===//

#ifndef PENSTOCK_LIB_PLACE_GROUPS_H
#define PENSTOCK_LIB_PLACE_GROUPS_H

#include "penstock/Place/Planner.h"

namespace penstock {
namespace place {

/// One block to place.
struct Block {
  int64_t numBytes = 0; ///< rounded up to the alignment
  int64_t firstUse = 0, lastUse = 0;
  int64_t fixedOffset = -1;
};

/// The blocks of a problem, and the block of each value.
struct Groups {
  std::vector<Block> blocks;
  std::vector<int32_t> blockOf;
};

/// The root of each value's alias chain, or an empty vector when some chain has a cycle or leaves the range; `bad` is
/// then a value of that chain.
std::vector<int32_t> findRoots(const Problem &problem, int32_t &bad);

/// Expects that check() accepted the problem.
Groups makeGroups(const Problem &problem);

/// `numBytes` rounded up to `alignment`, or -1 when that overflows.
int64_t roundUp(int64_t numBytes, int64_t alignment);

/// "value 3 ('relu')" for messages.
std::string nameOf(const Problem &problem, int32_t value);

} // namespace place
} // namespace penstock

#endif // PENSTOCK_LIB_PLACE_GROUPS_H
