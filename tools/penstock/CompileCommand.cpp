//===- CompileCommand.cpp - penstock compile -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#include "Commands.h"
#include "CutFlags.h"
#include "ImportFlags.h"

#include "penstock/Driver/Diagnostics.h"

#include "mlir/IR/DialectRegistry.h"
#include "mlir/IR/MLIRContext.h"
#include "llvm/Support/raw_ostream.h"

#include <chrono>
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

private:
  void addBatchOptions(CLI::App &app);
  void addCodeOptions(CLI::App &app);
  void addPhaseOptions(CLI::App &app);
};

void CompileCommand::addOptions(CLI::App &app) {
  addCommonOptions(app, common);
  app.add_option("MODEL", options.model, "the ONNX model; with --compile-from, a dump")->required();
  app.add_option("-o,--output", options.output, "folder to write (default: MODEL.penstock)")->type_name("DIR");
  app.add_option("--stages,--pp-size", options.numStages,
                 "number of pipeline stages (default: as cuts or a plan imply, else 1)")
      ->type_name("N")
      ->check(atLeastOne());
  app.add_flag("--all-in-one", options.allInOne,
               "also write 'all-in-one', one executable that runs all stages as threads");
  importFlags.addTo(app, options.import);
  addBatchOptions(app);
  addCutFlags(app, options);
  app.add_option("--plan", options.planFile, "keep the stages of a plan.json, or of what 'penstock plan --json' wrote")
      ->type_name("FILE");
  app.add_flag("--profile", options.isProfiled, "time every kernel in a short run of a first plan, then plan again");
  app.add_option("--memory-limit", options.memoryLimitBytes, "most that the process of a stage may hold, e.g. 8GiB")
      ->type_name("BYTES")
      ->transform(CLI::AsSizeValue(false).description(""));
  addCodeOptions(app);
  addPhaseOptions(app);
  setGroup(app, "Model",
           {"--dim", "--shape", "--bind", "--state", "--external-data-dir", "--microbatch", "--batch-dim"});
  setGroup(app, "Where to cut",
           {"--cut", "--balance", "--from-onnx-stages", "--plan", "--cluster", "--costs", "--profile", "--memory-limit",
            "--depth"});
  setGroup(app, "Code",
           {"--target", "--arch", "--transport", "--threads", "--precision", "--tf32", "--cache-dir", "--no-cache"});
  setGroup(app, "Phases of the compiler", {"--compile-to", "--compile-from", "--dump-phases"});
}

void CompileCommand::addBatchOptions(CLI::App &app) {
  app.add_option("--microbatch", options.microbatch,
                 "rows of a request that a stage takes at once (default: the model's static batch, else 1)")
      ->type_name("N")
      ->check(atLeastOne());
  app.add_option("--batch-dim", options.import.batchDim, "the dimension that is the batch")->type_name("NAME");
}

void CompileCommand::addCodeOptions(CLI::App &app) {
  addTargetFlags(app, options);
  app.add_option("--arch", options.arch,
                 "CPU to compile for: native, x86-64-v3 or x86-64-v4; GPUs: sm_80,sm_90 and others")
      ->type_name("ARCH")
      ->capture_default_str();
  app.add_option("--transport", options.transport,
                 "what takes messages from one GPU stage to the next: host, through memory of the host, or nccl, from "
                 "device to device (default: as the cluster file says, else host)")
      ->type_name("TRANSPORT")
      ->check(CLI::IsMember({"host", "nccl"}));
  app.add_option("--precision", options.precision,
                 "in which products and convolutions are computed (default: as the model says)")
      ->type_name("TYPE")
      ->check(CLI::IsMember({"f32", "bf16", "f16"}));
  app.add_flag("--tf32", options.allowsTf32, "cuda: contractions of f32 may round their factors to TensorFloat-32");
  CLI::Option *cache =
      app.add_option(
             "--cache-dir", options.cacheFolder,
             "folder of compiled kernels, yours alone (default: penstock/kernels in XDG_CACHE_HOME or ~/.cache)")
          ->type_name("DIR");
  app.add_flag_callback(
         "--no-cache", [this] { options.isCached = false; }, "compile every kernel anew, and keep none")
      ->excludes(cache);
}

void CompileCommand::addPhaseOptions(CLI::App &app) {
  app.add_option("--compile-to", options.compileTo, "stop after this phase: " + driver::listPhases())
      ->type_name("PHASE");
  app.add_option("--compile-from", options.compileFrom, "go on from MODEL, a dump written after this phase")
      ->type_name("PHASE");
  app.add_option("--dump-phases", options.dumpPhases, "folder for a dump of the module after each phase")
      ->type_name("DIR");
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
  return addCommand<CompileCommand>(parent, "compile", "compile an ONNX model into a folder of executables");
}

} // namespace penstock::tool
