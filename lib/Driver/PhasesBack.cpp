//===- PhasesBack.cpp - The phases from kernels to the output folder -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#include "Devices.h"
#include "PhaseFunctions.h"
#include "WeightMaker.h"

#include "penstock/Conversion/PipeToRt/PipeToRt.h"
#include "penstock/Dialect/NN/Transforms/Passes.h"
#include "penstock/Dialect/Pipe/Transforms/KernelShapes.h"
#include "penstock/Driver/Partitioning.h"
#include "penstock/Link/BundleWriter.h"
#include "penstock/Support/CpuFeatures.h"
#include "penstock/Support/Error.h"
#include "penstock/Target/TargetBackend.h"

#include "mlir/Pass/PassManager.h"
#include "llvm/Support/Path.h"

namespace penstock::driver {
using namespace mlir;

LogicalResult openTarget(Compilation &compilation) {
  if (compilation.target)
    return success();
  llvm::Expected<std::unique_ptr<TargetBackend>> target = openTarget(compilation.options);
  if (!target)
    return compilation.fail(target.takeError());
  compilation.target = std::move(*target);
  return success();
}

LogicalResult openCache(Compilation &compilation) {
  const CompileOptions &options = compilation.options;
  if (!options.isCached || compilation.cache || !compilation.withoutCache.empty())
    return success();
  std::string folder = options.cacheFolder.empty() ? getDefaultCacheFolder() : options.cacheFolder;
  if (folder.empty()) {
    compilation.withoutCache = "neither XDG_CACHE_HOME nor HOME is set";
    return success();
  }
  llvm::Expected<std::unique_ptr<BuildCache>> cache = BuildCache::open(folder);
  if (cache)
    compilation.cache = std::move(*cache);
  else if (!options.cacheFolder.empty())
    return compilation.fail(cache.takeError());
  else
    compilation.withoutCache = llvm::toString(cache.takeError());
  return success();
}

/// The assembler's figures.
static ArrayAttr describeFunctions(Builder &builder, ArrayRef<kernels::DeviceFunction> functions) {
  SmallVector<Attribute> list;
  for (const kernels::DeviceFunction &function : functions) {
    NamedAttrList entry;
    entry.set("name", builder.getStringAttr(function.name));
    entry.set("arch", builder.getStringAttr(function.arch));
    entry.set("threads", builder.getI64IntegerAttr(function.threadsPerBlock));
    entry.set("registers", builder.getI64IntegerAttr(function.numRegisters));
    entry.set("shared", builder.getI64IntegerAttr(function.sharedBytes));
    entry.set("stack", builder.getI64IntegerAttr(function.stackBytes));
    entry.set("spill_stores", builder.getI64IntegerAttr(function.spillStoreBytes));
    entry.set("spill_loads", builder.getI64IntegerAttr(function.spillLoadBytes));
    list.push_back(entry.getDictionary(builder.getContext()));
  }
  return builder.getArrayAttr(list);
}

/// What came of a kernel, as attributes of its definition.
static void describeKernel(nn::KernelDefOp kernel, const kernels::CompiledKernel &result, const LibraryMemory &memory) {
  Builder builder(kernel.getContext());
  auto set = [&](StringRef name, Attribute value, bool isThere = true) {
    if (isThere)
      kernel->setAttr(name, value);
    else
      kernel->removeAttr(name);
  };
  set("kernel.object", builder.getStringAttr(result.hash));
  set("kernel.kind", builder.getStringAttr(result.kind));
  set("kernel.workspace", nn::ExtentsAttr::get(kernel.getContext(), {result.workspaceBytes}));
  set("kernel.in_place", builder.getI64IntegerAttr(result.inPlaceInput), result.inPlaceInput >= 0);
  set("kernel.library", builder.getStringAttr(result.library), !result.library.empty());
  set("kernel.isa", builder.getStringAttr(result.isa), !result.isa.empty());
  set(kKernelFunctionsAttr, describeFunctions(builder, result.functions), !result.functions.empty());
  set("kernel.growing_scratch", builder.getUnitAttr(), result.hasGrowingScratch);
  bool isKept = !result.library.empty() && memory.bytesPerShape > 0;
  set("kernel.shape_bytes", builder.getI64IntegerAttr(memory.bytesPerShape), isKept);
  set("kernel.max_shapes", builder.getI64IntegerAttr(memory.maxShapes), isKept);
  set(nn::kKernelPackingAttr, builder.getArrayAttr(result.packing), !result.packing.empty());
}

/// Compiles kernels of one target, and keeps and writes down what came out.
static LogicalResult compileFresh(Compilation &compilation, const TargetBackend &target,
                                  ArrayRef<nn::KernelDefOp> fresh) {
  FailureOr<std::vector<kernels::CompiledKernel>> compiled =
      kernels::compileKernels(fresh, target.getProfile(), /*numThreads=*/0, target.getLibrary(), target.getGenerator(),
                              compilation.cache.get());
  if (failed(compiled))
    return failure();
  for (auto [kernel, result] : llvm::zip(fresh, *compiled)) {
    describeKernel(kernel, result, target.getLibraryMemory());
    compilation.kernels.try_emplace(result.hash, std::move(result));
  }
  return success();
}

/// Compiles every kernel of the module that an earlier plan has not compiled yet, writes down what came out, and gives
/// kernels their weights as they want them. A dump names its kernels by content, so a resumed compilation makes the
/// same objects again.
LogicalResult runKernels(Compilation &compilation) {
  if (failed(openTarget(compilation)) || failed(openCache(compilation)))
    return failure();
  pipe::setKernelShapes(*compilation.module);
  std::map<const TargetBackend *, SmallVector<nn::KernelDefOp>> fresh;
  for (auto kernel : compilation.module->getOps<nn::KernelDefOp>()) {
    const TargetBackend *target = nullptr;
    if (failed(openTargetFor(compilation, getDevice(kernel), target)))
      return failure();
    auto known =
        compilation.kernels.empty()
            ? compilation.kernels.end()
            : compilation.kernels.find(kernels::hashKernel(kernel, target->getProfile(), target->getLibrary()));
    if (known == compilation.kernels.end())
      fresh[target].push_back(kernel);
    else
      describeKernel(kernel, known->second, target->getLibraryMemory());
  }
  bool isDone = true;
  for (auto &[target, list] : fresh)
    isDone &= succeeded(compileFresh(compilation, *target, list));
  if (compilation.cache)
    compilation.cache->prune();
  if (!isDone)
    return failure();
  PassManager passes(&compilation.context);
  passes.addPass(nn::createPackWeightsPass());
  return passes.run(*compilation.module);
}

/// What the library keeps of a kernel, as the memory contract counts it: once for all calls that a stage has of it.
static int64_t getLibraryBytes(nn::KernelDefOp kernel, nn::CallOp call) {
  auto bytes = kernel->getAttrOfType<IntegerAttr>("kernel.shape_bytes");
  auto most = kernel->getAttrOfType<IntegerAttr>("kernel.max_shapes");
  bool isStatic =
      llvm::all_of(call.getSymbols().getExprs(), [](AffineExpr expr) { return nn::getConstant(expr).has_value(); });
  bool isBounded = most && !kernel->hasAttr("kernel.growing_scratch");
  return !bytes ? 0 : bytes.getInt() * (isStatic || !isBounded ? 1 : most.getInt());
}

LogicalResult learnWorkspaces(Compilation &compilation) {
  llvm::Expected<OwningOpRef<ModuleOp>> stage = makeOneStage(*compilation.module);
  if (!stage)
    return compilation.fail(stage.takeError());
  if (failed(openTarget(compilation)))
    return failure();
  placeOnDevices(stage->get(), compilation.target->getDevice().str());
  std::swap(compilation.module, *stage);
  LogicalResult compiled = runKernels(compilation);
  std::swap(compilation.module, *stage);
  if (failed(compiled))
    return failure();
  SymbolTable symbols(stage->get());
  llvm::StringMap<int64_t> numCalls;
  (*stage)->walk([&](nn::CallOp call) { ++numCalls[call.getKernel()]; });
  (*stage)->walk([&](nn::CallOp call) {
    auto name = call->getAttrOfType<StringAttr>("nn.kernel_name");
    auto workspace = symbols.lookup(call.getKernel())->getAttrOfType<nn::ExtentsAttr>("kernel.workspace");
    // Shared out among the calls, since which of them will share a stage is not known: never too much.
    if (name)
      compilation.libraryBytes[name.getValue()] =
          getLibraryBytes(symbols.lookup<nn::KernelDefOp>(call.getKernel()), call) / numCalls[call.getKernel()];
    if (name && workspace)
      compilation.workspaceBytes[name.getValue()] =
          nn::simplifyExtent(workspace.getExprs()[0].replaceSymbols(call.getSymbols().getExprs()));
  });
  return success();
}

LogicalResult runEmit(Compilation &compilation) {
  TargetProfile roles, kernels;
  if (failed(findProfiles(compilation, roles, kernels)))
    return failure();
  ConvertPipeToRtPassOptions options;
  options.numThreads = compilation.options.numThreads;
  options.requiredFeatures = getRequiredFeatures(roles);
  PassManager passes(&compilation.context);
  passes.addPass(createConvertPipeToRtPass(options));
  return passes.run(*compilation.module);
}

/// By default beside the model, with its name: model.onnx gives model.penstock.
std::string getOutputFolder(const CompileOptions &options) {
  if (!options.output.empty())
    return options.output;
  SmallString<128> path(options.model);
  llvm::sys::path::replace_extension(path, "penstock");
  return path.str().str();
}

/// The flags that decide the bits of results: those of the module's import, and those of its kernels and microbatches.
static std::vector<std::string> listFlags(Compilation &compilation) {
  const CompileOptions &options = compilation.options;
  std::vector<std::string> flags;
  if (auto imported = (*compilation.module)->getAttrOfType<ArrayAttr>(kFlagsAttr))
    for (auto flag : imported.getAsRange<StringAttr>())
      flags.push_back(flag.str());
  if (options.microbatch > 0)
    flags.push_back("--microbatch=" + std::to_string(options.microbatch));
  if (options.numThreads != 1)
    flags.push_back("--threads=" + std::to_string(options.numThreads));
  if (options.arch != "native")
    flags.push_back("--arch=" + options.arch);
  return flags;
}

LogicalResult runLink(Compilation &compilation) {
  const CompileOptions &options = compilation.options;
  // A resumed compilation has names of objects only.
  if (compilation.kernels.empty() && failed(runKernels(compilation)))
    return failure();
  llvm::Expected<link::Installation> installation = link::Installation::locate();
  if (!installation)
    return compilation.fail(installation.takeError());
  link::BundleOptions bundle;
  bundle.output = getOutputFolder(options);
  if (failed(findProfiles(compilation, bundle.hostProfile, bundle.profile)))
    return failure();
  bundle.version = PENSTOCK_VERSION;
  bundle.microbatchRows = options.microbatch;
  bundle.allInOne = options.allInOne;
  bundle.flags = listFlags(compilation);
  auto host = compilation.others.find("");
  const TargetBackend &maker = host == compilation.others.end() ? *compilation.target : *host->second;
  WeightMaker weights(*compilation.module, compilation.kernels, maker.getLibrary());
  bundle.makeWeight = [&](StringRef name, link::ByteConsumer consume) { return weights.make(name, consume); };
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
