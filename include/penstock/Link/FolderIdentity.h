//===- FolderIdentity.h - What the stages of a folder have in common -*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// One fingerprint over all that decides what the stages do, and for people a short hash of each part of it: which of
// them differs says how two folders differ (docs/runtime/Identity.md). The same for the same inputs on every machine.
//
// Ownership: plain values. Threads: one call per MLIR context. Errors: an archive that cannot be read.
//
//===----------------------------------------------------------------------===//

#ifndef PENSTOCK_LINK_FOLDERIDENTITY_H
#define PENSTOCK_LINK_FOLDERIDENTITY_H

#include "penstock/Link/BundleWriter.h"
#include "penstock/Link/PlanJson.h"

namespace penstock {
namespace link {

/// Module attribute: hash of the graph as it was imported, which no later phase changes.
inline constexpr llvm::StringLiteral kModelHashAttr = "nn.model_hash";

/// 16 hexadecimal digits over a module without the places of its files.
std::string hashGraph(mlir::ModuleOp module);

/// What the roles, whose weights are written, have in common. `codeFiles` are the archives that they are linked with,
/// beside the objects of their kernels.
llvm::Expected<FolderIdentity> identifyFolder(mlir::ModuleOp module, llvm::ArrayRef<LinkedRole> roles,
                                              const llvm::StringMap<std::string> &kernelObjects,
                                              llvm::ArrayRef<std::string> codeFiles, const BundleOptions &options);

} // namespace link
} // namespace penstock

#endif // PENSTOCK_LINK_FOLDERIDENTITY_H
