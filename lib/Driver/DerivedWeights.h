//===- DerivedWeights.h - Constant arithmetic at link time -----*- C++ -*-===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
// Runs the kernels behind `nn.weight init` on the weights they name and keeps the results in a file of a private folder,
// which goes away with the object: a model's weights never lie in memory together.
// Units: bytes. Threads: none. Errors: llvm::Error with whose fault it is.
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_DRIVER_DERIVEDWEIGHTS_H
#define PENSTOCK_DRIVER_DERIVEDWEIGHTS_H

#include "penstock/Kernels/KernelRunner.h"

#include "llvm/ADT/StringMap.h"

namespace penstock::driver {

/// A range of bytes of a file.
struct FileRange {
  std::string path;
  int64_t offset = 0, numBytes = 0;
};

class DerivedWeights {
public:
  /// `kernels` holds the compiled kernel of every `nn.kernel_def` by its `kernel.object`.
  static llvm::Expected<std::unique_ptr<DerivedWeights>> compute(mlir::ModuleOp module,
                                                                 const llvm::StringMap<kernels::CompiledKernel> &kernels);
  ~DerivedWeights();

  /// Where the bytes of each derived weight lie, by its symbol.
  const llvm::StringMap<FileRange> &getRanges() const { return ranges; }

private:
  DerivedWeights() = default;
  llvm::Error computeOne(nn::WeightOp weight, mlir::ModuleOp module,
                         const llvm::StringMap<kernels::CompiledKernel> &kernels, llvm::raw_ostream &file);

  std::string folder;
  std::unique_ptr<kernels::KernelRunner> runner;
  llvm::StringMap<FileRange> ranges;
  int64_t position = 0;
};

} // namespace penstock::driver

#endif // PENSTOCK_DRIVER_DERIVEDWEIGHTS_H
