//===- ExecutableNotes.h - What executables say of themselves -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_TOOLS_PENSTOCK_EXECUTABLENOTES_H
#define PENSTOCK_TOOLS_PENSTOCK_EXECUTABLENOTES_H

#include "penstock/rt/Identity.h"

#include "llvm/Support/Error.h"

#include <vector>

namespace penstock::tool {

/// True for an ELF file, which no ONNX model can begin like.
bool isExecutable(const std::string &path);

/// The notes that the compiler wrote into an executable, one per role; at least one. The file is not run, and not
/// trusted.
llvm::Expected<std::vector<rt::RoleIdentity>> readNotes(const std::string &path);

} // namespace penstock::tool

#endif // PENSTOCK_TOOLS_PENSTOCK_EXECUTABLENOTES_H
