//===- ObjectEmitter.cpp - From the LLVM dialect to an object ---*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "penstock/Support/ObjectEmitter.h"

#include "mlir/Target/LLVMIR/Export.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/IR/LegacyPassManager.h"
#include "llvm/IR/Module.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Passes/PassBuilder.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/Target/TargetMachine.h"
#include "llvm/TargetParser/Triple.h"

#include <memory>
#include <mutex>

using namespace penstock;

static void initializeTargets() {
  static std::once_flag once;
  std::call_once(once, [] {
    llvm::InitializeAllTargetInfos();
    llvm::InitializeAllTargets();
    llvm::InitializeAllTargetMCs();
    llvm::InitializeAllAsmPrinters();
    llvm::InitializeAllAsmParsers();
  });
}

static llvm::Expected<std::unique_ptr<llvm::TargetMachine>> createMachine(const TargetProfile &profile) {
  initializeTargets();
  std::string reason;
  const llvm::Target *target = llvm::TargetRegistry::lookupTarget(profile.triple, reason);
  if (!target)
    return userError("cannot generate code for '{0}': {1}", profile.triple, reason);
  llvm::TargetOptions options;
  // Fused multiply-add is decided in the IR, where it is the same for every cut; never by the code generator.
  options.AllowFPOpFusion = llvm::FPOpFusion::Strict;
  auto level = profile.optLevel == 0   ? llvm::CodeGenOptLevel::None
               : profile.optLevel == 1 ? llvm::CodeGenOptLevel::Less
               : profile.optLevel == 2 ? llvm::CodeGenOptLevel::Default
                                       : llvm::CodeGenOptLevel::Aggressive;
  std::unique_ptr<llvm::TargetMachine> machine(target->createTargetMachine(
      profile.triple, profile.cpu, profile.features, options, llvm::Reloc::PIC_, std::nullopt, level));
  if (!machine)
    return userError("cannot generate code for '{0}'", profile.triple);
  return machine;
}

static void optimize(llvm::Module &module, llvm::TargetMachine &machine, unsigned optLevel) {
  llvm::LoopAnalysisManager loops;
  llvm::FunctionAnalysisManager functions;
  llvm::CGSCCAnalysisManager graphs;
  llvm::ModuleAnalysisManager modules;
  // Kernels have small constant loops (the window of a convolution); unrolling them fully makes the code many times
  // larger and compilation several times longer for no speed.
  llvm::PipelineTuningOptions tuning;
  tuning.LoopUnrolling = false;
  llvm::PassBuilder builder(&machine, tuning);
  builder.registerModuleAnalyses(modules);
  builder.registerCGSCCAnalyses(graphs);
  builder.registerFunctionAnalyses(functions);
  builder.registerLoopAnalyses(loops);
  builder.crossRegisterProxies(loops, functions, graphs, modules);
  static const llvm::OptimizationLevel levels[] = {llvm::OptimizationLevel::O0, llvm::OptimizationLevel::O1,
                                                   llvm::OptimizationLevel::O2, llvm::OptimizationLevel::O3};
  llvm::OptimizationLevel level = levels[std::min(optLevel, 3u)];
  llvm::ModulePassManager passes = level == llvm::OptimizationLevel::O0 ? builder.buildO0DefaultPipeline(level)
                                                                        : builder.buildPerModuleDefaultPipeline(level);
  passes.run(module, modules);
}

namespace {
/// A translated and optimized module with what it needs to live.
struct Translated {
  llvm::LLVMContext context;
  std::unique_ptr<llvm::TargetMachine> machine;
  std::unique_ptr<llvm::Module> module;
};
} // namespace

static llvm::StringRef getName(mlir::Operation *module) {
  auto name = module->getAttrOfType<mlir::StringAttr>(mlir::SymbolTable::getSymbolAttrName());
  return name ? name.getValue() : "penstock";
}

static llvm::Error translate(mlir::Operation *source, const TargetProfile &profile, Translated &result,
                             llvm::function_ref<llvm::Error(llvm::Module &)> complete = {}) {
  auto machine = createMachine(profile);
  if (!machine)
    return machine.takeError();
  result.machine = std::move(*machine);
  result.module = mlir::translateModuleToLLVMIR(source, result.context, getName(source));
  if (!result.module)
    return worldError("a module could not be translated to LLVM IR");
  result.module->setTargetTriple(profile.triple);
  result.module->setDataLayout(result.machine->createDataLayout());
  result.module->setPICLevel(llvm::PICLevel::BigPIC);
  if (complete)
    if (llvm::Error error = complete(*result.module))
      return error;
  optimize(*result.module, *result.machine, profile.optLevel);
  return llvm::Error::success();
}

static llvm::Expected<std::string> emitFile(Translated &translated, const TargetProfile &profile,
                                            llvm::CodeGenFileType type) {
  llvm::SmallVector<char, 0> bytes;
  llvm::raw_svector_ostream stream(bytes);
  llvm::legacy::PassManager passes;
  if (translated.machine->addPassesToEmitFile(passes, stream, nullptr, type))
    return worldError("the code generator for '{0}' makes no such file", profile.triple);
  passes.run(*translated.module);
  return std::string(bytes.begin(), bytes.end());
}

llvm::Expected<std::string> penstock::emitObject(mlir::ModuleOp module, const TargetProfile &profile) {
  Translated translated;
  if (llvm::Error error = translate(module, profile, translated))
    return std::move(error);
  return emitFile(translated, profile, llvm::CodeGenFileType::ObjectFile);
}

llvm::Expected<std::string> penstock::emitAssembly(mlir::Operation *module, const TargetProfile &profile,
                                                   llvm::function_ref<llvm::Error(llvm::Module &)> complete) {
  Translated translated;
  if (llvm::Error error = translate(module, profile, translated, complete))
    return std::move(error);
  return emitFile(translated, profile, llvm::CodeGenFileType::AssemblyFile);
}

llvm::Expected<std::string> penstock::emitLLVMText(mlir::ModuleOp module, const TargetProfile &profile) {
  Translated translated;
  if (llvm::Error error = translate(module, profile, translated))
    return std::move(error);
  std::string text;
  llvm::raw_string_ostream(text) << *translated.module;
  return text;
}
