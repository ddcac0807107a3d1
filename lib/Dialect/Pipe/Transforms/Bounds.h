//===- Bounds.h - Upper bounds of extents ----------------------*- C++ -*-===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
// What is known of the symbols of a module when it is compiled: a range for each, and a typical value. Ranges are
// closed, in elements; a symbol without an upper bound is free.
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_LIB_DIALECT_PIPE_TRANSFORMS_BOUNDS_H
#define PENSTOCK_LIB_DIALECT_PIPE_TRANSFORMS_BOUNDS_H

#include "penstock/Dialect/NN/IR/DataSymbols.h"

#include <optional>

namespace penstock::pipe {

/// A closed range; an end that is absent is infinite.
struct Range {
  std::optional<int64_t> lower, upper;
};

class SymbolBounds {
public:
  explicit SymbolBounds(mlir::ModuleOp module);

  /// The greatest value that `expr` can have; nothing if a free symbol lets it grow, or it does not fit into 64 bits.
  std::optional<int64_t> getUpper(mlir::AffineExpr expr) const { return getRange(expr).upper; }
  Range getRange(mlir::AffineExpr expr) const;

  /// The greatest value of `expr` whatever kernels find, over the other symbols; `expr` itself where it depends on no
  /// data, null where nothing is known.
  mlir::AffineExpr getUpperOverData(mlir::AffineExpr expr) const { return getEnds(expr).upper; }

  /// Names of the free symbols in `expr`.
  llvm::SmallVector<llvm::StringRef> getFree(mlir::AffineExpr expr) const;

  /// Typical value of each symbol (`nn::getTypicalValues`).
  llvm::ArrayRef<int64_t> getTypical() const { return typical; }

private:
  /// Both ends of a closed range, over symbols that depend on no data; null where nothing is known.
  struct Ends {
    mlir::AffineExpr lower, upper;
  };
  Ends getEnds(mlir::AffineExpr expr) const;
  Ends getEndsOf(nn::SymbolOp symbol) const;

  nn::DataSymbols dataSymbols;
  llvm::SmallVector<nn::SymbolOp> symbols;
  llvm::SmallVector<Range> ranges;
  llvm::SmallVector<llvm::StringRef> names;
  llvm::SmallVector<int64_t> typical;
};

} // namespace penstock::pipe

#endif // PENSTOCK_LIB_DIALECT_PIPE_TRANSFORMS_BOUNDS_H
