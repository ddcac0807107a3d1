//===- MachineLearning.cpp - Small operators of ai.onnx.ml -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#include "../Constants.h"
#include "../GraphImporter.h"
#include "../NodeContext.h"
#include "Families.h"
#include "penstock/Import/Onnx/OperatorRegistry.h"

namespace penstock::onnximport {
namespace {

using nn::BinaryKind;
using nn::CompareKind;
using nn::ReduceKind;
using nn::UnaryKind;

/// Columns of the last axis; a vector becomes a row.
LogicalResult convertArrayFeatureExtractor(NodeContext &n) {
  Value input = n.getInput(0), indices = n.getInput(1);
  if (!input || !indices)
    return failure();
  int64_t numDims = n.typeOf(input).getRank();
  if (numDims == 0)
    return n.emitError() << "input is a scalar; expected at least one axis";
  Value flat = n.reshape(indices, n.algebra().product(n.extentsOf(indices)));
  Value columns = n.gather(input, flat, numDims - 1);
  return n.setOutput(0, numDims == 1 ? n.unsqueeze(columns, 0) : columns);
}

LogicalResult convertBinarizer(NodeContext &n) {
  Value input = n.getInput(0);
  if (!input)
    return failure();
  Type type = n.elementOf(input);
  Value isAbove = n.compare(CompareKind::gt, input, n.scalar(n.getFloat("threshold", 0), type));
  return n.setOutput(0, n.cast_(isAbove, type));
}

//===----------------------------------------------------------------------===//
// LabelEncoder
//===----------------------------------------------------------------------===//

/// Numbers in one axis from whichever of three attributes is there; null if none is. An error for texts.
FailureOr<Value> readNumbers(NodeContext &n, const std::string &name) {
  if (n.hasAttr(name + "_strings"))
    return (n.emitError() << name << "_strings is given; expected numbers, as texts are not supported"), failure();
  if (const onnx::AttributeProto *tensor = n.findAttr(name + "_tensor")) {
    OnnxValue *value = n.getImporter().importTensor(tensor->t(), name + "_tensor", n.getLoc());
    Value numbers = value ? n.getImporter().materialize(*value, n.getLoc()) : Value();
    if (!numbers)
      return failure();
    return n.reshape(numbers, n.cst(n.typeOf(numbers).getNumElements()));
  }
  if (std::optional<Ints> ints = n.getInts(name + "_int64s"))
    return n.intTensor(*ints, n.builder().getI64Type(), {static_cast<int64_t>(ints->size())});
  std::vector<double> floats = n.getFloats(name + "_floats");
  if (floats.empty())
    return Value();
  Elements elements;
  for (double number : floats)
    elements.push_back({n.cst(1), number});
  auto type = RankedTensorType::get({static_cast<int64_t>(floats.size())}, n.builder().getF32Type());
  return n.constant(toDense(type, elements));
}

/// What stands for keys that are not listed.
FailureOr<Value> readDefault(NodeContext &n, Type type) {
  if (const onnx::AttributeProto *tensor = n.findAttr("default_tensor")) {
    OnnxValue *value = n.getImporter().importTensor(tensor->t(), "default_tensor", n.getLoc());
    Value number = value ? n.getImporter().materialize(*value, n.getLoc()) : Value();
    if (!number)
      return failure();
    if (n.typeOf(number).getNumElements() != 1 || n.elementOf(number) != type)
      return (n.emitError() << "default_tensor has type " << n.typeOf(number) << "; expected one element of " << type),
             failure();
    return n.reshape(number, {});
  }
  return n.scalar(isa<FloatType>(type) ? n.getFloat("default_float", -0.0)
                                       : static_cast<double>(n.getInt("default_int64", -1)),
                  type);
}

/// The value of the first key that an element equals; NaN equals NaN.
LogicalResult convertLabelEncoder(NodeContext &n) {
  Value input = n.getInput(0);
  FailureOr<Value> keys = readNumbers(n, "keys"), values = readNumbers(n, "values");
  if (!input || failed(keys) || failed(values))
    return failure();
  if (!*keys || !*values || n.typeOf(*keys).getShape() != n.typeOf(*values).getShape())
    return n.emitError() << "has no keys and values of one number; expected as many values as keys";
  Type type = n.elementOf(input);
  if (n.elementOf(*keys) != type)
    return n.emitError() << "input has element type " << type << ", its keys " << n.elementOf(*keys)
                         << "; expected the same";
  FailureOr<Value> other = readDefault(n, n.elementOf(*values));
  if (failed(other))
    return failure();
  int64_t axis = n.typeOf(input).getRank();
  Value element = n.unsqueeze(input, axis), hits = n.compare(CompareKind::eq, element, *keys);
  if (isa<FloatType>(type))
    hits = n.binary(
        BinaryKind::logical_or, hits,
        n.binary(BinaryKind::logical_and, n.unary(UnaryKind::is_nan, element), n.unary(UnaryKind::is_nan, *keys)));
  Value scores = n.cast_(hits, n.builder().getI32Type());
  NamedAttribute kind = n.attr("kind", nn::ReduceKindAttr::get(n.getContext(), ReduceKind::max));
  Value first = n.make<nn::ArgReduceOp>(scores, {kind, n.integer("axis", axis)});
  Value isKnown = n.compare(CompareKind::gt, n.reduce(ReduceKind::max, scores, axis, /*keepDims=*/false),
                            n.scalar(0, n.builder().getI32Type()));
  return n.setOutput(0, n.select(isKnown, n.gather(*values, first, 0), *other));
}

} // namespace

void registerMachineLearningOperators(OperatorRegistry &r) {
  constexpr StringLiteral kDomain = "ai.onnx.ml";
  r.add(kDomain, "ArrayFeatureExtractor", 1, convertArrayFeatureExtractor);
  r.add(kDomain, "Binarizer", 1, convertBinarizer);
  r.add(kDomain, "LabelEncoder", 2, convertLabelEncoder);
}

} // namespace penstock::onnximport
