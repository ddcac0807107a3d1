//===- Sequence.cpp - Sequences and optionals known at import -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A sequence is a list of values that exists at import only; its length and every position must be known.
//===----------------------------------------------------------------------===//
#include "../GraphImporter.h"
#include "../NodeContext.h"
#include "Families.h"
#include "penstock/Import/Onnx/OperatorRegistry.h"

namespace penstock::onnximport {
namespace {

OnnxValue *getSequence(NodeContext &n, int index) {
  OnnxValue *value = n.getValue(index);
  if (value && !value->isSequence) {
    n.emitError() << "input " << index << " is not a sequence; expected a sequence";
    return nullptr;
  }
  return value;
}

/// A known position in [0, count]; `count` itself only where `allowEnd`.
FailureOr<size_t> getPosition(NodeContext &n, int index, size_t count, bool allowEnd) {
  FailureOr<Ints> given = n.getIntsInput(index);
  if (failed(given))
    return failure();
  int64_t numElements = count, position = given->size() == 1 ? given->front() : numElements + 1;
  position = position < 0 ? position + numElements : position;
  if (position >= 0 && position < numElements + (allowEnd ? 1 : 0))
    return static_cast<size_t>(position);
  return (n.emitError() << "position is outside the sequence of " << count << " tensors"), failure();
}

LogicalResult convertConstruct(NodeContext &n) {
  std::vector<OnnxValue *> values;
  for (int i = 0; i < n.getNumInputs(); ++i) {
    values.push_back(n.getValue(i));
    if (!values.back())
      return failure();
  }
  return n.setSequence(0, std::move(values));
}

LogicalResult convertEmpty(NodeContext &n) { return n.setSequence(0, {}); }

LogicalResult convertAt(NodeContext &n) {
  OnnxValue *sequence = getSequence(n, 0);
  if (!sequence)
    return failure();
  FailureOr<size_t> position = getPosition(n, 1, sequence->sequence.size(), false);
  return failed(position) ? failure() : n.forward(0, sequence->sequence[*position]);
}

LogicalResult convertLength(NodeContext &n) {
  OnnxValue *sequence = getSequence(n, 0);
  if (!sequence)
    return failure();
  return n.setOutput(0, RankedTensorType::get({}, n.builder().getI64Type()),
                     Elements{{n.cst(static_cast<int64_t>(sequence->sequence.size()))}});
}

LogicalResult convertInsert(NodeContext &n) {
  OnnxValue *sequence = getSequence(n, 0), *value = n.getValue(1);
  if (!sequence || !value)
    return failure();
  std::vector<OnnxValue *> values = sequence->sequence;
  FailureOr<size_t> position =
      n.hasInput(2) ? getPosition(n, 2, values.size(), true) : FailureOr<size_t>(values.size());
  if (failed(position))
    return failure();
  values.insert(values.begin() + *position, value);
  return n.setSequence(0, std::move(values));
}

LogicalResult convertErase(NodeContext &n) {
  OnnxValue *sequence = getSequence(n, 0);
  if (!sequence)
    return failure();
  std::vector<OnnxValue *> values = sequence->sequence;
  FailureOr<size_t> position =
      n.hasInput(1) ? getPosition(n, 1, values.size(), false) : FailureOr<size_t>(values.size() - 1);
  if (failed(position))
    return failure();
  if (values.empty())
    return n.emitError() << "the sequence is empty";
  values.erase(values.begin() + *position);
  return n.setSequence(0, std::move(values));
}

OnnxValue *wrap(NodeContext &n, Value value) {
  OnnxValue *result = n.getImporter().createValue("", n.typeOf(value));
  result->value = value;
  return result;
}

LogicalResult convertSplit(NodeContext &n) {
  Value input = n.getInput(0);
  FailureOr<int64_t> axis = n.normalizeAxis(n.getInt("axis", 0), n.getNumDims(0));
  if (!input || failed(axis))
    return failure();
  std::optional<int64_t> extent = nn::getConstant(n.extentsOf(input)[*axis]);
  if (!extent)
    return n.emitError() << "axis " << *axis << " is unknown, so is the length of the sequence; bind the dimension";
  Ints lengths;
  bool keepDims = n.getInt("keepdims", 1) || n.hasInput(1);
  if (n.hasInput(1) && n.getNumDims(1) == 1) {
    FailureOr<Ints> given = n.getIntsInput(1);
    if (failed(given))
      return failure();
    lengths = *given;
  } else {
    FailureOr<double> length = n.getScalarInput(1, 1);
    if (failed(length))
      return failure();
    if (*length < 1)
      return n.emitError() << "split is " << *length << "; expected at least 1";
    for (int64_t at = 0; at < *extent; at += static_cast<int64_t>(*length))
      lengths.push_back(std::min<int64_t>(static_cast<int64_t>(*length), *extent - at));
  }
  std::vector<OnnxValue *> parts;
  int64_t start = 0;
  for (int64_t length : lengths) {
    if (length < 0 || length > *extent - start)
      return n.emitError() << "split entries do not add up to extent " << *extent;
    Value part = n.sliceAxis(input, *axis, n.cst(start), n.cst(length));
    part = keepDims ? part : n.squeeze(part, *axis);
    if (!part)
      return failure();
    parts.push_back(wrap(n, part));
    start += length;
  }
  if (start != *extent)
    return n.emitError() << "split entries add up to " << start << "; expected " << *extent;
  return n.setSequence(0, std::move(parts));
}

LogicalResult convertConcat(NodeContext &n) {
  OnnxValue *sequence = getSequence(n, 0);
  if (!sequence)
    return failure();
  if (sequence->sequence.empty())
    return n.emitError() << "the sequence is empty; expected at least one tensor";
  SmallVector<Value> values;
  for (OnnxValue *value : sequence->sequence) {
    values.push_back(n.getImporter().materialize(*value, n.getLoc()));
    if (!values.back())
      return failure();
  }
  bool isNew = n.getInt("new_axis", 0);
  FailureOr<int64_t> axis = n.normalizeAxis(n.getInt("axis", 0), n.typeOf(values[0]).getRank() + isNew);
  if (failed(axis))
    return failure();
  if (isNew)
    for (Value &value : values)
      value = n.unsqueeze(value, *axis);
  return n.setOutput(0, n.concat(values, *axis));
}

LogicalResult convertOptional(NodeContext &n) {
  if (n.hasInput(0))
    return n.forward(0, n.getValue(0));
  return n.emitError() << "an optional without a value is not supported";
}
LogicalResult convertHasElement(NodeContext &n) {
  return n.setOutput(0, RankedTensorType::get({}, n.builder().getI1Type()), Elements{{n.cst(n.hasInput(0))}});
}

} // namespace

void registerSequenceOperators(OperatorRegistry &r) {
  r.add("SequenceConstruct", 11, convertConstruct);
  r.add("SequenceEmpty", 11, convertEmpty);
  r.add("SequenceAt", 11, convertAt);
  r.add("SequenceLength", 11, convertLength);
  r.add("SequenceInsert", 11, convertInsert);
  r.add("SequenceErase", 11, convertErase);
  r.add("SplitToSequence", 11, convertSplit);
  r.add("ConcatFromSequence", 11, convertConcat);
  r.add("Optional", 15, convertOptional);
  r.add("OptionalHasElement", 15, convertHasElement);
  r.add("OptionalGetElement", 15, [](NodeContext &n) { return n.forward(0, n.getValue(0)); });
}

} // namespace penstock::onnximport
