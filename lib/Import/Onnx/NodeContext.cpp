//===- NodeContext.cpp - One ONNX node under conversion -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#include "NodeContext.h"
#include "Constants.h"
#include "GraphImporter.h"
#include "TensorData.h"

namespace penstock::onnximport {

NodeContext::NodeContext(GraphImporter &importer, Scope &scope, const onnx::NodeProto &node, int opset)
    : importer(importer), scope(scope), node(node), opset(opset),
      loc(scope.callLoc ? *scope.callLoc : getNodeLoc(importer.getContext(), node)), context(importer.getContext()),
      b(context) {}

ShapeAlgebra &NodeContext::algebra() { return importer.getAlgebra(); }
OpBuilder &NodeContext::builder() { return importer.getBuilder(); }

//===----------------------------------------------------------------------===//
// Attributes
//===----------------------------------------------------------------------===//

const onnx::AttributeProto *NodeContext::findAttr(StringRef name) const {
  for (const onnx::AttributeProto &attribute : node.attribute())
    if (attribute.name() == name)
      return &attribute;
  return nullptr;
}
int64_t NodeContext::getInt(StringRef name, int64_t defaultValue) const {
  const onnx::AttributeProto *attribute = findAttr(name);
  return attribute ? attribute->i() : defaultValue;
}
double NodeContext::getFloat(StringRef name, double defaultValue) const {
  const onnx::AttributeProto *attribute = findAttr(name);
  return attribute ? attribute->f() : defaultValue;
}
std::string NodeContext::getString(StringRef name, StringRef defaultValue) const {
  const onnx::AttributeProto *attribute = findAttr(name);
  return attribute ? attribute->s() : defaultValue.str();
}
std::optional<Ints> NodeContext::getInts(StringRef name) const {
  const onnx::AttributeProto *attribute = findAttr(name);
  if (!attribute)
    return std::nullopt;
  return Ints(attribute->ints().begin(), attribute->ints().end());
}
std::vector<double> NodeContext::getFloats(StringRef name) const {
  const onnx::AttributeProto *attribute = findAttr(name);
  return attribute ? std::vector<double>(attribute->floats().begin(), attribute->floats().end())
                   : std::vector<double>();
}
std::vector<std::string> NodeContext::getStrings(StringRef name) const {
  const onnx::AttributeProto *attribute = findAttr(name);
  return attribute ? std::vector<std::string>(attribute->strings().begin(), attribute->strings().end())
                   : std::vector<std::string>();
}
Type NodeContext::getTypeAttr(StringRef name, int64_t defaultValue) const {
  std::string error;
  Type type = onnximport::getElementType(context, static_cast<int32_t>(getInt(name, defaultValue)), error);
  if (!type)
    emitError() << "attribute '" << name << "' " << error;
  return type;
}

//===----------------------------------------------------------------------===//
// Inputs
//===----------------------------------------------------------------------===//

OnnxValue *NodeContext::getValue(int index) {
  OnnxValue *value = hasInput(index) ? scope.find(node.input(index)) : nullptr;
  if (!value)
    emitError() << "input " << index << " is missing";
  return value;
}
RankedTensorType NodeContext::getType(int index) {
  OnnxValue *value = getValue(index);
  if (value && !value->type)
    emitError() << "input " << index << " ('" << node.input(index) << "') is not a tensor; expected a tensor";
  return value ? value->type : RankedTensorType();
}
Type NodeContext::getElementType(int index) {
  RankedTensorType type = getType(index);
  return type ? type.getElementType() : Type();
}
int64_t NodeContext::getNumDims(int index) {
  RankedTensorType type = getType(index);
  return type ? type.getRank() : 0;
}
Extents NodeContext::getExtents(int index) {
  RankedTensorType type = getType(index);
  return type ? extentsOf(type) : Extents();
}
Value NodeContext::getInput(int index) {
  OnnxValue *value = getValue(index);
  return value ? importer.materialize(*value, loc) : Value();
}
const Elements *NodeContext::getElements(int index) {
  OnnxValue *value = hasInput(index) ? scope.find(node.input(index)) : nullptr;
  return value && value->type ? importer.getElements(*value) : nullptr;
}

std::optional<StringRef> NodeContext::getData(int index) {
  OnnxValue *value = hasInput(index) ? scope.find(node.input(index)) : nullptr;
  return value && value->type ? importer.getData(*value) : std::nullopt;
}

FailureOr<Extents> NodeContext::getExtentsInput(int index) {
  if (!getType(index))
    return failure();
  const Elements *elements = getElements(index);
  if (!elements)
    return emitError() << "input " << index << " ('" << node.input(index)
                       << "') depends on data; expected a value that follows from constants and shapes",
           failure();
  Extents result;
  for (const Element &element : *elements) {
    if (element.factor != 1.0)
      return (emitError() << "input " << index << " ('" << node.input(index) << "') is not integral"), failure();
    result.push_back(element.expr);
  }
  return result;
}

FailureOr<Ints> NodeContext::getIntsInput(int index) {
  FailureOr<Extents> exprs = getExtentsInput(index);
  if (failed(exprs))
    return failure();
  Ints result;
  for (AffineExpr expr : *exprs) {
    std::optional<int64_t> number = nn::getConstant(expr);
    if (!number)
      return (emitError() << "input " << index << " ('" << node.input(index) << "') depends on an unknown dimension; "
                          << "expected a constant"),
             failure();
    result.push_back(*number);
  }
  return result;
}

FailureOr<double> NodeContext::getScalarInput(int index, double defaultValue) {
  if (!hasInput(index))
    return defaultValue;
  const Elements *elements = getElements(index);
  std::optional<double> number = elements && elements->size() == 1 ? elements->front().getDouble() : std::nullopt;
  if (!number)
    return (emitError() << "input " << index << " ('" << node.input(index) << "') is not a constant number"), failure();
  return *number;
}

FailureOr<std::optional<Ints>> NodeContext::getIntsAttrOrInput(StringRef name, int index) {
  if (std::optional<Ints> attribute = getInts(name))
    return attribute;
  if (!hasInput(index))
    return std::optional<Ints>();
  FailureOr<Ints> input = getIntsInput(index);
  if (failed(input))
    return failure();
  return std::optional<Ints>(std::move(*input));
}

FailureOr<int64_t> NodeContext::normalizeAxis(int64_t axis, int64_t numDims) {
  if (axis >= -numDims && axis < numDims)
    return axis < 0 ? axis + numDims : axis;
  return (emitError() << "axis is " << axis << "; expected one of " << -numDims << " to " << numDims - 1), failure();
}

FailureOr<Ints> NodeContext::normalizeAxes(ArrayRef<int64_t> axes, int64_t numDims) {
  Ints result;
  for (int64_t axis : axes) {
    FailureOr<int64_t> normal = normalizeAxis(axis, numDims);
    if (failed(normal))
      return failure();
    if (llvm::is_contained(result, *normal))
      return (emitError() << "axis " << axis << " is given twice"), failure();
    result.push_back(*normal);
  }
  llvm::sort(result);
  return result;
}

//===----------------------------------------------------------------------===//
// Results
//===----------------------------------------------------------------------===//

OnnxValue *NodeContext::defineOutput(int index) {
  OnnxValue *value = importer.createValue(node.output(index), {});
  scope.values[node.output(index)] = value;
  return value;
}

LogicalResult NodeContext::setOutput(int index, Value value) {
  if (!value)
    return failure();
  if (!hasOutput(index))
    return success();
  for (AffineExpr extent : nn::getExtents(typeOf(value)))
    if (extent && ShapeAlgebra::isTooLarge(extent))
      return emitError() << "output '" << node.output(index)
                         << "' has an extent that is an expression of too many parts; "
                         << "give its dimensions values with --dim or --shape";
  OnnxValue *output = defineOutput(index);
  output->value = value;
  output->type = typeOf(value);
  Operation *op = value.getDefiningOp();
  if (scope.isMainGraph && op && !op->hasAttr("nn.tensor"))
    op->setAttr("nn.tensor", b.getStringAttr(output->name));
  return success();
}

LogicalResult NodeContext::setOutput(int index, RankedTensorType type, Elements elements) {
  if (!hasOutput(index))
    return success();
  OnnxValue *output = defineOutput(index);
  output->type = type;
  for (Element &element : elements) {
    element.expr = algebra().normalize(element.expr);
    if (ShapeAlgebra::isTooLarge(element.expr))
      return emitError() << "output '" << node.output(index) << "' has an element that is an expression of too many "
                         << "parts; give its dimensions values with --dim or --shape";
  }
  output->elements = std::make_shared<Elements>(std::move(elements));
  return success();
}

LogicalResult NodeContext::setOutput(int index, DenseElementsAttr constant) {
  if (!hasOutput(index))
    return success();
  OnnxValue *output = defineOutput(index);
  output->type = cast<RankedTensorType>(constant.getType());
  output->constant = constant;
  return success();
}

LogicalResult NodeContext::forward(int index, OnnxValue *value) {
  if (!value)
    return failure();
  if (!hasOutput(index))
    return success();
  scope.values[node.output(index)] = value;
  Operation *op = value->value ? value->value.getDefiningOp() : nullptr;
  if (scope.isMainGraph && op && !op->hasAttr("nn.tensor"))
    op->setAttr("nn.tensor", b.getStringAttr(node.output(index)));
  return success();
}

OnnxValue *NodeContext::getOutput(int index) {
  return hasOutput(index) ? scope.values.lookup(node.output(index)) : nullptr;
}

LogicalResult NodeContext::checkExtents(ArrayRef<AffineExpr> extents, Type elementType) {
  Ints known;
  for (AffineExpr extent : extents)
    if (std::optional<int64_t> number = nn::getConstant(extent))
      known.push_back(*number);
  if (checkShape(known, elementType))
    return success();
  return emitError() << "result shape " << nn::formatExtents(extents) << " is not one that memory can hold";
}

LogicalResult NodeContext::setSequence(int index, std::vector<OnnxValue *> values) {
  if (!hasOutput(index))
    return success();
  OnnxValue *output = defineOutput(index);
  output->isSequence = true;
  output->sequence = std::move(values);
  return success();
}

} // namespace penstock::onnximport
