//===- CallTable.cpp - Kernels that are calls of a library ---- -*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "CallTable.h"

#include "llvm/ADT/StringExtras.h"

namespace penstock::cuda {
using namespace mlir;

/// Weights that are made of others are made in the compiler's own process.
static bool isComputedAtLinkTime(nn::KernelDefOp kernel) {
  auto module = kernel->getParentOfType<ModuleOp>();
  return module && llvm::any_of(module.getOps<nn::WeightOp>(), [&](nn::WeightOp weight) {
           return weight.getInit() && *weight.getInit() == kernel.getSymName();
         });
}

std::optional<FoundCall> CallTable::find(nn::KernelDefOp kernel, StringRef name) const {
  return isComputedAtLinkTime(kernel) ? std::nullopt : find(kernel.getBody().front(), name);
}

std::string CallTable::describe(nn::KernelDefOp kernel, const TargetProfile &) const {
  std::optional<FoundCall> found = find(kernel, "");
  if (!found)
    return "";
  std::string text;
  llvm::raw_string_ostream stream(text);
  ArrayRef<int64_t> words = found->call.descriptor;
  StringRef bytes(reinterpret_cast<const char *>(words.data()), words.size() * sizeof(int64_t));
  stream << library << '\n' << llvm::toHex(bytes) << '\n';
  for (AffineExpr extent : found->call.extents)
    stream << extent << ',';
  return text;
}

FailureOr<kernels::CompiledKernel> CallTable::compile(nn::KernelDefOp kernel, StringRef hash,
                                                      const TargetProfile &) const {
  kernels::CompiledKernel result;
  result.hash = hash.str();
  result.symbolName = ("k_" + hash).str();
  std::optional<FoundCall> found = find(kernel, result.symbolName);
  if (!found)
    return kernel.emitError() << "kernel '" << kernel.getSymName() << "' is not one that " << library << " does";
  result.kind = "library";
  result.library = library;
  result.workspaceBytes = found->workspaceBytes;
  found->call.numBuffers = kernel.getBody().getNumArguments() + 1;
  found->call.hasWorkspace = true;
  llvm::Expected<std::string> object = emitLibraryObject(found->call, result.symbolName, TargetProfile());
  if (!object)
    return kernel.emitError() << "kernel '" << kernel.getSymName() << "': " << llvm::toString(object.takeError());
  result.object = std::move(*object);
  return result;
}

llvm::Error CallTable::pack(nn::PackingAttr packing, ArrayRef<char>, MutableArrayRef<char>) const {
  return userError("weights are to be packed by '{0}', and '{1}' packs none; compile the model again",
                   packing.getLibrary().getValue(), library);
}

} // namespace penstock::cuda
