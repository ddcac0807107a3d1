//===- ProgramIdentity.h - Which program this is ------------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What a program makes depends on its own code and on that of every library that it has loaded: LLVM, MLIR, oneDNN.
// Each of them carries a build id, which its linker made of its contents; a file without one is hashed.
//
//===----------------------------------------------------------------------===//

#ifndef PENSTOCK_SUPPORT_PROGRAMIDENTITY_H
#define PENSTOCK_SUPPORT_PROGRAMIDENTITY_H

#include "penstock/Support/Error.h"

#include <string>

namespace penstock {

/// 64 hexadecimal digits over the executable and the libraries that are loaded now, in whatever order. An error: a file
/// without a build id that cannot be read either.
llvm::Expected<std::string> getProgramIdentity();

} // namespace penstock

#endif // PENSTOCK_SUPPORT_PROGRAMIDENTITY_H
