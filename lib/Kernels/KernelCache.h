//===- KernelCache.h - Compiled kernels as bytes ----------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// How a compiled kernel lies in a BuildCache. The format needs no version: programs that differ find nothing of each
// other.
//
//===----------------------------------------------------------------------===//

#ifndef PENSTOCK_LIB_KERNELS_KERNELCACHE_H
#define PENSTOCK_LIB_KERNELS_KERNELCACHE_H

#include "penstock/Kernels/KernelCompiler.h"
#include "penstock/Support/BuildCache.h"

namespace penstock::kernels {

/// The kernel that was compiled for `key`, or none; its attributes belong to `context`.
std::optional<CompiledKernel> findKernel(BuildCache &cache, llvm::StringRef key, mlir::MLIRContext *context);

void addKernel(BuildCache &cache, llvm::StringRef key, const CompiledKernel &kernel, mlir::MLIRContext *context);

} // namespace penstock::kernels

#endif // PENSTOCK_LIB_KERNELS_KERNELCACHE_H
