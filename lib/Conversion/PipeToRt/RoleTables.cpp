//===- RoleTables.cpp - Symbols and extents of a role -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#include "RoleTables.h"

#include "penstock/Dialect/Rt/IR/RtOps.h"

#include <algorithm>

using namespace mlir;
using namespace penstock;

RoleSymbols::RoleSymbols(ModuleOp module) {
  ordered = llvm::to_vector(module.getOps<nn::SymbolOp>());
  // Derived symbols come from symbols of lower index, so their order among themselves is kept.
  auto key = [](nn::SymbolOp symbol) {
    bool isRoot = symbol.getKind() == nn::SymbolKind::root, isData = symbol.getKind() == nn::SymbolKind::data;
    return std::make_pair(isRoot ? 0 : isData ? 1 : 2, symbol.getIndex());
  };
  llvm::sort(ordered, [&](nn::SymbolOp lhs, nn::SymbolOp rhs) { return key(lhs) < key(rhs); });
  for (auto [i, symbol] : llvm::enumerate(ordered)) {
    uint64_t index = symbol.getIndex();
    if (replacements.size() <= index)
      replacements.resize(index + 1);
    replacements[index] = getAffineSymbolExpr(i, module.getContext());
  }
}

AffineExpr RoleSymbols::translate(AffineExpr expr) const {
  return nn::simplifyExtent(expr.replaceSymbols(replacements));
}

void RoleSymbols::create(OpBuilder &builder) {
  for (auto [i, symbol] : llvm::enumerate(ordered)) {
    bool isData = symbol.getKind() == nn::SymbolKind::data;
    if (isData || symbol.getKind() == nn::SymbolKind::root) {
      builder.create<rtir::SymbolOp>(symbol.getLoc(), symbol.getSymNameAttr(), symbol.getLowerAttr(),
                                     symbol.getUpperAttr(), isData ? builder.getUnitAttr() : UnitAttr());
      continue;
    }
    SmallVector<AffineExpr> exprs;
    for (AffineExpr expr : symbol.getExprs()->getExprs())
      exprs.push_back(translate(expr));
    auto bound = symbol.getKind() == nn::SymbolKind::min ? rtir::Bound::min : rtir::Bound::max;
    builder.create<rtir::DerivedSymbolOp>(symbol.getLoc(), symbol.getSymName(), bound,
                                          AffineMap::get(0, i, exprs, builder.getContext()));
  }
}

int64_t ExtentTable::position(AffineExpr expr) { return sequence(expr); }

int64_t ExtentTable::refer(AffineExpr expr) {
  std::optional<int64_t> number = nn::getConstant(symbols.translate(expr));
  return number ? *number : -1 - position(expr);
}

int64_t ExtentTable::sequence(ArrayRef<AffineExpr> wanted) {
  SmallVector<AffineExpr> translated;
  for (AffineExpr expr : wanted)
    translated.push_back(symbols.translate(expr));
  auto found = std::search(exprs.begin(), exprs.end(), translated.begin(), translated.end());
  int64_t position = found - exprs.begin();
  if (found == exprs.end() && !translated.empty())
    exprs.append(translated.begin(), translated.end());
  return translated.empty() ? 0 : position;
}

AffineMap ExtentTable::getMap(MLIRContext *context) const {
  return AffineMap::get(0, symbols.getNumSymbols(), exprs, context);
}
