//===- CodeGenerator.h - Code for other devices than the host --- -*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A target whose kernels do not run on the host's processor makes their objects itself, from the same linalg on tensors
// and with the same steps as far as they go: fusion, buffers, storage of temporaries.
//
// Ownership: results own their bytes. Threads: `generate` is called for several kernels at once, each in a context of
// its own. Errors: llvm::Error in words for users, without the kernel's name; diagnostics of the context are the
// compiler's own mistakes.
//
//===----------------------------------------------------------------------===//

#ifndef PENSTOCK_KERNELS_CODEGENERATOR_H
#define PENSTOCK_KERNELS_CODEGENERATOR_H

#include "penstock/Support/ObjectEmitter.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/PassManager.h"

#include <memory>
#include <string>
#include <vector>

namespace penstock::kernels {

/// One entry of a kernel's device code on one chip, as the assembler reports it.
struct DeviceFunction {
  std::string name, arch;
  int64_t numRegisters = 0;    ///< of a thread
  int64_t sharedBytes = 0;     ///< of a block
  int64_t stackBytes = 0;      ///< of a thread
  int64_t spillStoreBytes = 0; ///< registers that went to memory, and
  int64_t spillLoadBytes = 0;  ///< came back
  int64_t threadsPerBlock = 0;
};

struct GeneratedCode {
  std::string object; ///< ELF of the host, which defines the kernel's function
  std::vector<DeviceFunction> functions;
};

class CodeGenerator {
public:
  virtual ~CodeGenerator();
  /// What is needed beside the dialects of kernels.
  virtual void registerDialects(mlir::DialectRegistry &registry) const = 0;
  /// `module` holds the function `kBodyName` as lowerKernelToLinalg leaves it, with LoopStyle::Tensors. Leaves it with
  /// `kWorkspaceAttr`.
  virtual llvm::Expected<GeneratedCode> generate(mlir::ModuleOp module, llvm::StringRef symbolName) const = 0;
};

/// The kernel's function before it is wrapped.
inline constexpr llvm::StringLiteral kBodyName = "body";
/// Its attribute: bytes of workspace, an affine map over the symbols.
inline constexpr llvm::StringLiteral kWorkspaceAttr = "kernel.workspace";

/// From linalg on tensors to linalg on buffers, elementwise ops joined.
void addBufferPasses(mlir::OpPassManager &passes);

/// Replaces memref.alloc by the stack (at most `maxStackBytes`, static) or by ranges of the workspace, the last pointer
/// of the function, and leaves their size in kWorkspaceAttr.
std::unique_ptr<mlir::Pass> createPlaceTemporariesPass(int64_t maxStackBytes);

/// exp, log, log1p, expm1, tanh, erf of f32 by polynomials that vectorize; the rest stays for libm.
std::unique_ptr<mlir::Pass> createApproximateMathPass();

/// From loops, scalar accesses and vectors of the host's code to the dialect of LLVM.
void addConversionToLLVM(mlir::OpPassManager &passes);

/// Adds the function that the runtime calls, named `symbolName`, around the LLVM function `bodyName`.
mlir::LogicalResult addWrapper(mlir::ModuleOp module, llvm::StringRef bodyName, llvm::StringRef symbolName,
                               const TargetProfile &profile);

/// Registers what a context that runs these passes needs.
void registerKernelDialects(mlir::DialectRegistry &registry);

} // namespace penstock::kernels

#endif // PENSTOCK_KERNELS_CODEGENERATOR_H
