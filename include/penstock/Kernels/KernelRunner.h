//===- KernelRunner.h - Compiled kernels run in this process ----*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Loads kernels' objects and calls them, so that weights that are computed from others are made by the very code that
// would run later. The objects must be for this machine's processor. What they call (libm, memcpy) is found in this
// process.
//
// Ownership: loaded code lives as long as the runner. Threads: one at a time per runner. Errors: llvm::Error.
//
//===----------------------------------------------------------------------===//

#ifndef PENSTOCK_KERNELS_KERNELRUNNER_H
#define PENSTOCK_KERNELS_KERNELRUNNER_H

#include "penstock/Kernels/KernelCompiler.h"

#include <cstdint>
#include <memory>

namespace llvm::orc {
class LLJIT;
} // namespace llvm::orc

namespace penstock::kernels {

class KernelRunner {
public:
  static llvm::Expected<std::unique_ptr<KernelRunner>> create();
  ~KernelRunner();

  /// Makes a function known to kernels that are added later, beside those of this process: what library kernels call.
  llvm::Error define(llvm::StringRef name, void *function);

  /// Loads a kernel; once is enough, a second time is no error.
  llvm::Error add(const CompiledKernel &kernel);

  /// Calls a kernel that was added. `buffers` are inputs and results, 64-byte aligned; the workspace is made here.
  llvm::Error run(const CompiledKernel &kernel, llvm::ArrayRef<void *> buffers, llvm::ArrayRef<int64_t> symbols);

private:
  explicit KernelRunner(std::unique_ptr<llvm::orc::LLJIT> jit);

  std::unique_ptr<llvm::orc::LLJIT> jit;
  llvm::StringMap<void *> functions;
  bool hasParallelFor = false; ///< defined by the caller; without, kernels run on one thread
};

} // namespace penstock::kernels

#endif // PENSTOCK_KERNELS_KERNELRUNNER_H
