//===- Lowering.h - From mapped launches to PTX ------------- -*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_LIB_TARGET_CUDA_LOWERING_H
#define PENSTOCK_LIB_TARGET_CUDA_LOWERING_H

#include "penstock/Support/ObjectEmitter.h"

#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Pass/PassManager.h"

namespace penstock::cuda {

/// From functions of loops and scalar accesses to the dialects of LLVM and NVVM, inside of the device's module.
void addNVVMPasses(mlir::OpPassManager &passes);

/// The PTX of a module in the dialects of LLVM and NVVM for one chip ("sm_90"). `libdevice`: file with the functions
/// of mathematics; a module that calls one needs it.
llvm::Expected<std::string> emitPtx(mlir::gpu::GPUModuleOp module, llvm::StringRef chip, llvm::StringRef libdevice);

} // namespace penstock::cuda

#endif // PENSTOCK_LIB_TARGET_CUDA_LOWERING_H
