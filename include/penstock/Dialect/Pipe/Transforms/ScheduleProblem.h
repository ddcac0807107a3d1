//===- ScheduleProblem.h - Stages and channels for the scheduler -*- C++ -*-===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
// The bridge between the pipe dialect and lib/Schedule: what the scheduler asks, and what the programs of a module say.
// Times come from `pipe.plan`; without it they are 0 and nothing is predicted. Errors are diagnostics on the module's
// ops.
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_DIALECT_PIPE_TRANSFORMS_SCHEDULEPROBLEM_H
#define PENSTOCK_DIALECT_PIPE_TRANSFORMS_SCHEDULEPROBLEM_H

#include "penstock/Dialect/Pipe/IR/PipeOps.h"
#include "penstock/Schedule/Algorithms.h"

namespace penstock::pipe {

/// The problem that the stages and channels of a module pose. `roles` has the role of each stage; empty: one each.
mlir::FailureOr<schedule::Problem> buildScheduleProblem(mlir::ModuleOp module, llvm::ArrayRef<int64_t> roles = {});

/// Role of each stage, as the programs of the module say; an error if one has none.
mlir::FailureOr<llvm::SmallVector<int64_t>> getRoles(mlir::ModuleOp module);

/// The programs of the module in the scheduler's form, for schedule::verify() and simulate().
mlir::FailureOr<schedule::Schedule> readSchedule(mlir::ModuleOp module);

/// schedule::verify(); every fault is an error on the module.
mlir::FailureOr<schedule::Proof> proveSchedule(mlir::ModuleOp module, const schedule::Problem &problem,
                                               const schedule::Schedule &schedule);

} // namespace penstock::pipe

#endif // PENSTOCK_DIALECT_PIPE_TRANSFORMS_SCHEDULEPROBLEM_H
