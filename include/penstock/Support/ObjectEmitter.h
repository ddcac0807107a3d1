//===- ObjectEmitter.h - From the LLVM dialect to an object -----*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// One module of the LLVM dialect becomes one relocatable ELF object: position independent, optimized at O2 for a given
// CPU, the same bytes for the same module and profile. Used for kernels and for the code of roles alike, so that both
// are compiled for one profile.
//
// Threads: calls are independent; each module has its own MLIR and LLVM context.
//
//===----------------------------------------------------------------------===//

#ifndef PENSTOCK_SUPPORT_OBJECTEMITTER_H
#define PENSTOCK_SUPPORT_OBJECTEMITTER_H

#include "penstock/Support/Error.h"

#include "mlir/IR/BuiltinOps.h"
#include "llvm/ADT/STLFunctionalExtras.h"

#include <string>

namespace llvm {
class Module;
} // namespace llvm

namespace penstock {

/// What code is generated for.
struct TargetProfile {
  std::string triple = "x86_64-unknown-linux-gnu";
  std::string cpu = "x86-64-v3"; ///< in LLVM's words; never "native", so that the object says what it needs
  std::string features;          ///< "+avx512f,-avx512bf16"
  unsigned optLevel = 2;         ///< 0 to 3
  unsigned vectorBits = 256;     ///< width of the registers that kernels use
  unsigned numThreads = 1;       ///< of each kernel

  /// Kernels share their loops among threads; the code is the same for any number of them above one.
  bool isParallel() const { return numThreads > 1; }
};

/// The object's bytes. The dialects of the module must be registered for translation (registerAllToLLVMIRTranslations
/// or those it uses); symbols that are not `internal` stay visible to the linker.
llvm::Expected<std::string> emitObject(mlir::ModuleOp module, const TargetProfile &profile);

/// The text for the target's assembler, of a module of any kind. `complete` may add code before optimization.
llvm::Expected<std::string> emitAssembly(mlir::Operation *module, const TargetProfile &profile,
                                         llvm::function_ref<llvm::Error(llvm::Module &)> complete);

/// The same module as LLVM IR after optimization, for people.
llvm::Expected<std::string> emitLLVMText(mlir::ModuleOp module, const TargetProfile &profile);

} // namespace penstock

#endif // PENSTOCK_SUPPORT_OBJECTEMITTER_H
