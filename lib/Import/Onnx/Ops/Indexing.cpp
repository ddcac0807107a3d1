//===- Indexing.cpp - Operators that choose elements by position -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#include "ElementFold.h"
#include "Families.h"
#include "penstock/Import/Onnx/OperatorRegistry.h"

namespace penstock::onnximport {
namespace {

using nn::BinaryKind;
using nn::CompareKind;

Type i64(NodeContext &n) { return n.builder().getI64Type(); }

/// 0, 1, ... along one axis; every other axis has extent 1.
Value positions(NodeContext &n, AffineExpr extent, int64_t axis, int64_t numDims) {
  Extents extents(numDims, n.cst(1));
  extents[axis] = extent;
  return n.iota(nn::getTensorType(extents, i64(n)), axis);
}

LogicalResult convertOneHot(NodeContext &n) {
  Value indices = n.getInput(0), values = n.getInput(2);
  if (!indices || !values)
    return failure();
  int64_t numDims = n.typeOf(indices).getRank() + 1;
  FailureOr<int64_t> axis = n.normalizeAxis(n.getInt("axis", -1), numDims);
  RankedTensorType depthType = n.getType(1);
  if (failed(axis) || !depthType)
    return failure();
  if (!depthType.hasStaticShape() || depthType.getNumElements() != 1)
    return n.emitError() << "depth has type " << depthType << "; expected one element";
  const Elements *depthElements = n.getElements(1);
  MaybeElement depth = depthElements ? foldCast(n, depthElements->front(), n.getElementType(1), i64(n)) : std::nullopt;
  if (!depth && !(depth = Element{n.dataExtent(n.cast_(n.getInput(1), i64(n)), 0, *axis, {})})->expr)
    return failure();
  if (nn::getConstant(n.extentsOf(values)[0]).value_or(2) != 2)
    return n.emitError() << "values have type " << n.typeOf(values) << "; expected two elements";
  Value index = n.cast_(indices, i64(n));
  Value depthTensor = n.extentTensor(depth->expr, RankedTensorType::get({}, i64(n)));
  index = n.select(n.compare(CompareKind::lt, index, n.scalar(0, i64(n))), n.add(index, depthTensor), index);
  Value hit = n.compare(CompareKind::eq, n.unsqueeze(index, *axis), positions(n, depth->expr, *axis, numDims));
  auto value = [&](int64_t at) { return n.reshape(n.sliceAxis(values, 0, n.cst(at), n.cst(1)), {}); };
  return n.setOutput(0, n.select(hit, value(1), value(0)));
}

/// The first `lengths[b]` elements of line b backwards, the others as they are.
LogicalResult convertReverseSequence(NodeContext &n) {
  Value input = n.getInput(0), lengths = n.getInput(1);
  if (!input || !lengths)
    return failure();
  int64_t time = n.getInt("time_axis", 0), batch = n.getInt("batch_axis", 1), numDims = n.typeOf(input).getRank();
  if (numDims < 2 || time == batch || std::min(time, batch) != 0 || std::max(time, batch) != 1)
    return n.emitError() << "time_axis is " << time << " and batch_axis " << batch
                         << "; expected 0 and 1 in some order";
  Extents extents = n.extentsOf(input), perLine(numDims, n.cst(1));
  perLine[batch] = extents[batch];
  Value length = n.reshape(n.cast_(lengths, i64(n)), perLine);
  Value step = positions(n, extents[time], time, numDims);
  Value mirrored = n.sub(n.sub(length, n.scalar(1, i64(n))), step);
  Value index = n.select(n.compare(CompareKind::lt, step, length), mirrored, step);
  return n.setOutput(0, n.make<nn::GatherElementsOp>({input, n.broadcastTo(index, extents)}, n.integer("axis", time)));
}

/// Running products by doubling: after step k every element holds the product of 2^k predecessors.
LogicalResult convertCumProd(NodeContext &n) {
  Value input = n.getInput(0);
  FailureOr<Ints> given = n.getIntsInput(1);
  if (!input || failed(given))
    return failure();
  FailureOr<int64_t> axis = n.normalizeAxis(given->size() == 1 ? given->front() : INT64_MAX, n.getNumDims(0));
  if (failed(axis))
    return failure();
  Extents extents = n.extentsOf(input);
  std::optional<int64_t> extent = nn::getConstant(extents[*axis]);
  if (!extent)
    return n.emitError() << "axis " << *axis << " has an unknown extent; bind the dimension";
  bool reverse = n.getInt("reverse", 0);
  Value one = n.scalar(1, n.elementOf(input));
  // Every element becomes the one `distance` before it in the running direction, or 1.
  auto shift = [&](Value value, int64_t distance) {
    Extents low(extents.size(), n.cst(0)), high = low;
    (reverse ? high : low)[*axis] = n.cst(distance);
    Value padded = n.pad(nn::PadMode::constant, value, low, high, one);
    return n.sliceAxis(padded, *axis, n.cst(reverse ? distance : 0), extents[*axis]);
  };
  Value result = n.getInt("exclusive", 0) ? shift(input, 1) : input;
  for (int64_t distance = 1; distance < *extent; distance *= 2)
    result = n.mul(result, shift(result, distance));
  return result == input ? n.forward(0, n.getValue(0)) : n.setOutput(0, result);
}

/// A copy of a cache with the update written from a row's own position on.
LogicalResult convertTensorScatter(NodeContext &n) {
  Value cache = n.getInput(0), update = n.getInput(1);
  int64_t numDims = n.getNumDims(0);
  FailureOr<int64_t> axis = n.normalizeAxis(n.getInt("axis", -2), numDims);
  std::string mode = n.getString("mode", "linear");
  if (!cache || !update || failed(axis))
    return failure();
  if (mode != "linear" && mode != "circular")
    return n.emitError() << "mode is '" << mode << "'; expected linear or circular";
  if (*axis == 0 || n.typeOf(update).getRank() != numDims)
    return n.emitError() << "axis is " << *axis << " and the update has " << n.typeOf(update).getRank()
                         << " axes; expected an axis after the first, and " << numDims << " axes";
  Extents extents = n.extentsOf(update), perRow(numDims, n.cst(1));
  Value index = positions(n, extents[*axis], *axis, numDims);
  if (n.hasInput(2)) {
    perRow[0] = extents[0];
    index = n.add(index, n.reshape(n.cast_(n.getInput(2), i64(n)), perRow));
  }
  if (mode == "circular")
    index =
        n.binary(BinaryKind::mod, index, n.extentTensor(n.extentsOf(cache)[*axis], RankedTensorType::get({}, i64(n))));
  NamedAttribute kind = n.attr("kind", nn::ScatterKindAttr::get(n.getContext(), nn::ScatterKind::replace));
  return n.setOutput(0, n.make<nn::ScatterElementsOp>({cache, n.broadcastTo(index, extents), update},
                                                      {kind, n.integer("axis", *axis)}));
}

} // namespace

void registerIndexingOperators(OperatorRegistry &r) {
  r.add("TensorScatter", 24, convertTensorScatter);
  r.add("OneHot", 9, convertOneHot);
  r.add("ReverseSequence", 10, convertReverseSequence);
  r.add("CumProd", 26, convertCumProd);
}

} // namespace penstock::onnximport
