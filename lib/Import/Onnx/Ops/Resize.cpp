//===- Resize.cpp - Resampling -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#include "../DataExtents.h"
#include "ElementFold.h"
#include "Families.h"
#include "penstock/Import/Onnx/OperatorRegistry.h"
#include <cmath>

namespace penstock::onnximport {
namespace {

/// What the versions of Resize and Upsample have in common.
struct Resampling {
  nn::ResizeMode mode = nn::ResizeMode::nearest;
  nn::ResizeCoordinates coordinates = nn::ResizeCoordinates::asymmetric;
  nn::ResizeNearest nearest = nn::ResizeNearest::floor;
  std::vector<double> scales; ///< one per axis; 0: the quotient of the extents
  std::vector<double> roi;    ///< starts, then ends; empty if not used
  Extents extents;            ///< of the result
  double cubicCoeff = -0.75, extrapolation = 0;
  bool excludeOutside = false, antialias = false;
};

Value makeResizeOp(NodeContext &n, const Resampling &r, Value input) {
  RankedTensorType type = nn::getTensorType(r.extents, n.elementOf(input));
  Builder b(n.getContext());
  auto flag = [&](bool on) { return on ? b.getUnitAttr() : UnitAttr(); };
  return n.builder().create<nn::ResizeOp>(
      n.getLoc(), type, nn::ResizeModeAttr::get(n.getContext(), r.mode),
      nn::ResizeCoordinatesAttr::get(n.getContext(), r.coordinates),
      nn::ResizeNearestAttr::get(n.getContext(), r.nearest), input, b.getDenseF64ArrayAttr(r.scales),
      r.roi.empty() ? DenseF64ArrayAttr() : b.getDenseF64ArrayAttr(r.roi), b.getF64FloatAttr(r.cubicCoeff),
      b.getF64FloatAttr(r.extrapolation), flag(r.excludeOutside), flag(r.antialias));
}

/// The wide kernels of a shrinking resize are worth a pass per axis.
Value resizeByAxis(NodeContext &n, const Resampling &r, Value input) {
  Type element = n.elementOf(input);
  Value value = n.cast_(input, element.isF64() ? element : Type(Float32Type::get(n.getContext())));
  Extents before = n.extentsOf(input);
  for (size_t axis = 0; axis < before.size(); ++axis) {
    if (before[axis] == r.extents[axis] && r.scales[axis] == 1.0 && r.roi.empty())
      continue;
    Resampling one = r;
    one.extents = n.extentsOf(value);
    one.scales.assign(before.size(), 1.0);
    std::fill(one.roi.begin(), one.roi.begin() + one.roi.size() / 2, 0.0);
    std::fill(one.roi.begin() + one.roi.size() / 2, one.roi.end(), 1.0);
    one.extents[axis] = r.extents[axis];
    one.scales[axis] = r.scales[axis];
    for (size_t end : {axis, axis + before.size()})
      if (end < r.roi.size())
        one.roi[end] = r.roi[end];
    value = makeResizeOp(n, one, value);
  }
  return n.cast_(value, element, /*saturate=*/true);
}

LogicalResult makeResize(NodeContext &n, const Resampling &r) {
  Value input = n.getInput(0);
  if (!input)
    return failure();
  RankedTensorType type = nn::getTensorType(r.extents, n.elementOf(input));
  bool isCopy =
      type == input.getType() && r.roi.empty() && llvm::all_of(r.scales, [](double scale) { return scale == 1.0; });
  if (isCopy)
    return n.forward(0, n.getValue(0));
  bool byAxis = r.antialias && r.mode != nn::ResizeMode::nearest;
  return n.setOutput(0, byAxis ? resizeByAxis(n, r, input) : makeResizeOp(n, r, input));
}

template <typename Enum>
LogicalResult readEnum(NodeContext &n, StringRef name, StringRef defaultValue,
                       std::optional<Enum> (*symbolize)(StringRef), Enum &result) {
  std::string text = n.getString(name, defaultValue);
  std::optional<Enum> value = symbolize(text);
  if (!value)
    return n.emitError() << name << " is '" << text << "', which is not supported";
  result = *value;
  return success();
}

LogicalResult readMode(NodeContext &n, nn::ResizeMode &mode) {
  std::string text = n.getString("mode", "nearest");
  // Operator set 7 and 8 called it so.
  if (text == "bilinear") {
    mode = nn::ResizeMode::linear;
    return success();
  }
  return readEnum<nn::ResizeMode>(n, "mode", "nearest", nn::symbolizeResizeMode, mode);
}

/// Constant floats of an input; nothing if it is absent or empty.
FailureOr<std::vector<double>> getFloatsInput(NodeContext &n, int index) {
  std::vector<double> result;
  if (!n.hasInput(index))
    return result;
  const Elements *elements = n.getElements(index);
  if (!elements)
    return (n.emitError() << "input " << index << " depends on data; expected a value that follows from constants and "
                          << "shapes"),
           failure();
  for (const Element &element : *elements) {
    std::optional<double> number = element.getDouble();
    if (!number)
      return (n.emitError() << "input " << index << " depends on an unknown dimension; expected a constant"), failure();
    result.push_back(*number);
  }
  return result;
}

/// floor(extent * factor).
AffineExpr scaleExtent(NodeContext &n, AffineExpr extent, double factor) {
  Type f64 = Float64Type::get(n.getContext());
  MaybeElement scaled = foldUnary(n, nn::UnaryKind::floor, Element{extent, factor}, f64);
  if (std::optional<int64_t> number = nn::getConstant(extent))
    return n.cst(static_cast<int64_t>(std::floor(static_cast<float>(*number) * static_cast<float>(factor))));
  if (!scaled || scaled->factor != 1.0)
    return (n.emitError() << "scale " << factor << " of the unknown extent " << nn::formatExtents(extent)
                          << " is not a simple fraction; bind the dimension"),
           AffineExpr();
  return scaled->expr;
}

LogicalResult applyScales(NodeContext &n, Resampling &r, ArrayRef<double> scales, ArrayRef<int64_t> axes) {
  if (scales.size() != axes.size())
    return n.emitError() << "has " << scales.size() << " scales for " << axes.size() << " axes";
  for (auto [scale, axis] : llvm::zip(scales, axes)) {
    if (!(scale > 0) || scale > 1e6)
      return n.emitError() << "scale is " << scale << "; expected a positive number";
    size_t numDims = r.extents.size();
    double span = r.roi.empty() ? 1.0 : r.roi[numDims + axis] - r.roi[axis];
    r.extents[axis] = scaleExtent(n, r.extents[axis], span * scale);
    if (!r.extents[axis])
      return failure();
    r.scales[axis] = scale;
  }
  return success();
}

/// `sizes` of the axes; with a policy they bound a common scale instead.
LogicalResult applySizes(NodeContext &n, Resampling &r, ArrayRef<AffineExpr> sizes, ArrayRef<int64_t> axes) {
  if (sizes.size() != axes.size())
    return n.emitError() << "has " << sizes.size() << " sizes for " << axes.size() << " axes";
  std::string policy = n.getString("keep_aspect_ratio_policy", "stretch");
  if (policy != "stretch" && policy != "not_larger" && policy != "not_smaller")
    return n.emitError() << "keep_aspect_ratio_policy is '" << policy
                         << "'; expected stretch, not_larger or not_smaller";
  std::optional<double> common;
  for (auto [size, axis] : llvm::zip(sizes, axes)) {
    std::optional<int64_t> target = nn::getConstant(size), extent = nn::getConstant(r.extents[axis]);
    if (target && *target < 1)
      return n.emitError() << "size is " << *target << "; expected at least 1";
    if (policy == "stretch") {
      r.scales[axis] =
          target && extent && *extent > 0 ? static_cast<double>(*target) / static_cast<double>(*extent) : 0;
      if (n.algebra().equal(size, r.extents[axis]) == true)
        r.scales[axis] = 1.0;
      r.extents[axis] = size;
      continue;
    }
    if (!target || !extent || *extent < 1)
      return n.emitError() << "keep_aspect_ratio_policy '" << policy << "' needs known extents; bind the dimensions";
    double scale = static_cast<double>(*target) / static_cast<double>(*extent);
    common = !common ? scale : policy == "not_larger" ? std::min(*common, scale) : std::max(*common, scale);
  }
  for (int64_t axis : axes)
    if (common) {
      r.scales[axis] = *common;
      double extent = static_cast<double>(*nn::getConstant(r.extents[axis]));
      r.extents[axis] = n.cst(static_cast<int64_t>(std::floor(extent * *common + 0.5)));
    }
  return success();
}

LogicalResult readRoi(NodeContext &n, Resampling &r, ArrayRef<int64_t> axes) {
  if (r.coordinates != nn::ResizeCoordinates::tf_crop_and_resize)
    return success();
  FailureOr<std::vector<double>> roi = getFloatsInput(n, 1);
  if (failed(roi))
    return failure();
  if (roi->size() != 2 * axes.size())
    return n.emitError() << "roi has " << roi->size() << " entries; expected " << 2 * axes.size();
  size_t numDims = r.extents.size();
  r.roi.assign(2 * numDims, 0.0);
  std::fill(r.roi.begin() + numDims, r.roi.end(), 1.0);
  for (auto [i, axis] : llvm::enumerate(axes)) {
    r.roi[axis] = (*roi)[i];
    r.roi[numDims + axis] = (*roi)[axes.size() + i];
  }
  return success();
}

LogicalResult convertResize(NodeContext &n) {
  if (!n.getType(0))
    return failure();
  Resampling r;
  r.extents = n.getExtents(0);
  r.scales.assign(r.extents.size(), 1.0);
  r.cubicCoeff = n.getFloat("cubic_coeff_a", -0.75);
  r.extrapolation = n.getFloat("extrapolation_value", 0);
  r.excludeOutside = n.getInt("exclude_outside", 0);
  r.antialias = n.getInt("antialias", 0);
  if (failed(readMode(n, r.mode)) ||
      failed(readEnum<nn::ResizeCoordinates>(n, "coordinate_transformation_mode", "half_pixel",
                                             nn::symbolizeResizeCoordinates, r.coordinates)) ||
      failed(
          readEnum<nn::ResizeNearest>(n, "nearest_mode", "round_prefer_floor", nn::symbolizeResizeNearest, r.nearest)))
    return failure();
  Ints axes;
  for (size_t i = 0; i < r.extents.size(); ++i)
    axes.push_back(i);
  if (std::optional<Ints> given = n.getInts("axes")) {
    axes.clear();
    for (int64_t axis : *given) {
      FailureOr<int64_t> normal = n.normalizeAxis(axis, r.extents.size());
      if (failed(normal))
        return failure();
      axes.push_back(*normal);
    }
  }
  if (failed(readRoi(n, r, axes)))
    return failure();
  auto isGiven = [&](int index) {
    return n.hasInput(index) && !(n.getType(index) && n.getType(index).getShape() == ArrayRef<int64_t>{0});
  };
  if (isGiven(3)) {
    FailureOr<Extents> sizes = getNumbersInput(
        n, 3, [&](int64_t i) { return n.getAxisName(0, i < static_cast<int64_t>(axes.size()) ? axes[i] : i); });
    if (failed(sizes) || failed(applySizes(n, r, *sizes, axes)))
      return failure();
  } else if (isGiven(2)) {
    FailureOr<std::vector<double>> scales = getFloatsInput(n, 2);
    if (failed(scales) || failed(applyScales(n, r, *scales, axes)))
      return failure();
  } else {
    return n.emitError() << "has neither scales nor sizes";
  }
  return makeResize(n, r);
}

/// Resize of operator set 10 and Upsample: only scales, coordinates not shifted, rounded down.
LogicalResult convertUpsample(NodeContext &n) {
  if (!n.getType(0))
    return failure();
  Resampling r;
  r.extents = n.getExtents(0);
  r.scales.assign(r.extents.size(), 1.0);
  FailureOr<std::vector<double>> scales =
      n.hasAttr("scales") ? FailureOr<std::vector<double>>(n.getFloats("scales")) : getFloatsInput(n, 1);
  Ints axes;
  for (size_t i = 0; i < r.extents.size(); ++i)
    axes.push_back(i);
  if (failed(scales) || failed(readMode(n, r.mode)) || failed(applyScales(n, r, *scales, axes)))
    return failure();
  return makeResize(n, r);
}

} // namespace

void registerResizeOperators(OperatorRegistry &r) {
  r.add("Upsample", 7, convertUpsample);
  r.add("Upsample", 10, nullptr); // gone
  r.add("Resize", 10, convertUpsample);
  r.add("Resize", 11, convertResize);
}

} // namespace penstock::onnximport
