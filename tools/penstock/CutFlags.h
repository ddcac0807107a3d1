//===- CutFlags.h - Flags about stages and what they cost ------*- C++ -*-===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
// What compile and plan have in common: where to cut, what for, and by which costs.
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_TOOLS_PENSTOCK_CUTFLAGS_H
#define PENSTOCK_TOOLS_PENSTOCK_CUTFLAGS_H

#include "penstock/Driver/Compiler.h"

#include <CLI/CLI.hpp>

namespace penstock::tool {

/// --cut, --balance, --from-onnx-stages, --cluster and --costs.
void addCutFlags(CLI::App &app, driver::CompileOptions &options);

/// --target and --threads.
void addTargetFlags(CLI::App &app, driver::CompileOptions &options);

} // namespace penstock::tool

#endif // PENSTOCK_TOOLS_PENSTOCK_CUTFLAGS_H
