//===- PlayedCompile.cpp - Folders whose GPU is played ------ -*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
//   gpu_compile MODEL -o DIR --stages N [--cut NAME]... [--microbatch N] [--all-in-one] [--cluster FILE]
//               [--transport nccl] [flags of a model's inputs]
//
// `penstock compile --target cuda` with images for the stand-in of the driver (HostImages.h). No toolkit is needed. The
// folder runs where LD_LIBRARY_PATH leads to the stand-in.
//
//===----------------------------------------------------------------------===//

#include "HostImages.h"
#include "ImportFlags.h"
#include "penstock/Driver/Compiler.h"
#include "penstock/Driver/Diagnostics.h"
#include "penstock/Support/Error.h"

#include "mlir/IR/MLIRContext.h"

#include <CLI/CLI.hpp>

using namespace penstock;

int main(int argc, char **argv) {
  driver::CompileOptions options;
  options.isCached = false; // the kernels have the names of real ones
  tool::ImportFlags importFlags;
  CLI::App app;
  app.add_option("model", options.model)->required();
  app.add_option("-o", options.output)->required();
  app.add_option("--stages", options.numStages);
  app.add_option("--cut", options.cuts);
  app.add_option("--microbatch", options.microbatch);
  app.add_flag("--all-in-one", options.allInOne);
  app.add_option("--cluster", options.clusterFile);
  app.add_option("--transport", options.transport);
  importFlags.addTo(app, options.import);
  CLI11_PARSE(app, argc, argv);
  if (!importFlags.parse(options.import))
    return 2;
  options.target = options.clusterFile.empty() ? "cuda" : "cpu";
  mlir::DialectRegistry registry;
  driver::registerDialects(registry);
  mlir::MLIRContext context(registry);
  driver::Compilation compilation(context, options);
  driver::DiagnosticReporter reporter(&context, llvm::errs(), /*verbose=*/true);
  auto target = cuda::createCudaTarget("native", std::make_unique<test::HostImages>());
  if (!target) {
    (void)compilation.fail(target.takeError());
    return compilation.exitStatus;
  }
  (options.clusterFile.empty() ? compilation.target : compilation.others["cuda"]) = std::move(*target);
  (void)driver::compile(compilation);
  return compilation.exitStatus;
}
