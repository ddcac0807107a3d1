//===- KernelOutliner.h - Kernels as symbols, each structure once -*- C++ -*-===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
// Turns `nn.kernel` ops into `nn.kernel_def` symbols whose extents are over symbols of their own, so that layers which
// differ only in where they stand, or in which extents they see, share one kernel. The module is changed only by the
// definitions that are added at the given place.
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_LIB_DIALECT_PIPE_TRANSFORMS_KERNELOUTLINER_H
#define PENSTOCK_LIB_DIALECT_PIPE_TRANSFORMS_KERNELOUTLINER_H

#include "penstock/Dialect/NN/IR/NNOps.h"

#include "mlir/IR/SymbolTable.h"
#include "llvm/ADT/StringMap.h"

namespace penstock::pipe {

/// The symbol of a kernel's definition, and the values of its own symbols at one call.
struct OutlinedKernel {
  std::string name;
  llvm::SmallVector<mlir::AffineExpr> symbols;
};

class KernelOutliner {
public:
  /// New definitions are added to `symbolTable`, before `insertBefore`.
  KernelOutliner(mlir::SymbolTable &symbolTable, mlir::Operation *insertBefore)
      : symbolTable(symbolTable), insertBefore(insertBefore) {}

  /// The definition of this structure, made if it is the first of it.
  OutlinedKernel outline(nn::KernelOp kernel);

private:
  mlir::SymbolTable &symbolTable;
  mlir::Operation *insertBefore;
  llvm::StringMap<std::string> names;
};

} // namespace penstock::pipe

#endif // PENSTOCK_LIB_DIALECT_PIPE_TRANSFORMS_KERNELOUTLINER_H
