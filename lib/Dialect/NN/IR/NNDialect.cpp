//===- NNDialect.cpp - Registration, attributes, folding of the nn dialect -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#include "penstock/Dialect/NN/IR/NNOps.h"

#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace penstock::nn;

#include "penstock/Dialect/NN/IR/NNDialect.cpp.inc"
#include "penstock/Dialect/NN/IR/NNEnums.cpp.inc"
#define GET_ATTRDEF_CLASSES
#include "penstock/Dialect/NN/IR/NNAttrs.cpp.inc"
#include "penstock/Dialect/NN/IR/NNInterfaces.cpp.inc"

/// Symbols that the textual form can name; far more than any model has unknown extents.
static constexpr unsigned kMaxSymbols = 512;

void NNDialect::initialize() {
  addAttributes<
#define GET_ATTRDEF_LIST
#include "penstock/Dialect/NN/IR/NNAttrs.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "penstock/Dialect/NN/IR/NNOps.cpp.inc"
      >();
}

Operation *NNDialect::materializeConstant(OpBuilder &builder, Attribute value, Type type, Location loc) {
  auto elements = dyn_cast<ElementsAttr>(value);
  if (!elements || elements.getType() != type)
    return nullptr;
  return builder.create<ConstantOp>(loc, elements);
}

std::optional<double> penstock::nn::getUniform(Value value) {
  auto constant = value.getDefiningOp<ConstantOp>();
  auto elements = constant ? dyn_cast<DenseElementsAttr>(constant.getValue()) : DenseElementsAttr();
  if (!elements || !elements.isSplat() || !isa<FloatType>(elements.getElementType()))
    return std::nullopt;
  return elements.getSplatValue<APFloat>().convertToDouble();
}

OpFoldResult ConstantOp::fold(FoldAdaptor) { return getValue(); }

//===----------------------------------------------------------------------===//
// #nn.extents
//===----------------------------------------------------------------------===//

Attribute ExtentsAttr::parse(AsmParser &parser, Type) {
  SmallVector<std::string> names;
  for (unsigned i = 0; i < kMaxSymbols; ++i)
    names.push_back("s" + std::to_string(i));
  SmallVector<std::pair<StringRef, AffineExpr>> symbols;
  for (auto [i, name] : llvm::enumerate(names))
    symbols.emplace_back(name, getAffineSymbolExpr(i, parser.getContext()));
  SmallVector<AffineExpr> exprs;
  auto parseOne = [&]() -> ParseResult {
    AffineExpr expr;
    if (parser.parseAffineExpr(symbols, expr))
      return failure();
    exprs.push_back(expr);
    return success();
  };
  if (parser.parseLess() || parser.parseCommaSeparatedList(AsmParser::Delimiter::Square, parseOne) ||
      parser.parseGreater())
    return {};
  return ExtentsAttr::get(parser.getContext(), exprs);
}

void ExtentsAttr::print(AsmPrinter &printer) const {
  printer << "<[";
  llvm::interleaveComma(getExprs(), printer);
  printer << "]>";
}

LogicalResult ExtentsAttr::verify(function_ref<InFlightDiagnostic()> emitError, ArrayRef<AffineExpr> exprs) {
  for (AffineExpr expr : exprs) {
    if (!expr)
      return emitError() << "an extent expression is missing";
    bool hasDim = false;
    expr.walk([&](AffineExpr part) { hasDim |= llvm::isa<AffineDimExpr>(part); });
    if (hasDim)
      return emitError() << "extent '" << formatExtents(expr) << "' has a dimension; expected symbols only";
    if (getNumSymbols(expr) > kMaxSymbols)
      return emitError() << "extent '" << formatExtents(expr) << "' has a symbol beyond s" << kMaxSymbols - 1;
  }
  return success();
}

LogicalResult ExtentsAttr::verifyEncoding(ArrayRef<int64_t> shape, Type elementType,
                                          function_ref<InFlightDiagnostic()> emitError) const {
  size_t numDynamic = llvm::count_if(shape, ShapedType::isDynamic);
  if (numDynamic != getExprs().size())
    return emitError() << "#nn.extents has " << getExprs().size() << " expressions; expected one for each of the "
                       << numDynamic << " dynamic axes";
  return success();
}
