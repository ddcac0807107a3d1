//===- RoleTables.h - Symbols and extents of a role ------------*- C++ -*-===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
// A role knows the symbols of the module in an order of its own: first those whose values messages carry (the roots,
// then what kernels find), then the derived ones. Expressions that its tables and calls need are collected here, each
// once where order does not matter.
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_LIB_CONVERSION_PIPETORT_ROLETABLES_H
#define PENSTOCK_LIB_CONVERSION_PIPETORT_ROLETABLES_H

#include "penstock/Dialect/NN/IR/NNOps.h"

namespace penstock {

class RoleSymbols {
public:
  explicit RoleSymbols(mlir::ModuleOp module);

  /// Creates rt.symbol and rt.derived_symbol ops.
  void create(mlir::OpBuilder &builder);
  /// The expression over the role's symbols.
  mlir::AffineExpr translate(mlir::AffineExpr expr) const;
  unsigned getNumSymbols() const { return ordered.size(); }

private:
  llvm::SmallVector<nn::SymbolOp> ordered;          // the role's order
  llvm::SmallVector<mlir::AffineExpr> replacements; // by index in the module
};

class ExtentTable {
public:
  explicit ExtentTable(const RoleSymbols &symbols) : symbols(symbols) {}

  /// The number if the expression is one, else -1 - its position.
  int64_t refer(mlir::AffineExpr expr);
  /// Position of the expression.
  int64_t position(mlir::AffineExpr expr);
  /// Position from which on the expressions stand in this order.
  int64_t sequence(llvm::ArrayRef<mlir::AffineExpr> exprs);
  mlir::AffineMap getMap(mlir::MLIRContext *context) const;

private:
  const RoleSymbols &symbols;
  llvm::SmallVector<mlir::AffineExpr> exprs;
};

} // namespace penstock

#endif // PENSTOCK_LIB_CONVERSION_PIPETORT_ROLETABLES_H
