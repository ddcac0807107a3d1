//===- GridSample.cpp - Sampling at computed positions -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Composed of gathers: the input with its channels last is read at the neighbours of every position, each weighted.
//===----------------------------------------------------------------------===//
#include "Families.h"
#include "Sampling.h"
#include "penstock/Import/Onnx/OperatorRegistry.h"

namespace penstock::onnximport {
namespace {

using nn::BinaryKind;
using nn::CompareKind;
using nn::UnaryKind;

enum class Padding { kZeros, kBorder, kReflection };

class GridSampler : ImageSampler {
public:
  explicit GridSampler(NodeContext &n) : ImageSampler(n) {}

  LogicalResult convert() {
    input = n.getInput(0);
    Value grid = n.getInput(1);
    if (!input || !grid || failed(readAttributes()))
      return failure();
    numDims = n.typeOf(input).getRank();
    numSpatial = numDims - 2;
    if (numSpatial < 1 || n.typeOf(grid).getRank() != numDims ||
        nn::getConstant(n.extentsOf(grid).back()).value_or(numSpatial) != numSpatial)
      return n.emitError() << "input " << n.typeOf(input) << " and grid " << n.typeOf(grid) << " do not fit together";
    real = n.elementOf(grid);
    extents = n.extentsOf(input);
    channelsLast = toChannelsLast(input);
    // The last axis of the grid lists x, y, ...: the last spatial axis first.
    for (int64_t axis = 0; axis < numSpatial; ++axis) {
      Value coordinate = n.squeeze(n.sliceAxis(grid, numDims - 1, n.cst(numSpatial - 1 - axis), n.cst(1)), numDims - 1);
      neighbours.push_back(findNeighbours(denormalize(coordinate, axis), axis));
    }
    SmallVector<const Neighbour *> chosen;
    Value result = combine(chosen);
    Ints perm{0, numDims - 1};
    for (int64_t axis = 1; axis < numDims - 1; ++axis)
      perm.push_back(axis);
    return n.setOutput(0, n.transpose(result, perm));
  }

private:
  LogicalResult readAttributes() {
    mode = n.getString("mode", n.getOpset() >= 20 ? "linear" : "bilinear");
    if (mode == "bilinear")
      mode = "linear";
    if (mode == "bicubic")
      mode = "cubic";
    if (mode != "linear" && mode != "nearest" && mode != "cubic")
      return n.emitError() << "mode is '" << mode << "'; expected linear, nearest or cubic";
    std::string name = n.getString("padding_mode", "zeros");
    if (name != "zeros" && name != "border" && name != "reflection")
      return n.emitError() << "padding_mode is '" << name << "'; expected zeros, border or reflection";
    padding = name == "zeros" ? Padding::kZeros : name == "border" ? Padding::kBorder : Padding::kReflection;
    alignCorners = n.getInt("align_corners", 0);
    return success();
  }

  /// From [-1, 1] to elements.
  Value denormalize(Value coordinate, int64_t axis) {
    Value shifted = n.add(coordinate, number(1));
    if (alignCorners)
      return n.mul(n.div(shifted, number(2)), n.sub(extent(axis), number(1)));
    return n.div(n.sub(n.mul(shifted, extent(axis)), number(1)), number(2));
  }

  /// Mirrors a position at the ends of the axis as often as it takes.
  Value reflect(Value position, int64_t axis) {
    Value low = number(alignCorners ? 0 : -0.5), high = n.sub(extent(axis), number(alignCorners ? 1 : 0.5));
    Value range = n.sub(high, low);
    Value distance = n.unary(UnaryKind::abs, n.sub(position, low));
    Value folds = n.unary(UnaryKind::floor, n.div(distance, range));
    Value rest = n.sub(distance, n.mul(folds, range));
    Value halves = n.mul(folds, number(0.5));
    Value isEven = n.compare(CompareKind::eq, halves, n.unary(UnaryKind::floor, halves));
    Value mirrored = n.select(isEven, n.add(low, rest), n.sub(high, rest));
    // An axis of one element has no range to fold into.
    Value isFlat = n.compare(CompareKind::le, range, number(0));
    return n.select(isFlat, number(0), mirrored);
  }

  /// Positions outside are moved inside here, but for zeros, which `read` masks.
  Value applyPadding(Value position, int64_t axis) {
    Value last = n.sub(extent(axis), number(1));
    if (padding == Padding::kZeros)
      return position;
    if (padding == Padding::kReflection)
      position = reflect(position, axis);
    return clamp(position, number(0), last);
  }

  SmallVector<Neighbour> findNeighbours(Value position, int64_t axis) {
    SmallVector<Neighbour> result;
    if (mode == "nearest") {
      result.push_back({n.unary(UnaryKind::round_even, applyPadding(position, axis)), Value()});
      return result;
    }
    if (mode == "linear") {
      Value inside = applyPadding(position, axis), floor = n.unary(UnaryKind::floor, inside);
      Value fraction = n.sub(inside, floor);
      result.push_back({floor, n.sub(number(1), fraction)});
      result.push_back({n.add(floor, number(1)), fraction});
      return result;
    }
    // Cubic: the weights are those of the unpadded position, each neighbour is padded by itself.
    Value floor = n.unary(UnaryKind::floor, position), t = n.sub(position, floor);
    for (int offset = -1; offset <= 2; ++offset)
      result.push_back({applyPadding(n.add(floor, number(offset)), axis), cubicWeight(t, offset)});
    return result;
  }

  /// Keys' kernel with coefficient -0.75 at distance |t - offset|.
  Value cubicWeight(Value t, int offset) {
    constexpr double a = -0.75;
    Value x = n.unary(UnaryKind::abs, n.sub(t, number(offset)));
    auto horner = [&](std::initializer_list<double> coefficients) {
      Value sum;
      for (double coefficient : coefficients)
        sum = sum ? n.add(n.mul(sum, x), number(coefficient)) : number(coefficient);
      return sum;
    };
    bool isNear = offset == 0 || offset == 1;
    return isNear ? horner({a + 2, -(a + 3), 0, 1}) : horner({a, -5 * a, 8 * a, -4 * a});
  }

  /// Sum over all combinations of neighbours, one per axis.
  Value combine(SmallVector<const Neighbour *> &chosen) {
    if (static_cast<int64_t>(chosen.size()) == numSpatial)
      return read(chosen);
    Value sum;
    for (const Neighbour &neighbour : neighbours[chosen.size()]) {
      chosen.push_back(&neighbour);
      Value part = combine(chosen);
      chosen.pop_back();
      if (!part)
        return {};
      sum = sum ? n.add(sum, part) : part;
    }
    return sum;
  }

  /// Weighted elements at one neighbour of every position: [N, output..., C].
  Value read(ArrayRef<const Neighbour *> chosen) {
    SmallVector<Value> indices;
    Value weight, isInside;
    for (auto [axis, neighbour] : llvm::enumerate(chosen)) {
      Value last = n.sub(extent(axis), number(1)), position = neighbour->position;
      if (!position)
        return {};
      if (padding == Padding::kZeros) {
        Value inside = n.binary(BinaryKind::logical_and, n.compare(CompareKind::ge, position, number(0)),
                                n.compare(CompareKind::le, position, last));
        isInside = isInside ? n.binary(BinaryKind::logical_and, isInside, inside) : inside;
      }
      if (neighbour->weight)
        weight = weight ? n.mul(weight, neighbour->weight) : neighbour->weight;
      Value index = n.cast_(clamp(position, number(0), last), n.builder().getI64Type());
      indices.push_back(n.unsqueeze(index, numDims - 1));
    }
    Value index = n.concat(indices, numDims - 1);
    Value elements = n.make<nn::GatherNDOp>({channelsLast, index}, n.integer("batch_dims", 1));
    if (!elements)
      return {};
    Type type = n.elementOf(elements);
    if (isInside)
      elements = n.select(n.unsqueeze(isInside, numDims - 1), elements, n.scalar(0, type));
    return weight ? n.mul(elements, n.unsqueeze(n.cast_(weight, type), numDims - 1)) : elements;
  }

  Value input, channelsLast;
  int64_t numDims = 0, numSpatial = 0;
  std::string mode;
  Padding padding = Padding::kZeros;
  bool alignCorners = false;
  SmallVector<SmallVector<Neighbour>> neighbours;
};

} // namespace

void registerGridSampleOperators(OperatorRegistry &r) {
  r.add("GridSample", 16, [](NodeContext &n) { return GridSampler(n).convert(); });
}

} // namespace penstock::onnximport
