//===- NNOpsVerify.cpp - Verifiers of computing nn ops -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#include "penstock/Dialect/NN/IR/NNOps.h"

using namespace penstock::nn;

static RankedTensorType tensorType(Value value) { return cast<RankedTensorType>(value.getType()); }

LogicalResult UnaryOp::verify() {
  Type type = tensorType(getInput()).getElementType();
  switch (getKind()) {
  case UnaryKind::identity:
    return success();
  case UnaryKind::logical_not:
    if (!type.isInteger(1))
      return emitOpError() << "logical_not of " << type << "; expected i1"; // unary_c1
    return success();
  case UnaryKind::bitwise_not:
    if (!isa<IntegerType>(type))
      return emitOpError() << "bitwise_not of " << type << "; expected an integer"; // unary_c1
    return success();
  case UnaryKind::abs:
  case UnaryKind::neg:
  case UnaryKind::sign:
  case UnaryKind::relu:
    return success();
  default:
    if (!isa<FloatType>(type))
      return emitOpError() << stringifyUnaryKind(getKind()) << " of " << type
                           << "; expected a floating-point type"; // unary_c1
    return success();
  }
}

LogicalResult BinaryOp::verify() {
  Type type = tensorType(getLhs()).getElementType();
  switch (getKind()) {
  case BinaryKind::logical_and:
  case BinaryKind::logical_or:
  case BinaryKind::logical_xor:
    if (!type.isInteger(1))
      return emitOpError() << stringifyBinaryKind(getKind()) << " of " << type << "; expected i1"; // binary_c3
    return success();
  case BinaryKind::bitwise_and:
  case BinaryKind::bitwise_or:
  case BinaryKind::bitwise_xor:
  case BinaryKind::shift_left:
  case BinaryKind::shift_right:
    if (!isa<IntegerType>(type))
      return emitOpError() << stringifyBinaryKind(getKind()) << " of " << type << "; expected an integer"; // binary_c3
    return success();
  default:
    return success();
  }
}

LogicalResult ReduceOp::verify() {
  Type type = tensorType(getInput()).getElementType();
  if (!type.isIntOrFloat())
    return emitOpError() << "reduces elements of type " << type << "; expected numbers";
  return success();
}

LogicalResult ReshapeOp::verify() {
  RankedTensorType in = tensorType(getInput()), out = tensorType(getResult());
  if (in.getElementType() != out.getElementType())
    return emitOpError() << "changes the element type from " << in.getElementType() << " to "
                         << out.getElementType(); // reshape_c1
  AffineExpr inElements = getNumElements(in), outElements = getNumElements(out);
  if (inElements && outElements && !mayBeEqual(inElements, outElements))
    return emitOpError() << "has " << formatExtents(inElements) << " elements in and " << formatExtents(outElements)
                         << " out"; // reshape_c2
  return success();
}

LogicalResult BroadcastToOp::verify() {
  RankedTensorType in = tensorType(getInput()), out = tensorType(getResult());
  std::optional<SmallVector<AffineExpr>> joined = broadcastExtents(getExtents(out), getExtents(in));
  bool fits = joined && in.getRank() <= out.getRank() && in.getElementType() == out.getElementType();
  for (size_t i = 0; fits && i < joined->size(); ++i)
    fits = mayBeEqual((*joined)[i], getExtent(out, i));
  if (!fits)
    return emitOpError() << "input " << in << " does not broadcast to " << out; // broadcast_to_c1
  return success();
}

LogicalResult SliceOp::verify() {
  RankedTensorType in = tensorType(getInput()), out = tensorType(getResult());
  ArrayRef<AffineExpr> starts = getStarts().getExprs();
  ArrayRef<int64_t> steps = getSteps();
  size_t numAxes = in.getRank();
  if (out.getRank() != in.getRank() || in.getElementType() != out.getElementType())
    return emitOpError() << "makes " << out << " of " << in << "; expected the same axes and element type";
  if (starts.size() != numAxes || steps.size() != numAxes || llvm::is_contained(steps, 0))
    return emitOpError() << "expected one start and one non-zero step for each of the " << numAxes
                         << " axes"; // slice_c1
  SmallVector<AffineExpr> inExtents = getExtents(in), outExtents = getExtents(out);
  for (size_t i = 0; i < numAxes; ++i) {
    std::optional<int64_t> start = getConstant(starts[i]), extent = getConstant(inExtents[i]),
                           count = getConstant(outExtents[i]);
    if (!start || !extent || !count || *count == 0)
      continue;
    int64_t last = *start + (*count - 1) * steps[i];
    if (*start < 0 || *start >= *extent || last < 0 || last >= *extent)
      return emitOpError() << "reads elements " << *start << " to " << last << " of axis " << i << ", which has "
                           << *extent; // slice_c2
  }
  return success();
}

LogicalResult ResizeOp::verify() {
  RankedTensorType in = tensorType(getInput()), out = tensorType(getResult());
  if (in.getRank() != out.getRank() || in.getElementType() != out.getElementType() ||
      static_cast<int64_t>(getScales().size()) != in.getRank())
    return emitOpError() << "input " << in << ", result " << out << " and " << getScales().size()
                         << " scales do not fit together"; // resize_c1
  if (getRoi() && static_cast<int64_t>(getRoi()->size()) != 2 * in.getRank())
    return emitOpError() << "roi has " << getRoi()->size() << " entries; expected " << 2 * in.getRank();
  return success();
}

LogicalResult IotaOp::verify() {
  auto type = tensorType(getResult());
  if (static_cast<int64_t>(getAxis()) >= type.getRank() || static_cast<int64_t>(getAxis()) < 0)
    return emitOpError() << "axis is " << getAxis() << "; expected one of the " << type.getRank() << " axes"; // iota_c1
  if (getStart().getType() != type.getElementType() || getStep().getType() != type.getElementType())
    return emitOpError() << "start and step must have the element type " << type.getElementType(); // iota_c2
  return success();
}

LogicalResult TopKOp::verify() {
  RankedTensorType in = tensorType(getInput()), values = tensorType(getValues()), indices = tensorType(getIndices());
  if (static_cast<int64_t>(getAxis()) >= in.getRank() || static_cast<int64_t>(getAxis()) < 0)
    return emitOpError() << "axis is " << getAxis() << "; expected one of the " << in.getRank() << " axes";
  bool fits = values.getRank() == in.getRank() && getExtents(values) == getExtents(indices) &&
              values.getElementType() == in.getElementType() && indices.getElementType().isInteger(64);
  for (int64_t i = 0; fits && i < in.getRank(); ++i)
    fits = i == static_cast<int64_t>(getAxis()) || mayBeEqual(getExtent(in, i), getExtent(values, i));
  if (!fits)
    return emitOpError() << "makes " << values << " and " << indices << " of " << in; // topk_c1
  return success();
}

LogicalResult PositionsOp::verify() {
  RankedTensorType mask = tensorType(getMask()), result = tensorType(getResult());
  if (mask.getRank() != 1 || !mask.getElementType().isInteger(1) || result.getRank() != 1 ||
      !result.getElementType().isInteger(64))
    return emitOpError() << "makes " << result << " of " << mask
                         << "; expected one axis of i64 of one of i1"; // positions_c1
  return success();
}

LogicalResult NonMaxSuppressionOp::verify() {
  RankedTensorType boxes = tensorType(getBoxes()), scores = tensorType(getScores()), rows = tensorType(getSelected());
  bool fits = boxes.getRank() == 3 && scores.getRank() == 3 && boxes.getElementType().isF32() &&
              scores.getElementType().isF32() && boxes.getDimSize(2) == 4 &&
              mayBeEqual(getExtent(boxes, 0), getExtent(scores, 0)) &&
              mayBeEqual(getExtent(boxes, 1), getExtent(scores, 2));
  if (!fits)
    return emitOpError() << "has boxes " << boxes << " and scores " << scores
                         << "; expected batch x boxes x 4 and batch x classes x boxes of f32"; // non_max_suppression_c1
  if (rows.getRank() != 2 || rows.getDimSize(1) != 3 || !rows.getElementType().isInteger(64))
    return emitOpError() << "makes " << rows << "; expected three columns of i64"; // non_max_suppression_c3
  return success();
}

/// An operand of a recurrent layer, or nothing, against the extents that it must have.
static LogicalResult verifyRecurrentPart(RecurrentOp op, StringRef name, Value part, ArrayRef<AffineExpr> expected) {
  if (!part)
    return success();
  RankedTensorType type = tensorType(part);
  bool fits = type.getRank() == static_cast<int64_t>(expected.size());
  for (size_t i = 0; fits && i < expected.size(); ++i)
    fits = mayBeEqual(getExtent(type, i), expected[i]);
  if (fits)
    return success();
  return op.emitOpError() << name << " has type " << type << "; expected " << formatExtents(expected);
}

LogicalResult RecurrentOp::verify() {
  RankedTensorType input = tensorType(getInput());
  if (input.getRank() != 3)
    return emitOpError() << "input has type " << input << "; expected 3 axes"; // recurrent_c1
  if ((getKind() == RecurrentKind::lstm) != static_cast<bool>(getLastC()))
    return emitOpError() << "an LSTM and only an LSTM has last_c"; // recurrent_c1
  if (getRoundsState() && getKind() != RecurrentKind::lstm)
    return emitOpError() << "of kind " << stringifyRecurrentKind(getKind())
                         << " has rounds_state; expected an LSTM"; // recurrent_c2
  auto number = [&](int64_t value) { return getAffineConstantExpr(value, getContext()); };
  int64_t gates = getKind() == RecurrentKind::lstm ? 4 : getKind() == RecurrentKind::gru ? 3 : 1;
  int64_t size = getHiddenSize();
  AffineExpr directions = number(getDirection() == RecurrentDirection::bidirectional ? 2 : 1);
  AffineExpr rows = number(gates * size), hidden = number(size);
  AffineExpr time = getExtent(input, 0), batch = getExtent(input, 1);
  int64_t scales = getRoundsState() ? 1 : 0;
  std::tuple<StringRef, Value, SmallVector<AffineExpr>> parts[] = {
      {"weights", getWeights(), {directions, getExtent(input, 2) + scales, rows}},
      {"recurrence", getRecurrence(), {directions, number(size + scales), rows}},
      {"bias", getBias(), {directions, number(2 * gates * size)}},
      {"lengths", getLengths(), {batch}},
      {"initial_h", getInitialH(), {directions, batch, hidden}},
      {"initial_c", getInitialC(), {directions, batch, hidden}},
      {"peephole", getPeephole(), {directions, number(3 * size)}},
      {"output", getOutput(), {time, directions, batch, hidden}},
      {"last_h", getLastH(), {directions, batch, hidden}},
      {"last_c", getLastC(), {directions, batch, hidden}},
  };
  for (const auto &[name, part, expected] : parts)
    if (failed(verifyRecurrentPart(*this, name, part, expected)))
      return failure(); // recurrent_c1
  return success();
}
