//===- Columns.cpp - Columns of blocks back to images -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#include "../NodeContext.h"
#include "Families.h"
#include "penstock/Import/Onnx/OperatorRegistry.h"

namespace penstock::onnximport {
namespace {

constexpr int64_t kMaxNumber = int64_t(1) << 31; ///< keeps products of a few far from overflow

FailureOr<Ints> checkNumbers(NodeContext &n, StringRef name, Ints values, size_t count, int64_t least) {
  bool fits = values.size() == count &&
              llvm::all_of(values, [&](int64_t value) { return value >= least && value <= kMaxNumber; });
  if (fits)
    return values;
  return (n.emitError() << name << " is not " << count << " numbers of at least " << least), failure();
}

/// Adds every element of every block to the element of the padded image that it came from, then cuts the pads off.
LogicalResult convertCol2Im(NodeContext &n) {
  Value input = n.getInput(0);
  FailureOr<Ints> image = n.getIntsInput(1), block = n.getIntsInput(2);
  if (!input || failed(image) || failed(block))
    return failure();
  size_t numSpatial = image->size();
  FailureOr<Ints> strides =
      checkNumbers(n, "strides", n.getInts("strides").value_or(Ints(numSpatial, 1)), numSpatial, 1);
  FailureOr<Ints> dilations =
      checkNumbers(n, "dilations", n.getInts("dilations").value_or(Ints(numSpatial, 1)), numSpatial, 1);
  FailureOr<Ints> pads =
      checkNumbers(n, "pads", n.getInts("pads").value_or(Ints(2 * numSpatial, 0)), 2 * numSpatial, 0);
  if (failed(strides) || failed(dilations) || failed(pads) ||
      failed(checkNumbers(n, "image_shape", *image, numSpatial, 0)) ||
      failed(checkNumbers(n, "block_shape", *block, numSpatial, 1)))
    return failure();
  Extents extents = n.extentsOf(input), padded, low;
  int64_t numBlocks = 1, blockSize = 1;
  Ints counts;
  for (size_t i = 0; i < numSpatial; ++i) {
    int64_t extent = (*image)[i] + (*pads)[i] + (*pads)[numSpatial + i];
    padded.push_back(n.cst(extent));
    low.push_back(n.cst((*pads)[i]));
    int64_t slack = extent - (*dilations)[i] * ((*block)[i] - 1) - 1;
    counts.push_back(slack < 0 ? 0 : slack / (*strides)[i] + 1);
    numBlocks *= counts.back();
    blockSize *= (*block)[i];
  }
  if (extents.size() != 3 || numSpatial == 0 || nn::getConstant(extents[1]).value_or(0) % blockSize != 0 ||
      n.algebra().equal(extents[2], n.cst(numBlocks)) == false)
    return n.emitError() << "input has type " << n.typeOf(input) << "; expected three axes, the second a multiple of "
                         << blockSize << " and the third " << numBlocks;
  Type type = n.elementOf(input);
  if (failed(n.checkExtents(padded, type)))
    return failure();
  AffineExpr channels = n.algebra().floorDiv(extents[1], n.cst(blockSize));

  // Where element b of block l goes: the sum over the axes of (b * dilation + l * stride) * stride of the axis.
  Type i64 = n.builder().getI64Type();
  int64_t numDims = 2 * static_cast<int64_t>(numSpatial), axisStride = 1;
  Value index = n.scalar(0, i64);
  for (int64_t i = static_cast<int64_t>(numSpatial) - 1; i >= 0; --i) {
    auto along = [&](int64_t axis, int64_t count, int64_t step) {
      Ints shape(numDims, 1);
      shape[axis] = count;
      return n.iota(RankedTensorType::get(shape, i64), axis, 0, static_cast<double>(step * axisStride));
    };
    index = n.add(index, along(i, (*block)[i], (*dilations)[i]));
    index = n.add(index, along(static_cast<int64_t>(numSpatial) + i, counts[i], (*strides)[i]));
    axisStride *= *nn::getConstant(padded[i]);
  }
  Extents flat{extents[0], channels, n.cst(blockSize * numBlocks)};
  Value places = n.broadcastTo(n.reshape(index, flat.back()), flat);
  Value zeros = n.broadcastTo(n.scalar(0, type), {extents[0], channels, n.cst(axisStride)});
  NamedAttribute kind = n.attr("kind", nn::ScatterKindAttr::get(n.getContext(), nn::ScatterKind::add));
  Value sums = n.make<nn::ScatterElementsOp>({zeros, places, n.reshape(input, flat)}, {kind, n.integer("axis", 2)});
  Extents whole{extents[0], channels}, starts{n.cst(0), n.cst(0)}, result = whole;
  whole.append(padded);
  starts.append(low);
  for (int64_t extent : *image)
    result.push_back(n.cst(extent));
  return n.setOutput(0, n.slice(n.reshape(sums, whole), starts, Ints(result.size(), 1), result));
}

} // namespace

void registerColumnsOperators(OperatorRegistry &r) { r.add("Col2Im", 18, convertCol2Im); }

} // namespace penstock::onnximport
