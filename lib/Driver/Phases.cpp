//===- Phases.cpp - The phases as a table -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#include "penstock/Driver/Phases.h"

#include "penstock/Dialect/NN/Transforms/Passes.h"
#include "penstock/Dialect/Pipe/Transforms/Verification.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Verifier.h"
#include "llvm/ADT/STLExtras.h"

namespace penstock::driver {
using namespace mlir;

static constexpr PhaseInfo kPhases[] = {
#define PHASE(id, name, holds, function) {Phase::id, name, holds},
#include "penstock/Driver/Phases.def"
#undef PHASE
};

ArrayRef<PhaseInfo> getPhases() { return kPhases; }

std::optional<Phase> findPhase(StringRef name) {
  for (const PhaseInfo &info : kPhases)
    if (info.name == name)
      return info.phase;
  return std::nullopt;
}

std::string listPhases() {
  return llvm::join(llvm::map_range(kPhases, [](const PhaseInfo &info) { return info.name.str(); }), ", ");
}

static func::FuncOp getEntry(ModuleOp module) { return module.lookupSymbol<func::FuncOp>(nn::kEntryName); }

/// Calls `check` on every op of the entry function's body but its terminator.
static LogicalResult checkBody(ModuleOp module, llvm::function_ref<LogicalResult(Operation *)> check) {
  func::FuncOp entry = getEntry(module);
  if (!entry || !llvm::hasSingleElement(entry.getBody()))
    return module.emitError() << "has no function '" << nn::kEntryName << "' of one block";
  for (Operation &op : entry.getBody().front().without_terminator())
    if (failed(check(&op)))
      return failure();
  return success();
}

static LogicalResult verifyImported(ModuleOp module) {
  return checkBody(module, [](Operation *op) -> LogicalResult {
    if (isa<nn::NNDialect>(op->getDialect()))
      return success();
    return op->emitOpError() << "is not of the nn dialect; expected only nn ops after import";
  });
}

static LogicalResult verifyFused(ModuleOp module) {
  return checkBody(module, [](Operation *op) -> LogicalResult {
    if (isa<nn::KernelOp, nn::LoadWeightOp, nn::ConstantOp>(op))
      return success();
    return op->emitOpError() << "is in no kernel; expected every op in an nn.kernel after fuse";
  });
}

static LogicalResult verifyAssigned(ModuleOp module) {
  if (failed(verifyFused(module)))
    return failure();
  return checkBody(module, [](Operation *op) -> LogicalResult {
    if (!isa<nn::KernelOp>(op) || op->hasAttr("pipe.stage_id"))
      return success();
    return op->emitOpError() << "has no pipe.stage_id; expected exactly one owner stage after assign";
  });
}

static LogicalResult verifySplit(ModuleOp module) {
  if (func::FuncOp entry = getEntry(module))
    return entry.emitOpError() << "is still there; expected stages only after split";
  if (module.getOps<pipe::StageOp>().empty())
    return module.emitError() << "has no pipe.stage after split";
  return success();
}

static LogicalResult verifyScheduled(ModuleOp module) {
  llvm::StringMap<int> runs;
  for (auto program : module.getOps<pipe::ProgramOp>())
    for (auto stage : program.getStages().getAsRange<FlatSymbolRefAttr>())
      ++runs[stage.getValue()];
  for (auto stage : module.getOps<pipe::StageOp>())
    if (runs.lookup(stage.getSymName()) != 1)
      return stage.emitOpError() << "is run by " << runs.lookup(stage.getSymName())
                                 << " programs; expected exactly one after schedule";
  if (failed(verifySplit(module)))
    return failure();
  return pipe::verifySchedule(module);
}

static LogicalResult verifyCompiledKernels(ModuleOp module) {
  for (auto kernel : module.getOps<nn::KernelDefOp>())
    if (!kernel->hasAttr("kernel.object"))
      return kernel.emitOpError() << "has no kernel.object; expected an object for every kernel";
  if (failed(nn::verifyPacking(module)))
    return failure();
  return verifyScheduled(module);
}

LogicalResult verifyPhase(Phase phase, ModuleOp module) {
  if (failed(verify(module)))
    return failure();
  switch (phase) {
  case Phase::Import:
  case Phase::Normalize:
    return verifyImported(module);
  case Phase::Fuse:
    return verifyFused(module);
  case Phase::Assign:
    return verifyAssigned(module);
  case Phase::Split:
    return verifySplit(module);
  case Phase::Schedule:
    return verifyScheduled(module);
  case Phase::Kernels:
    return verifyCompiledKernels(module);
  case Phase::Place:
  case Phase::Emit:
  case Phase::Link:
    if (failed(verifyCompiledKernels(module)))
      return failure();
    return pipe::verifyPlacement(module);
  }
  return success();
}

} // namespace penstock::driver
