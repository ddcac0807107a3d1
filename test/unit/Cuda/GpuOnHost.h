//===- GpuOnHost.h - Device functions as code of the host ---- -*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Takes a kernel through the CUDA target's own passes up to launches and gpu.func ops, turns exactly these into code of
// the host, every access to memory announced to a GpuMachine, and runs it there.
//
//===----------------------------------------------------------------------===//

#ifndef PENSTOCK_TEST_UNIT_CUDA_GPUONHOST_H
#define PENSTOCK_TEST_UNIT_CUDA_GPUONHOST_H

#include "GpuMachine.h"
#include "penstock/Dialect/NN/IR/NNOps.h"

#include "mlir/IR/BuiltinOps.h"
#include "llvm/Support/Error.h"

namespace llvm::orc {
class LLJIT;
} // namespace llvm::orc

namespace penstock::test {

/// An object of the host with the device functions of a module of launches: for each, `void <name>_thread(void *)`,
/// which is one thread of a launch with an array of 8-byte arguments, and their number, `int64_t <name>_arguments`.
llvm::Expected<std::string> emitDeviceFunctions(mlir::ModuleOp launches);

class GpuKernel {
public:
  /// \p alter may plant a fault among the launches and functions.
  static llvm::Expected<std::unique_ptr<GpuKernel>> create(nn::KernelDefOp kernel,
                                                           const std::function<void(mlir::ModuleOp)> &alter = {});
  ~GpuKernel();

  /// Runs it on \p machine; \p buffers are inputs and results, which the machine has allocated.
  void run(GpuMachine &machine, llvm::ArrayRef<void *> buffers, llvm::ArrayRef<int64_t> symbols);

  /// The launches and functions as they were run.
  const std::string &getText() const { return text; }

private:
  GpuKernel();

  std::string text, workspace;
  std::unique_ptr<llvm::orc::LLJIT> jit;
  void *function = nullptr;
};

} // namespace penstock::test

#endif // PENSTOCK_TEST_UNIT_CUDA_GPUONHOST_H
