//===- PhasesFront.cpp - The phases up to the plan -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#include "PhaseFunctions.h"

#include "penstock/Dialect/NN/Transforms/Passes.h"
#include "penstock/Dialect/Pipe/Transforms/Passes.h"
#include "penstock/Import/Onnx/OnnxImporter.h"
#include "penstock/Target/TargetBackend.h"

#include "mlir/Pass/PassManager.h"
#include "mlir/Transforms/Passes.h"

namespace penstock::driver {
using namespace mlir;

LogicalResult openTarget(Compilation &compilation) {
  if (compilation.target)
    return success();
  llvm::Expected<std::unique_ptr<TargetBackend>> target = createCpuTarget(compilation.options.arch);
  if (!target)
    return compilation.fail(target.takeError());
  compilation.target = std::move(*target);
  return success();
}

LogicalResult runImport(Compilation &compilation) {
  FailureOr<OwningOpRef<ModuleOp>> module =
      onnximport::importOnnxModel(compilation.context, compilation.options.model, compilation.options.import);
  if (failed(module))
    return failure();
  compilation.module = std::move(*module);
  return success();
}

LogicalResult runNormalize(Compilation &compilation) {
  PassManager passes(&compilation.context);
  passes.addPass(nn::createSimplifyMovementPass());
  passes.addPass(createCSEPass());
  passes.addPass(nn::createRaiseActivationsPass());
  passes.addPass(nn::createRaiseLayerNormPass());
  passes.addPass(nn::createRaiseAttentionPass());
  passes.addPass(nn::createSimplifyMovementPass());
  passes.addPass(createCSEPass());
  passes.addPass(nn::createExpandBatchNormPass());
  // After all that makes arithmetic on constants.
  passes.addPass(nn::createOutlineConstantsPass());
  passes.addPass(nn::createVerifySymbolsPass());
  pipe::VerifyBatchPassOptions batch;
  batch.isRequired = compilation.options.microbatch > 0;
  batch.batchDim = compilation.options.import.batchDim;
  passes.addPass(pipe::createVerifyBatchPass(batch));
  return passes.run(*compilation.module);
}

LogicalResult runFuse(Compilation &compilation) {
  if (failed(openTarget(compilation)))
    return failure();
  PassManager passes(&compilation.context);
  nn::AssignLayoutsPassOptions layouts;
  layouts.channelsLast = compilation.target->prefersChannelsLast();
  passes.addPass(nn::createAssignLayoutsPass(layouts));
  passes.addPass(nn::createSimplifyMovementPass());
  passes.addPass(createCSEPass());
  passes.addPass(nn::createFuseKernelsPass());
  return passes.run(*compilation.module);
}

/// What the plan needs from the command line, as options of the pass that makes it.
static pipe::AssignStagesPassOptions assignOptions(const CompileOptions &options) {
  pipe::AssignStagesPassOptions result;
  result.numStages = options.numStages;
  result.balance = options.balance;
  result.memoryLimit = options.memoryLimitBytes;
  result.cuts = options.cuts;
  result.fromOnnxStages = options.fromOnnxStages;
  result.plan = options.planFile;
  return result;
}

LogicalResult runAssign(Compilation &compilation) {
  PassManager passes(&compilation.context);
  passes.addPass(pipe::createAssignStagesPass(assignOptions(compilation.options)));
  return passes.run(*compilation.module);
}

LogicalResult runSplit(Compilation &compilation) {
  PassManager passes(&compilation.context);
  passes.addPass(pipe::createSplitStagesPass());
  return passes.run(*compilation.module);
}

LogicalResult runSchedule(Compilation &compilation) {
  PassManager passes(&compilation.context);
  passes.addPass(pipe::createSchedulePass());
  return passes.run(*compilation.module);
}

LogicalResult runPlace(Compilation &compilation) {
  PassManager passes(&compilation.context);
  pipe::PlaceBuffersPassOptions options;
  options.memoryLimit = compilation.options.memoryLimitBytes;
  passes.addPass(pipe::createPlaceBuffersPass(options));
  return passes.run(*compilation.module);
}

} // namespace penstock::driver
