//===- Windows.cpp - Attributes of sliding windows -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#include "Windows.h"

namespace penstock::onnximport {

/// Windows are small; this keeps products of a few of these numbers far from overflow.
constexpr int64_t kMaxWindowNumber = int64_t(1) << 31;

static LogicalResult checkList(NodeContext &n, StringRef name, ArrayRef<int64_t> values, size_t count, int64_t least) {
  if (values.size() != count)
    return n.emitError() << name << " has " << values.size() << " entries; expected " << count;
  for (int64_t value : values)
    if (value < least || value > kMaxWindowNumber)
      return n.emitError() << name << " has entry " << value << "; expected at least " << least;
  return success();
}

/// Total pad for "the output has ceil(input / stride) elements", split with the odd one at the end or at the start.
static void resolveSamePads(NodeContext &n, Window &window, ArrayRef<AffineExpr> spatial, bool oddAtEnd) {
  ShapeAlgebra &algebra = n.algebra();
  size_t numSpatial = window.getNumSpatial();
  bool isConstant = true;
  Extents low, high;
  for (size_t i = 0; i < numSpatial; ++i) {
    AffineExpr stride = n.cst(window.strides[i]), outputs = algebra.ceilDiv(spatial[i], stride);
    AffineExpr total = algebra.add(algebra.mul(algebra.sub(outputs, n.cst(1)), stride),
                                   algebra.sub(n.cst(window.getSpan(i)), spatial[i]));
    total = algebra.maximum(total, n.cst(0));
    AffineExpr smaller = algebra.floorDiv(total, n.cst(2)), larger = algebra.sub(total, smaller);
    low.push_back(oddAtEnd ? smaller : larger);
    high.push_back(oddAtEnd ? larger : smaller);
    isConstant &= nn::getConstant(low.back()) && nn::getConstant(high.back());
  }
  window.pads.assign(2 * numSpatial, 0);
  if (!isConstant) {
    window.lowExtents = low;
    window.highExtents = high;
    return;
  }
  for (size_t i = 0; i < numSpatial; ++i) {
    window.pads[i] = *nn::getConstant(low[i]);
    window.pads[numSpatial + i] = *nn::getConstant(high[i]);
  }
}

FailureOr<Window> getWindow(NodeContext &n, ArrayRef<AffineExpr> input, Ints kernel) {
  if (input.size() < 3)
    return (n.emitError() << "input has " << input.size() << " axes; expected at least three"), failure();
  size_t numSpatial = input.size() - 2;
  Window window;
  window.kernel = n.getInts("kernel_shape").value_or(kernel);
  if (!kernel.empty() && window.kernel != kernel)
    return (n.emitError() << "kernel_shape differs from the shape of the filter"), failure();
  window.strides = n.getInts("strides").value_or(Ints(numSpatial, 1));
  window.dilations = n.getInts("dilations").value_or(Ints(numSpatial, 1));
  window.pads = n.getInts("pads").value_or(Ints(2 * numSpatial, 0));
  if (failed(checkList(n, "kernel_shape", window.kernel, numSpatial, 1)) ||
      failed(checkList(n, "strides", window.strides, numSpatial, 1)) ||
      failed(checkList(n, "dilations", window.dilations, numSpatial, 1)) ||
      failed(checkList(n, "pads", window.pads, 2 * numSpatial, 0)))
    return failure();
  std::string mode = n.getString("auto_pad", "NOTSET");
  if (mode == "SAME_UPPER" || mode == "SAME_LOWER")
    resolveSamePads(n, window, input.drop_front(2), mode == "SAME_UPPER");
  else if (mode == "VALID")
    window.pads.assign(2 * numSpatial, 0);
  else if (mode != "NOTSET" && !mode.empty())
    return (n.emitError() << "auto_pad is '" << mode << "'; expected NOTSET, SAME_UPPER, SAME_LOWER or VALID"),
           failure();
  return window;
}

Value applySymbolicPads(NodeContext &n, Window &window, Value input, double value) {
  if (window.lowExtents.empty() || !input)
    return input;
  Extents low{n.cst(0), n.cst(0)}, high = low;
  low.append(window.lowExtents);
  high.append(window.highExtents);
  window.lowExtents.clear();
  window.highExtents.clear();
  Value filler = value == 0 ? Value() : n.scalar(value, n.elementOf(input));
  return n.pad(nn::PadMode::constant, input, low, high, filler);
}

Value makePool(NodeContext &n, nn::PoolKind kind, Value input, const Window &window) {
  SmallVector<NamedAttribute> attributes{n.attr("kind", nn::PoolKindAttr::get(n.getContext(), kind)),
                                         n.ints("kernel", window.kernel), n.ints("strides", window.strides),
                                         n.ints("dilations", window.dilations), n.ints("pads", window.pads)};
  if (n.getInt("ceil_mode", 0))
    attributes.push_back(n.unit("ceil_mode"));
  return n.make<nn::PoolOp>(input, attributes);
}

} // namespace penstock::onnximport
