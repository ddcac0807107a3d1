//===- EmitPtx.cpp - From NVVM to PTX ----------------------- -*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Lowering.h"

#include "llvm/IR/Module.h"
#include "llvm/IRReader/IRReader.h"
#include "llvm/Linker/Linker.h"
#include "llvm/Support/SourceMgr.h"

namespace penstock::cuda {

/// The newest chip that LLVM 19 knows. Its PTX serves later ones, for which the assembler makes their own code.
static constexpr unsigned kNewestChip = 90;

static bool needsLibdevice(const llvm::Module &module) {
  return llvm::any_of(module, [](const llvm::Function &function) {
    return function.isDeclaration() && function.getName().starts_with("__nv_");
  });
}

/// Adds the functions that are called, for this module alone.
static llvm::Error linkLibdevice(llvm::Module &module, llvm::StringRef libdevice) {
  if (!needsLibdevice(module))
    return llvm::Error::success();
  if (libdevice.empty())
    return userError("it calls functions of mathematics that the toolkit has in nvvm/libdevice/libdevice.10.bc, and "
                     "there is none; './dev build --cuda' installs it");
  llvm::SMDiagnostic diagnostic;
  std::unique_ptr<llvm::Module> library = llvm::parseIRFile(libdevice, diagnostic, module.getContext());
  if (!library)
    return userError("'{0}' is no bitcode that this version reads: {1}", libdevice, diagnostic.getMessage());
  library->setTargetTriple(module.getTargetTriple());
  library->setDataLayout(module.getDataLayout());
  auto makeInternal = [](llvm::Module &linked, const llvm::StringSet<> &names) {
    for (const auto &name : names)
      if (llvm::Function *function = linked.getFunction(name.getKey()))
        function->setLinkage(llvm::GlobalValue::InternalLinkage);
  };
  if (llvm::Linker(module).linkInModule(std::move(library), llvm::Linker::LinkOnlyNeeded, makeInternal))
    return worldError("'{0}' could not be linked with a kernel", libdevice);
  return llvm::Error::success();
}

llvm::Expected<std::string> emitPtx(mlir::gpu::GPUModuleOp module, llvm::StringRef chip, llvm::StringRef libdevice) {
  unsigned number = 0;
  (void)chip.drop_front(3).getAsInteger(10, number);
  TargetProfile profile;
  profile.triple = "nvptx64-nvidia-cuda";
  profile.cpu = "sm_" + std::to_string(std::min(number, kNewestChip));
  profile.features = "+ptx83";
  profile.optLevel = 3;
  return emitAssembly(module, profile, [&](llvm::Module &translated) { return linkLibdevice(translated, libdevice); });
}

} // namespace penstock::cuda
