//===- Extents.cpp - Symbolic extents of tensors -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#include "penstock/Dialect/NN/IR/Extents.h"
#include "penstock/Dialect/NN/IR/NNOps.h"

#include "mlir/IR/AffineMap.h"
#include "llvm/Support/MathExtras.h"
#include "llvm/Support/raw_ostream.h"

namespace penstock::nn {

SmallVector<AffineExpr> getExtents(RankedTensorType type) {
  SmallVector<AffineExpr> extents;
  auto encoding = dyn_cast_or_null<ExtentsAttr>(type.getEncoding());
  size_t next = 0;
  for (int64_t extent : type.getShape()) {
    if (!ShapedType::isDynamic(extent))
      extents.push_back(getAffineConstantExpr(extent, type.getContext()));
    else
      extents.push_back(encoding && next < encoding.getExprs().size() ? encoding.getExprs()[next++] : AffineExpr());
  }
  return extents;
}

AffineExpr getExtent(RankedTensorType type, int64_t axis) { return getExtents(type)[axis]; }

RankedTensorType getTensorType(ArrayRef<AffineExpr> extents, Type elementType) {
  SmallVector<int64_t> shape;
  SmallVector<AffineExpr> dynamic;
  for (AffineExpr extent : extents) {
    AffineExpr simple = simplifyExtent(extent);
    std::optional<int64_t> constant = getConstant(simple);
    shape.push_back(constant ? *constant : ShapedType::kDynamic);
    if (!constant)
      dynamic.push_back(simple);
  }
  if (dynamic.empty())
    return RankedTensorType::get(shape, elementType);
  return RankedTensorType::get(shape, elementType, ExtentsAttr::get(elementType.getContext(), dynamic));
}

unsigned getNumSymbols(AffineExpr expr) {
  unsigned count = 0;
  expr.walk([&](AffineExpr part) {
    if (auto symbol = dyn_cast<AffineSymbolExpr>(part))
      count = std::max(count, symbol.getPosition() + 1);
  });
  return count;
}

AffineExpr simplifyExtent(AffineExpr expr) {
  if (!expr)
    return expr;
  return simplifyAffineExpr(expr, /*numDims=*/0, getNumSymbols(expr));
}

std::optional<int64_t> getConstant(AffineExpr expr) {
  if (!expr)
    return std::nullopt;
  if (auto constant = dyn_cast<AffineConstantExpr>(expr))
    return constant.getValue();
  return std::nullopt;
}

AffineExpr getNumElements(RankedTensorType type) {
  AffineExpr product = getAffineConstantExpr(1, type.getContext());
  for (AffineExpr extent : getExtents(type)) {
    if (!extent)
      return {};
    product = product * extent;
  }
  return simplifyExtent(product);
}

int64_t getElementBytes(Type elementType) {
  return std::max<int64_t>(1, llvm::divideCeil(elementType.getIntOrFloatBitWidth(), 8));
}

AffineExpr getNumBytes(RankedTensorType type) {
  AffineExpr elements = getNumElements(type);
  return elements ? simplifyExtent(elements * getElementBytes(type.getElementType())) : elements;
}

static std::optional<int64_t> evaluateBinary(AffineExprKind kind, int64_t lhs, int64_t rhs) {
  int64_t result;
  switch (kind) {
  case AffineExprKind::Add:
    if (llvm::AddOverflow(lhs, rhs, result))
      return std::nullopt;
    return result;
  case AffineExprKind::Mul:
    if (llvm::MulOverflow(lhs, rhs, result))
      return std::nullopt;
    return result;
  case AffineExprKind::FloorDiv:
    if (rhs <= 0)
      return std::nullopt;
    return llvm::divideFloorSigned(lhs, rhs);
  case AffineExprKind::CeilDiv:
    if (rhs <= 0)
      return std::nullopt;
    return llvm::divideCeilSigned(lhs, rhs);
  case AffineExprKind::Mod:
    if (rhs <= 0)
      return std::nullopt;
    return llvm::mod(lhs, rhs);
  default:
    return std::nullopt;
  }
}

std::optional<int64_t> evaluate(AffineExpr expr, ArrayRef<int64_t> symbolValues) {
  if (!expr)
    return std::nullopt;
  if (auto constant = dyn_cast<AffineConstantExpr>(expr))
    return constant.getValue();
  if (auto symbol = dyn_cast<AffineSymbolExpr>(expr)) {
    if (symbol.getPosition() >= symbolValues.size())
      return std::nullopt;
    return symbolValues[symbol.getPosition()];
  }
  auto binary = dyn_cast<AffineBinaryOpExpr>(expr);
  if (!binary)
    return std::nullopt;
  std::optional<int64_t> lhs = evaluate(binary.getLHS(), symbolValues);
  std::optional<int64_t> rhs = evaluate(binary.getRHS(), symbolValues);
  if (!lhs || !rhs)
    return std::nullopt;
  return evaluateBinary(expr.getKind(), *lhs, *rhs);
}

RankedTensorType replaceSymbols(RankedTensorType type, ArrayRef<AffineExpr> replacements) {
  SmallVector<AffineExpr> extents;
  for (AffineExpr extent : getExtents(type))
    extents.push_back(extent ? extent.replaceSymbols(replacements) : extent);
  return getTensorType(extents, type.getElementType());
}

bool mayBeEqual(AffineExpr lhs, AffineExpr rhs) {
  std::optional<int64_t> left = getConstant(lhs), right = getConstant(rhs);
  return !left || !right || *left == *right;
}

std::optional<SmallVector<AffineExpr>> broadcastExtents(ArrayRef<AffineExpr> lhs, ArrayRef<AffineExpr> rhs) {
  if (lhs.size() < rhs.size())
    std::swap(lhs, rhs);
  SmallVector<AffineExpr> result(lhs);
  size_t offset = lhs.size() - rhs.size();
  for (auto [i, right] : llvm::enumerate(rhs)) {
    AffineExpr &left = result[offset + i];
    std::optional<int64_t> leftConstant = getConstant(left), rightConstant = getConstant(right);
    if (leftConstant && rightConstant && *leftConstant != *rightConstant && *leftConstant != 1 && *rightConstant != 1)
      return std::nullopt;
    if ((leftConstant && *leftConstant == 1) || (!leftConstant && rightConstant && *rightConstant != 1))
      left = right;
  }
  return result;
}

std::string formatExtents(ArrayRef<AffineExpr> extents) {
  if (extents.empty())
    return "scalar";
  std::string text;
  llvm::raw_string_ostream stream(text);
  llvm::interleave(
      extents, stream,
      [&](AffineExpr extent) {
        if (!extent)
          stream << "?";
        else if (extent.isSymbolicOrConstant() && !isa<AffineBinaryOpExpr>(extent))
          stream << extent;
        else
          stream << "(" << extent << ")";
      },
      "x");
  return text;
}

std::string formatExtents(ArrayRef<AffineExpr> extents, ArrayRef<std::string> names) {
  std::string text = formatExtents(extents), result;
  StringRef rest = text;
  while (!rest.empty()) {
    StringRef digits = rest.drop_front().take_while(llvm::isDigit);
    size_t index;
    bool isNamed = rest.front() == 's' && !digits.getAsInteger(10, index) && index < names.size();
    result += isNamed ? names[index] : rest.take_front(1 + digits.size()).str();
    rest = rest.drop_front(1 + digits.size());
  }
  return result;
}

} // namespace penstock::nn
