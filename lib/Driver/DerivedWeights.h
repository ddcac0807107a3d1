//===- DerivedWeights.h - Constant arithmetic at link time -----*- C++ -*-===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
// Runs the kernels behind `nn.weight init` on the weights they name. Results are kept in memory until the folder is written;
// their operands are read one weight at a time.
// Units: bytes. Threads: none. Errors: llvm::Error with whose fault it is.
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_DRIVER_DERIVEDWEIGHTS_H
#define PENSTOCK_DRIVER_DERIVEDWEIGHTS_H

#include "penstock/Kernels/KernelRunner.h"

#include "llvm/ADT/StringMap.h"

namespace penstock::driver {

/// The bytes of every derived weight by its symbol, row-major. `kernels` holds the compiled kernel of every `nn.kernel_def`
/// by its `kernel.object`.
llvm::Expected<llvm::StringMap<std::string>>
computeDerivedWeights(mlir::ModuleOp module, const llvm::StringMap<kernels::CompiledKernel> &kernels);

} // namespace penstock::driver

#endif // PENSTOCK_DRIVER_DERIVEDWEIGHTS_H
