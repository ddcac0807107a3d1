//===- ExtentFinder.h - Extents of buffers from symbols --- -*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Index values and extents of buffers inside a kernel's function, as expressions over its symbols.
//
// Ownership: expressions live in the function's context. Threads: one at a time. Errors: a null expression.
//
//===----------------------------------------------------------------------===//

#ifndef PENSTOCK_KERNELS_EXTENTFINDER_H
#define PENSTOCK_KERNELS_EXTENTFINDER_H

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"

namespace penstock::kernels {

/// The function's index arguments are the symbols, in their order.
class ExtentFinder {
public:
  explicit ExtentFinder(mlir::func::FuncOp function);

  /// Null if the value depends on more than the symbols.
  mlir::AffineExpr find(mlir::Value value);
  /// The extent of one axis of a buffer; null likewise.
  mlir::AffineExpr extentOf(mlir::Value memref, int64_t axis);

private:
  mlir::AffineExpr compute(mlir::Value value);
  mlir::AffineExpr applyMap(mlir::AffineMap map, mlir::ValueRange operands);
  mlir::AffineExpr binary(mlir::Operation *op);
  mlir::AffineExpr findMixed(mlir::OpFoldResult size);
  mlir::AffineExpr extentOfGroup(mlir::memref::CollapseShapeOp collapse, int64_t axis);
  mlir::AffineExpr extentOfDescriptor(mlir::Value descriptor, int64_t axis);

  mlir::MLIRContext *context;
  llvm::DenseMap<mlir::Value, mlir::AffineExpr> known;
  unsigned numSymbols = 0;
};

} // namespace penstock::kernels

#endif // PENSTOCK_KERNELS_EXTENTFINDER_H
