//===- MaxPool.cpp - Largest elements of windows, and where they were -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The values are one op. Where their positions are asked for, the windows are gathered into an axis of their own.
//===----------------------------------------------------------------------===//
#include "Families.h"
#include "Windows.h"
#include "penstock/Import/Onnx/OperatorRegistry.h"
#include <cmath>
#include <numeric>

namespace penstock::onnximport {
namespace {

using nn::BinaryKind;

Type i64(NodeContext &n) { return n.builder().getI64Type(); }
Value number(NodeContext &n, int64_t value) { return n.intTensor(value, i64(n), {}); }
Value extent(NodeContext &n, AffineExpr expr) { return n.extentTensor(expr, RankedTensorType::get({}, i64(n))); }

/// 0, 1, ... along one axis of `numDims`.
Value positions(NodeContext &n, AffineExpr count, int64_t axis, int64_t numDims) {
  Extents extents(numDims, n.cst(1));
  extents[axis] = count;
  return n.iota(nn::getTensorType(extents, i64(n)), axis);
}

double getLowest(Type type) {
  if (isa<FloatType>(type))
    return -std::numeric_limits<double>::infinity();
  return type.isUnsignedInteger() ? 0.0 : -std::ldexp(1.0, static_cast<int>(type.getIntOrFloatBitWidth()) - 1);
}

/// Which tap of its window each result is, row-major over the kernel.
Value findTaps(NodeContext &n, const Window &window, Value input, ArrayRef<AffineExpr> outputs) {
  int64_t numDims = outputs.size(), numSpatial = numDims - 2;
  Extents low(numDims, n.cst(0)), high = low;
  for (int64_t i = 0; i < numSpatial; ++i) {
    low[2 + i] = n.cst(window.pads[i]);
    // With `ceil_mode` a last window may end behind the pads.
    int64_t behind = n.getInt("ceil_mode", 0) ? window.strides[i] - 1 : 0;
    high[2 + i] = n.cst(window.pads[numSpatial + i] + behind);
  }
  Value windows =
      n.pad(nn::PadMode::constant, input, low, high, n.scalar(getLowest(n.elementOf(input)), n.elementOf(input)));
  Ints perm{0, 1};
  for (int64_t i = 0; i < numSpatial; ++i) {
    auto along = [&](AffineExpr count, int64_t axis, int64_t step) {
      return n.mul(positions(n, count, axis, 2), number(n, step));
    };
    Value index =
        n.add(along(outputs[2 + i], 0, window.strides[i]), along(n.cst(window.kernel[i]), 1, window.dilations[i]));
    windows = n.gather(windows, index, 2 + 2 * i);
    perm.push_back(2 + 2 * i);
  }
  for (int64_t i = 0; i < numSpatial; ++i)
    perm.push_back(3 + 2 * i);
  Extents flat(outputs.begin(), outputs.end());
  flat.push_back(n.cst(std::accumulate(window.kernel.begin(), window.kernel.end(), int64_t(1), std::multiplies<>())));
  Value lines = n.reshape(n.transpose(windows, perm), flat);
  return n.make<nn::ArgReduceOp>(lines, {n.attr("kind", nn::ReduceKindAttr::get(n.getContext(), nn::ReduceKind::max)),
                                         n.integer("axis", numDims)});
}

/// Position in the whole input of each result; `storage_order` 1 counts the spatial axes from the first on.
Value findIndices(NodeContext &n, const Window &window, Value input, ArrayRef<AffineExpr> outputs) {
  Value taps = findTaps(n, window, input, outputs);
  Extents extents = n.extentsOf(input);
  int64_t numDims = outputs.size(), numSpatial = numDims - 2;
  SmallVector<Value> spatial(numSpatial);
  for (int64_t i = numSpatial - 1; i >= 0; --i) {
    Value tap = n.binary(BinaryKind::mod, taps, number(n, window.kernel[i]));
    taps = n.div(taps, number(n, window.kernel[i]));
    Value start = n.sub(n.mul(positions(n, outputs[2 + i], 2 + i, numDims), number(n, window.strides[i])),
                        number(n, window.pads[i]));
    spatial[i] = n.add(n.mul(tap, number(n, window.dilations[i])), start);
  }
  Value index =
      n.add(n.mul(positions(n, outputs[0], 0, numDims), extent(n, extents[1])), positions(n, outputs[1], 1, numDims));
  index = n.mul(index, extent(n, n.algebra().product(ArrayRef(extents).drop_front(2))));
  Value inside;
  bool columnsFirst = n.getInt("storage_order", 0);
  for (int64_t k = 0; k < numSpatial; ++k) {
    int64_t i = columnsFirst ? numSpatial - 1 - k : k;
    inside = inside ? n.add(n.mul(inside, extent(n, extents[2 + i])), spatial[i]) : spatial[i];
  }
  return n.add(index, inside);
}

LogicalResult convertMaxPool(NodeContext &n) {
  Value input = n.getInput(0);
  if (!input)
    return failure();
  FailureOr<Window> window = getWindow(n, n.extentsOf(input), {});
  if (failed(window))
    return failure();
  if (n.hasOutput(1) && !window->lowExtents.empty())
    return n.emitError() << "auto_pad depends on an unknown extent, and positions are asked for; bind the spatial "
                         << "dimensions of the input";
  input = applySymbolicPads(n, *window, input, getLowest(n.elementOf(input)));
  Value result = makePool(n, nn::PoolKind::max, input, *window);
  if (!result || failed(n.setOutput(0, result)))
    return failure();
  return n.hasOutput(1) ? n.setOutput(1, findIndices(n, *window, input, n.extentsOf(result))) : success();
}

/// The inverse: values back where they were, zeros elsewhere. Indices count in the result without `output_shape`.
LogicalResult convertMaxUnpool(NodeContext &n) {
  Value input = n.getInput(0), indices = n.getInput(1);
  if (!input || !indices)
    return failure();
  Extents in = n.extentsOf(input), extents{n.cst(0), n.cst(0)};
  std::optional<Ints> kernel = n.getInts("kernel_shape");
  size_t numSpatial = in.size() < 3 ? 0 : in.size() - 2;
  Ints strides = n.getInts("strides").value_or(Ints(numSpatial, 1));
  Ints pads = n.getInts("pads").value_or(Ints(2 * numSpatial, 0));
  if (!numSpatial || !kernel || kernel->size() != numSpatial || strides.size() != numSpatial ||
      pads.size() != 2 * numSpatial)
    return n.emitError() << "kernel_shape, strides or pads do not fit an input of " << in.size() << " axes";
  std::copy(in.begin(), in.begin() + 2, extents.begin());
  for (size_t i = 0; i < numSpatial; ++i)
    extents.push_back(n.algebra().add(n.algebra().mul(n.algebra().sub(in[2 + i], n.cst(1)), n.cst(strides[i])),
                                      n.cst((*kernel)[i] - pads[i] - pads[numSpatial + i])));
  Type element = n.elementOf(input);
  AffineExpr count = n.algebra().product(extents), numValues = n.algebra().product(in);
  Value zeros = n.broadcastTo(n.scalar(0, element), count);
  NamedAttribute replaces = n.attr("kind", nn::ScatterKindAttr::get(n.getContext(), nn::ScatterKind::replace));
  Value flat = n.make<nn::ScatterElementsOp>(
      {zeros, n.reshape(n.cast_(indices, i64(n)), numValues), n.reshape(input, numValues)},
      {replaces, n.integer("axis", 0)});
  Value result = n.reshape(flat, extents);
  if (!result || !n.hasInput(2))
    return n.setOutput(0, result);
  FailureOr<Extents> shape = n.getExtentsInput(2);
  if (failed(shape))
    return failure();
  if (shape->size() != extents.size())
    return n.emitError() << "output_shape has " << shape->size() << " entries; expected " << extents.size();
  Extents low(extents.size(), n.cst(0)), high;
  for (auto [wanted, made] : llvm::zip(*shape, extents)) {
    high.push_back(n.algebra().sub(wanted, made));
    if (!n.algebra().isNonNegative(high.back()))
      return n.emitError() << "output_shape is smaller than " << nn::formatExtents(extents);
  }
  return n.setOutput(0, n.pad(nn::PadMode::constant, result, low, high));
}

} // namespace

void registerMaxPoolOperators(OperatorRegistry &r) {
  r.add("MaxPool", 1, convertMaxPool);
  r.add("MaxUnpool", 9, convertMaxUnpool);
}

} // namespace penstock::onnximport
