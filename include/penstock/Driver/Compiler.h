//===- Compiler.h - A model through the phases -----------------*- C++ -*-===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
// Runs the phases from the model (or a dump) to the last one that is asked for. Errors are diagnostics of the context,
// so a caller installs a DiagnosticReporter; the exit status says whose fault it was. One compilation per context at a
// time.
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_DRIVER_COMPILER_H
#define PENSTOCK_DRIVER_COMPILER_H

#include "penstock/Driver/Options.h"
#include "penstock/Driver/Phases.h"
#include "penstock/Support/BuildCache.h"
#include "penstock/Target/TargetBackend.h"

#include "mlir/IR/OwningOpRef.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/Support/Error.h"
#include "llvm/Support/raw_ostream.h"
#include <functional>
#include <map>

namespace penstock::driver {

/// What the phases hand on. Objects live beside the module: IR names them by content.
struct Compilation {
  Compilation(mlir::MLIRContext &context, const CompileOptions &options)
      : context(context), options(options), maxDepth(options.maxDepth) {}

  mlir::MLIRContext &context;
  const CompileOptions &options;
  mlir::OwningOpRef<mlir::ModuleOp> module;
  std::unique_ptr<TargetBackend> target; ///< opened by the first phase that needs it
  /// Those of stages elsewhere, by their device, as `pipe.device` has it; "" is the host. Likewise.
  std::map<std::string, std::unique_ptr<TargetBackend>> others;
  std::unique_ptr<BuildCache> cache;                ///< likewise; null: none
  std::string withoutCache;                         ///< why, if it was not the user who wanted none
  llvm::StringMap<kernels::CompiledKernel> kernels; ///< by `kernel.object`
  /// Times of kernels from a run of a first plan, by content as in Partitioning.h; empty: none.
  std::map<std::string, double> measuredSeconds;
  /// Scratch storage of kernels by name, over the module's symbols, if kernels were compiled before the plan.
  llvm::StringMap<mlir::AffineExpr> workspaceBytes;
  /// What the library of the target keeps for kernels, likewise, shared out among those that may share it.
  llvm::StringMap<int64_t> libraryBytes;
  /// Most memory of each stage of the plan, of its contract; set by assign.
  std::vector<int64_t> memoryLimits;
  /// They are looked at when everything is placed, not while it is.
  bool isPlannedWithinMemory = false;
  /// Held back of them, by stage, for what storage takes beyond what the plan counted.
  std::vector<int64_t> heldBackBytes;
  /// Most slots of a channel, as in the options; less while it is looked for a depth that fits.
  int64_t maxDepth;
  std::string output; ///< the folder that link writes
  int exitStatus = 0; ///< whose fault a failure is: 1 the world's, 2 the user's

  /// Reports an llvm::Error as a diagnostic and keeps its exit status.
  mlir::LogicalResult fail(llvm::Error error);
};

/// Registers the dialects that the compiler loads.
void registerDialects(mlir::DialectRegistry &registry);

/// Called before each phase; for progress.
using PhaseCallback = std::function<void(Phase)>;

/// Runs the phases that the options ask for. On failure `compilation.exitStatus` is 1 or 2.
mlir::LogicalResult compile(Compilation &compilation, const PhaseCallback &onPhase = {});

/// Attribute of a compiled kernel: a dictionary per entry of its device code and chip, with the assembler's figures.
inline constexpr llvm::StringLiteral kKernelFunctionsAttr = "kernel.functions";

/// The figures of all kernels of a module that have device code, and which kernels a library does, as text or JSON.
/// False if there are neither.
bool printDeviceFunctions(mlir::ModuleOp module, bool json, llvm::raw_ostream &os);

/// The stage table of a finished compilation, as text or JSON.
void printSummary(const Compilation &compilation, bool json, llvm::raw_ostream &os);

} // namespace penstock::driver

#endif // PENSTOCK_DRIVER_COMPILER_H
