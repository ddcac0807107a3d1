//===- Movement.cpp - Operators that move elements -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#include "../DataExtents.h"
#include "../GraphImporter.h"
#include "ElementFold.h"
#include "ElementMove.h"
#include "Families.h"
#include "penstock/Import/Onnx/OperatorRegistry.h"
#include <limits>

namespace penstock::onnximport {
namespace {

LogicalResult convertTranspose(NodeContext &n) {
  RankedTensorType type = n.getType(0);
  if (!type)
    return failure();
  int64_t numDims = type.getRank();
  Ints perm = n.getInts("perm").value_or(Ints());
  if (perm.empty())
    for (int64_t axis = numDims - 1; axis >= 0; --axis)
      perm.push_back(axis);
  Ints sorted = perm;
  llvm::sort(sorted);
  for (int64_t i = 0; i < numDims; ++i)
    if (static_cast<int64_t>(sorted.size()) != numDims || sorted[i] != i)
      return n.emitError() << "perm is not a permutation of the " << numDims << " axes";
  Extents input = n.getExtents(0), extents;
  for (int64_t axis : perm)
    extents.push_back(input[axis]);
  if (moveElements(n, 0, extents, [&](ArrayRef<int64_t> at) {
        Ints own(numDims);
        for (int64_t i = 0; i < numDims; ++i)
          own[perm[i]] = at[i];
        return linearize(own, type.getShape());
      }))
    return success();
  Value data = n.getInput(0), result = n.transpose(data, perm);
  return result && result == data ? n.forward(0, n.getValue(0)) : n.setOutput(0, result);
}

LogicalResult convertConcat(NodeContext &n) {
  if (!n.getType(0))
    return failure();
  FailureOr<int64_t> axis = n.normalizeAxis(n.getInt("axis", 0), n.getNumDims(0));
  if (failed(axis))
    return failure();
  Elements joined;
  bool isKnown = n.getNumDims(0) == 1;
  for (int i = 0; i < n.getNumInputs(); ++i) {
    RankedTensorType type = n.getType(i);
    if (!type)
      return failure();
    const Elements *elements = n.getElements(i);
    isKnown &= elements && type.getRank() == 1 && type.getElementType() == n.getElementType(0);
    if (isKnown)
      llvm::append_range(joined, *elements);
  }
  auto joinedType = RankedTensorType::get(static_cast<int64_t>(joined.size()), n.getElementType(0));
  if (isKnown && isShapeArithmetic(joinedType))
    return n.setOutput(0, joinedType, std::move(joined));
  SmallVector<Value> inputs;
  for (int i = 0; i < n.getNumInputs(); ++i)
    inputs.push_back(n.getInput(i));
  if (inputs.size() == 1)
    return n.forward(0, n.getValue(0));
  return n.setOutput(0, n.concat(inputs, *axis));
}

//===----------------------------------------------------------------------===//
// Slice and Split
//===----------------------------------------------------------------------===//

/// Ends beyond this mean "to the end", whatever the extent.
constexpr int64_t kFarAway = std::numeric_limits<int32_t>::max();

/// A start or end as NumPy takes it: negative counts from the end, then clamped into [low, high].
AffineExpr clampPosition(NodeContext &n, AffineExpr position, AffineExpr extent, AffineExpr low, AffineExpr high) {
  ShapeAlgebra &algebra = n.algebra();
  std::optional<int64_t> number = nn::getConstant(position);
  if (number && *number >= kFarAway)
    return high;
  if (number && *number <= -kFarAway)
    return low;
  Interval bounds = algebra.getBounds(position);
  if (bounds.upper && *bounds.upper < 0)
    position = algebra.add(position, extent);
  return algebra.minimum(algebra.maximum(position, low), high);
}

struct AxisRange {
  AffineExpr start, length;
};

AxisRange resolveRange(NodeContext &n, AffineExpr start, AffineExpr end, int64_t step, AffineExpr extent) {
  ShapeAlgebra &algebra = n.algebra();
  AffineExpr zero = n.cst(0), last = algebra.sub(extent, n.cst(1));
  AffineExpr low = step > 0 ? zero : n.cst(-1), high = step > 0 ? extent : last;
  AffineExpr first = clampPosition(n, start, extent, step > 0 ? zero : zero, high);
  AffineExpr stop = clampPosition(n, end, extent, low, high);
  AffineExpr span = step > 0 ? algebra.sub(stop, first) : algebra.sub(first, stop);
  AffineExpr length = algebra.ceilDiv(span, n.cst(std::abs(step)));
  return {first, algebra.maximum(length, zero)};
}

LogicalResult makeSlice(NodeContext &n, ArrayRef<AffineExpr> starts, ArrayRef<AffineExpr> ends, ArrayRef<int64_t> axes,
                        ArrayRef<int64_t> steps) {
  RankedTensorType type = n.getType(0);
  if (starts.size() != ends.size() || starts.size() != axes.size() || starts.size() != steps.size())
    return n.emitError() << "has " << starts.size() << " starts, " << ends.size() << " ends, " << axes.size()
                         << " axes and " << steps.size() << " steps; expected the same number";
  Extents extents = n.getExtents(0), first(extents.size(), n.cst(0));
  Ints allSteps(extents.size(), 1), seen;
  for (size_t i = 0; i < starts.size(); ++i) {
    FailureOr<int64_t> axis = n.normalizeAxis(axes[i], extents.size());
    if (failed(axis))
      return failure();
    if (steps[i] == 0 || steps[i] == std::numeric_limits<int64_t>::min())
      return n.emitError() << "step is " << steps[i] << "; expected another number";
    if (llvm::is_contained(seen, *axis))
      return n.emitError() << "axis " << *axis << " is given twice";
    seen.push_back(*axis);
    // A step beyond the extent takes one element, as does the extent itself.
    int64_t step = std::clamp<int64_t>(steps[i], -kFarAway, kFarAway);
    AxisRange range = resolveRange(n, starts[i], ends[i], step, extents[*axis]);
    first[*axis] = nn::getConstant(range.length) == 0 ? n.cst(0) : range.start;
    extents[*axis] = range.length;
    allSteps[*axis] = step;
  }
  if (moveElements(n, 0, extents, [&](ArrayRef<int64_t> at) -> int64_t {
        Ints own;
        for (auto [i, coordinate] : llvm::enumerate(at))
          own.push_back(nn::getConstant(first[i]).value_or(-1) + coordinate * allSteps[i]);
        return llvm::any_of(first, [](AffineExpr start) { return !nn::getConstant(start); })
                   ? -1
                   : linearize(own, type.getShape());
      }))
    return success();
  Value input = n.getInput(0), result = n.slice(input, first, allSteps, extents);
  return result && result == input ? n.forward(0, n.getValue(0)) : n.setOutput(0, result);
}

Ints countUp(size_t count) {
  Ints result;
  for (size_t i = 0; i < count; ++i)
    result.push_back(i);
  return result;
}

LogicalResult convertSlice1(NodeContext &n) {
  if (!n.getType(0))
    return failure();
  Ints starts = n.getInts("starts").value_or(Ints()), ends = n.getInts("ends").value_or(Ints());
  Ints axes = n.getInts("axes").value_or(countUp(starts.size()));
  Extents first, last;
  for (int64_t start : starts)
    first.push_back(n.cst(start));
  for (int64_t end : ends)
    last.push_back(n.cst(end));
  return makeSlice(n, first, last, axes, Ints(starts.size(), 1));
}

/// A start or end that is found when the model runs, as NumPy takes it.
Value clampPosition(NodeContext &n, Value position, Value extent, int64_t low, Value high) {
  Type i64 = n.builder().getI64Type();
  Value fromEnd = n.add(position, extent);
  position = n.select(n.compare(nn::CompareKind::lt, position, n.scalar(0, i64)), fromEnd, position);
  return n.binary(nn::BinaryKind::minimum, n.binary(nn::BinaryKind::maximum, position, n.scalar(low, i64)), high);
}

/// One axis of a slice whose start or end is found when the model runs.
Value sliceByData(NodeContext &n, Value input, Value start, Value end, int64_t axis, int64_t step) {
  if (!input || !start || !end)
    return {};
  Type i64 = n.builder().getI64Type();
  AffineExpr extent = n.extentsOf(input)[axis];
  auto scalar = RankedTensorType::get({}, i64);
  Value length = n.extentTensor(extent, scalar), last = n.extentTensor(n.algebra().sub(extent, n.cst(1)), scalar);
  Value first = clampPosition(n, start, length, 0, step > 0 ? length : last);
  Value stop = clampPosition(n, end, length, step > 0 ? 0 : -1, step > 0 ? length : last);
  Value span = step > 0 ? n.sub(stop, first) : n.sub(first, stop);
  int64_t stride = std::abs(step);
  Value count = n.div(n.add(span, n.scalar(stride - 1, i64)), n.scalar(stride, i64));
  AffineExpr taken = n.dataExtent(n.binary(nn::BinaryKind::maximum, count, n.scalar(0, i64)), 0, axis, extent);
  if (!taken)
    return {};
  Value indices = n.add(first, n.iota(nn::getTensorType(taken, i64), 0, 0, step));
  return n.gather(input, indices, axis);
}

/// Axis by axis, where not all starts and ends are known.
LogicalResult makeDataSlice(NodeContext &n) {
  Type i64 = n.builder().getI64Type();
  RankedTensorType type = n.getType(1);
  if (!type || !type.hasStaticShape() || type.getRank() != 1 || n.getType(2) != type)
    return n.emitError() << "starts have type " << type << "; expected one axis, and ends alike";
  int64_t count = type.getNumElements();
  FailureOr<Ints> axes = n.hasInput(3) ? n.getIntsInput(3) : FailureOr<Ints>(countUp(count));
  FailureOr<Ints> steps = n.hasInput(4) ? n.getIntsInput(4) : FailureOr<Ints>(Ints(count, 1));
  Value value = n.getInput(0), starts = n.getInput(1), ends = n.getInput(2);
  if (failed(axes) || failed(steps) || !value || !starts || !ends)
    return failure();
  auto element = [&](Value list, int64_t i) {
    return n.cast_(n.reshape(n.sliceAxis(list, 0, n.cst(i), n.cst(1)), {}), i64);
  };
  for (int64_t i = 0; i < count; ++i) {
    FailureOr<int64_t> axis = n.normalizeAxis((*axes)[i], n.typeOf(value).getRank());
    int64_t step = std::clamp<int64_t>((*steps)[i], -kFarAway, kFarAway);
    if (failed(axis))
      return failure();
    if (step == 0)
      return n.emitError() << "step is 0; expected another number";
    value = sliceByData(n, value, element(starts, i), element(ends, i), *axis, step);
    if (!value)
      return failure();
  }
  return n.setOutput(0, value);
}

LogicalResult convertSlice(NodeContext &n) {
  if (!n.getType(0))
    return failure();
  if (n.hasInput(1) && n.hasInput(2) && (!n.getElements(1) || !n.getElements(2)))
    return makeDataSlice(n);
  FailureOr<Extents> starts = n.getExtentsInput(1), ends = n.getExtentsInput(2);
  if (failed(starts) || failed(ends))
    return failure();
  FailureOr<Ints> axes = n.hasInput(3) ? n.getIntsInput(3) : FailureOr<Ints>(countUp(starts->size()));
  FailureOr<Ints> steps = n.hasInput(4) ? n.getIntsInput(4) : FailureOr<Ints>(Ints(starts->size(), 1));
  if (failed(axes) || failed(steps))
    return failure();
  return makeSlice(n, *starts, *ends, *axes, *steps);
}

/// Lengths of the parts of a split without given lengths.
FailureOr<Extents> splitEvenly(NodeContext &n, AffineExpr extent, int64_t numParts) {
  ShapeAlgebra &algebra = n.algebra();
  Extents lengths;
  std::optional<int64_t> number = nn::getConstant(extent);
  // Uneven parts exist since operator set 18, with `num_outputs`: all but the last have the larger length.
  bool mayBeUneven = n.hasAttr("num_outputs");
  if (number && *number % numParts != 0 && !mayBeUneven)
    return (n.emitError() << "extent " << *number << " does not split into " << numParts << " equal parts"), failure();
  AffineExpr length =
      mayBeUneven ? algebra.ceilDiv(extent, n.cst(numParts)) : algebra.floorDiv(extent, n.cst(numParts));
  for (int64_t i = 0; i + 1 < numParts; ++i)
    lengths.push_back(length);
  lengths.push_back(algebra.sub(extent, algebra.mul(length, n.cst(numParts - 1))));
  if (nn::getConstant(lengths.back()).value_or(0) < 0)
    return (n.emitError() << "extent " << *number << " does not split into " << numParts << " parts"), failure();
  return lengths;
}

LogicalResult convertSplit(NodeContext &n) {
  RankedTensorType type = n.getType(0);
  FailureOr<int64_t> axis = n.normalizeAxis(n.getInt("axis", 0), n.getNumDims(0));
  if (!type || failed(axis))
    return failure();
  Extents extents = n.getExtents(0);
  FailureOr<Extents> lengths = failure();
  if (std::optional<Ints> given = n.getInts("split")) {
    lengths = Extents();
    for (int64_t length : *given)
      lengths->push_back(n.cst(length));
  } else if (n.hasInput(1)) {
    lengths =
        getNumbersInput(n, 1, [&](int64_t i) { return n.getAxisName(static_cast<int>(i), *axis); }, extents[*axis]);
  } else {
    int64_t numParts = n.getInt("num_outputs", n.getNumOutputs());
    if (numParts < 1 || numParts != n.getNumOutputs())
      return n.emitError() << "num_outputs is " << numParts << "; the node has " << n.getNumOutputs() << " outputs";
    lengths = splitEvenly(n, extents[*axis], numParts);
  }
  if (failed(lengths))
    return failure();
  if (static_cast<int>(lengths->size()) != n.getNumOutputs())
    return n.emitError() << "split has " << lengths->size() << " entries; the node has " << n.getNumOutputs()
                         << " outputs";
  AffineExpr start = n.cst(0), total = n.cst(0);
  for (AffineExpr length : *lengths) {
    if (nn::getConstant(length).value_or(0) < 0)
      return n.emitError() << "split has entry " << *nn::getConstant(length) << "; expected at least 0";
    total = n.algebra().add(total, length);
  }
  if (n.algebra().equal(total, extents[*axis]) == false)
    return n.emitError() << "split entries add up to " << nn::formatExtents(total) << "; axis " << *axis
                         << " has extent " << nn::formatExtents(extents[*axis]);
  if (!n.algebra().equal(total, extents[*axis]))
    n.getImporter().assumeEqual(total, extents[*axis], "parts of " + describeNode(n.getNode()));
  for (auto [i, length] : llvm::enumerate(*lengths)) {
    Extents part = extents;
    part[*axis] = length;
    std::optional<int64_t> offset = nn::getConstant(start);
    bool isMoved = offset && moveElements(n, i, part, [&, at = *axis](ArrayRef<int64_t> coordinates) {
                     Ints own(coordinates);
                     own[at] += *offset;
                     return linearize(own, type.getShape());
                   });
    if (!isMoved && n.hasOutput(i) && failed(n.setOutput(i, n.sliceAxis(n.getInput(0), *axis, start, length))))
      return failure();
    start = n.algebra().add(start, length);
  }
  return success();
}

//===----------------------------------------------------------------------===//
// Gather and scatter
//===----------------------------------------------------------------------===//

/// Known elements at known indices.
bool gatherElements(NodeContext &n, int64_t axis) {
  RankedTensorType data = n.getType(0), indices = n.getType(1);
  const Elements *positions = n.getElements(1);
  if (!positions || !data.hasStaticShape())
    return false;
  Ints numbers;
  for (const Element &position : *positions) {
    std::optional<int64_t> number = position.getInt();
    if (!number || *number < -data.getDimSize(axis) || *number >= data.getDimSize(axis))
      return false;
    numbers.push_back(*number < 0 ? *number + data.getDimSize(axis) : *number);
  }
  Extents extents = n.getExtents(0), all(extents.begin(), extents.begin() + axis);
  llvm::append_range(all, n.getExtents(1));
  all.append(extents.begin() + axis + 1, extents.end());
  int64_t numIndexDims = indices.getRank();
  return moveElements(n, 0, all, [&](ArrayRef<int64_t> at) {
    Ints own(at.begin(), at.begin() + axis);
    own.push_back(numbers[linearize(at.slice(axis, numIndexDims), indices.getShape())]);
    own.append(at.begin() + axis + numIndexDims, at.end());
    return linearize(own, data.getShape());
  });
}

LogicalResult convertGather(NodeContext &n) {
  RankedTensorType data = n.getType(0), indices = n.getType(1);
  if (!data || !indices)
    return failure();
  FailureOr<int64_t> axis = n.normalizeAxis(n.getInt("axis", 0), data.getRank());
  if (failed(axis))
    return failure();
  if (gatherElements(n, *axis))
    return success();
  // One known index is a slice.
  const Elements *known = n.getElements(1);
  if (known && known->size() == 1 && !n.getElements(0)) {
    Extents extents = n.getExtents(0);
    AffineExpr index = known->front().expr;
    Interval bounds = n.algebra().getBounds(index);
    bool isNegative = bounds.upper && *bounds.upper < 0;
    if (isNegative)
      index = n.algebra().add(index, extents[*axis]);
    if (n.algebra().less(index, extents[*axis]) == true && n.algebra().isNonNegative(index)) {
      Value one = n.sliceAxis(n.getInput(0), *axis, index, n.cst(1));
      Extents result(extents.begin(), extents.begin() + *axis);
      llvm::append_range(result, n.getExtents(1));
      result.append(extents.begin() + *axis + 1, extents.end());
      return n.setOutput(0, n.reshape(one, result));
    }
  }
  return n.setOutput(0, n.gather(n.getInput(0), n.getInput(1), *axis));
}

LogicalResult convertGatherElements(NodeContext &n) {
  FailureOr<int64_t> axis = n.normalizeAxis(n.getInt("axis", 0), n.getNumDims(0));
  if (failed(axis))
    return failure();
  return n.setOutput(0, n.make<nn::GatherElementsOp>({n.getInput(0), n.getInput(1)}, n.integer("axis", *axis)));
}

LogicalResult convertGatherND(NodeContext &n) {
  return n.setOutput(
      0, n.make<nn::GatherNDOp>({n.getInput(0), n.getInput(1)}, n.integer("batch_dims", n.getInt("batch_dims", 0))));
}

std::optional<nn::ScatterKind> getScatterKind(NodeContext &n) {
  std::string reduction = n.getString("reduction", "none");
  if (reduction == "none")
    return nn::ScatterKind::replace;
  if (std::optional<nn::ScatterKind> kind = nn::symbolizeScatterKind(reduction); kind && reduction != "replace")
    return kind;
  n.emitError() << "reduction is '" << reduction << "'; expected none, add, mul, min or max";
  return std::nullopt;
}

LogicalResult convertScatterElements(NodeContext &n) {
  FailureOr<int64_t> axis = n.normalizeAxis(n.getInt("axis", 0), n.getNumDims(0));
  std::optional<nn::ScatterKind> kind = getScatterKind(n);
  if (failed(axis) || !kind)
    return failure();
  return n.setOutput(0, n.make<nn::ScatterElementsOp>({n.getInput(0), n.getInput(1), n.getInput(2)},
                                                      {n.attr("kind", nn::ScatterKindAttr::get(n.getContext(), *kind)),
                                                       n.integer("axis", *axis)}));
}

LogicalResult convertScatterND(NodeContext &n) {
  std::optional<nn::ScatterKind> kind = getScatterKind(n);
  if (!kind)
    return failure();
  return n.setOutput(0, n.make<nn::ScatterNDOp>({n.getInput(0), n.getInput(1), n.getInput(2)},
                                                n.attr("kind", nn::ScatterKindAttr::get(n.getContext(), *kind))));
}

//===----------------------------------------------------------------------===//
// Pad and Tile
//===----------------------------------------------------------------------===//

/// `pads` holds the low pads of `axes`, then the high ones. Negative pads cut elements off.
LogicalResult makePad(NodeContext &n, ArrayRef<AffineExpr> pads, ArrayRef<int64_t> axes, Value filler) {
  Value input = n.getInput(0);
  if (!input)
    return failure();
  if (pads.size() != 2 * axes.size())
    return n.emitError() << "has " << pads.size() << " pads for " << axes.size() << " axes";
  std::string modeName = n.getString("mode", "constant");
  std::optional<nn::PadMode> mode = nn::symbolizePadMode(modeName);
  if (!mode)
    return n.emitError() << "mode is '" << modeName << "'; expected constant, reflect, edge or wrap";
  ShapeAlgebra &algebra = n.algebra();
  Extents extents = n.extentsOf(input), low(extents.size(), n.cst(0)), high = low, starts = low, kept = extents;
  for (auto [i, axis] : llvm::enumerate(axes)) {
    AffineExpr before = pads[i], after = pads[axes.size() + i];
    if (algebra.getBounds(before).upper.value_or(0) < 0) {
      starts[axis] = algebra.mul(before, n.cst(-1));
      kept[axis] = algebra.add(kept[axis], before);
      before = n.cst(0);
    }
    if (algebra.getBounds(after).upper.value_or(0) < 0) {
      kept[axis] = algebra.add(kept[axis], after);
      after = n.cst(0);
    }
    low[axis] = before;
    high[axis] = after;
    if (nn::getConstant(kept[axis]).value_or(0) < 0)
      return n.emitError() << "pads cut more from axis " << axis << " than its extent "
                           << nn::formatExtents(extents[axis]);
  }
  input = n.slice(input, starts, Ints(extents.size(), 1), kept);
  auto isZero = [](AffineExpr pad) { return nn::getConstant(pad) == 0; };
  if (llvm::all_of(low, isZero) && llvm::all_of(high, isZero))
    return input == n.getInput(0) ? n.forward(0, n.getValue(0)) : n.setOutput(0, input);
  return n.setOutput(0, n.pad(*mode, input, low, high, *mode == nn::PadMode::constant ? filler : Value()));
}

LogicalResult convertPad2(NodeContext &n) {
  if (!n.getType(0))
    return failure();
  Extents pads;
  for (int64_t pad : n.getInts("pads").value_or(Ints()))
    pads.push_back(n.cst(pad));
  double value = n.getFloat("value", 0);
  return makePad(n, pads, countUp(n.getNumDims(0)), value == 0 ? Value() : n.scalar(value, n.getElementType(0)));
}

LogicalResult convertPad(NodeContext &n) {
  if (!n.getType(0))
    return failure();
  FailureOr<Extents> pads = getNumbersInput(n, 1, "pads");
  if (failed(pads))
    return failure();
  Ints axes = countUp(n.getNumDims(0));
  if (n.hasInput(3)) {
    FailureOr<Ints> given = n.getIntsInput(3);
    if (failed(given))
      return failure();
    axes.clear();
    for (int64_t axis : *given) {
      FailureOr<int64_t> normal = n.normalizeAxis(axis, n.getNumDims(0));
      if (failed(normal))
        return failure();
      axes.push_back(*normal);
    }
  }
  Value filler;
  if (n.hasInput(2) && !(filler = n.reshape(n.getInput(2), {})))
    return failure();
  return makePad(n, *pads, axes, filler);
}

LogicalResult convertTile(NodeContext &n) {
  RankedTensorType type = n.getType(0);
  FailureOr<Extents> repeats = getNumbersInput(n, 1, "repeats");
  if (!type || failed(repeats))
    return failure();
  Extents input = n.getExtents(0), apart, stretched, extents;
  if (repeats->size() != input.size())
    return n.emitError() << "has " << repeats->size() << " repeats for " << input.size() << " axes";
  for (auto [extent, repeat] : llvm::zip(input, *repeats)) {
    if (nn::getConstant(repeat).value_or(0) < 0)
      return n.emitError() << "repeat is " << *nn::getConstant(repeat) << "; expected at least 0";
    apart.append({n.cst(1), extent});
    stretched.append({repeat, extent});
    extents.push_back(n.algebra().mul(repeat, extent));
  }
  if (moveElements(n, 0, extents, [&](ArrayRef<int64_t> at) {
        Ints own;
        for (auto [coordinate, extent] : llvm::zip(at, type.getShape()))
          own.push_back(coordinate % extent);
        return linearize(own, type.getShape());
      }))
    return success();
  return n.setOutput(0, n.reshape(n.broadcastTo(n.reshape(n.getInput(0), apart), stretched), extents));
}

//===----------------------------------------------------------------------===//
// Blocks
//===----------------------------------------------------------------------===//

LogicalResult convertDepthToSpace(NodeContext &n) {
  Value input = n.getInput(0);
  int64_t block = n.getInt("blocksize", 0);
  if (!input)
    return failure();
  Extents x = n.extentsOf(input);
  std::optional<int64_t> channels = x.size() == 4 ? nn::getConstant(x[1]) : std::nullopt;
  if (!channels || block < 1 || block > 1 << 15 || *channels % (block * block) != 0)
    return n.emitError() << "input " << nn::formatExtents(x) << " does not have channels for blocksize " << block;
  AffineExpr b = n.cst(block), depth = n.cst(*channels / (block * block));
  Extents result{x[0], depth, n.algebra().mul(x[2], b), n.algebra().mul(x[3], b)};
  bool isColumnFirst = n.getString("mode", "DCR") == "CRD";
  Value split = isColumnFirst ? n.reshape(input, {x[0], depth, b, b, x[2], x[3]})
                              : n.reshape(input, {x[0], b, b, depth, x[2], x[3]});
  Value turned = n.transpose(split, isColumnFirst ? Ints{0, 1, 4, 2, 5, 3} : Ints{0, 3, 4, 1, 5, 2});
  return n.setOutput(0, n.reshape(turned, result));
}

LogicalResult convertSpaceToDepth(NodeContext &n) {
  Value input = n.getInput(0);
  int64_t block = n.getInt("blocksize", 0);
  if (!input)
    return failure();
  Extents x = n.extentsOf(input);
  if (x.size() != 4 || block < 1 || block > 1 << 15)
    return n.emitError() << "input " << nn::formatExtents(x) << " and blocksize " << block << " do not fit together";
  for (int axis : {2, 3})
    if (std::optional<int64_t> extent = nn::getConstant(x[axis]); extent && *extent % block != 0)
      return n.emitError() << "axis " << axis << " has extent " << *extent << "; expected a multiple of " << block;
  AffineExpr b = n.cst(block), height = n.algebra().floorDiv(x[2], b), width = n.algebra().floorDiv(x[3], b);
  Value split = n.reshape(input, {x[0], x[1], height, b, width, b});
  bool isColumnFirst = n.getString("mode", "DCR") == "CRD";
  Value turned = n.transpose(split, isColumnFirst ? Ints{0, 1, 3, 5, 2, 4} : Ints{0, 3, 5, 1, 2, 4});
  return n.setOutput(0, n.reshape(turned, {x[0], n.algebra().mul(x[1], n.cst(block * block)), height, width}));
}

LogicalResult convertTrilu(NodeContext &n) {
  Value input = n.getInput(0);
  FailureOr<double> k = n.getScalarInput(1, 0);
  if (!input || failed(k))
    return failure();
  Extents extents = n.extentsOf(input);
  size_t numDims = extents.size();
  if (numDims < 2)
    return n.emitError() << "input has " << numDims << " axes; expected at least two";
  Type i64 = n.builder().getI64Type();
  double diagonal = std::clamp(*k, -1e15, 1e15);
  Value rows = n.iota(nn::getTensorType({extents[numDims - 2], n.cst(1)}, i64), 0, diagonal);
  Value columns = n.iota(nn::getTensorType({n.cst(1), extents[numDims - 1]}, i64), 1);
  bool upper = n.getInt("upper", 1);
  Value keep = n.compare(upper ? nn::CompareKind::ge : nn::CompareKind::le, columns, rows);
  return n.setOutput(0, n.select(keep, input, n.scalar(0, n.elementOf(input))));
}

} // namespace

void registerMovementOperators(OperatorRegistry &r) {
  r.add("Transpose", 1, convertTranspose);
  r.add("Concat", 4, convertConcat);
  r.add("Slice", 1, convertSlice1);
  r.add("Slice", 10, convertSlice);
  r.add("Split", 2, convertSplit);
  r.add("Gather", 1, convertGather);
  r.add("GatherElements", 11, convertGatherElements);
  r.add("GatherND", 11, convertGatherND);
  r.add("Scatter", 9, convertScatterElements);
  r.add("ScatterElements", 11, convertScatterElements);
  r.add("ScatterND", 11, convertScatterND);
  r.add("Pad", 2, convertPad2);
  r.add("Pad", 11, convertPad);
  r.add("Tile", 6, convertTile);
  r.add("DepthToSpace", 1, convertDepthToSpace);
  r.add("SpaceToDepth", 1, convertSpaceToDepth);
  r.add("Trilu", 14, convertTrilu);
}

} // namespace penstock::onnximport
