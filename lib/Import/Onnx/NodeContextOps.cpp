//===- NodeContextOps.cpp - Making nn ops in converters -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#include "Constants.h"
#include "GraphImporter.h"
#include "NodeContext.h"

namespace penstock::onnximport {

Extents NodeContext::extentsOf(Value value) { return value ? extentsOf(typeOf(value)) : Extents(); }
Extents NodeContext::extentsOf(RankedTensorType type) {
  Extents result = nn::getExtents(type);
  for (AffineExpr &extent : result) {
    extent = algebra().normalize(extent);
    algebra().noteExtent(extent);
  }
  return result;
}

Value NodeContext::constant(DenseElementsAttr value) { return value ? importer.getConstant(value) : Value(); }

Value NodeContext::scalar(double value, Type elementType, ArrayRef<int64_t> shape) {
  Element element{cst(1), value};
  if (!isa<FloatType>(elementType))
    element = {cst(static_cast<int64_t>(value))};
  auto type = RankedTensorType::get(shape, elementType);
  return constant(toDense(type, Elements(type.getNumElements(), element)));
}

Value NodeContext::intTensor(ArrayRef<int64_t> values, Type elementType, ArrayRef<int64_t> shape) {
  Elements elements;
  for (int64_t value : values)
    elements.push_back({cst(value)});
  return constant(toDense(RankedTensorType::get(shape, elementType), elements));
}

Value NodeContext::extentTensor(ArrayRef<AffineExpr> exprs, RankedTensorType type) {
  Elements elements;
  for (AffineExpr expr : exprs)
    elements.push_back({expr});
  OnnxValue *value = importer.createValue("", type);
  value->elements = std::make_shared<Elements>(std::move(elements));
  return importer.materialize(*value, loc);
}

Value NodeContext::unary(nn::UnaryKind kind, Value input, std::optional<double> alpha, std::optional<double> beta) {
  SmallVector<NamedAttribute> attributes{attr("kind", nn::UnaryKindAttr::get(context, kind))};
  if (alpha)
    attributes.push_back(number("alpha", *alpha));
  if (beta)
    attributes.push_back(number("beta", *beta));
  return make<nn::UnaryOp>(input, attributes);
}

Value NodeContext::binary(nn::BinaryKind kind, Value lhs, Value rhs) {
  return make<nn::BinaryOp>({lhs, rhs}, attr("kind", nn::BinaryKindAttr::get(context, kind)));
}
Value NodeContext::compare(nn::CompareKind kind, Value lhs, Value rhs) {
  return make<nn::CompareOp>({lhs, rhs}, attr("kind", nn::CompareKindAttr::get(context, kind)));
}
Value NodeContext::select(Value condition, Value lhs, Value rhs) {
  return make<nn::SelectOp>({condition, lhs, rhs}, {});
}

Value NodeContext::cast_(Value input, Type elementType, bool saturate) {
  if (!input || !elementType)
    return {};
  if (elementOf(input) == elementType)
    return input;
  SmallVector<NamedAttribute> attributes{attr("to", TypeAttr::get(elementType))};
  if (saturate)
    attributes.push_back(unit("saturate"));
  return make<nn::CastOp>(input, attributes);
}

Value NodeContext::matmul(Value lhs, Value rhs, bool transposeLhs, bool transposeRhs) {
  SmallVector<NamedAttribute> attributes;
  if (transposeLhs)
    attributes.push_back(unit("transpose_lhs"));
  if (transposeRhs)
    attributes.push_back(unit("transpose_rhs"));
  return make<nn::MatmulOp>({lhs, rhs}, attributes);
}

Value NodeContext::transpose(Value input, ArrayRef<int64_t> perm) {
  bool isIdentity = true;
  for (auto [i, axis] : llvm::enumerate(perm))
    isIdentity &= axis == static_cast<int64_t>(i);
  if (!input || (isIdentity && static_cast<int64_t>(perm.size()) == typeOf(input).getRank()))
    return input;
  return make<nn::TransposeOp>(input, ints("perm", perm));
}

Value NodeContext::reshape(Value input, ArrayRef<AffineExpr> extents) {
  if (!input)
    return {};
  RankedTensorType type = nn::getTensorType(extents, elementOf(input));
  return type == input.getType() ? input : builder().create<nn::ReshapeOp>(loc, type, input).getResult();
}

Value NodeContext::unsqueeze(Value input, ArrayRef<int64_t> axes) {
  Extents old = extentsOf(input), extents;
  size_t next = 0;
  for (size_t i = 0, e = old.size() + axes.size(); i < e; ++i)
    extents.push_back(llvm::is_contained(axes, static_cast<int64_t>(i)) ? cst(1) : old[next++]);
  return reshape(input, extents);
}

Value NodeContext::squeeze(Value input, ArrayRef<int64_t> axes) {
  Extents extents;
  for (auto [i, extent] : llvm::enumerate(extentsOf(input)))
    if (!llvm::is_contained(axes, static_cast<int64_t>(i)))
      extents.push_back(extent);
  return reshape(input, extents);
}

Value NodeContext::broadcastTo(Value input, ArrayRef<AffineExpr> extents) {
  if (!input)
    return {};
  RankedTensorType type = nn::getTensorType(extents, elementOf(input));
  return type == input.getType() ? input : builder().create<nn::BroadcastToOp>(loc, type, input).getResult();
}

Value NodeContext::slice(Value input, ArrayRef<AffineExpr> starts, ArrayRef<int64_t> steps,
                         ArrayRef<AffineExpr> extents) {
  if (!input)
    return {};
  RankedTensorType type = nn::getTensorType(extents, elementOf(input));
  bool isWhole = type == input.getType() && llvm::all_of(steps, [](int64_t step) { return step == 1; });
  for (AffineExpr start : starts)
    isWhole &= nn::getConstant(start) == 0;
  if (isWhole)
    return input;
  return builder().create<nn::SliceOp>(loc, type, input, this->extents(starts), b.getDenseI64ArrayAttr(steps));
}

Value NodeContext::sliceAxis(Value input, int64_t axis, AffineExpr start, AffineExpr length, int64_t step) {
  Extents extents = extentsOf(input);
  Extents starts(extents.size(), cst(0));
  Ints steps(extents.size(), 1);
  if (!input)
    return {};
  starts[axis] = start;
  extents[axis] = length;
  steps[axis] = step;
  return slice(input, starts, steps, extents);
}

Value NodeContext::concat(ArrayRef<Value> inputs, int64_t axis) {
  return inputs.size() == 1 ? inputs.front() : make<nn::ConcatOp>(inputs, integer("axis", axis));
}

Value NodeContext::pad(nn::PadMode mode, Value input, ArrayRef<AffineExpr> low, ArrayRef<AffineExpr> high,
                       Value value) {
  SmallVector<Value> operands{input};
  if (value)
    operands.push_back(value);
  return make<nn::PadOp>(operands, {attr("mode", nn::PadModeAttr::get(context, mode)), attr("low", extents(low)),
                                    attr("high", extents(high))});
}

Value NodeContext::gather(Value input, Value indices, int64_t axis) {
  return make<nn::GatherOp>({input, indices}, integer("axis", axis));
}

Value NodeContext::reduce(nn::ReduceKind kind, Value input, ArrayRef<int64_t> axes, bool keepDims) {
  SmallVector<NamedAttribute> attributes{attr("kind", nn::ReduceKindAttr::get(context, kind)), ints("axes", axes)};
  if (keepDims)
    attributes.push_back(unit("keep_dims"));
  return make<nn::ReduceOp>(input, attributes);
}

Value NodeContext::iota(RankedTensorType type, int64_t axis, double start, double step) {
  auto typed = [&](double value) -> TypedAttr {
    if (isa<FloatType>(type.getElementType()))
      return FloatAttr::get(type.getElementType(), value);
    unsigned width = type.getElementType().getIntOrFloatBitWidth();
    return IntegerAttr::get(type.getElementType(), APInt(64, static_cast<int64_t>(value), true).sextOrTrunc(width));
  };
  return builder().create<nn::IotaOp>(loc, type, b.getI64IntegerAttr(axis), typed(start), typed(step));
}

} // namespace penstock::onnximport
