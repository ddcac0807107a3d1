//===- Absorb.h - Small subtrees beside their neighbour ----------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Private to lib/Partition.
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_LIB_PARTITION_ABSORB_H
#define PENSTOCK_LIB_PARTITION_ABSORB_H

#include "Core.h"

namespace penstock::partition {

/// Marks the units that hang on another one, and says on which in the end (`root`; itself for the others).
std::vector<char> findDeferrable(const Core &core, std::vector<int> &root);

/// `core` with deferrable units merged into their root: every plan of the result is a plan of `core`, through `unitOf`.
/// False if there are none, or too few units would remain.
bool absorbDeferrable(const Core &core, Core &result, std::vector<int> &unitOf);

} // namespace penstock::partition

#endif // PENSTOCK_LIB_PARTITION_ABSORB_H
