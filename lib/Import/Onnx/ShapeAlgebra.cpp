//===- ShapeAlgebra.cpp - Arithmetic on extents -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#include "ShapeAlgebra.h"
#include "llvm/Support/MathExtras.h"
#include "llvm/Support/raw_ostream.h"

namespace penstock::onnximport {

/// Of a normal form; what has more stays as it was built.
constexpr size_t kMaxTerms = 1024, kMaxDegree = 64;
/// Symbols, constants and operators of an expression in the module.
constexpr int64_t kMaxParts = 2048;

static std::string toText(AffineExpr expr) {
  std::string text;
  llvm::raw_string_ostream(text) << expr;
  return text;
}

/// Symbols first, by position; then everything else by its text.
static int compareAtoms(AffineExpr lhs, AffineExpr rhs) {
  if (lhs == rhs)
    return 0;
  auto left = dyn_cast<AffineSymbolExpr>(lhs), right = dyn_cast<AffineSymbolExpr>(rhs);
  if (left && right)
    return left.getPosition() < right.getPosition() ? -1 : 1;
  if (left || right)
    return left ? -1 : 1;
  return toText(lhs) < toText(rhs) ? -1 : 1;
}
static bool atomLess(AffineExpr lhs, AffineExpr rhs) { return compareAtoms(lhs, rhs) < 0; }

bool ShapeAlgebra::MonomialLess::operator()(const Monomial &lhs, const Monomial &rhs) const {
  if (lhs.size() != rhs.size())
    return lhs.size() > rhs.size(); // constants last
  for (size_t i = 0; i < lhs.size(); ++i)
    if (int order = compareAtoms(lhs[i], rhs[i]))
      return order < 0;
  return false;
}

ShapeAlgebra::ShapeAlgebra(ModuleOp module) : module(module), context(module.getContext()) { claimed.insert("main"); }

//===----------------------------------------------------------------------===//
// Symbols
//===----------------------------------------------------------------------===//

std::string ShapeAlgebra::claimName(StringRef name) {
  std::string unique = name.str();
  for (unsigned i = 1; !claimed.insert(unique).second; ++i)
    unique = name.str() + "_" + std::to_string(i);
  return unique;
}

AffineExpr ShapeAlgebra::addSymbol(StringRef name, nn::SymbolKind kind, ArrayRef<AffineExpr> operands,
                                   const DimOption *option, Interval interval) {
  OpBuilder builder(context);
  if (lastSymbol)
    builder.setInsertionPointAfter(lastSymbol);
  else
    builder.setInsertionPointToStart(module.getBody());
  auto integer = [&](std::optional<int64_t> value) {
    return value ? builder.getI64IntegerAttr(*value) : IntegerAttr();
  };
  unsigned index = symbolBounds.size();
  auto exprs = operands.empty() ? nn::ExtentsAttr() : nn::ExtentsAttr::get(context, operands);
  lastSymbol = builder.create<nn::SymbolOp>(
      UnknownLoc::get(context), builder.getStringAttr(claimName(name)), builder.getI64IntegerAttr(index),
      nn::SymbolKindAttr::get(context, kind), exprs, integer(option ? option->lower : std::nullopt),
      integer(option ? option->upper : std::nullopt), integer(option ? option->typical : std::nullopt), StringAttr());
  symbolBounds.push_back(interval);
  symbolNames.push_back(cast<nn::SymbolOp>(lastSymbol).getSymName().str());
  return getAffineSymbolExpr(index, context);
}

std::string ShapeAlgebra::describe(AffineExpr expr) const { return nn::formatExtents(expr, symbolNames); }

AffineExpr ShapeAlgebra::getDimension(StringRef name, const DimOption *option) {
  auto [it, inserted] = dimensions.try_emplace(name.str());
  if (!inserted)
    return it->second;
  names.push_back(name.str());
  if (option && option->fixed)
    return it->second = constant(*option->fixed);
  // An unknown extent is taken to be at least 1 where that decides a comparison.
  Interval interval{std::max<int64_t>(1, option ? option->lower.value_or(1) : 1),
                    option ? option->upper : std::nullopt};
  return it->second = addSymbol(name, nn::SymbolKind::root, {}, option, interval);
}

AffineExpr ShapeAlgebra::getDataDimension(StringRef name, AffineExpr bound, const DimOption *option) {
  names.push_back(name.str());
  DimOption range = option ? *option : DimOption();
  if (range.fixed)
    range.lower = range.upper = range.fixed;
  Interval interval{range.lower.value_or(0), range.upper};
  if (std::optional<int64_t> most = bound ? getBounds(bound).upper : std::nullopt)
    interval.upper = std::min(*most, interval.upper.value_or(*most));
  SmallVector<AffineExpr> bounds;
  if (bound)
    bounds.push_back(bound);
  AffineExpr symbol = addSymbol(name, nn::SymbolKind::data, bounds, &range, interval);
  dataSymbols.insert(symbol);
  return symbol;
}

bool ShapeAlgebra::dependsOnData(AffineExpr expr) const {
  bool depends = false;
  expr.walk([&](AffineExpr part) { depends |= dataSymbols.contains(part); });
  return depends;
}

AffineExpr ShapeAlgebra::extremum(nn::SymbolKind kind, AffineExpr lhs, AffineExpr rhs) {
  bool isMin = kind == nn::SymbolKind::min;
  lhs = normalize(lhs);
  rhs = normalize(rhs);
  if (lhs == rhs)
    return lhs;
  Interval difference = getBounds(sub(lhs, rhs));
  if (difference.lower && *difference.lower >= 0)
    return isMin ? rhs : lhs;
  if (difference.upper && *difference.upper <= 0)
    return isMin ? lhs : rhs;
  if (atomLess(rhs, lhs))
    std::swap(lhs, rhs);
  std::string key = (isMin ? "min " : "max ") + toText(lhs) + ", " + toText(rhs);
  auto [it, inserted] = derived.try_emplace(key);
  if (!inserted)
    return it->second;
  Interval left = getBounds(lhs), right = getBounds(rhs), bounds;
  auto both = [](std::optional<int64_t> a, std::optional<int64_t> b, bool takeMin) -> std::optional<int64_t> {
    if (a && b)
      return takeMin ? std::min(*a, *b) : std::max(*a, *b);
    return std::nullopt;
  };
  auto either = [&](std::optional<int64_t> a, std::optional<int64_t> b, bool takeMin) {
    return a && b ? both(a, b, takeMin) : a ? a : b;
  };
  bounds.lower = isMin ? both(left.lower, right.lower, true) : either(left.lower, right.lower, false);
  bounds.upper = isMin ? either(left.upper, right.upper, true) : both(left.upper, right.upper, false);
  std::string name = (isMin ? "min." : "max.") + std::to_string(symbolBounds.size());
  it->second = addSymbol(name, kind, {lhs, rhs}, nullptr, bounds);
  if (dependsOnData(lhs) || dependsOnData(rhs))
    dataSymbols.insert(it->second);
  return it->second;
}

//===----------------------------------------------------------------------===//
// Normal form
//===----------------------------------------------------------------------===//

std::optional<ShapeAlgebra::Polynomial> ShapeAlgebra::toPolynomial(AffineExpr expr) {
  if (auto constant = dyn_cast<AffineConstantExpr>(expr)) {
    Polynomial result;
    if (constant.getValue() != 0)
      result[{}] = constant.getValue();
    return result;
  }
  auto binary = dyn_cast<AffineBinaryOpExpr>(expr);
  if (!binary)
    return Polynomial{{{expr}, 1}};
  if (expr.getKind() != AffineExprKind::Add && expr.getKind() != AffineExprKind::Mul) {
    AffineExpr lhs = normalize(binary.getLHS()), rhs = normalize(binary.getRHS());
    AffineExpr atom = getAffineBinaryOpExpr(expr.getKind(), lhs, rhs);
    if (atom != expr && !isa<AffineBinaryOpExpr>(atom))
      return toPolynomial(atom);
    return Polynomial{{{atom}, 1}};
  }
  std::optional<Polynomial> lhs = toPolynomial(binary.getLHS()), rhs = toPolynomial(binary.getRHS());
  if (!lhs || !rhs)
    return std::nullopt;
  bool isSum = expr.getKind() == AffineExprKind::Add;
  if ((isSum ? lhs->size() + rhs->size() : lhs->size() * rhs->size()) > kMaxTerms)
    return std::nullopt;
  Polynomial result;
  auto accumulate = [&](const Monomial &monomial, int64_t factor) {
    int64_t &sum = result[monomial];
    if (llvm::AddOverflow(sum, factor, sum))
      return false;
    if (sum == 0)
      result.erase(monomial);
    return true;
  };
  if (isSum) {
    result = *lhs;
    for (auto &[monomial, factor] : *rhs)
      if (!accumulate(monomial, factor))
        return std::nullopt;
    return result;
  }
  for (auto &[leftMonomial, leftFactor] : *lhs)
    for (auto &[rightMonomial, rightFactor] : *rhs) {
      if (leftMonomial.size() + rightMonomial.size() > kMaxDegree)
        return std::nullopt;
      Monomial monomial = leftMonomial;
      monomial.insert(monomial.end(), rightMonomial.begin(), rightMonomial.end());
      std::sort(monomial.begin(), monomial.end(), atomLess);
      int64_t factor;
      if (llvm::MulOverflow(leftFactor, rightFactor, factor) || !accumulate(monomial, factor))
        return std::nullopt;
    }
  return result;
}

AffineExpr ShapeAlgebra::fromPolynomial(const Polynomial &polynomial) {
  AffineExpr sum;
  for (auto &[monomial, factor] : polynomial) {
    AffineExpr term;
    for (AffineExpr atom : monomial)
      term = term ? term * atom : atom;
    term = term ? term * factor : constant(factor);
    sum = sum ? sum + term : term;
  }
  return sum ? sum : constant(0);
}

static int64_t countParts(AffineExpr expr, int64_t most) {
  auto binary = dyn_cast<AffineBinaryOpExpr>(expr);
  if (!binary || most <= 1)
    return 1;
  int64_t count = 1 + countParts(binary.getLHS(), most - 1);
  return count >= most ? count : count + countParts(binary.getRHS(), most - count);
}

bool ShapeAlgebra::isTooLarge(AffineExpr expr) { return countParts(expr, kMaxParts + 1) > kMaxParts; }

AffineExpr ShapeAlgebra::normalize(AffineExpr expr) {
  if (isa<AffineConstantExpr, AffineSymbolExpr>(expr))
    return expr;
  std::optional<Polynomial> polynomial = toPolynomial(expr);
  return polynomial ? fromPolynomial(*polynomial) : expr;
}

//===----------------------------------------------------------------------===//
// Division
//===----------------------------------------------------------------------===//

std::optional<ShapeAlgebra::Polynomial> ShapeAlgebra::divideExactly(const Polynomial &dividend,
                                                                    const Polynomial &divisor) {
  if (divisor.size() != 1)
    return std::nullopt;
  const auto &[atoms, divisorFactor] = *divisor.begin();
  Polynomial quotient;
  for (auto &[monomial, factor] : dividend) {
    if (divisorFactor == -1 || factor % divisorFactor != 0)
      return std::nullopt;
    Monomial rest = monomial;
    for (AffineExpr atom : atoms) {
      auto it = llvm::find(rest, atom);
      if (it == rest.end())
        return std::nullopt;
      rest.erase(it);
    }
    quotient[rest] = factor / divisorFactor;
  }
  return quotient;
}

AffineExpr ShapeAlgebra::floorDiv(AffineExpr lhs, AffineExpr rhs) {
  lhs = normalize(lhs);
  rhs = normalize(rhs);
  if (lhs == rhs && isNonNegative(sub(rhs, constant(1))))
    return constant(1);
  std::optional<Polynomial> dividend = toPolynomial(lhs), divisor = toPolynomial(rhs);
  if (!dividend || !divisor)
    return lhs.floorDiv(rhs);
  if (std::optional<Polynomial> quotient = divideExactly(*dividend, *divisor))
    return fromPolynomial(*quotient);
  std::optional<int64_t> number = nn::getConstant(rhs);
  if (!number || *number <= 0)
    return lhs.floorDiv(rhs);
  // floor((k * n + rest) / n) = k + floor(rest / n)
  Polynomial whole, rest;
  for (auto &[monomial, factor] : *dividend) {
    int64_t quotient = llvm::divideFloorSigned(factor, *number);
    if (factor % *number == 0 || monomial.empty()) {
      if (quotient != 0)
        whole[monomial] = quotient;
      if (int64_t remainder = factor - quotient * *number)
        rest[monomial] = remainder;
    } else {
      rest[monomial] = factor;
    }
  }
  AffineExpr remainder = fromPolynomial(rest);
  Interval bounds = getBounds(remainder);
  if (bounds.lower && bounds.upper && *bounds.lower >= 0 && *bounds.upper < *number)
    return fromPolynomial(whole);
  return add(fromPolynomial(whole), remainder.floorDiv(*number));
}

AffineExpr ShapeAlgebra::ceilDiv(AffineExpr lhs, AffineExpr rhs) {
  return floorDiv(add(lhs, sub(rhs, constant(1))), rhs);
}

AffineExpr ShapeAlgebra::mod(AffineExpr lhs, AffineExpr rhs) { return sub(lhs, mul(floorDiv(lhs, rhs), rhs)); }

AffineExpr ShapeAlgebra::product(ArrayRef<AffineExpr> factors) {
  AffineExpr result = constant(1);
  for (AffineExpr factor : factors)
    result = mul(result, factor);
  return result;
}

AffineExpr ShapeAlgebra::divideProducts(ArrayRef<AffineExpr> numerator, ArrayRef<AffineExpr> denominator) {
  SmallVector<AffineExpr> above, below;
  for (AffineExpr factor : numerator)
    above.push_back(normalize(factor));
  for (AffineExpr factor : denominator) {
    AffineExpr normal = normalize(factor);
    auto it = llvm::find(above, normal);
    if (it != above.end())
      above.erase(it);
    else
      below.push_back(normal);
  }
  AffineExpr divisor = product(below);
  return nn::getConstant(divisor) == 0 ? constant(0) : floorDiv(product(above), divisor);
}

//===----------------------------------------------------------------------===//
// Comparisons
//===----------------------------------------------------------------------===//

static std::optional<int64_t> checkedAdd(std::optional<int64_t> a, std::optional<int64_t> b) {
  int64_t sum;
  return a && b && !llvm::AddOverflow(*a, *b, sum) ? std::optional<int64_t>(sum) : std::nullopt;
}
static std::optional<int64_t> checkedMul(std::optional<int64_t> a, std::optional<int64_t> b) {
  int64_t product;
  return a && b && !llvm::MulOverflow(*a, *b, product) ? std::optional<int64_t>(product) : std::nullopt;
}

static Interval multiply(Interval lhs, Interval rhs) {
  for (int i = 0; i < 2; ++i, std::swap(lhs, rhs)) {
    // A single factor scales the other's bounds.
    if (lhs.lower && lhs.lower == lhs.upper) {
      Interval result{checkedMul(lhs.lower, rhs.lower), checkedMul(lhs.lower, rhs.upper)};
      if (*lhs.lower < 0)
        std::swap(result.lower, result.upper);
      return *lhs.lower == 0 ? lhs : result;
    }
  }
  if (lhs.lower && rhs.lower && *lhs.lower >= 0 && *rhs.lower >= 0)
    return {checkedMul(lhs.lower, rhs.lower), checkedMul(lhs.upper, rhs.upper)};
  return {};
}

std::pair<AffineExpr, int64_t> ShapeAlgebra::splitConstant(AffineExpr expr) {
  if (auto sum = dyn_cast<AffineBinaryOpExpr>(expr); sum && sum.getKind() == AffineExprKind::Add)
    if (std::optional<int64_t> number = nn::getConstant(sum.getRHS()))
      return {sum.getLHS(), *number};
  return {expr, 0};
}

void ShapeAlgebra::noteExtent(AffineExpr expr) {
  // What a kernel finds may be nothing at all.
  if (isa<AffineConstantExpr, AffineSymbolExpr>(expr) || dependsOnData(expr))
    return;
  auto [rest, number] = splitConstant(expr);
  int64_t least;
  if (llvm::SubOverflow<int64_t>(1, number, least))
    return;
  auto [it, inserted] = leastValues.try_emplace(rest, least);
  if (!inserted)
    it->second = std::max(it->second, least);
}

Interval ShapeAlgebra::getBounds(AffineExpr expr) {
  Interval bounds = getStructuralBounds(expr);
  auto [rest, number] = splitConstant(expr);
  auto noted = leastValues.find(rest);
  int64_t least;
  if (noted != leastValues.end() && !llvm::AddOverflow(noted->second, number, least))
    bounds.lower = std::max(least, bounds.lower.value_or(least));
  return bounds;
}

Interval ShapeAlgebra::getStructuralBounds(AffineExpr expr) {
  if (auto constant = dyn_cast<AffineConstantExpr>(expr))
    return {constant.getValue(), constant.getValue()};
  if (auto symbol = dyn_cast<AffineSymbolExpr>(expr))
    return symbol.getPosition() < symbolBounds.size() ? symbolBounds[symbol.getPosition()] : Interval();
  auto binary = dyn_cast<AffineBinaryOpExpr>(expr);
  if (!binary)
    return {};
  Interval lhs = getBounds(binary.getLHS()), rhs = getBounds(binary.getRHS());
  switch (expr.getKind()) {
  case AffineExprKind::Add:
    return {checkedAdd(lhs.lower, rhs.lower), checkedAdd(lhs.upper, rhs.upper)};
  case AffineExprKind::Mul:
    return multiply(lhs, rhs);
  case AffineExprKind::FloorDiv:
  case AffineExprKind::CeilDiv: {
    if (!rhs.lower || *rhs.lower < 1)
      return {};
    Interval result;
    bool isFloor = expr.getKind() == AffineExprKind::FloorDiv;
    auto divide = [&](int64_t a, int64_t b) {
      return isFloor ? llvm::divideFloorSigned(a, b) : llvm::divideCeilSigned(a, b);
    };
    if (lhs.lower && *lhs.lower >= 0)
      result.lower = rhs.upper ? divide(*lhs.lower, *rhs.upper) : 0;
    if (lhs.upper && *lhs.upper >= 0)
      result.upper = divide(*lhs.upper, *rhs.lower);
    return result;
  }
  case AffineExprKind::Mod:
    return {0, rhs.upper ? std::optional<int64_t>(*rhs.upper - 1) : std::nullopt};
  default:
    return {};
  }
}

std::optional<bool> ShapeAlgebra::equal(AffineExpr lhs, AffineExpr rhs) {
  AffineExpr difference = sub(lhs, rhs);
  if (std::optional<int64_t> number = nn::getConstant(difference))
    return *number == 0;
  Interval bounds = getBounds(difference);
  if ((bounds.lower && *bounds.lower > 0) || (bounds.upper && *bounds.upper < 0))
    return false;
  return std::nullopt;
}

std::optional<bool> ShapeAlgebra::less(AffineExpr lhs, AffineExpr rhs) {
  Interval bounds = getBounds(sub(lhs, rhs));
  if (bounds.upper && *bounds.upper < 0)
    return true;
  if (bounds.lower && *bounds.lower >= 0)
    return false;
  return std::nullopt;
}

bool ShapeAlgebra::isNonNegative(AffineExpr expr) {
  Interval bounds = getBounds(expr);
  return bounds.lower && *bounds.lower >= 0;
}

} // namespace penstock::onnximport
