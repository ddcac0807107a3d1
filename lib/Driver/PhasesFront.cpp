//===- PhasesFront.cpp - The phases up to the plan -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#include "Devices.h"
#include "PhaseFunctions.h"

#include "penstock/Dialect/NN/Transforms/Passes.h"
#include "penstock/Dialect/Pipe/Transforms/Passes.h"
#include "penstock/Driver/Partitioning.h"
#include "penstock/Import/Onnx/OnnxImporter.h"
#include "penstock/Link/FolderIdentity.h"
#include "penstock/Support/Error.h"
#include "penstock/Target/TargetBackend.h"

#include "mlir/Pass/PassManager.h"
#include "mlir/Transforms/Passes.h"

namespace penstock::driver {
using namespace mlir;

/// --precision f32 is what the model must say itself.
static LogicalResult checkPrecision(Compilation &compilation) {
  const std::string &precision = compilation.options.precision;
  if (precision.empty())
    return success();
  Operation *other = nullptr;
  compilation.module->walk([&](Operation *op) {
    if (!isa<nn::MatmulOp, nn::ConvOp, nn::ConvTransposeOp>(op) || other)
      return;
    if (Type type = getElementTypeOrSelf(op->getResult(0)); type.isF16() || type.isBF16())
      other = op;
  });
  if (!other)
    return success();
  other->emitError() << "has element type " << getElementTypeOrSelf(other->getResult(0))
                     << ", but --precision is f32; this version computes contractions as the model says";
  return failure();
}

static std::string toText(const onnximport::DimOption &dim) {
  if (dim.fixed)
    return std::to_string(*dim.fixed);
  std::string text = std::to_string(dim.lower.value_or(0)) + ".." + std::to_string(dim.upper.value_or(0));
  return dim.typical ? text + ":" + std::to_string(*dim.typical) : text;
}

static std::string toText(const std::vector<onnximport::ExtentOption> &shape) {
  std::string text;
  for (onnximport::ExtentOption extent : shape)
    text += (text.empty() ? "" : "x") + (extent ? std::to_string(*extent) : std::string("?"));
  return text.empty() ? "scalar" : text;
}

/// The flags that made this module out of the model, so that a dump and the folder know them.
static SmallVector<std::string> listImportFlags(const onnximport::ImportOptions &options) {
  SmallVector<std::string> flags;
  for (const auto &[name, dim] : options.dims)
    flags.push_back("--dim=" + name + "=" + toText(dim));
  for (const auto &[name, shape] : options.shapes)
    flags.push_back("--shape=" + name + "=" + toText(shape));
  for (const auto &[name, value] : options.binds)
    flags.push_back("--bind=" + name + "=" + value);
  for (const auto &[input, output] : options.states)
    flags.push_back("--state=" + input + "=" + output);
  if (!options.batchDim.empty())
    flags.push_back("--batch-dim=" + options.batchDim);
  return flags;
}

LogicalResult runImport(Compilation &compilation) {
  onnximport::ImportOptions options = compilation.options.import;
  options.pipelineStages = compilation.options.fromOnnxStages;
  FailureOr<OwningOpRef<ModuleOp>> module =
      onnximport::importOnnxModel(compilation.context, compilation.options.model, options);
  if (failed(module))
    return failure();
  compilation.module = std::move(*module);
  SmallVector<std::string> flags = listImportFlags(options);
  SmallVector<StringRef> texts(flags.begin(), flags.end());
  if (!texts.empty())
    (*compilation.module)->setAttr(kFlagsAttr, Builder(&compilation.context).getStrArrayAttr(texts));
  (*compilation.module)
      ->setAttr(link::kModelHashAttr, StringAttr::get(&compilation.context, link::hashGraph(*compilation.module)));
  return checkPrecision(compilation);
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

/// One layout for the whole model, if it suits all of its convolutions.
static bool prefersChannelsLast(ModuleOp module, const TargetBackend &target) {
  WalkResult result = module.walk([&](Operation *op) {
    bool isConvolution = isa<nn::ConvOp, nn::ConvTransposeOp>(op);
    return isConvolution && !target.prefersChannelsLast(getElementTypeOrSelf(op->getResult(0)))
               ? WalkResult::interrupt()
               : WalkResult::advance();
  });
  return !result.wasInterrupted();
}

LogicalResult runFuse(Compilation &compilation) {
  if (failed(openTarget(compilation)))
    return failure();
  PassManager passes(&compilation.context);
  nn::AssignLayoutsPassOptions layouts;
  layouts.channelsLast = prefersChannelsLast(*compilation.module, *compilation.target);
  passes.addPass(nn::createAssignLayoutsPass(layouts));
  passes.addPass(nn::createSimplifyMovementPass());
  passes.addPass(createCSEPass());
  passes.addPass(nn::createFuseKernelsPass());
  compilation.target->addKernelPasses(passes);
  return passes.run(*compilation.module);
}

/// As `pipe-assign-stages` does it, with devices and costs that a pass option cannot say.
LogicalResult runAssign(Compilation &compilation) {
  const CompileOptions &options = compilation.options;
  if (failed(openTarget(compilation)))
    return failure();
  llvm::Expected<Partitioning> partitioning = Partitioning::create(options, *compilation.target);
  if (!partitioning)
    return compilation.fail(partitioning.takeError());
  if (llvm::Error error = partitioning->addTimes(compilation.measuredSeconds))
    return compilation.fail(std::move(error));
  llvm::Expected<pipe::PartitionOptions> how = partitioning->makeOptions(*compilation.module, options.numStages);
  if (!how)
    return compilation.fail(how.takeError());
  how->workspaceBytes = compilation.workspaceBytes;
  how->libraryBytes = compilation.libraryBytes;
  how->heldBackBytes = compilation.heldBackBytes;
  how->maxDepth = compilation.maxDepth;
  if (!options.planFile.empty()) {
    auto plan = pipe::readPlanFile(options.planFile, compilation.module->getLoc());
    if (failed(plan))
      return failure();
    how->plan = std::move(*plan);
    how->planFile = options.planFile;
  }
  compilation.memoryLimits.clear();
  for (const partition::Device &device : how->devices)
    compilation.memoryLimits.push_back(device.memoryLimitBytes);
  return pipe::assignStages(*compilation.module, *how);
}

LogicalResult runSplit(Compilation &compilation) {
  PassManager passes(&compilation.context);
  passes.addPass(pipe::createSplitStagesPass());
  return failed(passes.run(*compilation.module)) ? failure() : placeStages(compilation);
}

LogicalResult runSchedule(Compilation &compilation) {
  PassManager passes(&compilation.context);
  pipe::SchedulePassOptions options;
  options.maxDepth = compilation.maxDepth;
  passes.addPass(pipe::createSchedulePass(options));
  return passes.run(*compilation.module);
}

LogicalResult runPlace(Compilation &compilation) {
  PassManager passes(&compilation.context);
  pipe::PlaceBuffersPassOptions options;
  options.memoryLimit = compilation.isPlannedWithinMemory ? 0 : compilation.options.memoryLimitBytes;
  options.numThreads = compilation.options.numThreads;
  passes.addPass(pipe::createPlaceBuffersPass(options));
  return passes.run(*compilation.module);
}

} // namespace penstock::driver
