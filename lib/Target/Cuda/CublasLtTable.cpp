//===- CublasLtTable.cpp - The kernels that cuBLASLt does ----- -*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "penstock/Target/Cuda/CublasLtTable.h"
#include "CublasLtMatch.h"
#include "penstock/Target/LibraryObject.h"

#include "llvm/ADT/StringExtras.h"

namespace penstock::cuda {
using namespace mlir;

static constexpr StringLiteral kLibraryName = "cuBLASLt 13";

/// Weights that are made of others are made in the compiler's own process.
static bool isComputedAtLinkTime(nn::KernelDefOp kernel) {
  auto module = kernel->getParentOfType<ModuleOp>();
  return module && llvm::any_of(module.getOps<nn::WeightOp>(), [&](nn::WeightOp weight) {
           return weight.getInit() && *weight.getInit() == kernel.getSymName();
         });
}

namespace {

class CublasLtTable : public kernels::LibraryTable {
public:
  explicit CublasLtTable(bool allowsTf32) : allowsTf32(allowsTf32) {}

  std::string describe(nn::KernelDefOp kernel, const TargetProfile &) const override {
    std::optional<CublasLtKernel> found = find(kernel);
    if (!found)
      return "";
    std::string text;
    llvm::raw_string_ostream stream(text);
    stream << kLibraryName << '\n';
    stream << llvm::toHex(StringRef(reinterpret_cast<const char *>(&found->desc), sizeof(found->desc))) << '\n';
    for (AffineExpr extent : found->extents)
      stream << extent << ',';
    return text;
  }

  FailureOr<kernels::CompiledKernel> compile(nn::KernelDefOp kernel, StringRef hash,
                                             const TargetProfile &) const override {
    std::optional<CublasLtKernel> found = find(kernel);
    if (!found)
      return kernel.emitError() << "kernel '" << kernel.getSymName() << "' is not one that cuBLASLt does";
    kernels::CompiledKernel result;
    result.hash = hash.str();
    result.symbolName = ("k_" + hash).str();
    result.kind = "library";
    result.library = kLibraryName;
    result.workspaceBytes = getAffineConstantExpr(RT_CUDA_PRODUCT_WORKSPACE_BYTES, kernel.getContext());
    llvm::copy(StringRef(result.symbolName).take_front(RT_CUDA_PRODUCT_NAME_BYTES - 1), found->desc.name);
    LibraryCall call = {
        "rt_cuda_product", toWords(found->desc),  found->extents,    kernel.getBody().getNumArguments() + 1,
        /*constants=*/{},  /*hasWorkspace=*/true, "rt_cuda_products"};
    llvm::Expected<std::string> object = emitLibraryObject(call, result.symbolName, TargetProfile());
    if (!object)
      return kernel.emitError() << "kernel '" << kernel.getSymName() << "': " << llvm::toString(object.takeError());
    result.object = std::move(*object);
    return result;
  }

  llvm::Error pack(nn::PackingAttr packing, ArrayRef<char>, MutableArrayRef<char>) const override {
    return userError("weights are to be packed by '{0}', and '{1}' packs none; compile the model again",
                     packing.getLibrary().getValue(), kLibraryName);
  }

  std::vector<kernels::PackingPart> split(nn::PackingAttr, int64_t) const override { return {}; }

private:
  std::optional<CublasLtKernel> find(nn::KernelDefOp kernel) const {
    return isComputedAtLinkTime(kernel) ? std::nullopt : matchCublasLt(kernel.getBody().front(), allowsTf32);
  }

  bool allowsTf32;
};

} // namespace

std::unique_ptr<kernels::LibraryTable> createCublasLtTable(bool allowsTf32) {
  return std::make_unique<CublasLtTable>(allowsTf32);
}

} // namespace penstock::cuda
