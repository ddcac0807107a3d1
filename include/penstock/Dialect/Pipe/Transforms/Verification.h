//===- Verification.h - What must hold after schedule and place -*- C++ -*-===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
// Checks of a whole module at the edges of phases, for dumps that were edited by hand as much as for what the passes
// wrote. They share no code with the passes. Errors are diagnostics on the module's ops.
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_DIALECT_PIPE_TRANSFORMS_VERIFICATION_H
#define PENSTOCK_DIALECT_PIPE_TRANSFORMS_VERIFICATION_H

#include "penstock/Dialect/Pipe/IR/PipeOps.h"

namespace penstock::pipe {

/// Every send has its receives, of one type and in order; every stage runs every microbatch once; no cyclic wait, for
/// any number of microbatches; every kernel has one owner; every channel has a depth.
mlir::LogicalResult verifySchedule(mlir::ModuleOp module);

/// Every value of every stage has a storage that is large enough for as long as it is used, and no two values that are
/// in use at one step overlap.
mlir::LogicalResult verifyPlacement(mlir::ModuleOp module);

} // namespace penstock::pipe

#endif // PENSTOCK_DIALECT_PIPE_TRANSFORMS_VERIFICATION_H
