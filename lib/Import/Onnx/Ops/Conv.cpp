//===- Conv.cpp - Convolutions and pooling -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#include "Families.h"
#include "Windows.h"
#include "penstock/Import/Onnx/OperatorRegistry.h"
#include <cmath>
#include <limits>

namespace penstock::onnximport {
namespace {

using nn::BinaryKind;
using nn::ReduceKind;
using nn::UnaryKind;

/// Constant extents of a filter behind its first two axes.
FailureOr<Ints> getKernel(NodeContext &n, ArrayRef<AffineExpr> filter) {
  Ints kernel;
  for (AffineExpr extent : filter.drop_front(std::min<size_t>(2, filter.size()))) {
    std::optional<int64_t> number = nn::getConstant(extent);
    if (!number)
      return (n.emitError() << "the filter's shape " << nn::formatExtents(filter) << " is not constant"), failure();
    kernel.push_back(*number);
  }
  if (kernel.empty())
    return (n.emitError() << "the filter has " << filter.size() << " axes; expected at least three"), failure();
  return kernel;
}

FailureOr<int64_t> getGroup(NodeContext &n) {
  int64_t group = n.getInt("group", 1);
  if (group >= 1 && group < (int64_t(1) << 31))
    return group;
  return (n.emitError() << "group is " << group << "; expected at least 1"), failure();
}

LogicalResult convertConv(NodeContext &n) {
  Value input = n.getInput(0), filter = n.getInput(1), bias = n.getOptionalInput(2);
  if (!input || !filter)
    return failure();
  FailureOr<Ints> kernel = getKernel(n, n.extentsOf(filter));
  FailureOr<int64_t> group = getGroup(n);
  if (failed(kernel) || failed(group))
    return failure();
  FailureOr<Window> window = getWindow(n, n.extentsOf(input), *kernel);
  if (failed(window))
    return failure();
  SmallVector<Value> operands{applySymbolicPads(n, *window, input, 0), filter};
  if (bias)
    operands.push_back(bias);
  return n.setOutput(
      0, n.make<nn::ConvOp>(operands, {n.ints("strides", window->strides), n.ints("dilations", window->dilations),
                                       n.ints("pads", window->pads), n.integer("group", *group)}));
}

/// Pads of a transposed convolution whose output shape is asked for.
LogicalResult resolveTransposedPads(NodeContext &n, Window &window, Ints &outputPads, ArrayRef<AffineExpr> spatial) {
  size_t numSpatial = window.getNumSpatial();
  std::string mode = n.getString("auto_pad", "NOTSET");
  std::optional<Ints> shape = n.getInts("output_shape");
  bool isSame = mode == "SAME_UPPER" || mode == "SAME_LOWER";
  if (!shape && !isSame)
    return success();
  if (shape && shape->size() == numSpatial + 2)
    shape->erase(shape->begin(), shape->begin() + 2);
  if (shape && shape->size() != numSpatial)
    return n.emitError() << "output_shape has " << shape->size() << " entries; expected " << numSpatial;
  for (size_t i = 0; i < numSpatial; ++i) {
    int64_t total = window.getSpan(i) - window.strides[i] + outputPads[i];
    if (shape) {
      std::optional<int64_t> extent = nn::getConstant(spatial[i]);
      if (!extent)
        return n.emitError() << "output_shape is given, but spatial axis " << i << " of the input is unknown";
      total = window.strides[i] * (*extent - 1) + outputPads[i] + window.getSpan(i) - (*shape)[i];
    }
    if (total < 0) {
      outputPads[i] -= total;
      total = 0;
    }
    int64_t half = total / 2;
    window.pads[i] = mode == "SAME_UPPER" ? half : total - half;
    window.pads[numSpatial + i] = total - window.pads[i];
  }
  return success();
}

LogicalResult convertConvTranspose(NodeContext &n) {
  Value input = n.getInput(0), filter = n.getInput(1), bias = n.getOptionalInput(2);
  if (!input || !filter)
    return failure();
  FailureOr<Ints> kernel = getKernel(n, n.extentsOf(filter));
  FailureOr<int64_t> group = getGroup(n);
  if (failed(kernel) || failed(group))
    return failure();
  Extents extents = n.extentsOf(input);
  FailureOr<Window> window = getWindow(n, extents, *kernel);
  if (failed(window))
    return failure();
  Ints outputPads = n.getInts("output_padding").value_or(Ints(window->getNumSpatial(), 0));
  if (outputPads.size() != window->getNumSpatial())
    return n.emitError() << "output_padding has " << outputPads.size() << " entries; expected "
                         << window->getNumSpatial();
  if (failed(resolveTransposedPads(n, *window, outputPads, ArrayRef(extents).drop_front(2))))
    return failure();
  SmallVector<Value> operands{input, filter};
  if (bias)
    operands.push_back(bias);
  return n.setOutput(
      0, n.make<nn::ConvTransposeOp>(operands, {n.ints("strides", window->strides),
                                                n.ints("dilations", window->dilations), n.ints("pads", window->pads),
                                                n.ints("output_pads", outputPads), n.integer("group", *group)}));
}

//===----------------------------------------------------------------------===//
// Pooling
//===----------------------------------------------------------------------===//

LogicalResult convertAveragePool(NodeContext &n) {
  Value input = n.getInput(0);
  if (!input)
    return failure();
  FailureOr<Window> window = getWindow(n, n.extentsOf(input), {});
  if (failed(window))
    return failure();
  bool includePad = n.getInt("count_include_pad", 0);
  if (!window->lowExtents.empty() && !includePad)
    return n.emitError() << "auto_pad depends on an unknown extent; bind the spatial dimensions of the input";
  input = applySymbolicPads(n, *window, input, 0);
  return n.setOutput(
      0, makePool(n, includePad ? nn::PoolKind::average_include_pad : nn::PoolKind::average, input, *window));
}

/// |x|^p, and its inverse for p >= 1.
Value raise(NodeContext &n, Value input, double p) {
  Value absolute = n.unary(UnaryKind::abs, input);
  if (p == 1 || !input)
    return absolute;
  if (p == 2)
    return n.mul(input, input);
  return n.binary(BinaryKind::pow, absolute, n.scalar(p, n.elementOf(input)));
}
Value takeRoot(NodeContext &n, Value input, double p) {
  if (p == 1 || !input)
    return input;
  if (p == 2)
    return n.unary(UnaryKind::sqrt, input);
  return n.binary(BinaryKind::pow, input, n.scalar(1 / p, n.elementOf(input)));
}

LogicalResult convertLpPool(NodeContext &n) {
  Value input = n.getInput(0);
  if (!input)
    return failure();
  if (n.getInt("ceil_mode", 0))
    return n.emitError() << "ceil_mode is not supported";
  FailureOr<Window> window = getWindow(n, n.extentsOf(input), {});
  double p = static_cast<double>(n.getInt("p", 2));
  if (failed(window))
    return failure();
  if (p < 1)
    return n.emitError() << "p is " << p << "; expected at least 1";
  Value powers = applySymbolicPads(n, *window, raise(n, input, p), 0);
  Value mean = makePool(n, nn::PoolKind::average_include_pad, powers, *window);
  double count = 1;
  for (int64_t extent : window->kernel)
    count *= static_cast<double>(extent);
  return n.setOutput(0, takeRoot(n, n.mul(mean, n.scalar(count, n.elementOf(input))), p));
}

Ints getSpatialAxes(int64_t numDims) {
  Ints axes;
  for (int64_t axis = 2; axis < numDims; ++axis)
    axes.push_back(axis);
  return axes;
}

Converter globalPool(ReduceKind kind) {
  return [kind](NodeContext &n) {
    return n.setOutput(0, n.reduce(kind, n.getInput(0), getSpatialAxes(n.getNumDims(0)), /*keepDims=*/true));
  };
}

LogicalResult convertGlobalLpPool(NodeContext &n) {
  double p = static_cast<double>(n.getInt("p", 2));
  if (p < 1)
    return n.emitError() << "p is " << p << "; expected at least 1";
  Value sum = n.reduce(ReduceKind::sum, raise(n, n.getInput(0), p), getSpatialAxes(n.getNumDims(0)), true);
  return n.setOutput(0, takeRoot(n, sum, p));
}

} // namespace

void registerConvOperators(OperatorRegistry &r) {
  r.add("Conv", 1, convertConv);
  r.add("ConvTranspose", 1, convertConvTranspose);
  r.add("AveragePool", 1, convertAveragePool);
  r.add("LpPool", 2, convertLpPool);
  r.add("GlobalAveragePool", 1, globalPool(ReduceKind::mean));
  r.add("GlobalMaxPool", 1, globalPool(ReduceKind::max));
  r.add("GlobalLpPool", 2, convertGlobalLpPool);
}

} // namespace penstock::onnximport
