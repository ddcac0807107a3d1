//===- CudaTarget.cpp - Chips of NVIDIA --------------------- -*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "HostObject.h"
#include "Lowering.h"
#include "Toolkit.h"
#include "penstock/Target/Cuda/CublasLtTable.h"
#include "penstock/Target/Cuda/CudnnTable.h"
#include "penstock/Target/Cuda/ImageMaker.h"
#include "penstock/Target/Cuda/Passes.h"
#include "penstock/Target/Cuda/Pipeline.h"
#include "penstock/Target/TargetBackend.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/SymbolTable.h"
#include "llvm/ADT/StringExtras.h"

#include <map>

using namespace penstock;
using namespace penstock::cuda;
using namespace mlir;

namespace {

/// Without --arch: what data centres have, and PTX for what comes after.
constexpr llvm::StringLiteral kDefaultChips = "sm_80,sm_90";
/// Earlier chips have no bf16.
constexpr unsigned kOldestChip = 80;

/// Hears why a pass fails; others hear it too.
class FailureListener {
public:
  explicit FailureListener(MLIRContext *context)
      : handler(context, [this](Diagnostic &diagnostic) {
          if (diagnostic.getSeverity() == DiagnosticSeverity::Error && reason.empty())
            reason = StringRef(diagnostic.str()).split("' op ").second.str();
          return failure();
        }) {}

  llvm::Error refuse() const {
    return userError("has no code for GPUs in this version: {0}; '--target cpu' compiles it, and '--bind' may make "
                     "what decides it a constant",
                     reason.empty() ? "a pass fails" : reason);
  }

private:
  std::string reason;
  ScopedDiagnosticHandler handler;
};

/// PTX, and the toolkit's assembler.
class AssembledImages : public ImageMaker {
public:
  AssembledImages(Toolkit toolkit, std::vector<std::string> chips)
      : toolkit(std::move(toolkit)), chips(std::move(chips)) {}

  llvm::Expected<Image> make(ModuleOp module, StringRef name) const override {
    FailureListener listener(module.getContext());
    OwningOpRef<ModuleOp> device = module.clone();
    PassManager toNVVM(module.getContext(), ModuleOp::getOperationName());
    addNVVMPasses(toNVVM);
    if (failed(toNVVM.run(*device)))
      return listener.refuse();
    auto code = *device->getOps<gpu::GPUModuleOp>().begin();
    std::vector<PtxFile> files;
    for (const std::string &chip : chips) {
      llvm::Expected<std::string> ptx = emitPtx(code, chip, toolkit.getLibdevice());
      if (!ptx)
        return ptx.takeError();
      files.push_back({chip, std::move(*ptx)});
    }
    return toolkit.assemble(name, files);
  }

private:
  Toolkit toolkit;
  std::vector<std::string> chips;
};

class CudaGenerator : public kernels::CodeGenerator {
public:
  CudaGenerator(std::unique_ptr<ImageMaker> images, std::vector<std::string> chips)
      : images(std::move(images)), chips(std::move(chips)) {}

  void registerDialects(DialectRegistry &registry) const override { registerCudaDialects(registry); }

  llvm::Expected<kernels::GeneratedCode> generate(ModuleOp module, StringRef symbolName) const override {
    FailureListener listener(module.getContext());
    PassManager toDevice(module.getContext(), ModuleOp::getOperationName());
    addBufferPasses(toDevice);
    addDevicePasses(toDevice);
    if (failed(toDevice.run(module)))
      return listener.refuse();
    nameFunctions(module, symbolName);
    llvm::Expected<Image> image = images->make(module, symbolName);
    if (!image)
      return image.takeError();
    complete(module, image->functions);
    llvm::Expected<std::string> object = emitHostObject(module, symbolName, llvm::join(chips, ","), image->bytes);
    if (!object)
      return object.takeError();
    return kernels::GeneratedCode{std::move(*object), std::move(image->functions)};
  }

private:
  /// "k_<hash>_0" and so on.
  static void nameFunctions(ModuleOp module, StringRef symbolName) {
    auto device = *module.getOps<gpu::GPUModuleOp>().begin();
    llvm::StringMap<std::string> names;
    for (auto [i, function] : llvm::enumerate(device.getOps<gpu::GPUFuncOp>())) {
      std::string name = (symbolName + "_" + Twine(i)).str();
      names[function.getName()] = name;
      SymbolTable::setSymbolName(function, name);
    }
    module.walk([&](gpu::LaunchFuncOp launch) {
      auto leaf = FlatSymbolRefAttr::get(module.getContext(), names[launch.getKernelName().getValue()]);
      launch.setKernelAttr(SymbolRefAttr::get(device.getNameAttr(), {leaf}));
    });
  }

  /// Adds what the assembler does not know, and brings each chip's functions into the order of launches.
  void complete(ModuleOp module, std::vector<kernels::DeviceFunction> &functions) const {
    auto device = *module.getOps<gpu::GPUModuleOp>().begin();
    llvm::StringMap<std::pair<size_t, int64_t>> known; // position, threads
    for (auto [i, op] : llvm::enumerate(device.getOps<gpu::GPUFuncOp>())) {
      ArrayRef<int32_t> block = op.getKnownBlockSize().value();
      known[op.getName()] = {i, static_cast<int64_t>(block[0]) * block[1] * block[2]};
    }
    for (kernels::DeviceFunction &function : functions)
      function.threadsPerBlock = known[function.name].second;
    auto order = [&](const kernels::DeviceFunction &function) {
      return std::pair(llvm::find(chips, function.arch) - chips.begin(), known[function.name].first);
    };
    llvm::sort(functions, [&](const auto &lhs, const auto &rhs) { return order(lhs) < order(rhs); });
  }

  std::unique_ptr<ImageMaker> images;
  std::vector<std::string> chips;
};

/// cuBLASLt's kernels and cuDNN's.
class Libraries : public kernels::LibraryTable {
public:
  explicit Libraries(bool allowsTf32) : blas(createCublasLtTable(allowsTf32)), dnn(createCudnnTable(allowsTf32)) {}

  std::string describe(nn::KernelDefOp kernel, const TargetProfile &profile) const override {
    std::string text = blas->describe(kernel, profile);
    return text.empty() ? dnn->describe(kernel, profile) : text;
  }
  FailureOr<kernels::CompiledKernel> compile(nn::KernelDefOp kernel, StringRef hash,
                                             const TargetProfile &profile) const override {
    const auto &table = blas->describe(kernel, profile).empty() ? dnn : blas;
    return table->compile(kernel, hash, profile);
  }
  llvm::Error pack(nn::PackingAttr packing, ArrayRef<char> source, MutableArrayRef<char> result) const override {
    return blas->pack(packing, source, result); // which refuses, as the other does
  }
  std::vector<kernels::PackingPart> split(nn::PackingAttr packing, int64_t maxBytes) const override {
    return blas->split(packing, maxBytes);
  }

private:
  std::unique_ptr<kernels::LibraryTable> blas, dnn;
};

class CudaTarget : public TargetBackend {
public:
  CudaTarget(std::unique_ptr<ImageMaker> images, const std::vector<std::string> &chips, bool allowsTf32)
      : library(allowsTf32), generator(std::move(images), chips) {
    profile.triple = "nvptx64-nvidia-cuda";
    profile.cpu = llvm::join(chips, ",");
    profile.features = "";
    profile.optLevel = 3;
    profile.vectorBits = 32;
  }

  StringRef getName() const override { return "cuda"; }
  const TargetProfile &getProfile() const override { return profile; }
  const kernels::LibraryTable *getLibrary() const override { return &library; }
  const kernels::CodeGenerator *getGenerator() const override { return &generator; }
  const TargetProfile &getHostProfile() const override { return host; }
  StringRef getDevice() const override { return getName(); }
  /// Tensor cores read images so, and take 16-bit numbers.
  bool prefersChannelsLast(Type element) const override { return element.isF16() || element.isBF16(); }
  void addKernelPasses(OpPassManager &passes) const override {
    passes.addPass(createCudaSplitAttentionPass());
    passes.addPass(createCudaSplitEpiloguesPass());
  }
  /// An A100 on paper.
  partition::DeviceProfile getDeviceProfile(int) const override {
    partition::DeviceProfile device;
    device.name = "cuda " + profile.cpu;
    device.peak = {{partition::Precision::F32, 19.5e12},
                   {partition::Precision::F16, 312e12},
                   {partition::Precision::BF16, 312e12},
                   {partition::Precision::I8, 624e12},
                   {partition::Precision::F64, 9.7e12}};
    device.bytesPerSecond = 1.5e12;
    device.launchSeconds = 4e-6;
    return device;
  }

private:
  TargetProfile profile, host;
  Libraries library;
  CudaGenerator generator;
};

} // namespace

/// "sm_80,sm_90" as a list in ascending order without repetition.
static llvm::Expected<std::vector<std::string>> parseChips(StringRef arch) {
  SmallVector<StringRef> parts;
  (arch == "native" ? StringRef(kDefaultChips) : arch).split(parts, ',');
  std::map<unsigned, std::string> chips;
  for (StringRef part : parts) {
    StringRef digits = part;
    unsigned number = 0;
    if (!digits.consume_front("sm_") || digits.getAsInteger(10, number) || number < kOldestChip)
      return userError("--arch is '{0}'; expected chips from sm_{1} on with commas between, such as {2}", arch,
                       kOldestChip, kDefaultChips);
    chips[number] = part.str();
  }
  std::vector<std::string> result;
  for (auto &[number, name] : chips)
    result.push_back(name);
  return result;
}

llvm::Expected<std::unique_ptr<TargetBackend>> penstock::createCudaTarget(StringRef arch, bool allowsTf32) {
  llvm::Expected<std::vector<std::string>> chips = parseChips(arch);
  if (!chips)
    return chips.takeError();
  llvm::Expected<Toolkit> toolkit = Toolkit::locate();
  if (!toolkit)
    return toolkit.takeError();
  return std::make_unique<CudaTarget>(std::make_unique<AssembledImages>(std::move(*toolkit), *chips), *chips,
                                      allowsTf32);
}

llvm::Expected<std::unique_ptr<TargetBackend>> penstock::cuda::createCudaTarget(StringRef arch,
                                                                                std::unique_ptr<ImageMaker> images) {
  llvm::Expected<std::vector<std::string>> chips = parseChips(arch);
  if (!chips)
    return chips.takeError();
  return std::make_unique<CudaTarget>(std::move(images), *chips, /*allowsTf32=*/false);
}
