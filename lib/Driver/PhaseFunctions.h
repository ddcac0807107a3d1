//===- PhaseFunctions.h - One function per phase ---------------*- C++ -*-===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_DRIVER_PHASEFUNCTIONS_H
#define PENSTOCK_DRIVER_PHASEFUNCTIONS_H

#include "penstock/Driver/Compiler.h"

namespace penstock::driver {

#define PHASE(id, name, holds, function) mlir::LogicalResult function(Compilation &compilation);
#include "penstock/Driver/Phases.def"
#undef PHASE

/// The target of the options, made once.
mlir::LogicalResult openTarget(Compilation &compilation);

} // namespace penstock::driver

#endif // PENSTOCK_DRIVER_PHASEFUNCTIONS_H
