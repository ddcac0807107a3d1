//===- KernelLibraries.cpp - What library kernels are linked with -*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "KernelLibraries.h"

#include "penstock/Dialect/NN/IR/NNOps.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringMap.h"

using namespace mlir;
using namespace penstock;
using namespace penstock::link;

namespace {
struct LibraryRow {
  StringLiteral name;    ///< first word of `kernel.library`
  StringLiteral archive; ///< empty: the runtime has what is needed, and a plug-in opens the library
  StringLiteral library;
};
} // namespace

static constexpr LibraryRow kLibraries[] = {
    {"oneDNN", "libPenstockOneDnn.a", "libdnnl.so.2"}, {"cuBLASLt", "", ""}, {"cuDNN", "", ""}};
/// The thread pool of kernels with more than one thread, generated or not; oneDNN brings it along.
static constexpr StringLiteral kThreads = "libgomp.so.1";

static void addOnce(std::vector<std::string> &list, StringRef name) {
  if (!llvm::is_contained(list, name))
    list.push_back(name.str());
}

/// Libraries of the kernels' functions, by function name.
static llvm::StringMap<StringRef> collectLibraries(ModuleOp module) {
  llvm::StringMap<StringRef> libraries;
  for (auto kernel : module.getOps<nn::KernelDefOp>()) {
    auto object = kernel->getAttrOfType<StringAttr>("kernel.object");
    auto library = kernel->getAttrOfType<StringAttr>("kernel.library");
    if (object && library && !library.getValue().empty())
      libraries[("k_" + object.getValue()).str()] = library.getValue();
  }
  return libraries;
}

llvm::Expected<RoleNeeds> penstock::link::getRoleNeeds(ModuleOp module, rtir::RoleOp role) {
  RoleNeeds needs;
  llvm::StringMap<StringRef> libraries = collectLibraries(module);
  for (rtir::StepOp step : role.getSteps()) {
    StringRef library = libraries.lookup(step.getKernel());
    if (library.empty())
      continue;
    auto row = llvm::find_if(kLibraries, [&](const LibraryRow &row) { return row.name == library.split(' ').first; });
    if (row == std::end(kLibraries))
      return userError("kernel '{0}' of '{1}' is run by library '{2}', which cannot be linked here", step.getKernel(),
                       step.getName(), library);
    if (row->archive.empty())
      continue;
    addOnce(needs.archives, row->archive);
    addOnce(needs.libraries, row->library);
    addOnce(needs.libraries, kThreads);
  }
  if (role.getNumThreads() > 1)
    addOnce(needs.libraries, kThreads);
  return needs;
}
