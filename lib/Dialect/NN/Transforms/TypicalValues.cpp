//===- TypicalValues.cpp - What unknown extents usually are -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#include "penstock/Dialect/NN/Transforms/Passes.h"

using namespace penstock;
using namespace penstock::nn;

static int64_t getTypicalOfRoot(SymbolOp symbol, TypeRange inputTypes) {
  if (symbol.getTypical())
    return *symbol.getTypical();
  if (symbol.getUpper())
    return *symbol.getUpper();
  auto isLeading = [&](Type type) {
    auto tensor = dyn_cast<RankedTensorType>(type);
    if (!tensor || tensor.getRank() == 0)
      return false;
    auto extent = dyn_cast_or_null<AffineSymbolExpr>(getExtent(tensor, 0));
    return extent && extent.getPosition() == symbol.getIndex();
  };
  int64_t value = llvm::any_of(inputTypes, isLeading) ? 1 : 128;
  return std::max<int64_t>(value, symbol.getLower().value_or(0));
}

/// What is found may be all that there is.
static int64_t getTypicalOfData(SymbolOp symbol, ArrayRef<int64_t> known) {
  std::optional<int64_t> bound = symbol.getExprs() ? evaluate(symbol.getExprs()->getExprs()[0], known) : std::nullopt;
  int64_t upper = symbol.getUpper().value_or(INT64_MAX);
  return symbol.getTypical().value_or(std::min(bound.value_or(upper), upper));
}

SmallVector<int64_t> penstock::nn::getTypicalValues(ModuleOp module, TypeRange inputTypes) {
  SmallVector<SymbolOp> symbols = llvm::to_vector(module.getOps<SymbolOp>());
  llvm::sort(symbols, [](SymbolOp lhs, SymbolOp rhs) { return lhs.getIndex() < rhs.getIndex(); });
  SmallVector<int64_t> typical;
  for (SymbolOp symbol : symbols) {
    if (symbol.getKind() == SymbolKind::root) {
      typical.push_back(getTypicalOfRoot(symbol, inputTypes));
      continue;
    }
    if (symbol.getKind() == SymbolKind::data) {
      typical.push_back(getTypicalOfData(symbol, typical));
      continue;
    }
    SmallVector<int64_t> values;
    for (AffineExpr expr : symbol.getExprs()->getExprs())
      if (std::optional<int64_t> value = evaluate(expr, typical))
        values.push_back(*value);
    bool isMin = symbol.getKind() == SymbolKind::min;
    typical.push_back(values.empty() ? 0 : isMin ? *llvm::min_element(values) : *llvm::max_element(values));
  }
  return typical;
}
