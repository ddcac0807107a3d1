//===- RoiAlign.cpp - Regions of images, pooled -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Composed of gathers: the images with their channels last are read at the four neighbours of every sampling point,
// each weighted; the points of a bin are then one reduction.
//===----------------------------------------------------------------------===//
#include "Families.h"
#include "Sampling.h"
#include "penstock/Import/Onnx/OperatorRegistry.h"

#include <array>

namespace penstock::onnximport {
namespace {

using nn::BinaryKind;
using nn::CompareKind;
using nn::ReduceKind;
using nn::UnaryKind;

/// The rows (or columns) below and above every sampling point: [regions, bins, samples].
using Neighbours = std::array<Neighbour, 2>;

class RoiAligner : ImageSampler {
public:
  explicit RoiAligner(NodeContext &n) : ImageSampler(n) {}

  LogicalResult convert() {
    Value input = n.getInput(0), regions = n.getInput(1), images = n.getInput(2);
    if (!input || !regions || !images || failed(readAttributes()))
      return failure();
    if (n.typeOf(input).getRank() != 4 || n.typeOf(regions).getRank() != 2 || n.typeOf(images).getRank() != 1 ||
        nn::getConstant(n.extentsOf(regions)[1]).value_or(4) != 4)
      return n.emitError() << "input " << n.typeOf(input) << ", regions " << n.typeOf(regions) << " and their images "
                           << n.typeOf(images) << " do not fit together";
    Type type = n.elementOf(input);
    real = type.isF64() ? type : Type(Float32Type::get(n.getContext()));
    extents = n.extentsOf(input);
    numRegions = n.extentsOf(regions)[0];
    corners = n.mul(n.cast_(regions, real), number(scale));
    if (isShifted)
      corners = n.sub(corners, number(0.5));
    if (failed(n.checkExtents(
            {numRegions, n.cst(numBins[0]), n.cst(numSamples), n.cst(numBins[1]), n.cst(numSamples), extents[1]},
            real)))
      return failure();
    channelsLast = n.cast_(toChannelsLast(input), real);
    image = n.reshape(images, {numRegions, n.cst(1), n.cst(1), n.cst(1), n.cst(1), n.cst(1)});
    Neighbours rows = findNeighbours(0), columns = findNeighbours(1);
    Value sum;
    for (int i = 0; i < 4; ++i) {
      Value part = read(rows[i / 2], columns[i % 2]);
      sum = !sum ? part : isMax ? n.binary(BinaryKind::maximum, sum, part) : n.add(sum, part);
      if (!sum)
        return failure();
    }
    Value pooled = n.reduce(isMax ? ReduceKind::max : ReduceKind::mean, sum, {2, 4}, /*keepDims=*/false);
    return n.setOutput(0, n.cast_(n.transpose(pooled, {0, 3, 1, 2}), type));
  }

private:
  LogicalResult readAttributes() {
    std::string mode = n.getString("mode", "avg");
    if (mode != "avg" && mode != "max")
      return n.emitError() << "mode is '" << mode << "'; expected avg or max";
    isMax = mode == "max";
    std::string coordinates =
        n.getOpset() < 16 ? "output_half_pixel" : n.getString("coordinate_transformation_mode", "half_pixel");
    if (coordinates != "half_pixel" && coordinates != "output_half_pixel")
      return n.emitError() << "coordinate_transformation_mode is '" << coordinates
                           << "'; expected half_pixel or output_half_pixel";
    isShifted = coordinates == "half_pixel";
    scale = n.getFloat("spatial_scale", 1);
    numBins[0] = n.getInt("output_height", 1);
    numBins[1] = n.getInt("output_width", 1);
    numSamples = n.getInt("sampling_ratio", 0);
    if (numBins[0] < 1 || numBins[1] < 1)
      return n.emitError() << "output is " << numBins[0] << "x" << numBins[1] << "; expected at least 1x1";
    if (numSamples < 1)
      return n.emitError() << "sampling_ratio is " << numSamples
                           << ", so the number of samples depends on data; expected at least 1";
    return success();
  }

  /// A coordinate of the regions' corners: x, y of the first, then of the second.
  Value corner(int64_t index) {
    return n.reshape(n.sliceAxis(corners, 1, n.cst(index), n.cst(1)), {numRegions, n.cst(1), n.cst(1)});
  }

  /// Along the rows (axis 0) or the columns.
  Neighbours findNeighbours(int axis) {
    Value start = corner(1 - axis), length = n.sub(corner(3 - axis), start);
    if (!isShifted)
      length = n.binary(BinaryKind::maximum, length, number(1));
    Value bin = n.div(length, number(static_cast<double>(numBins[axis])));
    Value whichBin = n.iota(RankedTensorType::get({1, numBins[axis], 1}, real), 1);
    Value whichSample = n.iota(RankedTensorType::get({1, 1, numSamples}, real), 2, /*start=*/0.5);
    Value inBin = n.div(n.mul(whichSample, bin), number(static_cast<double>(numSamples)));
    Value point = n.add(n.add(start, n.mul(whichBin, bin)), inBin);

    Value size = extent(axis), last = n.sub(size, number(1));
    Value isOutside = n.binary(BinaryKind::logical_or, n.compare(CompareKind::lt, point, number(-1)),
                               n.compare(CompareKind::gt, point, size));
    Value inside = clamp(point, number(0), last);
    Value below = n.unary(UnaryKind::floor, inside), fraction = n.sub(inside, below);
    Value above = n.binary(BinaryKind::minimum, n.add(below, number(1)), last);
    auto weight = [&](Value value) { return n.select(isOutside, number(0), value); };
    return {{{below, weight(n.sub(number(1), fraction))}, {above, weight(fraction)}}};
  }

  /// [regions, bins, samples] on the axes of rows or columns of [regions, rows, samples, columns, samples, 1].
  Value spread(Value value, int axis) {
    Ints added = axis == 0 ? Ints{3, 4, 5} : Ints{1, 2, 5};
    return value ? n.unsqueeze(value, added) : Value();
  }

  /// Weighted elements: [regions, rows, samples, columns, samples, channels].
  Value read(const Neighbour &row, const Neighbour &column) {
    Type i64 = n.builder().getI64Type();
    Extents points{numRegions, n.cst(numBins[0]), n.cst(numSamples), n.cst(numBins[1]), n.cst(numSamples), n.cst(1)};
    Value y = spread(n.cast_(row.position, i64), 0), x = spread(n.cast_(column.position, i64), 1);
    Value index =
        n.concat({n.broadcastTo(n.cast_(image, i64), points), n.broadcastTo(y, points), n.broadcastTo(x, points)}, 5);
    Value elements = n.make<nn::GatherNDOp>({channelsLast, index}, n.integer("batch_dims", 0));
    return n.mul(elements, n.mul(spread(row.weight, 0), spread(column.weight, 1)));
  }

  Value channelsLast, corners, image;
  AffineExpr numRegions;
  double scale = 1;
  int64_t numBins[2] = {}, numSamples = 0;
  bool isMax = false, isShifted = true;
};

} // namespace

void registerRoiAlignOperators(OperatorRegistry &r) {
  r.add("RoiAlign", 10, [](NodeContext &n) { return RoiAligner(n).convert(); });
}

} // namespace penstock::onnximport
