//===- MemoryLimits.cpp - Plans whose roles keep within their memory -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
// The partitioner counts memory before anything is placed; what counts in the end is the contract that place writes.
// The two differ by the gaps of an arena, by pages, and by what the kernels of one stage share.
//===----------------------------------------------------------------------===//
#include "PhaseFunctions.h"

#include "penstock/Dialect/Pipe/IR/PipeOps.h"
#include "penstock/Support/Error.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FormatVariadic.h"

namespace penstock::driver {
using namespace mlir;

bool hasMemoryLimit(const Compilation &compilation) {
  return compilation.options.memoryLimitBytes > 0 || !compilation.options.clusterFile.empty();
}

static int64_t getNumber(DictionaryAttr memory, StringRef name) {
  auto value = memory ? memory.getAs<IntegerAttr>(name) : IntegerAttr();
  return value ? value.getInt() : 0;
}

namespace {
/// What the roles of a placed module need beyond their limits.
struct Excess {
  std::vector<int64_t> bytes; ///< by stage; 0 where it fits
  std::string text;           ///< of the stage that exceeds its limit most; empty where all fit
  std::string unbounded;      ///< of stages that have no contract
};
} // namespace

static std::string describeExcess(int64_t stage, DictionaryAttr memory, int64_t limit) {
  int64_t total = getNumber(memory, "total");
  return llvm::formatv("stage {0} needs {1} bytes, {2} more than its limit of {3} (weights {4}, arena {5}, slots {6} "
                       "written and {7} read, states {8}, runtime {9}, further shapes {10})",
                       stage, total, total - limit, limit, getNumber(memory, "weights"), getNumber(memory, "arena"),
                       getNumber(memory, "slots"), getNumber(memory, "slots_read"), getNumber(memory, "states"),
                       getNumber(memory, "runtime"), getNumber(memory, "shapes"))
      .str();
}

static Excess findExcess(const Compilation &compilation) {
  Excess excess;
  int64_t worst = 0;
  for (auto program : compilation.module.get().getOps<pipe::ProgramOp>()) {
    size_t stage = excess.bytes.size();
    auto memory = program->getAttrOfType<DictionaryAttr>(pipe::PipeDialect::getMemoryAttrName());
    int64_t limit = stage < compilation.memoryLimits.size() ? compilation.memoryLimits[stage]
                                                            : compilation.options.memoryLimitBytes;
    int64_t more = std::max<int64_t>(0, limit > 0 ? getNumber(memory, "total") - limit : 0);
    excess.bytes.push_back(more);
    if (more > worst)
      excess.text = describeExcess(stage, memory, limit);
    worst = std::max(worst, more);
    auto unbounded = memory ? memory.getAs<ArrayAttr>("unbounded") : ArrayAttr();
    if (!unbounded || unbounded.empty())
      continue;
    SmallVector<StringRef> names;
    for (auto name : unbounded.getAsRange<StringAttr>())
      names.push_back(name.getValue());
    excess.unbounded += (excess.unbounded.empty() ? "stage " : ", stage ") + std::to_string(stage) +
                        " is unbounded in: " + llvm::join(names, ", ");
  }
  return excess;
}

/// Plans and places the fused module as `compilation` says; errors are kept rather than shown.
static LogicalResult planAgain(Compilation &compilation, ModuleOp fused, std::string &errors) {
  compilation.module = fused.clone();
  ScopedDiagnosticHandler handler(&compilation.context, [&](Diagnostic &diagnostic) {
    if (errors.empty() && diagnostic.getSeverity() == DiagnosticSeverity::Error)
      errors = diagnostic.str();
    return success();
  });
  return runPhases(static_cast<int>(Phase::Assign), static_cast<int>(Phase::Place), compilation, {});
}

/// Plans the fused module again, and again with what places had to have held back; true if everything fits in the end.
static bool replan(Compilation &compilation, ModuleOp fused, Excess excess, std::string &errors) {
  constexpr int kMaxRounds = 6;
  for (int round = 0; round < kMaxRounds && !excess.text.empty(); ++round) {
    compilation.heldBackBytes.resize(excess.bytes.size());
    for (auto [heldBack, more] : llvm::zip(compilation.heldBackBytes, excess.bytes))
      heldBack += more;
    if (failed(planAgain(compilation, fused, errors)))
      return false;
    excess = findExcess(compilation);
  }
  return excess.text.empty();
}

/// The largest of some small depths, below that of the placed module, with which everything fits; empty if none does.
static std::string adviseDepth(Compilation &compilation, ModuleOp fused) {
  constexpr int64_t kMostTried = 3; // what a model's own inputs and outputs have in a short pipeline
  int64_t deepest = 0;
  for (auto channel : compilation.module.get().getOps<pipe::ChannelOp>())
    deepest = std::max<int64_t>(deepest, channel.getDepth().value_or(0));
  for (int64_t depth = std::min(kMostTried, deepest - 1); depth > 0; --depth) {
    compilation.maxDepth = depth;
    compilation.heldBackBytes.clear();
    std::string errors;
    if (succeeded(planAgain(compilation, fused, errors)) && findExcess(compilation).text.empty())
      return "; it fits with --depth " + std::to_string(depth);
  }
  return "";
}

LogicalResult runWithinMemory(Compilation &compilation, const PhaseCallback &onPhase) {
  int assign = static_cast<int>(Phase::Assign), place = static_cast<int>(Phase::Place);
  compilation.isPlannedWithinMemory = true;
  OwningOpRef<ModuleOp> fused = compilation.module->clone();
  if (failed(runPhases(assign, place, compilation, onPhase)))
    return failure();
  Excess excess = findExcess(compilation);
  if (!excess.unbounded.empty())
    emitWarning(UnknownLoc::get(&compilation.context))
        << "the memory limit is kept at typical sizes only: " << excess.unbounded << "; bound it with --dim";
  OwningOpRef<ModuleOp> placed = compilation.module->clone();
  std::string errors;
  if (replan(compilation, *fused, excess, errors))
    return success();
  compilation.module = std::move(placed);
  std::string advice = adviseDepth(compilation, *fused);
  return compilation.fail(
      userError("{0}; unproven: the partitioner counted that this plan fits, and found no other{1}{2}", excess.text,
                errors.empty() ? "" : " with that held back (" + errors + ")", advice));
}

} // namespace penstock::driver
