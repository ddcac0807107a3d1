//===- PhasesBack.cpp - The phases from kernels to the output folder -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#include "DerivedWeights.h"
#include "PhaseFunctions.h"

#include "penstock/Conversion/PipeToRt/PipeToRt.h"
#include "penstock/Dialect/NN/IR/NNOps.h"
#include "penstock/Link/BundleWriter.h"
#include "penstock/Support/CpuFeatures.h"
#include "penstock/Support/Error.h"
#include "penstock/Target/TargetBackend.h"

#include "mlir/Pass/PassManager.h"
#include "llvm/Support/Path.h"

namespace penstock::driver {
using namespace mlir;

/// Compiles every kernel of the module and writes down what came out. A dump names its kernels by content, so a resumed
/// compilation makes the same objects again.
LogicalResult runKernels(Compilation &compilation) {
  if (failed(openTarget(compilation)))
    return failure();
  auto range = compilation.module->getOps<nn::KernelDefOp>();
  SmallVector<nn::KernelDefOp> kernels(range.begin(), range.end());
  const TargetBackend &target = *compilation.target;
  FailureOr<std::vector<kernels::CompiledKernel>> compiled =
      kernels::compileKernels(kernels, target.getProfile(), /*numThreads=*/0, target.getLibrary());
  if (failed(compiled))
    return failure();
  Builder builder(&compilation.context);
  for (auto [kernel, result] : llvm::zip(kernels, *compiled)) {
    kernel->setAttr("kernel.object", builder.getStringAttr(result.hash));
    kernel->setAttr("kernel.kind", builder.getStringAttr(result.kind));
    kernel->setAttr("kernel.workspace", nn::ExtentsAttr::get(&compilation.context, {result.workspaceBytes}));
    if (result.inPlaceInput >= 0)
      kernel->setAttr("kernel.in_place", builder.getI64IntegerAttr(result.inPlaceInput));
    if (!result.library.empty())
      kernel->setAttr("kernel.library", builder.getStringAttr(result.library));
    compilation.kernels.try_emplace(result.hash, std::move(result));
  }
  return success();
}

LogicalResult runEmit(Compilation &compilation) {
  if (failed(openTarget(compilation)))
    return failure();
  ConvertPipeToRtPassOptions options;
  options.numThreads = compilation.options.numThreads;
  options.requiredFeatures = getRequiredFeatures(compilation.target->getProfile());
  PassManager passes(&compilation.context);
  passes.addPass(createConvertPipeToRtPass(options));
  return passes.run(*compilation.module);
}

/// The folder beside which the model lies, with its name: model.onnx gives model.penstock.
static std::string defaultOutput(const CompileOptions &options) {
  SmallString<128> path(options.model);
  llvm::sys::path::replace_extension(path, "penstock");
  return path.str().str();
}

LogicalResult runLink(Compilation &compilation) {
  const CompileOptions &options = compilation.options;
  // A resumed compilation has names of objects only.
  if (compilation.kernels.empty() && failed(runKernels(compilation)))
    return failure();
  llvm::Expected<link::Installation> installation = link::Installation::locate();
  if (!installation)
    return compilation.fail(installation.takeError());
  llvm::Expected<llvm::StringMap<std::string>> derived =
      computeDerivedWeights(*compilation.module, compilation.kernels);
  if (!derived)
    return compilation.fail(derived.takeError());
  link::BundleOptions bundle;
  bundle.output = options.output.empty() ? defaultOutput(options) : options.output;
  bundle.profile = compilation.target->getProfile();
  bundle.version = PENSTOCK_VERSION;
  bundle.microbatchRows = options.microbatch;
  bundle.computedWeights = std::move(*derived);
  llvm::StringMap<std::string> objects;
  for (auto &entry : compilation.kernels)
    objects[entry.getKey()] = entry.getValue().object;
  llvm::Expected<link::BundleSummary> summary = link::writeBundle(*compilation.module, objects, *installation, bundle);
  if (!summary)
    return compilation.fail(summary.takeError());
  compilation.output = bundle.output;
  return success();
}

} // namespace penstock::driver
