//===- DataSymbols.cpp - Extents that kernels find -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#include "penstock/Dialect/NN/IR/DataSymbols.h"

#include "mlir/IR/AttrTypeSubElements.h"

using namespace penstock::nn;

DataSymbols::DataSymbols(ModuleOp module) {
  SmallVector<SymbolOp> symbols = llvm::to_vector(module.getOps<SymbolOp>());
  llvm::sort(symbols, [](SymbolOp lhs, SymbolOp rhs) { return lhs.getIndex() < rhs.getIndex(); });
  for (SymbolOp symbol : symbols) {
    SymbolSet found;
    bool isData = symbol.getKind() == SymbolKind::data;
    if (isData) {
      found.insert(symbol.getIndex());
      names[symbol.getSymName()] = symbol.getIndex();
    } else if (symbol.getExprs()) {
      for (AffineExpr expr : symbol.getExprs()->getExprs())
        collect(expr, found);
    }
    behind.resize(symbol.getIndex() + 1);
    behind.back() = std::move(found);
  }
}

StringRef DataSymbols::getName(unsigned index) const {
  for (auto &entry : names)
    if (entry.second == index)
      return entry.first();
  return "";
}

void DataSymbols::collect(AffineExpr expr, SymbolSet &found) const {
  if (!expr)
    return;
  expr.walk([&](AffineExpr part) {
    auto symbol = dyn_cast<AffineSymbolExpr>(part);
    if (symbol && symbol.getPosition() < behind.size())
      found.insert(behind[symbol.getPosition()].begin(), behind[symbol.getPosition()].end());
  });
}

void DataSymbols::collect(Type type, SymbolSet &found) const {
  if (auto tensor = dyn_cast<RankedTensorType>(type))
    for (AffineExpr extent : getExtents(tensor))
      collect(extent, found);
}

void DataSymbols::collect(Operation *op, SymbolSet &found) const {
  AttrTypeWalker walker;
  walker.addWalk([&](ExtentsAttr extents) {
    for (AffineExpr expr : extents.getExprs())
      collect(expr, found);
  });
  op->walk([&](Operation *inner) {
    walker.walk(inner->getAttrDictionary());
    for (Type type : inner->getResultTypes())
      walker.walk(type);
  });
}

bool DataSymbols::contains(AffineExpr expr) const {
  SymbolSet found;
  collect(expr, found);
  return !found.empty();
}
