//===- Bounds.cpp - Upper bounds of extents -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#include "Bounds.h"

#include "penstock/Dialect/NN/Transforms/Passes.h"
#include "penstock/Dialect/Pipe/IR/PipeOps.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace penstock;
using namespace penstock::pipe;

/// Types of the model's inputs, before and after split.
static SmallVector<Type> getInputTypes(ModuleOp module) {
  SmallVector<Type> types;
  if (auto entry = module.lookupSymbol<func::FuncOp>(nn::kEntryName))
    llvm::append_range(types, entry.getArgumentTypes());
  for (InputOp input : module.getOps<InputOp>())
    types.push_back(input.getType());
  return types;
}

/// What no extent reaches: models write 10^7 or 10^9 for "to the end", and memory for so much is no bound.
constexpr int64_t kEndless = 1 << 20;

SymbolBounds::SymbolBounds(ModuleOp module)
    : dataSymbols(module), typical(nn::getTypicalValues(module, getInputTypes(module))) {
  SmallVector<nn::SymbolOp> symbols = llvm::to_vector(module.getOps<nn::SymbolOp>());
  llvm::sort(symbols, [](nn::SymbolOp lhs, nn::SymbolOp rhs) { return lhs.getIndex() < rhs.getIndex(); });
  for (nn::SymbolOp symbol : symbols) {
    this->symbols.push_back(symbol);
    names.push_back(symbol.getSymName());
    Range range;
    range.lower = symbol.getLower().value_or(0);
    if (symbol.getUpper())
      range.upper = *symbol.getUpper();
    if (symbol.getKind() == nn::SymbolKind::root) {
      ranges.push_back(range);
      continue;
    }
    // What is found is a minimum of its bounds.
    bool isMin = symbol.getKind() != nn::SymbolKind::max;
    SmallVector<int64_t> uppers;
    ArrayRef<AffineExpr> exprs = symbol.getExprs() ? symbol.getExprs()->getExprs() : ArrayRef<AffineExpr>();
    for (AffineExpr expr : exprs) {
      std::optional<int64_t> upper = getRange(expr).upper;
      if (upper && (*upper < kEndless || symbol.getKind() == nn::SymbolKind::data))
        uppers.push_back(*upper);
    }
    if (range.upper && symbol.getKind() == nn::SymbolKind::data)
      uppers.push_back(*range.upper);
    // A minimum is bounded by any of its parts, a maximum only by all.
    bool isBounded = isMin ? !uppers.empty() : uppers.size() == exprs.size();
    if (isBounded && (!range.upper || isMin))
      range.upper = isMin ? *llvm::min_element(uppers) : *llvm::max_element(uppers);
    ranges.push_back(range);
  }
}

//===----------------------------------------------------------------------===//
// Interval arithmetic
//===----------------------------------------------------------------------===//

static Range addRanges(const Range &lhs, const Range &rhs) {
  Range result;
  int64_t value;
  if (lhs.lower && rhs.lower && !llvm::AddOverflow(*lhs.lower, *rhs.lower, value))
    result.lower = value;
  if (lhs.upper && rhs.upper && !llvm::AddOverflow(*lhs.upper, *rhs.upper, value))
    result.upper = value;
  return result;
}

static Range mulRanges(const Range &lhs, const Range &rhs) {
  bool isPositive = lhs.lower && *lhs.lower >= 0 && rhs.lower && *rhs.lower >= 0;
  int64_t value;
  Range result;
  if (isPositive) {
    if (!llvm::MulOverflow(*lhs.lower, *rhs.lower, value))
      result.lower = value;
    bool isZero = (lhs.upper && *lhs.upper == 0) || (rhs.upper && *rhs.upper == 0);
    if (isZero)
      result.upper = 0;
    else if (lhs.upper && rhs.upper && !llvm::MulOverflow(*lhs.upper, *rhs.upper, value))
      result.upper = value;
    return result;
  }
  auto isConstant = [](const Range &range) { return range.lower && range.upper && *range.lower == *range.upper; };
  const Range &factor = isConstant(rhs) ? rhs : lhs, &other = isConstant(rhs) ? lhs : rhs;
  if (!isConstant(factor)) {
    if (!lhs.lower || !lhs.upper || !rhs.lower || !rhs.upper)
      return result;
    for (int64_t left : {*lhs.lower, *lhs.upper})
      for (int64_t right : {*rhs.lower, *rhs.upper}) {
        if (llvm::MulOverflow(left, right, value))
          return Range();
        result.lower = result.lower ? std::min(*result.lower, value) : value;
        result.upper = result.upper ? std::max(*result.upper, value) : value;
      }
    return result;
  }
  bool isNegative = *factor.lower < 0;
  std::optional<int64_t> low = isNegative ? other.upper : other.lower, high = isNegative ? other.lower : other.upper;
  if (low && !llvm::MulOverflow(*low, *factor.lower, value))
    result.lower = value;
  if (high && !llvm::MulOverflow(*high, *factor.lower, value))
    result.upper = value;
  return result;
}

/// Floor or ceiling of a quotient. Nothing is known unless the divisor is positive.
static Range divideRanges(const Range &lhs, const Range &rhs, bool isCeil) {
  Range result;
  if (!rhs.lower || *rhs.lower <= 0)
    return result;
  auto divide = [&](int64_t value, int64_t by) {
    return isCeil ? llvm::divideCeilSigned(value, by) : llvm::divideFloorSigned(value, by);
  };
  if (lhs.upper && (*lhs.upper >= 0 || rhs.upper))
    result.upper = divide(*lhs.upper, *lhs.upper >= 0 ? *rhs.lower : *rhs.upper);
  if (lhs.lower && *lhs.lower < 0)
    result.lower = divide(*lhs.lower, *rhs.lower);
  else if (lhs.lower)
    result.lower = rhs.upper ? divide(*lhs.lower, *rhs.upper) : 0;
  return result;
}

Range SymbolBounds::getRange(AffineExpr expr) const {
  if (auto constant = dyn_cast<AffineConstantExpr>(expr))
    return {constant.getValue(), constant.getValue()};
  if (auto symbol = dyn_cast<AffineSymbolExpr>(expr))
    return symbol.getPosition() < ranges.size() ? ranges[symbol.getPosition()] : Range();
  auto binary = dyn_cast<AffineBinaryOpExpr>(expr);
  if (!binary)
    return Range();
  Range lhs = getRange(binary.getLHS()), rhs = getRange(binary.getRHS());
  switch (expr.getKind()) {
  case AffineExprKind::Add:
    return addRanges(lhs, rhs);
  case AffineExprKind::Mul:
    return mulRanges(lhs, rhs);
  case AffineExprKind::FloorDiv:
    return divideRanges(lhs, rhs, /*isCeil=*/false);
  case AffineExprKind::CeilDiv:
    return divideRanges(lhs, rhs, /*isCeil=*/true);
  case AffineExprKind::Mod: {
    Range result;
    result.lower = 0;
    if (rhs.upper)
      result.upper = std::max<int64_t>(0, *rhs.upper - 1);
    return result;
  }
  default:
    return Range();
  }
}

SmallVector<StringRef> SymbolBounds::getFree(AffineExpr expr) const {
  SmallVector<StringRef> free;
  expr.walk([&](AffineExpr part) {
    auto symbol = dyn_cast<AffineSymbolExpr>(part);
    if (symbol && symbol.getPosition() < ranges.size() && !ranges[symbol.getPosition()].upper &&
        !llvm::is_contained(free, names[symbol.getPosition()]))
      free.push_back(names[symbol.getPosition()]);
  });
  return free;
}

//===----------------------------------------------------------------------===//
// Bounds over what the inputs' shapes say
//===----------------------------------------------------------------------===//

SymbolBounds::Ends SymbolBounds::getEndsOf(nn::SymbolOp symbol) const {
  AffineExpr zero = getAffineConstantExpr(0, symbol.getContext());
  SmallVector<AffineExpr> uppers;
  if (symbol.getExprs())
    for (AffineExpr expr : symbol.getExprs()->getExprs())
      uppers.push_back(getEnds(expr).upper);
  if (symbol.getUpper())
    return {zero, getAffineConstantExpr(*symbol.getUpper(), symbol.getContext())};
  if (symbol.getKind() == nn::SymbolKind::data)
    return {zero, uppers[0]};
  if (symbol.getKind() == nn::SymbolKind::min) {
    bool isCount = llvm::all_of(symbol.getExprs()->getExprs(),
                                [&](AffineExpr expr) { return getRange(expr).lower.value_or(-1) >= 0; });
    // Any of the parts is a bound; one that is a number is the better one.
    auto known = llvm::find_if(uppers, [](AffineExpr upper) { return isa_and_nonnull<AffineConstantExpr>(upper); });
    if (known == uppers.end())
      known = llvm::find_if(uppers, [](AffineExpr upper) { return static_cast<bool>(upper); });
    return {isCount ? zero : AffineExpr(), known == uppers.end() ? AffineExpr() : *known};
  }
  // The sum of those that are not below zero is no less than the greatest.
  Ends result = {AffineExpr(), zero};
  for (auto [expr, upper] : llvm::zip(symbol.getExprs()->getExprs(), uppers)) {
    bool isNegative = upper && getRange(upper).upper.value_or(1) <= 0;
    if (!result.lower && getRange(expr).lower)
      result.lower = getAffineConstantExpr(*getRange(expr).lower, symbol.getContext());
    result.upper = result.upper && upper ? isNegative ? result.upper : result.upper + upper : AffineExpr();
  }
  return result;
}

SymbolBounds::Ends SymbolBounds::getEnds(AffineExpr expr) const {
  if (!dataSymbols.contains(expr))
    return {expr, expr};
  if (auto symbol = dyn_cast<AffineSymbolExpr>(expr))
    return getEndsOf(symbols[symbol.getPosition()]);
  auto binary = cast<AffineBinaryOpExpr>(expr);
  Ends lhs = getEnds(binary.getLHS()), rhs = getEnds(binary.getRHS());
  auto combine = [&](AffineExpr left, AffineExpr right) {
    return left && right ? nn::simplifyExtent(getAffineBinaryOpExpr(expr.getKind(), left, right)) : AffineExpr();
  };
  auto isNonNegative = [&](AffineExpr part) { return getRange(part).lower.value_or(-1) >= 0; };
  if (expr.getKind() == AffineExprKind::Add)
    return {combine(lhs.lower, rhs.lower), combine(lhs.upper, rhs.upper)};
  if (dataSymbols.contains(binary.getRHS()) && expr.getKind() != AffineExprKind::Mul)
    return {};
  if (expr.getKind() == AffineExprKind::Mod)
    return {getAffineConstantExpr(0, expr.getContext()), binary.getRHS()};
  // The rest grows with its left side, or shrinks with it where the right one is a negative number.
  std::optional<int64_t> number = nn::getConstant(binary.getRHS());
  if (number && *number < 0)
    return {combine(lhs.upper, rhs.upper), combine(lhs.lower, rhs.lower)};
  if (number || expr.getKind() != AffineExprKind::Mul)
    return {combine(lhs.lower, rhs.lower), combine(lhs.upper, rhs.upper)};
  // A product that is negative is no number of bytes, and below any bound.
  bool isLeftCount = isNonNegative(binary.getLHS()), isRightCount = isNonNegative(binary.getRHS());
  if (!isLeftCount && !isRightCount)
    return {};
  return {isLeftCount && isRightCount ? combine(lhs.lower, rhs.lower) : AffineExpr(), combine(lhs.upper, rhs.upper)};
}
