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

/// Module attribute: the flags of the import, as texts.
inline constexpr llvm::StringLiteral kFlagsAttr = "penstock.flags";

/// Opens the target that the options name, once.
mlir::LogicalResult openTarget(Compilation &compilation);

/// Opens the cache of kernels that the options name, once. Where the user names none, one that cannot be had is no
/// failure.
mlir::LogicalResult openCache(Compilation &compilation);

/// The folder that link writes.
std::string getOutputFolder(const CompileOptions &options);

/// Runs phases `first` to `last` with their checks and dumps.
mlir::LogicalResult runPhases(int first, int last, Compilation &compilation, const PhaseCallback &onPhase);

/// From kernels without stages: compiles them, for the plan must count the storage that their code asks for where
/// memory is limited. Later phases find them compiled.
mlir::LogicalResult learnWorkspaces(Compilation &compilation);

/// Is memory limited, by an option or a cluster file?
bool hasMemoryLimit(const Compilation &compilation);

/// Runs the phases from assign to place; where the storage that was placed exceeds a limit, though the partitioner
/// counted that it would not, again with the difference held back.
mlir::LogicalResult runWithinMemory(Compilation &compilation, const PhaseCallback &onPhase);

/// From kernels without stages: makes a first plan, compiles it into a folder beside the output, runs it, and keeps the
/// times and the code of its kernels in `compilation`. The folder is removed. `compilation.module` stays as it is.
mlir::LogicalResult measureKernels(Compilation &compilation, const PhaseCallback &onPhase);

} // namespace penstock::driver

#endif // PENSTOCK_DRIVER_PHASEFUNCTIONS_H
