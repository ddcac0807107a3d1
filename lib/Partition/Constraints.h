//===- Constraints.h - Pins and cuts as windows of stages -------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Private to lib/Partition.
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_LIB_PARTITION_CONSTRAINTS_H
#define PENSTOCK_LIB_PARTITION_CONSTRAINTS_H

#include "Core.h"

namespace penstock::partition {

/// Turns the pins and cuts of the problem into windows, edges and free cuts of `core`, whose units and edges are there.
/// Returns why they contradict each other, empty if they do not.
std::vector<std::string> constrain(Core &core, const std::vector<int> &unitOfKernel);

} // namespace penstock::partition

#endif // PENSTOCK_LIB_PARTITION_CONSTRAINTS_H
