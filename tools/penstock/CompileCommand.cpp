//===- CompileCommand.cpp - penstock compile -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#include "Commands.h"
#include "ImportFlags.h"

#include "penstock/Driver/Compiler.h"
#include "penstock/Driver/Diagnostics.h"

#include "mlir/IR/DialectRegistry.h"
#include "mlir/IR/MLIRContext.h"
#include "llvm/Support/raw_ostream.h"

#include <chrono>
#include <memory>
#include <unistd.h>

using namespace penstock;

namespace penstock::tool {
namespace {

struct CompileCommand {
  CommonOptions common;
  driver::CompileOptions options;
  ImportFlags importFlags;

  void addOptions(CLI::App &app);
  int run();
};

void CompileCommand::addOptions(CLI::App &app) {
  addCommonOptions(app, common);
  app.add_option("MODEL", options.model, "the ONNX model; with --compile-from, a dump")->required();
  app.add_option("-o,--output", options.output, "folder to write (default: MODEL.penstock)");
  app.add_option("--stages,--pp-size", options.numStages,
                 "number of pipeline stages (default: as cuts or a plan imply, else 1)")
      ->type_name("N")
      ->check(atLeastOne());
  importFlags.addTo(app, options.import);
  app.add_option("--cut", options.cuts, "end a stage at this ONNX tensor or node; may be given often, in order");
  app.add_option("--balance", options.balance, "what to balance: time, params, memory or uniform")
      ->check(CLI::IsMember({"time", "params", "memory", "uniform"}))
      ->capture_default_str();
  app.add_flag("--from-onnx-stages", options.fromOnnxStages, "keep the stages that the model's nodes carry");
  app.add_option("--plan", options.planFile, "keep the stages of a plan.json, or of what 'penstock plan --json' wrote")
      ->type_name("FILE");
  app.add_option("--cluster", options.clusterFile, "TOML file of the devices that the stages run on")
      ->type_name("FILE");
  app.add_option("--costs", options.costsFile,
                 "what kernels cost: a device profile, or what 'penstock bench --json' wrote")
      ->type_name("FILE");
  app.add_flag("--profile", options.isProfiled, "time every kernel in a short run of a first plan, then plan again");
  app.add_option("--microbatch", options.microbatch, "rows of a microbatch (default: the model's static batch, else 1)")
      ->type_name("N")
      ->check(atLeastOne());
  app.add_option("--batch-dim", options.import.batchDim, "the dimension that is the batch")->type_name("NAME");
  app.add_option("--memory-limit", options.memoryLimitBytes, "most memory of a stage, e.g. 8GiB")
      ->transform(CLI::AsSizeValue(false));
  app.add_option("--depth", options.maxDepth,
                 "most slots of a channel, which need memory (default: as many as keep the stages from waiting)")
      ->type_name("N")
      ->check(atLeastOne());
  app.add_option("--target", options.target, "what to compile for: cpu or cuda")
      ->check(CLI::IsMember({"cpu", "cuda"}))
      ->capture_default_str();
  app.add_option("--precision", options.precision, "of contractions: f32, bf16 or f16 (default: as the model says)")
      ->check(CLI::IsMember({"f32", "bf16", "f16"}))
      ->type_name("P");
  app.add_option("--arch", options.arch,
                 "CPU to compile for: native, x86-64-v3 or x86-64-v4; GPUs: sm_80,sm_90 and others")
      ->capture_default_str();
  app.add_option("--threads", options.numThreads, "threads of a kernel")->check(atLeastOne())->capture_default_str();
  app.add_flag("--all-in-one", options.allInOne,
               "also write 'all-in-one', one executable that runs all stages as threads");
  CLI::Option *cache =
      app.add_option(
             "--cache-dir", options.cacheFolder,
             "folder of compiled kernels, yours alone (default: penstock/kernels in XDG_CACHE_HOME or ~/.cache)")
          ->type_name("DIR");
  app.add_flag_callback(
         "--no-cache", [this] { options.isCached = false; }, "compile every kernel anew, and keep none")
      ->excludes(cache);
  app.add_option("--compile-to", options.compileTo, "stop after this phase: " + driver::listPhases());
  app.add_option("--compile-from", options.compileFrom, "resume from a dump written after this phase");
  app.add_option("--dump-phases", options.dumpPhases, "folder for a dump of the module after each phase");
}

/// On a terminal the phase at work; with --verbose a line per phase with its time.
class Progress {
public:
  Progress(bool quiet, bool verbose) : live(!quiet && !verbose && isatty(2)), verbose(verbose && !quiet) {}
  ~Progress() { finish(); }

  void enter(driver::Phase phase) {
    finish();
    name = driver::getPhases()[static_cast<int>(phase)].name.data();
    start = std::chrono::steady_clock::now();
    if (live)
      llvm::errs() << "\r\033[K" << name << " ...";
  }

  void finish() {
    if (live && name)
      llvm::errs() << "\r\033[K";
    if (verbose && name) {
      std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
      llvm::errs() << llvm::format("%-10s %8.3f s\n", name, elapsed.count());
    }
    name = nullptr;
  }

private:
  bool live, verbose;
  const char *name = nullptr;
  std::chrono::steady_clock::time_point start;
};

int CompileCommand::run() {
  if (!importFlags.parse(options.import))
    return 2;
  mlir::DialectRegistry registry;
  driver::registerDialects(registry);
  mlir::MLIRContext context(registry);
  driver::Compilation compilation(context, options);
  Progress progress(common.quiet, common.verbose);
  driver::DiagnosticReporter reporter(&context, llvm::errs(), common.verbose);
  if (mlir::failed(driver::compile(compilation, [&](driver::Phase phase) { progress.enter(phase); }))) {
    progress.finish();
    if (reporter.getNumErrors() == 0)
      llvm::errs() << "error: compilation of '" << options.model << "' failed\n";
    return compilation.exitStatus;
  }
  progress.finish();
  if (options.compileTo != "link") {
    compilation.module->print(llvm::outs());
    if (!common.quiet)
      driver::printDeviceFunctions(*compilation.module, /*json=*/false, llvm::errs());
  } else if (!common.quiet) {
    driver::printSummary(compilation, common.json, llvm::outs());
  }
  return 0;
}

} // namespace

Command addCompileCommand(CLI::App &parent) {
  CLI::App *app = parent.add_subcommand("compile", "compile an ONNX model into a folder of executables");
  auto command = std::make_shared<CompileCommand>();
  command->addOptions(*app);
  return {app, [command] { return command->run(); }};
}

} // namespace penstock::tool
