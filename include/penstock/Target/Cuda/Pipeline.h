//===- Pipeline.h - From linalg to functions of the device -- -*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The steps of a kernel on its way to a device, for the target and for tests that run the same functions elsewhere.
//
//===----------------------------------------------------------------------===//

#ifndef PENSTOCK_TARGET_CUDA_PIPELINE_H
#define PENSTOCK_TARGET_CUDA_PIPELINE_H

#include "mlir/IR/DialectRegistry.h"
#include "mlir/Pass/PassManager.h"

namespace penstock::cuda {

/// What the passes need beside the dialects of kernels.
void registerCudaDialects(mlir::DialectRegistry &registry);

/// From linalg on tensors to linalg on buffers, temporaries in the workspace.
void addBufferPasses(mlir::OpPassManager &passes);

/// Then to launches of gpu.func ops, whose bodies are loops and scalar accesses.
void addDevicePasses(mlir::OpPassManager &passes);

/// penstock-opt's names for both: cuda-to-buffers, cuda-to-device; and cuda-to-nvvm.
void registerCudaPipelines();

} // namespace penstock::cuda

#endif // PENSTOCK_TARGET_CUDA_PIPELINE_H
