//===- HostObject.h - The object that launches --------------- -*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_LIB_TARGET_CUDA_HOSTOBJECT_H
#define PENSTOCK_LIB_TARGET_CUDA_HOSTOBJECT_H

#include "penstock/Support/ObjectEmitter.h"

namespace penstock::cuda {

/// The object of a kernel (CudaKernel.h) from its mapped module, in which device functions have their final names: host
/// code that launches, the image, and the tables. `chips`: "sm_80,sm_90". Changes the module.
llvm::Expected<std::string> emitHostObject(mlir::ModuleOp module, llvm::StringRef symbolName, llvm::StringRef chips,
                                           llvm::StringRef image);

} // namespace penstock::cuda

#endif // PENSTOCK_LIB_TARGET_CUDA_HOSTOBJECT_H
