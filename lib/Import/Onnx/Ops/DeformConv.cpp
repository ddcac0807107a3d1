//===- DeformConv.cpp - Convolutions that read at computed positions -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Composed of gathers and one product: every tap of the kernel reads the input, channels last, at the neighbours of its
// moved position, each weighted; what the taps read is multiplied with the filters.
//===----------------------------------------------------------------------===//
#include "Families.h"
#include "Sampling.h"
#include "Windows.h"
#include "penstock/Import/Onnx/OperatorRegistry.h"

#include <array>

namespace penstock::onnximport {
namespace {

using nn::BinaryKind;
using nn::CompareKind;
using nn::UnaryKind;

class DeformableConvolution : ImageSampler {
public:
  explicit DeformableConvolution(NodeContext &n) : ImageSampler(n) {}

  LogicalResult convert() {
    Value input = n.getInput(0), filter = n.getInput(1), offset = n.getInput(2), mask = n.getOptionalInput(4);
    if (!input || !filter || !offset || (n.hasInput(4) && !mask) || failed(readShapes(input, filter, offset, mask)))
      return failure();
    Type type = n.elementOf(input);
    real = type.isF64() ? type : Type(Float32Type::get(n.getContext()));
    findNeighbours(n.cast_(offset, real));
    groupChannels(n.cast_(input, real));
    SmallVector<int> chosen;
    Value read = combine(chosen);
    if (read && mask) {
      Extents perTap = taps;
      perTap.push_back(n.cst(1));
      read = n.mul(read, n.reshape(n.cast_(mask, real), perTap));
    }
    Value result = multiply(read, n.cast_(filter, real));
    if (Value bias = n.getOptionalInput(3)) {
      Extents perChannel(n.extentsOf(bias));
      perChannel.append(numSpatial, n.cst(1));
      result = n.add(result, n.reshape(n.cast_(bias, real), perChannel));
    }
    return n.setOutput(0, n.cast_(result, type));
  }

private:
  LogicalResult readShapes(Value input, Value filter, Value offset, Value mask) {
    extents = n.extentsOf(input);
    filterExtents = n.extentsOf(filter);
    Extents offsets = n.extentsOf(offset);
    group = n.getInt("group", 1);
    offsetGroup = n.getInt("offset_group", 1);
    Ints kernel;
    for (AffineExpr extent : ArrayRef(filterExtents).drop_front(std::min<size_t>(2, filterExtents.size())))
      kernel.push_back(nn::getConstant(extent).value_or(0));
    FailureOr<Window> given = getWindow(n, extents, kernel);
    if (failed(given))
      return failure();
    window = *given;
    numSpatial = static_cast<int64_t>(extents.size()) - 2;
    for (int64_t extent : window.kernel)
      numTaps *= extent;
    std::optional<int64_t> channels = nn::getConstant(extents[1]), outputs = nn::getConstant(filterExtents[0]);
    bool fits = filterExtents.size() == extents.size() && offsets.size() == extents.size() && group >= 1 &&
                offsetGroup >= 1 && channels && outputs && *channels % group == 0 && *outputs % group == 0 &&
                *channels % offsetGroup == 0 && nn::getConstant(filterExtents[1]) == *channels / group &&
                nn::getConstant(offsets[1]) == offsetGroup * numTaps * numSpatial;
    if (fits && mask) {
      Extents masks = n.extentsOf(mask);
      fits = masks.size() == extents.size() && nn::getConstant(masks[1]) == offsetGroup * numTaps;
    }
    if (!fits)
      return n.emitError() << "input " << n.typeOf(input) << ", filter " << n.typeOf(filter) << ", offset "
                           << n.typeOf(offset) << ", group " << group << " and offset_group " << offsetGroup
                           << " do not fit together";
    batch = n.algebra().mul(extents[0], n.cst(offsetGroup));
    taps = {batch, n.cst(numTaps)};
    taps.append(offsets.begin() + 2, offsets.end());
    return success();
  }

  /// Where each tap of each output would read without offsets, along one axis: [1, taps, outputs...].
  Value regularPosition(int64_t axis) {
    Ints shape(numSpatial, 1);
    shape[axis] = window.kernel[axis];
    Value tap = n.iota(RankedTensorType::get(shape, real), axis, 0, static_cast<double>(window.dilations[axis]));
    Extents all;
    for (int64_t extent : window.kernel)
      all.push_back(n.cst(extent));
    Extents flat(taps.size(), n.cst(1)), outputs = flat;
    flat[1] = taps[1];
    outputs[2 + axis] = taps[2 + axis];
    Value output = n.iota(nn::getTensorType(outputs, real), 2 + axis, static_cast<double>(-window.pads[axis]),
                          static_cast<double>(window.strides[axis]));
    return n.add(n.reshape(n.broadcastTo(tap, all), flat), output);
  }

  /// The elements below and above every position, along each axis.
  void findNeighbours(Value offset) {
    Extents apart = taps;
    apart.insert(apart.begin() + 2, n.cst(numSpatial));
    offset = n.reshape(offset, apart);
    for (int64_t axis = 0; axis < numSpatial; ++axis) {
      Value moved = n.squeeze(n.sliceAxis(offset, 2, n.cst(axis), n.cst(1)), 2);
      Value position = n.add(regularPosition(axis), moved), below = n.unary(UnaryKind::floor, position);
      Value fraction = n.sub(position, below), last = n.sub(extent(axis), number(1));
      Value above = n.add(below, number(1));
      std::array<Neighbour, 2> found{{{below, n.sub(number(1), fraction)}, {above, fraction}}};
      for (Neighbour &neighbour : found) {
        // What lies outside counts as zero.
        Value inside = n.binary(BinaryKind::logical_and, n.compare(CompareKind::ge, neighbour.position, number(0)),
                                n.compare(CompareKind::le, neighbour.position, last));
        neighbour.weight = n.select(inside, neighbour.weight, number(0));
        neighbour.position = clamp(neighbour.position, number(0), last);
      }
      neighbours.push_back(found);
    }
  }

  /// [batch * offset groups, space..., channels of one group].
  void groupChannels(Value input) {
    int64_t perGroup = *nn::getConstant(extents[1]) / offsetGroup;
    Extents apart{batch, n.cst(perGroup)};
    apart.append(extents.begin() + 2, extents.end());
    channelsLast = toChannelsLast(n.reshape(input, apart));
  }

  /// Sum over all combinations of neighbours, one per axis: [batch * offset groups, taps, outputs..., channels].
  Value combine(SmallVector<int> &chosen) {
    if (static_cast<int64_t>(chosen.size()) == numSpatial)
      return read(chosen);
    Value sum;
    for (int i = 0; i < 2; ++i) {
      chosen.push_back(i);
      Value part = combine(chosen);
      chosen.pop_back();
      sum = sum ? n.add(sum, part) : part;
      if (!sum)
        return {};
    }
    return sum;
  }

  Value read(ArrayRef<int> chosen) {
    int64_t last = static_cast<int64_t>(taps.size());
    SmallVector<Value> indices;
    Value weight;
    for (auto [axis, which] : llvm::enumerate(chosen)) {
      Value position = neighbours[axis][which].position, part = neighbours[axis][which].weight;
      if (!position)
        return {};
      indices.push_back(n.unsqueeze(n.cast_(position, n.builder().getI64Type()), last));
      weight = weight ? n.mul(weight, part) : part;
    }
    Value elements = n.make<nn::GatherNDOp>({channelsLast, n.concat(indices, last)}, n.integer("batch_dims", 1));
    return elements ? n.mul(elements, n.unsqueeze(weight, last)) : Value();
  }

  Value multiply(Value read, Value filter) {
    int64_t perGroup = *nn::getConstant(extents[1]) / offsetGroup, inputs = *nn::getConstant(filterExtents[1]),
            outputs = *nn::getConstant(filterExtents[0]);
    Extents space(taps.begin() + 2, taps.end());
    AffineExpr numOutputs = n.algebra().product(space);
    read = n.reshape(read, {batch, n.cst(numTaps), numOutputs, n.cst(perGroup)});
    read = n.transpose(read, {0, 3, 1, 2});
    read = n.reshape(read, {extents[0], n.cst(group), n.cst(inputs * numTaps), numOutputs});
    filter = n.reshape(filter, {n.cst(group), n.cst(outputs / group), n.cst(inputs * numTaps)});
    Extents result{extents[0], n.cst(outputs)};
    result.append(space);
    return n.reshape(n.matmul(filter, read), result);
  }

  Value channelsLast;
  Window window;
  Extents filterExtents, taps;
  AffineExpr batch;
  int64_t numSpatial = 0, numTaps = 1, group = 1, offsetGroup = 1;
  SmallVector<std::array<Neighbour, 2>> neighbours;
};

} // namespace

void registerDeformConvOperators(OperatorRegistry &r) {
  r.add("DeformConv", 19, [](NodeContext &n) { return DeformableConvolution(n).convert(); });
}

} // namespace penstock::onnximport
