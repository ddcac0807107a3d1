//===- DataSymbols.h - Extents that kernels find ---------------*- C++ -*-===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
// Which symbols of a module get their values while it runs, and what depends on them.
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_DIALECT_NN_IR_DATASYMBOLS_H
#define PENSTOCK_DIALECT_NN_IR_DATASYMBOLS_H

#include "penstock/Dialect/NN/IR/NNOps.h"

#include "llvm/ADT/StringMap.h"

#include <set>

namespace penstock::nn {

/// Indices of symbols, ascending.
using SymbolSet = std::set<unsigned>;

class DataSymbols {
public:
  explicit DataSymbols(ModuleOp module);

  bool empty() const { return names.empty(); }
  /// Index of the data symbol of that name, and back.
  unsigned getIndex(StringRef name) const { return names.lookup(name); }
  StringRef getName(unsigned index) const;

  /// Adds the data symbols that `expr` depends on, those of derived symbols too.
  void collect(AffineExpr expr, SymbolSet &found) const;
  void collect(Type type, SymbolSet &found) const;
  /// Of everything that the op says: its attributes, its result types, and its regions.
  void collect(Operation *op, SymbolSet &found) const;
  bool contains(AffineExpr expr) const;

private:
  llvm::StringMap<unsigned> names;
  SmallVector<SymbolSet> behind; ///< of each symbol of the module
};

} // namespace penstock::nn

#endif // PENSTOCK_DIALECT_NN_IR_DATASYMBOLS_H
