//===- OneDnnTable.cpp - The kernels that oneDNN runs -----------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "OneDnnTable.h"
#include "Library.h"
#include "OneDnnEmit.h"
#include "OneDnnMatch.h"

#include "penstock/Dialect/NN/IR/Extents.h"

#include "llvm/ADT/StringExtras.h"

#include <mutex>

using namespace mlir;
using namespace penstock;
using namespace penstock::rt;

/// The instruction set of oneDNN that a profile allows.
static int64_t getIsa(const TargetProfile &profile) {
  if (profile.vectorBits < 512)
    return RT_DNNL_AVX2;
  StringRef features = profile.features;
  if (features.contains("+avx512bf16") && features.contains("+avx512vnni"))
    return RT_DNNL_AVX512_BF16;
  return features.contains("+avx512vnni") ? RT_DNNL_AVX512_VNNI : RT_DNNL_AVX512;
}

/// The input that is added to the result, as oneDNN wants to find it there; -1: none.
static int64_t getSum(const rt_dnnl_desc &desc, int64_t numInputs) {
  for (int64_t i = 0; i < desc.num_post_ops; ++i)
    if (desc.post_ops[i].kind == RT_DNNL_SUM && desc.post_ops[i].operand.buffer < numInputs)
      return desc.post_ops[i].operand.buffer;
  return -1;
}

namespace {

class OneDnnTable : public kernels::LibraryTable {
public:
  std::string describe(nn::KernelDefOp kernel, const TargetProfile &profile) const override {
    std::optional<OneDnnKernel> found = find(kernel, profile);
    if (!found)
      return "";
    std::string text;
    llvm::raw_string_ostream stream(text);
    stream << getName() << '\n';
    stream << llvm::toHex(StringRef(reinterpret_cast<const char *>(&found->desc), sizeof(found->desc))) << '\n';
    for (AffineExpr extent : found->extents)
      stream << extent << ',';
    return text;
  }

  FailureOr<kernels::CompiledKernel> compile(nn::KernelDefOp kernel, StringRef hash,
                                             const TargetProfile &profile) const override {
    std::optional<OneDnnKernel> found = find(kernel, profile);
    if (!found)
      return kernel.emitError() << "kernel '" << kernel.getSymName() << "' is not one that oneDNN runs";
    kernels::CompiledKernel result;
    result.hash = hash.str();
    result.symbolName = ("k_" + hash).str();
    result.kind = "library";
    result.library = getName();
    result.workspaceBytes = getAffineConstantExpr(0, kernel.getContext());
    result.inPlaceInput = getSum(found->desc, kernel.getBody().getNumArguments());
    int64_t numBuffers = kernel.getBody().getNumArguments() + 1;
    llvm::Expected<std::string> object = emitOneDnnObject(*found, numBuffers, result.symbolName, profile);
    if (!object)
      return kernel.emitError() << "kernel '" << kernel.getSymName() << "': " << llvm::toString(object.takeError());
    result.object = std::move(*object);
    return result;
  }

private:
  static std::string getName() { return "oneDNN " + onednn::version(); }

  std::optional<OneDnnKernel> find(nn::KernelDefOp kernel, const TargetProfile &profile) const {
    std::optional<OneDnnKernel> found = matchOneDnn(kernel);
    if (!found || isComputedAtLinkTime(kernel))
      return std::nullopt;
    found->desc.isa = getIsa(profile);
    std::lock_guard<std::mutex> lock(mutex);
    if (!isFast(*found, kernel.getNumSymbols()))
      return std::nullopt;
    return found;
  }

  /// Weights that are made of others are made in the compiler's own process, by generated code.
  static bool isComputedAtLinkTime(nn::KernelDefOp kernel) {
    auto module = kernel->getParentOfType<ModuleOp>();
    return module && llvm::any_of(module.getOps<nn::WeightOp>(), [&](nn::WeightOp weight) {
             return weight.getInit() && *weight.getInit() == kernel.getSymName();
           });
  }

  /// oneDNN has a fast implementation for each of a few values of the symbols, one at least of which is possible.
  bool isFast(const OneDnnKernel &kernel, int64_t numSymbols) const {
    if (!onednn::selectIsa(kernel.desc.isa).empty())
      return false;
    if (!library)
      library = std::make_unique<onednn::Library>(1);
    bool possible = false;
    for (int64_t value : {1, 5, 64, 320}) {
      SmallVector<int64_t> symbols(numSymbols, value), extents;
      for (AffineExpr extent : kernel.extents)
        extents.push_back(nn::evaluate(extent, symbols).value_or(0));
      if (llvm::any_of(extents, [](int64_t extent) { return extent <= 0; }))
        continue;
      possible = true;
      onednn::Probe probe;
      if (!library->probe(kernel.desc, extents.data(), probe).empty() ||
          StringRef(probe.implementation).contains("ref"))
        return false;
      if (numSymbols == 0)
        break;
    }
    return possible;
  }

  mutable std::mutex mutex;
  mutable std::unique_ptr<onednn::Library> library;
};

} // namespace

std::unique_ptr<kernels::LibraryTable> penstock::createOneDnnTable() { return std::make_unique<OneDnnTable>(); }
