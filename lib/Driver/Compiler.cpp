//===- Compiler.cpp - A model through the phases -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
// The order of the phases is Phases.def's; what each does stands in PhasesFront.cpp and PhasesBack.cpp.
//===----------------------------------------------------------------------===//
#include "penstock/Driver/Compiler.h"

#include "PhaseFunctions.h"
#include "penstock/Dialect/NN/IR/NNOps.h"
#include "penstock/Dialect/Pipe/IR/PipeOps.h"
#include "penstock/Dialect/Rt/IR/RtOps.h"
#include "penstock/Driver/Partitioning.h"
#include "penstock/Support/Error.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/AsmState.h"
#include "mlir/Parser/Parser.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/ToolOutputFile.h"

namespace penstock::driver {
using namespace mlir;

/// Module attribute: the last phase that was run, so that a dump says what it is.
static constexpr StringLiteral kPhaseAttr = "penstock.phase";

void registerDialects(DialectRegistry &registry) {
  registry.insert<func::FuncDialect, nn::NNDialect, pipe::PipeDialect, rtir::RtDialect>();
}

LogicalResult Compilation::fail(llvm::Error error) {
  std::string message;
  exitStatus = penstock::exitStatus(std::move(error), message);
  emitError(UnknownLoc::get(&context)) << message;
  return failure();
}

static LogicalResult runPhase(Phase phase, Compilation &compilation) {
  switch (phase) {
#define PHASE(id, name, holds, function)                                                                               \
  case Phase::id:                                                                                                      \
    return function(compilation);
#include "penstock/Driver/Phases.def"
#undef PHASE
  }
  return failure();
}

/// Writes the module as `<folder>/<model>.<number>.<phase>.mlir`.
static LogicalResult dumpPhase(Phase phase, Compilation &compilation) {
  const CompileOptions &options = compilation.options;
  if (std::error_code code = llvm::sys::fs::create_directories(options.dumpPhases))
    return compilation.fail(systemError("create folder", options.dumpPhases, code.value()));
  SmallString<128> path(options.dumpPhases);
  StringRef stem = llvm::sys::path::stem(options.model).split('.').first;
  llvm::sys::path::append(path, stem + "." + Twine(static_cast<int>(phase)) + "." +
                                    getPhases()[static_cast<int>(phase)].name + ".mlir");
  std::error_code code;
  llvm::ToolOutputFile file(path, code, llvm::sys::fs::OF_Text);
  if (code)
    return compilation.fail(systemError("write", path, code.value()));
  OpPrintingFlags flags;
  flags.enableDebugInfo(/*enable=*/true);
  compilation.module->print(file.os(), flags);
  file.keep();
  return success();
}

/// Reads a dump; it must say that it comes after the phase that the user names.
static LogicalResult resume(Phase phase, Compilation &compilation) {
  const std::string &path = compilation.options.model;
  compilation.module = parseSourceFile<ModuleOp>(path, ParserConfig(&compilation.context));
  if (!compilation.module)
    return compilation.fail(userError("'{0}' is no dump of a phase: it does not parse", path));
  StringRef name = getPhases()[static_cast<int>(phase)].name;
  auto marked = (*compilation.module)->getAttrOfType<StringAttr>(kPhaseAttr);
  if (!marked || marked.getValue() != name)
    return compilation.fail(userError("'{0}' was written after phase '{1}'; expected '{2}'", path,
                                      marked ? marked.getValue() : "(unknown)", name));
  return verifyPhase(phase, *compilation.module);
}

/// A target other than the default one.
static LogicalResult checkTarget(Compilation &compilation) {
  if (failed(openTarget(compilation)))
    return failure();
  const CompileOptions &options = compilation.options;
  if (options.isProfiled && !compilation.target->getDevice().empty())
    return compilation.fail(
        userError("--profile times the kernels of CPUs only; expected no --profile with --target {0}", options.target));
  // A cluster file of other targets.
  if (llvm::Error error = Partitioning::create(options, *compilation.target).takeError())
    return compilation.fail(std::move(error));
  return success();
}

static LogicalResult checkOptions(Compilation &compilation, std::optional<Phase> &from, Phase &to) {
  const CompileOptions &options = compilation.options;
  std::optional<Phase> last = findPhase(options.compileTo);
  if (!last)
    return compilation.fail(userError("--compile-to is '{0}'; expected one of {1}", options.compileTo, listPhases()));
  to = *last;
  if (!options.compileFrom.empty()) {
    from = findPhase(options.compileFrom);
    if (!from)
      return compilation.fail(
          userError("--compile-from is '{0}'; expected one of {1}", options.compileFrom, listPhases()));
    if (*from > to)
      return compilation.fail(
          userError("--compile-from={0} comes after --compile-to={1}", options.compileFrom, options.compileTo));
  }
  // What does not exist is refused before any work is done.
  if (options.target != "cpu" && failed(checkTarget(compilation)))
    return failure();
  if (!options.precision.empty() && options.precision != "f32")
    return compilation.fail(userError("--precision is '{0}'; this version computes contractions as the model says, and "
                                      "has no kernels that convert their operands; expected f32",
                                      options.precision));
  if (options.numStages < 0)
    return compilation.fail(userError("--stages is {0}; expected at least 1", options.numStages));
  return success();
}

LogicalResult compile(Compilation &compilation, const PhaseCallback &onPhase) {
  compilation.exitStatus = 2; // Unless a phase says otherwise, it is what the user gave that does not work.
  std::optional<Phase> from;
  Phase to;
  if (failed(checkOptions(compilation, from, to)))
    return failure();
  if (from && failed(resume(*from, compilation)))
    return failure();
  int first = from ? static_cast<int>(*from) + 1 : 0, last = static_cast<int>(to);
  int assign = static_cast<int>(Phase::Assign), place = static_cast<int>(Phase::Place);
  bool isLimited = hasMemoryLimit(compilation);
  if ((compilation.options.isProfiled || isLimited) && first <= assign && last >= assign) {
    if (failed(runPhases(first, assign - 1, compilation, onPhase)) ||
        (isLimited && failed(learnWorkspaces(compilation))) ||
        (compilation.options.isProfiled && failed(measureKernels(compilation, onPhase))))
      return failure();
    first = assign;
  }
  if (isLimited && first <= assign && last >= place) {
    if (failed(runWithinMemory(compilation, onPhase)))
      return failure();
    first = place + 1;
  }
  if (failed(runPhases(first, last, compilation, onPhase)))
    return failure();
  compilation.exitStatus = 0;
  return success();
}

LogicalResult runPhases(int first, int last, Compilation &compilation, const PhaseCallback &onPhase) {
  for (int index = first; index <= last; ++index) {
    Phase phase = static_cast<Phase>(index);
    if (onPhase)
      onPhase(phase);
    if (failed(runPhase(phase, compilation)))
      return failure();
    (*compilation.module)->setAttr(kPhaseAttr, StringAttr::get(&compilation.context, getPhases()[index].name));
    if (failed(verifyPhase(phase, *compilation.module)))
      return failure();
    if (!compilation.options.dumpPhases.empty() && failed(dumpPhase(phase, compilation)))
      return failure();
  }
  return success();
}

} // namespace penstock::driver
