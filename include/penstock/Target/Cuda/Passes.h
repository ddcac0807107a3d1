//===- Passes.h - From linalg on buffers to functions of a GPU --*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef PENSTOCK_TARGET_CUDA_PASSES_H
#define PENSTOCK_TARGET_CUDA_PASSES_H

#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"

namespace penstock::cuda {

/// The module of the device's functions.
inline constexpr llvm::StringLiteral kDeviceModule = "device";

#define GEN_PASS_DECL
#include "penstock/Target/Cuda/Passes.h.inc"
#define GEN_PASS_REGISTRATION
#include "penstock/Target/Cuda/Passes.h.inc"

} // namespace penstock::cuda

#endif // PENSTOCK_TARGET_CUDA_PASSES_H
