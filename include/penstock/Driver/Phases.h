//===- Phases.h - The phases as a table ------------------------*- C++ -*-===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_DRIVER_PHASES_H
#define PENSTOCK_DRIVER_PHASES_H

#include "mlir/IR/BuiltinOps.h"
#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"
#include <optional>

namespace penstock::driver {

enum class Phase {
#define PHASE(id, name, holds, function) id,
#include "penstock/Driver/Phases.def"
#undef PHASE
};

struct PhaseInfo {
  Phase phase;
  llvm::StringLiteral name;
  llvm::StringLiteral holds; ///< what holds after it
};

/// All phases in order; the index is the enumerator.
llvm::ArrayRef<PhaseInfo> getPhases();
std::optional<Phase> findPhase(llvm::StringRef name);
/// "import, normalize, ..." for messages.
std::string listPhases();

/// Checks what must hold after a phase; failures are diagnostics. Run at every phase edge, in all builds.
mlir::LogicalResult verifyPhase(Phase phase, mlir::ModuleOp module);

} // namespace penstock::driver

#endif // PENSTOCK_DRIVER_PHASES_H
