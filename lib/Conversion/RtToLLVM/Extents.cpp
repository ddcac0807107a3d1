//===- Extents.cpp - Extents as code -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
// Straight-line code. Every subexpression is computed once, and beside its value there is a flag: whether it has none.
// The meaning is that of nn::evaluate; symbols come from users, so nothing here may trap.
//===----------------------------------------------------------------------===//
#include "Functions.h"

#include <limits>

using namespace mlir;
using namespace penstock;

namespace {

/// A 64-bit value and whether it is missing.
struct Number {
  Value value, missing;
};

class ExtentsEmitter {
public:
  ExtentsEmitter(OpBuilder &builder, Location loc)
      : builder(builder), loc(loc), i1(builder.getI1Type()), i64(builder.getI64Type()) {}

  void addRoot(rtir::SymbolOp symbol, Value value);
  void addDerived(rtir::DerivedSymbolOp symbol);
  /// The value, or the least integer.
  Value emitChecked(AffineExpr expr);

private:
  Number emit(AffineExpr expr);
  Number emitBinary(AffineBinaryOpExpr expr);
  Number emitDivision(AffineExprKind kind, Number lhs, Number rhs);
  template <typename OpT> Number emitOverflowing(Number lhs, Number rhs);

  Value constant(int64_t value) { return builder.create<LLVM::ConstantOp>(loc, i64, builder.getI64IntegerAttr(value)); }
  Value compare(LLVM::ICmpPredicate predicate, Value lhs, Value rhs) {
    return builder.create<LLVM::ICmpOp>(loc, predicate, lhs, rhs);
  }
  Value either(Value lhs, Value rhs) { return builder.create<LLVM::OrOp>(loc, lhs, rhs); }
  Value choose(Value condition, Value yes, Value no) { return builder.create<LLVM::SelectOp>(loc, condition, yes, no); }
  Value falseValue() { return builder.create<LLVM::ConstantOp>(loc, i1, builder.getBoolAttr(false)); }

  OpBuilder &builder;
  Location loc;
  Type i1, i64;
  SmallVector<Number> symbols;
  DenseMap<AffineExpr, Number> known;
};

} // namespace

void ExtentsEmitter::addRoot(rtir::SymbolOp symbol, Value value) {
  int64_t lower = symbol.getLower().value_or(0);
  Value missing = compare(LLVM::ICmpPredicate::slt, value, constant(std::max<int64_t>(lower, 0)));
  if (symbol.getUpper())
    missing = either(missing, compare(LLVM::ICmpPredicate::sgt, value, constant(*symbol.getUpper())));
  symbols.push_back({value, missing});
}

void ExtentsEmitter::addDerived(rtir::DerivedSymbolOp symbol) {
  auto predicate = symbol.getBound() == rtir::Bound::min ? LLVM::ICmpPredicate::slt : LLVM::ICmpPredicate::sgt;
  Number result;
  for (AffineExpr expr : symbol.getMap().getResults()) {
    Number next = emit(expr);
    if (!result.value) {
      result = next;
      continue;
    }
    result.value = choose(compare(predicate, next.value, result.value), next.value, result.value);
    result.missing = either(result.missing, next.missing);
  }
  symbols.push_back(result);
}

template <typename OpT> Number ExtentsEmitter::emitOverflowing(Number lhs, Number rhs) {
  auto type = LLVM::LLVMStructType::getLiteral(builder.getContext(), {i64, i1});
  Value both = builder.create<OpT>(loc, type, lhs.value, rhs.value);
  Value overflow = builder.create<LLVM::ExtractValueOp>(loc, both, 1);
  return {builder.create<LLVM::ExtractValueOp>(loc, both, 0), either(overflow, either(lhs.missing, rhs.missing))};
}

/// Division rounds down (or up), and the remainder is not negative; the divisor must be positive.
Number ExtentsEmitter::emitDivision(AffineExprKind kind, Number lhs, Number rhs) {
  Value zero = constant(0), one = constant(1);
  Value badDivisor = compare(LLVM::ICmpPredicate::sle, rhs.value, zero);
  Value divisor = choose(badDivisor, one, rhs.value);
  Value missing = either(badDivisor, either(lhs.missing, rhs.missing));
  Value remainder = builder.create<LLVM::SRemOp>(loc, lhs.value, divisor);
  Value isNegative = compare(LLVM::ICmpPredicate::slt, remainder, zero);
  if (kind == AffineExprKind::Mod)
    return {choose(isNegative, builder.create<LLVM::AddOp>(loc, remainder, divisor), remainder), missing};
  Value quotient = builder.create<LLVM::SDivOp>(loc, lhs.value, divisor);
  if (kind == AffineExprKind::FloorDiv)
    return {choose(isNegative, builder.create<LLVM::SubOp>(loc, quotient, one), quotient), missing};
  Value isPositive = compare(LLVM::ICmpPredicate::sgt, remainder, zero);
  return {choose(isPositive, builder.create<LLVM::AddOp>(loc, quotient, one), quotient), missing};
}

Number ExtentsEmitter::emitBinary(AffineBinaryOpExpr expr) {
  Number lhs = emit(expr.getLHS()), rhs = emit(expr.getRHS());
  if (expr.getKind() == AffineExprKind::Add)
    return emitOverflowing<LLVM::SAddWithOverflowOp>(lhs, rhs);
  if (expr.getKind() == AffineExprKind::Mul)
    return emitOverflowing<LLVM::SMulWithOverflowOp>(lhs, rhs);
  return emitDivision(expr.getKind(), lhs, rhs);
}

Number ExtentsEmitter::emit(AffineExpr expr) {
  auto found = known.find(expr);
  if (found != known.end())
    return found->second;
  Number number;
  if (auto constantExpr = dyn_cast<AffineConstantExpr>(expr))
    number = {constant(constantExpr.getValue()), falseValue()};
  else if (auto symbol = dyn_cast<AffineSymbolExpr>(expr))
    number = symbols[symbol.getPosition()];
  else
    number = emitBinary(cast<AffineBinaryOpExpr>(expr));
  known[expr] = number;
  return number;
}

Value ExtentsEmitter::emitChecked(AffineExpr expr) {
  Number number = emit(expr);
  return choose(number.missing, constant(std::numeric_limits<int64_t>::min()), number.value);
}

std::string penstock::createExtentsFunction(ModuleOp module, rtir::RoleOp role) {
  AffineMap extents = role.getExtents();
  if (extents.getNumResults() == 0)
    return "";
  Location loc = role.getLoc();
  OpBuilder builder = OpBuilder::atBlockEnd(module.getBody());
  Type ptr = LLVM::LLVMPointerType::get(builder.getContext()), i64 = builder.getI64Type();
  auto type = LLVM::LLVMFunctionType::get(LLVM::LLVMVoidType::get(builder.getContext()), {ptr, ptr});
  auto function = builder.create<LLVM::LLVMFuncOp>(loc, "extents", type, LLVM::Linkage::Internal);
  Block *entry = function.addEntryBlock(builder);
  builder.setInsertionPointToEnd(entry);
  auto element = [&](Value base, int64_t position) -> Value {
    return builder.create<LLVM::GEPOp>(loc, ptr, i64, base, LLVM::GEPArg(static_cast<int32_t>(position)));
  };
  ExtentsEmitter emitter(builder, loc);
  int64_t position = 0;
  for (Operation &op : role.getBody().front()) {
    if (auto symbol = dyn_cast<rtir::SymbolOp>(op))
      emitter.addRoot(symbol, builder.create<LLVM::LoadOp>(loc, i64, element(entry->getArgument(0), position++)));
    else if (auto derived = dyn_cast<rtir::DerivedSymbolOp>(op))
      emitter.addDerived(derived);
  }
  for (auto [i, expr] : llvm::enumerate(extents.getResults()))
    builder.create<LLVM::StoreOp>(loc, emitter.emitChecked(expr), element(entry->getArgument(1), i));
  builder.create<LLVM::ReturnOp>(loc, ValueRange());
  return "extents";
}
