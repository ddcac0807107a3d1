//===- Bounds.h - What no plan can beat --------------------------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Private to lib/Partition.
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_LIB_PARTITION_BOUNDS_H
#define PENSTOCK_LIB_PARTITION_BOUNDS_H

#include "Core.h"

namespace penstock::partition {

/// The dearest unit at its cheapest stage, and the total shared out perfectly.
double simpleBound(const Core &core);

} // namespace penstock::partition

#endif // PENSTOCK_LIB_PARTITION_BOUNDS_H
