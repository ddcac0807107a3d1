//===- Reduce.cpp - Reductions, softmax and sorting -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#include "ElementFold.h"
#include "Families.h"
#include "penstock/Import/Onnx/OperatorRegistry.h"

namespace penstock::onnximport {
namespace {

using nn::ReduceKind;
using nn::UnaryKind;

/// What a reduction does before and after the sum, product or extremum.
enum class Form { kPlain, kAbs, kSquare, kRootOfSquares, kLog, kLogSumExp };

/// All of known elements, as in the product of a shape. Sums and products of floats would depend on their order.
bool foldReduction(NodeContext &n, ReduceKind kind, ArrayRef<int64_t> axes, bool keepDims) {
  RankedTensorType type = n.getType(0);
  const Elements *elements = n.getElements(0);
  bool isExact = isIntegerType(type.getElementType()) || kind == ReduceKind::max || kind == ReduceKind::min ||
                 (elements && elements->size() == 1);
  if (!elements || elements->empty() || !isExact || type.getRank() != 1 || axes.size() != 1 || kind == ReduceKind::mean)
    return false;
  nn::BinaryKind step = kind == ReduceKind::sum    ? nn::BinaryKind::add
                        : kind == ReduceKind::prod ? nn::BinaryKind::mul
                        : kind == ReduceKind::max  ? nn::BinaryKind::maximum
                                                   : nn::BinaryKind::minimum;
  Element result = elements->front();
  for (const Element &element : llvm::drop_begin(*elements)) {
    MaybeElement next = foldBinary(n, step, result, element, type.getElementType());
    if (!next)
      return false;
    result = *next;
  }
  auto resultType = RankedTensorType::get(keepDims ? ArrayRef<int64_t>{1} : ArrayRef<int64_t>{}, type.getElementType());
  return succeeded(n.setOutput(0, resultType, Elements{result}));
}

/// log(sum(exp(x))), shifted by the largest element so that nothing overflows.
Value reduceLogSumExp(NodeContext &n, Value input, ArrayRef<int64_t> axes, bool keepDims) {
  Value largest = n.reduce(ReduceKind::max, input, axes, /*keepDims=*/true);
  if (!largest)
    return {};
  Value isInfinite = n.unary(UnaryKind::is_inf, largest, 1.0, 1.0);
  Value shift = n.select(isInfinite, n.scalar(0, n.elementOf(input)), largest);
  Value sum = n.reduce(ReduceKind::sum, n.unary(UnaryKind::exp, n.sub(input, shift)), axes, true);
  Value result = n.add(n.unary(UnaryKind::log, sum), shift);
  return keepDims ? result : n.squeeze(result, axes);
}

Value reduce(NodeContext &n, ReduceKind kind, Form form, Value input, ArrayRef<int64_t> axes, bool keepDims) {
  if (!input)
    return {};
  Type type = n.elementOf(input);
  switch (form) {
  case Form::kPlain:
    if (!type.isInteger(1))
      return n.reduce(kind, input, axes, keepDims);
    // The ends of an unsigned byte are false and true, which empty reductions give.
    input = n.cast_(input, IntegerType::get(n.getContext(), 8, IntegerType::Unsigned));
    return n.cast_(n.reduce(kind, input, axes, keepDims), type);
  case Form::kAbs:
    return n.reduce(kind, n.unary(UnaryKind::abs, input), axes, keepDims);
  case Form::kSquare:
    return n.reduce(kind, n.mul(input, input), axes, keepDims);
  case Form::kRootOfSquares: {
    // Integers have no square root: through floats and back.
    bool isFloat = isa<FloatType>(type);
    Value real = isFloat ? input : n.cast_(input, Float64Type::get(n.getContext()));
    Value root = n.unary(UnaryKind::sqrt, n.reduce(kind, n.mul(real, real), axes, keepDims));
    return n.cast_(root, type);
  }
  case Form::kLog:
  case Form::kLogSumExp: {
    Value real = isa<FloatType>(type) ? input : n.cast_(input, Float64Type::get(n.getContext()));
    Value result = form == Form::kLog ? n.unary(UnaryKind::log, n.reduce(kind, real, axes, keepDims))
                                      : reduceLogSumExp(n, real, axes, keepDims);
    return n.cast_(result, type);
  }
  }
  return {};
}

Converter reduction(ReduceKind kind, Form form = Form::kPlain) {
  return [=](NodeContext &n) -> LogicalResult {
    FailureOr<std::optional<Ints>> given = n.getIntsAttrOrInput("axes", 1);
    if (!n.getType(0) || failed(given))
      return failure();
    int64_t numDims = n.getNumDims(0);
    Ints axes;
    if (*given && !(*given)->empty()) {
      FailureOr<Ints> normal = n.normalizeAxes(**given, numDims);
      if (failed(normal))
        return failure();
      axes = *normal;
    } else if (n.getInt("noop_with_empty_axes", 0)) {
      if (form == Form::kPlain)
        return n.forward(0, n.getValue(0));
    } else {
      for (int64_t axis = 0; axis < numDims; ++axis)
        axes.push_back(axis);
    }
    bool keepDims = n.getInt("keepdims", 1);
    if (form == Form::kPlain && foldReduction(n, kind, axes, keepDims))
      return success();
    return n.setOutput(0, reduce(n, kind, form, n.getInput(0), axes, keepDims));
  };
}

Converter argReduction(ReduceKind kind) {
  return [kind](NodeContext &n) -> LogicalResult {
    FailureOr<int64_t> axis = n.normalizeAxis(n.getInt("axis", 0), n.getNumDims(0));
    if (failed(axis))
      return failure();
    SmallVector<NamedAttribute> attributes{n.attr("kind", nn::ReduceKindAttr::get(n.getContext(), kind)),
                                           n.integer("axis", *axis)};
    if (n.getInt("keepdims", 1))
      attributes.push_back(n.unit("keep_dims"));
    if (n.getInt("select_last_index", 0))
      attributes.push_back(n.unit("select_last"));
    return n.setOutput(0, n.make<nn::ArgReduceOp>(n.getInput(0), attributes));
  };
}

//===----------------------------------------------------------------------===//
// Softmax and its relatives
//===----------------------------------------------------------------------===//

/// One where the element is the first largest of its line, else zero.
Value hardmax(NodeContext &n, Value input, int64_t axis) {
  if (!input)
    return {};
  Value index =
      n.make<nn::ArgReduceOp>(input, {n.attr("kind", nn::ReduceKindAttr::get(n.getContext(), ReduceKind::max)),
                                      n.integer("axis", axis), n.unit("keep_dims")});
  Extents extents(n.typeOf(input).getRank(), n.cst(1));
  extents[axis] = n.extentsOf(input)[axis];
  Value positions = n.iota(nn::getTensorType(extents, n.builder().getI64Type()), axis);
  return n.cast_(n.compare(nn::CompareKind::eq, positions, index), n.elementOf(input));
}

using AxisFunction = Value (*)(NodeContext &, Value, int64_t);
Value softmax(NodeContext &n, Value input, int64_t axis) {
  return n.make<nn::SoftmaxOp>(input, n.integer("axis", axis));
}
Value logSoftmax(NodeContext &n, Value input, int64_t axis) {
  return n.make<nn::LogSoftmaxOp>(input, n.integer("axis", axis));
}

Converter alongAxis(AxisFunction function) {
  return [function](NodeContext &n) -> LogicalResult {
    FailureOr<int64_t> axis = n.normalizeAxis(n.getInt("axis", -1), n.getNumDims(0));
    if (failed(axis))
      return failure();
    return n.setOutput(0, function(n, n.getInput(0), *axis));
  };
}

/// Before operator set 13 all axes from `axis` on are one line.
Converter alongFlattenedAxes(AxisFunction function) {
  return [function](NodeContext &n) -> LogicalResult {
    int64_t numDims = n.getNumDims(0);
    FailureOr<int64_t> axis = n.normalizeAxis(n.getInt("axis", 1), numDims);
    if (failed(axis))
      return failure();
    Value input = n.getInput(0);
    if (*axis == numDims - 1)
      return n.setOutput(0, function(n, input, *axis));
    Extents extents = n.extentsOf(input);
    ArrayRef<AffineExpr> all(extents);
    Value flat =
        n.reshape(input, {n.algebra().product(all.take_front(*axis)), n.algebra().product(all.drop_front(*axis))});
    return n.setOutput(0, n.reshape(function(n, flat, 1), extents));
  };
}

LogicalResult convertCumSum(NodeContext &n) {
  FailureOr<Ints> given = n.getIntsInput(1);
  if (failed(given))
    return failure();
  if (given->size() != 1)
    return n.emitError() << "axis has " << given->size() << " elements; expected one";
  FailureOr<int64_t> axis = n.normalizeAxis(given->front(), n.getNumDims(0));
  if (failed(axis))
    return failure();
  SmallVector<NamedAttribute> attributes{n.integer("axis", *axis)};
  if (n.getInt("exclusive", 0))
    attributes.push_back(n.unit("exclusive"));
  if (n.getInt("reverse", 0))
    attributes.push_back(n.unit("reverse"));
  return n.setOutput(0, n.make<nn::CumSumOp>(n.getInput(0), attributes));
}

LogicalResult makeTopK(NodeContext &n, AffineExpr count, bool largest) {
  Value input = n.getInput(0);
  if (!input)
    return failure();
  FailureOr<int64_t> axis = n.normalizeAxis(n.getInt("axis", -1), n.getNumDims(0));
  if (failed(axis))
    return failure();
  Extents extents = n.extentsOf(input);
  if (n.algebra().less(extents[*axis], count) == true || !n.algebra().isNonNegative(count))
    return n.emitError() << "k is " << nn::formatExtents(count) << "; axis " << *axis << " has extent "
                         << nn::formatExtents(extents[*axis]);
  extents[*axis] = count;
  Type i64 = n.builder().getI64Type();
  auto op = n.builder().create<nn::TopKOp>(n.getLoc(), nn::getTensorType(extents, n.elementOf(input)),
                                           nn::getTensorType(extents, i64), input, n.builder().getI64IntegerAttr(*axis),
                                           n.builder().getBoolAttr(largest));
  if (failed(n.setOutput(0, op.getValues())))
    return failure();
  return n.setOutput(1, op.getIndices());
}

LogicalResult convertTopK1(NodeContext &n) { return makeTopK(n, n.cst(n.getInt("k", 1)), /*largest=*/true); }
LogicalResult convertTopK(NodeContext &n) {
  RankedTensorType type = n.getType(0), countType = n.getType(1);
  if (!type || !countType)
    return failure();
  FailureOr<int64_t> axis = n.normalizeAxis(n.getInt("axis", -1), type.getRank());
  if (failed(axis))
    return failure();
  if (!countType.hasStaticShape() || countType.getNumElements() != 1)
    return n.emitError() << "k has type " << countType << "; expected one element";
  AffineExpr count = n.getElements(1) ? n.getElements(1)->front().expr
                                      : n.dataExtent(n.getInput(1), 0, *axis, n.extentsOf(type)[*axis]);
  return count ? makeTopK(n, count, n.getInt("largest", 1)) : failure();
}

} // namespace

void registerReduceOperators(OperatorRegistry &r) {
  r.add("ReduceSum", 1, reduction(ReduceKind::sum));
  r.add("ReduceMean", 1, reduction(ReduceKind::mean));
  r.add("ReduceMax", 1, reduction(ReduceKind::max));
  r.add("ReduceMin", 1, reduction(ReduceKind::min));
  r.add("ReduceProd", 1, reduction(ReduceKind::prod));
  r.add("ReduceL1", 1, reduction(ReduceKind::sum, Form::kAbs));
  r.add("ReduceL2", 1, reduction(ReduceKind::sum, Form::kRootOfSquares));
  r.add("ReduceSumSquare", 1, reduction(ReduceKind::sum, Form::kSquare));
  r.add("ReduceLogSum", 1, reduction(ReduceKind::sum, Form::kLog));
  r.add("ReduceLogSumExp", 1, reduction(ReduceKind::sum, Form::kLogSumExp));
  r.add("ArgMax", 1, argReduction(ReduceKind::max));
  r.add("ArgMin", 1, argReduction(ReduceKind::min));
  r.add("Softmax", 1, alongFlattenedAxes(softmax));
  r.add("Softmax", 13, alongAxis(softmax));
  r.add("LogSoftmax", 1, alongFlattenedAxes(logSoftmax));
  r.add("LogSoftmax", 13, alongAxis(logSoftmax));
  r.add("Hardmax", 1, alongFlattenedAxes(hardmax));
  r.add("Hardmax", 13, alongAxis(hardmax));
  r.add("CumSum", 11, convertCumSum);
  r.add("TopK", 1, convertTopK1);
  r.add("TopK", 10, convertTopK);
}

} // namespace penstock::onnximport
