//===- Shape.cpp - Shapes, constants and reshapes -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#include "../GraphImporter.h"
#include "../TensorData.h"
#include "ElementFold.h"
#include "ElementMove.h"
#include "Families.h"
#include "penstock/Import/Onnx/OperatorRegistry.h"
#include <cmath>

namespace penstock::onnximport {
namespace {

RankedTensorType i64Tensor(NodeContext &n, ArrayRef<int64_t> shape) {
  return RankedTensorType::get(shape, n.builder().getI64Type());
}

//===----------------------------------------------------------------------===//
// Shape, Size
//===----------------------------------------------------------------------===//

LogicalResult convertShape(NodeContext &n) {
  if (!n.getType(0))
    return failure();
  Extents extents = n.getExtents(0);
  int64_t numDims = extents.size();
  auto clampAxis = [&](int64_t axis) { return std::clamp<int64_t>(axis < 0 ? axis + numDims : axis, 0, numDims); };
  int64_t start = clampAxis(n.getInt("start", 0)), end = clampAxis(n.getInt("end", numDims));
  Elements elements;
  for (int64_t axis = start; axis < end; ++axis)
    elements.push_back({extents[axis]});
  int64_t count = elements.size();
  return n.setOutput(0, i64Tensor(n, count), std::move(elements));
}

LogicalResult convertSize(NodeContext &n) {
  if (!n.getType(0))
    return failure();
  return n.setOutput(0, i64Tensor(n, {}), Elements{{n.algebra().product(n.getExtents(0))}});
}

//===----------------------------------------------------------------------===//
// Reshapes
//===----------------------------------------------------------------------===//

LogicalResult setReshaped(NodeContext &n, ArrayRef<AffineExpr> extents) {
  if (reshapeElements(n, extents))
    return success();
  Value input = n.getInput(0);
  Value result = n.reshape(input, extents);
  return result && result == input ? n.forward(0, n.getValue(0)) : n.setOutput(0, result);
}

/// The extent that stands for -1.
FailureOr<AffineExpr> inferExtent(NodeContext &n, ArrayRef<AffineExpr> input, ArrayRef<AffineExpr> others) {
  ShapeAlgebra &algebra = n.algebra();
  AffineExpr total = algebra.product(input), rest = algebra.product(others);
  std::optional<int64_t> totalNumber = nn::getConstant(total), restNumber = nn::getConstant(rest);
  if (restNumber == 0 || (totalNumber && restNumber && *totalNumber % *restNumber != 0))
    return (n.emitError() << "cannot reshape " << nn::formatExtents(input) << " so that the other axes are "
                          << nn::formatExtents(others)),
           failure();
  return algebra.divideProducts(input, others);
}

LogicalResult convertReshape(NodeContext &n) {
  RankedTensorType type = n.getType(0);
  FailureOr<Extents> shape = n.getShapeInput(1);
  if (!type || failed(shape))
    return failure();
  Extents input = n.getExtents(0), extents, known;
  bool copiesZero = !n.getInt("allowzero", 0);
  std::optional<size_t> inferred;
  for (auto [i, extent] : llvm::enumerate(*shape)) {
    std::optional<int64_t> number = nn::getConstant(extent);
    if (number == 0 && copiesZero) {
      if (i >= input.size())
        return n.emitError() << "entry " << i << " of the shape is 0, but the input has only " << input.size()
                             << " axes";
      extent = input[i];
    } else if (number == -1) {
      if (inferred)
        return n.emitError() << "the shape has two entries of -1";
      inferred = i;
      extents.push_back({});
      continue;
    } else if (number && *number < 0) {
      return n.emitError() << "entry " << i << " of the shape is " << *number << "; expected -1 or more";
    }
    extents.push_back(extent);
    known.push_back(extent);
  }
  if (failed(n.checkExtents(known, type.getElementType())))
    return failure();
  if (inferred) {
    FailureOr<AffineExpr> extent = inferExtent(n, input, known);
    if (failed(extent))
      return failure();
    extents[*inferred] = *extent;
  }
  if (n.algebra().equal(n.algebra().product(input), n.algebra().product(extents)) == false)
    return n.emitError() << "cannot reshape " << nn::formatExtents(input) << " to " << nn::formatExtents(extents);
  return setReshaped(n, extents);
}

LogicalResult convertFlatten(NodeContext &n) {
  if (!n.getType(0))
    return failure();
  Extents input = n.getExtents(0);
  int64_t numDims = input.size(), axis = n.getInt("axis", 1);
  if (axis < -numDims || axis > numDims)
    return n.emitError() << "axis is " << axis << "; expected one of " << -numDims << " to " << numDims;
  axis = axis < 0 ? axis + numDims : axis;
  ArrayRef<AffineExpr> all(input);
  return setReshaped(n, {n.algebra().product(all.take_front(axis)), n.algebra().product(all.drop_front(axis))});
}

LogicalResult convertSqueeze(NodeContext &n) {
  if (!n.getType(0))
    return failure();
  Extents input = n.getExtents(0);
  FailureOr<std::optional<Ints>> given = n.getIntsAttrOrInput("axes", 1);
  if (failed(given))
    return failure();
  Ints axes;
  if (*given) {
    FailureOr<Ints> normal = n.normalizeAxes(**given, input.size());
    if (failed(normal))
      return failure();
    axes = *normal;
  } else {
    for (auto [axis, extent] : llvm::enumerate(input))
      if (nn::getConstant(extent) == 1)
        axes.push_back(axis);
  }
  Extents extents;
  for (auto [axis, extent] : llvm::enumerate(input)) {
    if (!llvm::is_contained(axes, static_cast<int64_t>(axis)))
      extents.push_back(extent);
    else if (nn::getConstant(extent).value_or(1) != 1)
      return n.emitError() << "axis " << axis << " has extent " << *nn::getConstant(extent) << "; expected 1";
  }
  return setReshaped(n, extents);
}

LogicalResult convertUnsqueeze(NodeContext &n) {
  if (!n.getType(0))
    return failure();
  Extents input = n.getExtents(0), extents;
  FailureOr<std::optional<Ints>> given = n.getIntsAttrOrInput("axes", 1);
  if (failed(given))
    return failure();
  if (!*given)
    return n.emitError() << "axes are missing";
  FailureOr<Ints> axes = n.normalizeAxes(**given, input.size() + (*given)->size());
  if (failed(axes))
    return failure();
  size_t next = 0;
  for (size_t i = 0, e = input.size() + axes->size(); i < e; ++i)
    extents.push_back(llvm::is_contained(*axes, static_cast<int64_t>(i)) ? n.cst(1) : input[next++]);
  return setReshaped(n, extents);
}

/// An unknown extent that meets a known one must be that, or 1; checked when the model runs.
void assumeBroadcast(NodeContext &n, ArrayRef<AffineExpr> input, ArrayRef<AffineExpr> shape) {
  for (size_t back = 1; back <= std::min(input.size(), shape.size()); ++back) {
    AffineExpr from = input[input.size() - back], to = shape[shape.size() - back];
    std::optional<int64_t> wanted = nn::getConstant(to);
    if (nn::getConstant(from) || !wanted || *wanted == 1)
      continue;
    ShapeAlgebra &algebra = n.algebra();
    AffineExpr either = algebra.mul(algebra.sub(from, n.cst(1)), algebra.sub(from, to));
    n.getImporter().assumeEqual(either, n.cst(0),
                                "extent of " + describeNode(n.getNode()) + " is 1 or " + std::to_string(*wanted));
  }
}

LogicalResult convertExpand(NodeContext &n) {
  RankedTensorType type = n.getType(0);
  FailureOr<Extents> shape = n.getShapeInput(1);
  if (!type || failed(shape))
    return failure();
  Extents input = n.getExtents(0);
  std::optional<Extents> extents = nn::broadcastExtents(input, *shape);
  if (!extents)
    return n.emitError() << "shape " << nn::formatExtents(input) << " does not broadcast to "
                         << nn::formatExtents(*shape);
  if (failed(n.checkExtents(*extents, type.getElementType())))
    return failure();
  assumeBroadcast(n, input, *shape);
  if (moveElements(n, 0, *extents, [&](ArrayRef<int64_t> at) {
        Ints own(at.end() - type.getRank(), at.end());
        for (int64_t axis = 0; axis < type.getRank(); ++axis)
          own[axis] = type.getDimSize(axis) == 1 ? 0 : own[axis];
        return linearize(own, type.getShape());
      }))
    return success();
  return n.setOutput(0, n.broadcastTo(n.getInput(0), *extents));
}

//===----------------------------------------------------------------------===//
// Constants
//===----------------------------------------------------------------------===//

LogicalResult convertConstant(NodeContext &n) {
  Builder b(n.getContext());
  if (const onnx::AttributeProto *value = n.findAttr("value")) {
    OnnxValue *tensor = n.getImporter().importTensor(value->t(), n.getNode().output(0), n.getLoc());
    return n.forward(0, tensor);
  }
  auto list = [&](auto values, Type type) {
    int64_t count = values.size();
    return n.setOutput(0, DenseElementsAttr::get(RankedTensorType::get(count, type), ArrayRef(values)));
  };
  if (n.hasAttr("value_float"))
    return n.setOutput(0, DenseElementsAttr::get(RankedTensorType::get({}, b.getF32Type()),
                                                 static_cast<float>(n.getFloat("value_float", 0))));
  if (n.hasAttr("value_int"))
    return n.setOutput(0, DenseElementsAttr::get(i64Tensor(n, {}), n.getInt("value_int", 0)));
  if (const onnx::AttributeProto *floats = n.findAttr("value_floats"))
    return list(SmallVector<float>(floats->floats().begin(), floats->floats().end()), b.getF32Type());
  if (std::optional<Ints> ints = n.getInts("value_ints"))
    return list(*ints, b.getI64Type());
  return n.emitError() << "has no numeric value; strings and sparse tensors are not supported";
}

LogicalResult convertConstantOfShape(NodeContext &n) {
  FailureOr<Extents> shape = n.getShapeInput(0);
  if (failed(shape))
    return failure();
  DenseElementsAttr element;
  if (const onnx::AttributeProto *attribute = n.findAttr("value")) {
    OnnxValue *tensor = n.getImporter().importTensor(attribute->t(), "", n.getLoc());
    if (!tensor)
      return failure();
    element = tensor->constant;
    if (!element || element.getNumElements() != 1)
      return n.emitError() << "attribute 'value' has " << tensor->type.getNumElements() << " elements; expected one";
  } else {
    element = DenseElementsAttr::get(RankedTensorType::get({}, Builder(n.getContext()).getF32Type()), 0.0f);
  }
  Type elementType = element.getElementType();
  if (failed(n.checkExtents(*shape, elementType)))
    return failure();
  RankedTensorType type = nn::getTensorType(*shape, elementType);
  if (type.hasStaticShape())
    return n.setOutput(0, DenseElementsAttr::get(type, *element.getValues<Attribute>().begin()));
  Value scalar = n.constant(element.reshape(RankedTensorType::get({}, elementType)));
  return n.setOutput(0, n.broadcastTo(scalar, *shape));
}

/// Number of elements of a range; null and an error if it depends on data.
AffineExpr getRangeCount(NodeContext &n, const Element &start, const Element &limit, const Element &delta) {
  ShapeAlgebra &algebra = n.algebra();
  std::optional<double> first = start.getDouble(), last = limit.getDouble(), step = delta.getDouble();
  if (!step || *step == 0)
    return (n.emitError() << "the step is 0 or not a constant"), AffineExpr();
  if (isa<FloatType>(n.getElementType(0)) && first && last) {
    double count = std::ceil((*last - *first) / *step);
    if (!(count < 1e15))
      return (n.emitError() << "the range has no finite number of elements"), AffineExpr();
    return n.cst(std::max<int64_t>(0, static_cast<int64_t>(count)));
  }
  bool isIntegral = *step == std::floor(*step) && (!first || *first == std::floor(*first)) &&
                    (first || start.factor == 1.0) && (last || limit.factor == 1.0);
  if (!isIntegral || std::abs(*step) > 1e9)
    return (n.emitError() << "the number of elements depends on data"), AffineExpr();
  auto exprOf = [&](const Element &element, std::optional<double> number) {
    return number && element.factor != 1.0 ? n.cst(static_cast<int64_t>(*number)) : element.expr;
  };
  AffineExpr span = algebra.sub(exprOf(limit, last), exprOf(start, first));
  if (*step < 0)
    span = algebra.mul(span, n.cst(-1));
  AffineExpr count = algebra.ceilDiv(span, n.cst(static_cast<int64_t>(std::abs(*step))));
  return algebra.maximum(count, n.cst(0));
}

/// A range whose ends or step are found when the model runs.
LogicalResult makeDataRange(NodeContext &n) {
  Type i64 = n.builder().getI64Type(), f64 = n.builder().getF64Type();
  Value start = n.reshape(n.getInput(0), {}), limit = n.reshape(n.getInput(1), {}),
        delta = n.reshape(n.getInput(2), {});
  if (!start || !limit || !delta)
    return failure();
  Value steps = n.div(n.cast_(n.sub(limit, start), f64), n.cast_(delta, f64));
  Value count = n.binary(nn::BinaryKind::maximum, n.unary(nn::UnaryKind::ceil, steps), n.scalar(0, f64));
  AffineExpr extent = n.dataExtent(n.cast_(count, i64), 0, 0, {});
  if (!extent)
    return failure();
  Value positions = n.cast_(n.iota(nn::getTensorType(extent, i64), 0), n.elementOf(start));
  return n.setOutput(0, n.add(n.mul(positions, delta), start));
}

LogicalResult convertRange(NodeContext &n) {
  SmallVector<Element> bounds;
  for (int i = 0; i < 3; ++i) {
    if (!n.getType(i))
      return failure();
    const Elements *elements = n.getElements(i);
    if (!elements || elements->size() != 1)
      return makeDataRange(n);
    bounds.push_back(elements->front());
  }
  AffineExpr count = getRangeCount(n, bounds[0], bounds[1], bounds[2]);
  if (!count)
    return failure();
  Type elementType = n.getElementType(0);
  if (failed(n.checkExtents(count, elementType)))
    return failure();
  RankedTensorType type = nn::getTensorType(count, elementType);
  double step = *bounds[2].getDouble();
  std::optional<double> start = bounds[0].getDouble();
  if (isShapeArithmetic(type) && isIntegerType(elementType)) {
    Elements elements;
    for (int64_t i = 0; i < type.getNumElements(); ++i)
      elements.push_back({n.algebra().add(bounds[0].expr, n.cst(i * static_cast<int64_t>(step)))});
    return n.setOutput(0, type, std::move(elements));
  }
  if (start)
    return n.setOutput(0, n.iota(type, 0, *start, step));
  return n.setOutput(0, n.add(n.iota(type, 0, 0, step), n.reshape(n.getInput(0), {})));
}

LogicalResult convertEyeLike(NodeContext &n) {
  RankedTensorType input = n.getType(0);
  if (!input)
    return failure();
  if (input.getRank() != 2)
    return n.emitError() << "input has " << input.getRank() << " axes; expected two";
  Type elementType = n.hasAttr("dtype") ? n.getTypeAttr("dtype", 1) : input.getElementType();
  Extents extents = n.getExtents(0);
  Type i64 = n.builder().getI64Type();
  Value rows = n.iota(nn::getTensorType({extents[0], n.cst(1)}, i64), 0, static_cast<double>(n.getInt("k", 0)));
  Value columns = n.iota(nn::getTensorType({n.cst(1), extents[1]}, i64), 1);
  return n.setOutput(0, n.cast_(n.compare(nn::CompareKind::eq, rows, columns), elementType));
}

} // namespace

void registerShapeOperators(OperatorRegistry &r) {
  r.add("Shape", 1, convertShape);
  r.add("Size", 1, convertSize);
  r.add("Reshape", 5, convertReshape);
  r.add("Flatten", 1, convertFlatten);
  r.add("Squeeze", 1, convertSqueeze);
  r.add("Unsqueeze", 1, convertUnsqueeze);
  r.add("Expand", 8, convertExpand);
  r.add("Constant", 1, convertConstant);
  r.add("ConstantOfShape", 9, convertConstantOfShape);
  r.add("Range", 11, convertRange);
  r.add("EyeLike", 9, convertEyeLike);
}

} // namespace penstock::onnximport
