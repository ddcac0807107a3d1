//===- Selection.cpp - Operators that choose elements by the data -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// How many elements there are is counted first, and becomes an extent that is found when the model runs.
//===----------------------------------------------------------------------===//
#include "ElementFold.h"
#include "Families.h"
#include "penstock/Import/Onnx/OperatorRegistry.h"
#include <limits>

namespace penstock::onnximport {
namespace {

using nn::BinaryKind;
using nn::CompareKind;

Type i64(NodeContext &n) { return n.builder().getI64Type(); }

/// The positions of the true elements of a mask of one axis. Their number is called after an axis of output 0.
Value truePositions(NodeContext &n, Value mask, int64_t axis) {
  if (!mask)
    return {};
  AffineExpr most = n.extentsOf(mask)[0];
  Value count = n.reduce(nn::ReduceKind::sum, n.cast_(mask, i64(n)), Ints{0}, /*keepDims=*/false);
  AffineExpr extent = n.dataExtent(count, 0, axis, most);
  if (!extent)
    return {};
  return n.builder().create<nn::PositionsOp>(n.getLoc(), nn::getTensorType(extent, i64(n)), mask);
}

//===----------------------------------------------------------------------===//
// Compress
//===----------------------------------------------------------------------===//

/// Positions of the true elements of a known condition.
Value knownPositions(NodeContext &n, const Elements &condition, AffineExpr extent) {
  Ints taken;
  for (auto [i, flag] : llvm::enumerate(condition))
    if (flag.getInt().value_or(0))
      taken.push_back(i);
  if (n.algebra().less(extent, n.cst(taken.empty() ? 0 : taken.back() + 1)) == true)
    return (n.emitError() << "condition has " << condition.size() << " elements; the axis has extent "
                          << nn::formatExtents(extent)),
           Value();
  int64_t count = taken.size();
  return n.intTensor(taken, i64(n), count);
}

LogicalResult convertCompress(NodeContext &n) {
  Value input = n.getInput(0);
  RankedTensorType conditionType = n.getType(1);
  if (!input || !conditionType)
    return failure();
  if (conditionType.getRank() != 1 || !conditionType.getElementType().isInteger(1))
    return n.emitError() << "condition has type " << conditionType << "; expected one axis of bool";
  int64_t axis = 0;
  if (n.hasAttr("axis")) {
    FailureOr<int64_t> given = n.normalizeAxis(n.getInt("axis", 0), n.getNumDims(0));
    if (failed(given))
      return failure();
    axis = *given;
  } else {
    input = n.reshape(input, n.algebra().product(n.extentsOf(input)));
  }
  const Elements *known = n.getElements(1);
  bool isKnown = known && llvm::all_of(*known, [](const Element &element) { return element.getInt().has_value(); });
  Value positions =
      isKnown ? knownPositions(n, *known, n.extentsOf(input)[axis]) : truePositions(n, n.getInput(1), axis);
  return n.setOutput(0, n.gather(input, positions, axis));
}

//===----------------------------------------------------------------------===//
// NonZero
//===----------------------------------------------------------------------===//

/// True for a tensor whose elements are all one constant other than zero, whatever its shape.
bool isUniformNonZero(NodeContext &n, OnnxValue &value) {
  DenseElementsAttr constant = value.constant;
  if (!constant && value.value)
    if (auto broadcast = value.value.getDefiningOp<nn::BroadcastToOp>())
      if (auto source = broadcast.getInput().getDefiningOp<nn::ConstantOp>())
        constant = dyn_cast<DenseElementsAttr>(source.getValue());
  if (!constant || !constant.isSplat())
    return false;
  Attribute element = constant.getSplatValue<Attribute>();
  if (auto number = dyn_cast<IntegerAttr>(element))
    return !number.getValue().isZero();
  auto number = dyn_cast<FloatAttr>(element);
  return number && !number.getValue().isZero();
}

/// The coordinates of the elements at `positions`, row-major, one row per axis.
Value coordinatesOf(NodeContext &n, Value positions, ArrayRef<AffineExpr> extents) {
  if (!positions)
    return {};
  int64_t numDims = extents.size();
  Extents strides;
  for (int64_t axis = 0; axis < numDims; ++axis)
    strides.push_back(n.algebra().product(extents.drop_front(axis + 1)));
  Value row = n.reshape(positions, {n.cst(1), n.extentsOf(positions)[0]});
  auto column = RankedTensorType::get({numDims, 1}, i64(n));
  if (numDims == 1)
    return row;
  return n.binary(BinaryKind::mod, n.div(row, n.extentTensor(strides, column)), n.extentTensor(extents, column));
}

LogicalResult convertNonZero(NodeContext &n) {
  OnnxValue *value = n.getValue(0);
  if (!value || !n.getType(0))
    return failure();
  int64_t numDims = value->type.getRank();
  Extents extents = n.extentsOf(value->type);
  if (numDims == 1 && isUniformNonZero(n, *value))
    return n.setOutput(0, n.iota(nn::getTensorType({n.cst(1), extents[0]}, i64(n)), 1));
  const Elements *elements = n.getElements(0);
  std::vector<int64_t> found;
  for (size_t i = 0; elements && i < elements->size(); ++i) {
    std::optional<double> number = (*elements)[i].getDouble();
    if (!number)
      elements = nullptr;
    else if (*number != 0)
      found.push_back(static_cast<int64_t>(i));
  }
  if (!elements) {
    Value flat = n.reshape(n.getInput(0), n.algebra().product(extents));
    Type type = value->type.getElementType();
    Value mask = type.isInteger(1) || !flat ? flat : n.compare(CompareKind::ne, flat, n.scalar(0, type));
    return n.setOutput(0, coordinatesOf(n, truePositions(n, mask, 1), extents));
  }
  Ints coordinates(numDims * found.size());
  for (size_t k = 0; k < found.size(); ++k) {
    int64_t rest = found[k];
    for (int64_t axis = numDims - 1; axis >= 0; --axis) {
      coordinates[axis * found.size() + k] = rest % value->type.getDimSize(axis);
      rest /= value->type.getDimSize(axis);
    }
  }
  return n.setOutput(0, n.intTensor(coordinates, i64(n), {numDims, static_cast<int64_t>(found.size())}));
}

//===----------------------------------------------------------------------===//
// Unique
//===----------------------------------------------------------------------===//

/// The elements of one axis in ascending order, and where they were; of equal ones the first comes first.
std::pair<Value, Value> sort(NodeContext &n, Value input) {
  if (!input)
    return {};
  RankedTensorType type = n.typeOf(input);
  auto op = n.builder().create<nn::TopKOp>(n.getLoc(), type, nn::getTensorType(n.extentsOf(input), i64(n)), input,
                                           n.builder().getI64IntegerAttr(0), n.builder().getBoolAttr(false));
  return {op.getValues(), op.getIndices()};
}

/// What is to be made unique, sorted: where each element was, and whether it differs from the one before it.
struct Sorted {
  Value order, isNew;
};

/// 0, 1, ..., and the position before each; before the first there is itself.
std::pair<Value, Value> countUp(NodeContext &n, AffineExpr extent) {
  Value position = n.iota(nn::getTensorType(extent, i64(n)), 0);
  return {position, n.binary(BinaryKind::maximum, n.sub(position, n.scalar(1, i64(n))), n.scalar(0, i64(n)))};
}

Sorted sortElements(NodeContext &n, Value input) {
  auto [values, order] = sort(n, input);
  if (!values)
    return {};
  auto [position, before] = countUp(n, n.extentsOf(input)[0]);
  Value differs = n.compare(CompareKind::ne, values, n.gather(values, before, 0));
  Value isFirst = n.compare(CompareKind::eq, position, n.scalar(0, i64(n)));
  return {order, n.binary(BinaryKind::logical_or, isFirst, differs)};
}

/// Rows of a matrix, compared where they differ first.
Sorted sortRows(NodeContext &n, Value rows) {
  if (!rows)
    return {};
  Extents extents = n.extentsOf(rows);
  AffineExpr count = extents[0], width = extents[1], one = n.cst(1);
  Value differ = n.compare(CompareKind::ne, n.reshape(rows, {count, one, width}), n.reshape(rows, {one, count, width}));
  NamedAttribute kind = n.attr("kind", nn::ReduceKindAttr::get(n.getContext(), nn::ReduceKind::max));
  Value where = n.make<nn::ArgReduceOp>(n.cast_(differ, n.builder().getI32Type()), {kind, n.integer("axis", 2)});
  // own[i, j] is where row i differs first from row j, what row i has there.
  Value own = n.make<nn::GatherElementsOp>({rows, where}, n.integer("axis", 1)), other = n.transpose(own, {1, 0});
  auto [position, before] = countUp(n, count);
  Value isBefore = n.compare(CompareKind::lt, n.reshape(position, {one, count}), n.reshape(position, {count, one}));
  Value isEqual = n.compare(CompareKind::eq, own, other);
  Value comesAfter = n.binary(BinaryKind::logical_or, n.compare(CompareKind::gt, own, other),
                              n.binary(BinaryKind::logical_and, isEqual, isBefore));
  Value place = n.reduce(nn::ReduceKind::sum, n.cast_(comesAfter, i64(n)), Ints{1}, /*keepDims=*/false);
  Value order = sort(n, place).second;
  if (!order)
    return {};
  Value sorted = n.gather(rows, order, 0);
  Value changes = n.cast_(n.compare(CompareKind::ne, sorted, n.gather(sorted, before, 0)), n.builder().getI32Type());
  Value differs = n.compare(CompareKind::gt, n.reduce(nn::ReduceKind::max, changes, Ints{1}, /*keepDims=*/false),
                            n.scalar(0, n.builder().getI32Type()));
  Value isFirst = n.compare(CompareKind::eq, position, n.scalar(0, i64(n)));
  return {order, n.binary(BinaryKind::logical_or, isFirst, differs)};
}

/// How many of `total` sorted elements each group has that begins at `begins`.
Value groupSizes(NodeContext &n, Value begins, AffineExpr total) {
  AffineExpr count = n.extentsOf(begins)[0];
  auto scalar = RankedTensorType::get({}, i64(n));
  Value next = n.iota(nn::getTensorType(count, i64(n)), 0, /*start=*/1), last = n.extentTensor(count, scalar);
  Value isLast = n.compare(CompareKind::eq, next, last);
  // An index past the end is taken for the last one.
  return n.sub(n.select(isLast, n.extentTensor(total, scalar), n.gather(begins, next, 0)), begins);
}

LogicalResult convertUnique(NodeContext &n) {
  Value input = n.getInput(0);
  if (!input)
    return failure();
  int64_t axis = 0;
  bool hasAxis = n.hasAttr("axis");
  if (hasAxis) {
    FailureOr<int64_t> given = n.normalizeAxis(n.getInt("axis", 0), n.getNumDims(0));
    if (failed(given))
      return failure();
    axis = *given;
  }
  Extents extents = n.extentsOf(input);
  AffineExpr total = hasAxis ? extents[axis] : n.algebra().product(extents);
  if (!hasAxis)
    input = n.reshape(input, total);
  Sorted sorted;
  if (!hasAxis) {
    sorted = sortElements(n, input);
  } else {
    Ints perm{axis};
    Extents others;
    for (int64_t i = 0, e = extents.size(); i < e; ++i)
      if (i != axis) {
        perm.push_back(i);
        others.push_back(extents[i]);
      }
    sorted = sortRows(n, n.reshape(n.transpose(input, perm), {total, n.algebra().product(others)}));
  }
  Value begins = truePositions(n, sorted.isNew, axis);
  if (!begins)
    return failure();
  Value first = n.gather(sorted.order, begins, 0), sizes = groupSizes(n, begins, total);
  Value group = n.make<nn::CumSumOp>(n.cast_(sorted.isNew, i64(n)), n.integer("axis", 0));
  group = n.gather(n.sub(group, n.scalar(1, i64(n))), sort(n, sorted.order).second, 0);
  if (!n.getInt("sorted", 1)) {
    // In the order in which they come first.
    Value order = sort(n, first).second;
    first = n.gather(first, order, 0);
    sizes = n.gather(sizes, order, 0);
    group = n.gather(sort(n, order).second, group, 0);
  }
  Value results[] = {n.gather(input, first, axis), first, group, sizes};
  for (auto [i, result] : llvm::enumerate(results))
    if (failed(n.setOutput(i, result)))
      return failure();
  return success();
}

//===----------------------------------------------------------------------===//
// NonMaxSuppression
//===----------------------------------------------------------------------===//

LogicalResult convertNonMaxSuppression(NodeContext &n) {
  Value boxes = n.getInput(0), scores = n.getInput(1);
  if (!boxes || !scores)
    return failure();
  if (n.typeOf(boxes).getRank() != 3 || n.typeOf(scores).getRank() != 3)
    return n.emitError() << "boxes have type " << n.typeOf(boxes) << " and scores " << n.typeOf(scores)
                         << "; expected three axes each";
  Type f32 = n.builder().getF32Type();
  auto scalar = [&](int index, double otherwise, Type type) {
    return n.hasInput(index) ? n.cast_(n.reshape(n.getInput(index), {}), type) : n.scalar(otherwise, type);
  };
  Value limit = scalar(2, 0, i64(n)), iou = scalar(3, 0, f32);
  Value threshold = scalar(4, -std::numeric_limits<double>::infinity(), f32);
  if (!limit || !iou || !threshold)
    return failure();
  Extents extents = n.extentsOf(scores);
  AffineExpr perClass = extents[2];
  const Elements *known = n.getElements(2);
  if (!n.hasInput(2))
    perClass = n.cst(0);
  else if (known && known->size() == 1 && known->front().factor == 1.0)
    perClass = n.algebra().minimum(n.algebra().maximum(known->front().expr, n.cst(0)), perClass);
  AffineExpr most = n.algebra().product({extents[0], extents[1], perClass});
  auto op = n.builder().create<nn::NonMaxSuppressionOp>(
      n.getLoc(), nn::getTensorType({most, n.cst(3)}, i64(n)), RankedTensorType::get({}, i64(n)), boxes, scores, limit,
      iou, threshold, n.getInt("center_point_box", 0) ? n.builder().getUnitAttr() : UnitAttr());
  AffineExpr count = n.dataExtent(op.getCount(), 0, 0, most);
  if (!count)
    return failure();
  return n.setOutput(0, n.slice(op.getSelected(), {n.cst(0), n.cst(0)}, {1, 1}, {count, n.cst(3)}));
}

} // namespace

void registerSelectionOperators(OperatorRegistry &r) {
  r.add("Compress", 9, convertCompress);
  r.add("NonZero", 9, convertNonZero);
  r.add("NonMaxSuppression", 10, convertNonMaxSuppression);
  r.add("Unique", 11, convertUnique);
}

} // namespace penstock::onnximport
