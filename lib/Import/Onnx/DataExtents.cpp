//===- DataExtents.cpp - Extents that are found when the model runs -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#include "DataExtents.h"
#include "Constants.h"
#include "GraphImporter.h"
#include "NodeContext.h"

namespace penstock::onnximport {

AffineExpr GraphImporter::defineExtent(Value value, const std::string &name, AffineExpr bound, Location loc) {
  if (!value)
    return {};
  if (builder.getInsertionBlock() != entry)
    return (emitError(loc) << "dimension '" << name << "' depends on data inside of a branch; expected it outside"),
           AffineExpr();
  auto option = options.dims.find(name);
  bool isBounded = option != options.dims.end() && (option->second.upper || option->second.fixed);
  if (!bound && !isBounded)
    return (emitError(loc) << "dimension '" << name << "' depends on data and has no bound; give one with --dim "
                           << name << "=0..N"),
           AffineExpr();
  AffineExpr symbol = algebra.getDataDimension(name, bound, option == options.dims.end() ? nullptr : &option->second);
  StringRef symbolName = algebra.getSymbolName(symbol);
  auto define = builder.create<nn::DefineExtentOp>(loc, value, FlatSymbolRefAttr::get(context, symbolName));
  define->setAttr("nn.tensor", builder.getStringAttr(symbolName));
  lastDefinition = define;
  return symbol;
}

AffineExpr GraphImporter::getElementAsExtent(Value value, int64_t position, const std::string &name, AffineExpr bound,
                                             Location loc) {
  Operation *op = value.getDefiningOp();
  if (auto extents = dyn_cast_or_null<nn::ExtentTensorOp>(op))
    return extents.getExprs().getExprs()[position];
  if (auto constant = dyn_cast_or_null<nn::ConstantOp>(op))
    if (auto elements = dyn_cast<DenseElementsAttr>(constant.getValue()))
      return algebra.constant((*(elements.getValues<APInt>().begin() + position)).getSExtValue());
  auto isIndex = [](Value tensor) {
    Type type = cast<RankedTensorType>(tensor.getType()).getElementType();
    return type.isInteger(64) || type.isInteger(32);
  };
  if (isa_and_nonnull<nn::ReshapeOp, nn::CastOp>(op) && isIndex(op->getOperand(0)))
    return getElementAsExtent(op->getOperand(0), position, name, bound, loc);
  if (auto concat = dyn_cast_or_null<nn::ConcatOp>(op); concat && concat.getType().getRank() == 1)
    for (Value input : concat.getInputs()) {
      int64_t count = cast<RankedTensorType>(input.getType()).getNumElements();
      if (position < count)
        return getElementAsExtent(input, position, name, bound, loc);
      position -= count;
    }
  AffineExpr &known = elementExtents[{value, position}];
  if (known)
    return known;
  auto type = cast<RankedTensorType>(value.getType());
  Type i64 = builder.getI64Type();
  if (type.getNumElements() != 1) {
    auto one = RankedTensorType::get(1, type.getElementType());
    if (type.getRank() != 1)
      value = builder.create<nn::ReshapeOp>(loc, RankedTensorType::get(type.getNumElements(), type.getElementType()),
                                            value);
    value = builder.create<nn::SliceOp>(loc, one, value, nn::ExtentsAttr::get(context, algebra.constant(position)),
                                        builder.getDenseI64ArrayAttr(1));
  }
  if (cast<RankedTensorType>(value.getType()).getRank() != 0)
    value = builder.create<nn::ReshapeOp>(loc, RankedTensorType::get({}, type.getElementType()), value);
  if (type.getElementType() != i64)
    value = builder.create<nn::CastOp>(loc, RankedTensorType::get({}, i64), value, TypeAttr::get(i64), UnitAttr());
  return known = defineExtent(value, name, bound, loc);
}

//===----------------------------------------------------------------------===//
// For converters
//===----------------------------------------------------------------------===//

AffineExpr NodeContext::dataExtent(Value value, int output, int64_t axis, AffineExpr bound) {
  if (!value)
    return {};
  return importer.getElementAsExtent(value, 0, getAxisName(output, axis), bound, loc);
}

std::string NodeContext::getAxisName(int output, int64_t axis) const {
  std::string name = hasOutput(output) ? node.output(output) : node.op_type();
  return name + "." + std::to_string(axis);
}

FailureOr<Extents> getNumbersInput(NodeContext &n, int index, llvm::function_ref<std::string(int64_t)> nameOf,
                                   AffineExpr bound) {
  RankedTensorType type = n.getType(index);
  if (!type || n.getElements(index) || !type.hasStaticShape() || !isIntegerType(type.getElementType()))
    return n.getExtentsInput(index);
  Value value = n.getInput(index);
  Extents result;
  for (int64_t i = 0; i < type.getNumElements(); ++i) {
    AffineExpr extent = n.getImporter().getElementAsExtent(value, i, nameOf(i), bound, n.getLoc());
    if (!extent)
      return failure();
    result.push_back(extent);
  }
  return result;
}

FailureOr<Extents> getNumbersInput(NodeContext &n, int index, StringRef what) {
  return getNumbersInput(n, index,
                         [&](int64_t i) { return n.getNode().output(0) + "." + what.str() + "." + std::to_string(i); });
}

FailureOr<Extents> NodeContext::getShapeInput(int index) {
  return getNumbersInput(*this, index, [&](int64_t i) { return getAxisName(0, i); });
}

} // namespace penstock::onnximport
