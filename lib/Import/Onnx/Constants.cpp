//===- Constants.cpp - Constants, weights and extents as values -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Everything that needs no operand is made at the start of @main, once per distinct constant, so that it dominates
// every use.
//===----------------------------------------------------------------------===//
#include "Constants.h"
#include "GraphImporter.h"
#include "TensorData.h"
#include "penstock/Dialect/NN/IR/NNOps.h"
#include <cmath>

namespace penstock::onnximport {

/// Known elements are kept for tensors up to this size; shape arithmetic needs few, tables read as attributes more.
constexpr int64_t kMaxKnownElements = 1 << 14;

DenseElementsAttr toDense(RankedTensorType type, const Elements &elements) {
  Type elementType = type.getElementType();
  SmallVector<Attribute> values;
  for (const Element &element : elements) {
    std::optional<double> number = element.getDouble();
    if (!number)
      return {};
    if (auto floatType = dyn_cast<FloatType>(elementType)) {
      bool inexact;
      APFloat value(*number);
      value.convert(floatType.getFloatSemantics(), APFloat::rmNearestTiesToEven, &inexact);
      values.push_back(FloatAttr::get(floatType, value));
      continue;
    }
    unsigned width = elementType.getIntOrFloatBitWidth();
    uint64_t bits = static_cast<uint64_t>(cast<AffineConstantExpr>(element.expr).getValue());
    values.push_back(IntegerAttr::get(elementType, APInt(64, bits).zextOrTrunc(width)));
  }
  return DenseElementsAttr::get(type, values);
}

/// Elements of a constant, or null if they are too many or not representable.
static std::shared_ptr<const Elements> fromDense(MLIRContext *context, DenseElementsAttr dense) {
  int64_t numElements = dense.getNumElements();
  if (numElements > kMaxKnownElements)
    return nullptr;
  auto elements = std::make_shared<Elements>();
  Type elementType = dense.getElementType();
  if (isa<FloatType>(elementType)) {
    for (APFloat value : dense.getValues<APFloat>()) {
      bool inexact;
      value.convert(APFloat::IEEEdouble(), APFloat::rmNearestTiesToEven, &inexact);
      elements->push_back({getAffineConstantExpr(1, context), value.convertToDouble()});
    }
    return elements;
  }
  bool isUnsigned = elementType.isUnsignedInteger() || elementType.isInteger(1);
  for (const APInt &value : dense.getValues<APInt>()) {
    if (isUnsigned && value.getActiveBits() > 63)
      return nullptr;
    int64_t number = isUnsigned ? static_cast<int64_t>(value.getZExtValue()) : value.getSExtValue();
    elements->push_back({getAffineConstantExpr(number, context)});
  }
  return elements;
}

const Elements *GraphImporter::getElements(OnnxValue &value) {
  if (value.elements || value.elementsTried)
    return value.elements.get();
  value.elementsTried = true;
  DenseElementsAttr dense = value.constant;
  std::string error;
  // Integers in a file are read when an operator asks for them; floats of that size are data.
  if (!dense && value.range && isa<IntegerType>(value.type.getElementType()) &&
      value.type.getNumElements() <= kMaxKnownElements) {
    FailureOr<StringRef> bytes = file.read(*value.range, error);
    if (succeeded(bytes))
      dense = getDenseElements(value.type, *bytes);
  }
  if (dense)
    value.elements = fromDense(context, dense);
  return value.elements.get();
}

std::optional<StringRef> GraphImporter::getData(const OnnxValue &value) {
  if (value.constant)
    return StringRef(value.constant.getRawData().data(), value.constant.getRawData().size());
  std::string error;
  if (value.range)
    if (FailureOr<StringRef> bytes = file.read(*value.range, error); succeeded(bytes))
      return *bytes;
  return std::nullopt;
}

/// Run `build` with the builder among the constants.
template <typename Function>
static Value buildAtStart(OpBuilder &builder, Block *entry, Operation *&last, Function build) {
  OpBuilder::InsertionGuard guard(builder);
  if (last)
    builder.setInsertionPointAfter(last);
  else
    builder.setInsertionPointToStart(entry);
  Value value = build();
  last = value.getDefiningOp();
  return value;
}

Value GraphImporter::getConstant(DenseElementsAttr value) {
  Value &known = constants[value];
  if (!known)
    known = buildAtStart(builder, entry, lastConstant, [&]() -> Value {
      return builder.create<nn::ConstantOp>(UnknownLoc::get(context), value.getType(), value);
    });
  return known;
}

Value GraphImporter::getExtentTensor(ArrayRef<AffineExpr> exprs, RankedTensorType type) {
  auto attribute = nn::ExtentsAttr::get(context, exprs);
  Value &known = extentTensors[{attribute, type}];
  if (!known)
    known = buildAtStart(builder, entry, lastConstant, [&]() -> Value {
      return builder.create<nn::ExtentTensorOp>(UnknownLoc::get(context), type, attribute);
    });
  return known;
}

Value GraphImporter::loadWeight(const OnnxValue &value) {
  std::string typeText;
  llvm::raw_string_ostream(typeText) << value.type;
  Value &known = weights[{value.range->path, value.range->offset, value.range->numBytes, typeText}];
  if (known)
    return known;
  std::string name = algebra.claimName(value.name.empty() ? "weight" : value.name);
  {
    OpBuilder::InsertionGuard guard(builder);
    if (lastWeight)
      builder.setInsertionPointAfter(lastWeight);
    else
      builder.setInsertionPoint(entry->getParentOp());
    auto range = nn::FileRangeAttr::get(context, builder.getStringAttr(value.range->path), value.range->offset,
                                        value.range->numBytes);
    lastWeight = builder.create<nn::WeightOp>(UnknownLoc::get(context), builder.getStringAttr(name),
                                              TypeAttr::get(value.type), range, FlatSymbolRefAttr(), ArrayAttr(),
                                              FlatSymbolRefAttr(), nn::PackingAttr(), StringAttr());
  }
  return known = buildAtStart(builder, entry, lastConstant, [&]() -> Value {
           return builder.create<nn::LoadWeightOp>(NameLoc::get(builder.getStringAttr(value.name)), value.type,
                                                   FlatSymbolRefAttr::get(context, name));
         });
}

/// Symbolic elements as data: the expressions as i64, converted and scaled where the tensor is of another type.
Value GraphImporter::materializeElements(const OnnxValue &value) {
  if (DenseElementsAttr dense = toDense(value.type, *value.elements))
    return getConstant(dense);
  SmallVector<AffineExpr> exprs;
  Elements factors;
  bool isScaled = false;
  for (const Element &element : *value.elements) {
    exprs.push_back(element.expr);
    factors.push_back({getAffineConstantExpr(1, context), element.factor});
    isScaled |= element.factor != 1.0;
  }
  Type elementType = value.type.getElementType(), i64 = builder.getI64Type();
  bool isIndex = elementType.isInteger(64) || elementType.isInteger(32);
  Value tensor = getExtentTensor(exprs, isIndex ? value.type : RankedTensorType::get(value.type.getShape(), i64));
  if (isIndex)
    return tensor;
  Location loc = UnknownLoc::get(context);
  // What depends on data is made where it is known, which dominates whoever may ask for it.
  bool isData = llvm::any_of(exprs, [&](AffineExpr expr) { return algebra.dependsOnData(expr); });
  Operation *&place = isData ? lastDefinition : lastConstant;
  tensor = buildAtStart(builder, entry, place, [&]() -> Value {
    return builder.create<nn::CastOp>(loc, value.type, tensor, TypeAttr::get(elementType), UnitAttr());
  });
  if (!isScaled)
    return tensor;
  Value scale = getConstant(toDense(value.type, factors));
  return buildAtStart(builder, entry, place, [&]() -> Value {
    return builder.create<nn::BinaryOp>(loc, value.type, nn::BinaryKindAttr::get(context, nn::BinaryKind::mul), tensor,
                                        scale);
  });
}

Value GraphImporter::materialize(OnnxValue &value, Location loc) {
  if (value.value)
    return value.value;
  if (!value.type || value.isSequence)
    return (emitError(loc) << "'" << value.name << "' is not a tensor; expected a tensor"), Value();
  if (value.constant)
    return value.value = getConstant(value.constant);
  if (value.range)
    return value.value = loadWeight(value);
  return value.value = materializeElements(value);
}

} // namespace penstock::onnximport
