//===- Loop.cpp - Loops, unrolled -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A loop whose number of iterations is known at import is its body that many times. One that depends on data is
// refused.
//===----------------------------------------------------------------------===//
#include "../GraphImporter.h"
#include "../NodeContext.h"
#include "Families.h"
#include "penstock/Import/Onnx/OperatorRegistry.h"

namespace penstock::onnximport {
namespace {

constexpr int64_t kMaxIterations = 1024;

OnnxValue *wrapConstant(NodeContext &n, int64_t value, Type type) {
  OnnxValue *result = n.getImporter().createValue("", RankedTensorType::get({}, type));
  result->elements = std::make_shared<Elements>(Elements{{n.cst(value)}});
  return result;
}
OnnxValue *wrap(NodeContext &n, Value value) {
  OnnxValue *result = n.getImporter().createValue("", n.typeOf(value));
  result->value = value;
  return result;
}

/// The number or truth of a known scalar.
std::optional<int64_t> getKnown(NodeContext &n, OnnxValue *value) {
  const Elements *elements = value && value->type ? n.getImporter().getElements(*value) : nullptr;
  return elements && elements->size() == 1 ? elements->front().getInt() : std::nullopt;
}

/// The values of all iterations along a new axis.
LogicalResult setStacked(NodeContext &n, int output, ArrayRef<OnnxValue *> parts, int64_t axis, bool reversed) {
  if (!n.hasOutput(output))
    return success();
  if (parts.empty())
    return n.emitError() << "the loop runs no time, so the shape of output " << output << " is not known";
  SmallVector<Value> values;
  for (OnnxValue *part : parts) {
    Value value = n.getImporter().materialize(*part, n.getLoc());
    if (!value)
      return failure();
    FailureOr<int64_t> normal = n.normalizeAxis(axis, n.typeOf(value).getRank() + 1);
    if (failed(normal))
      return failure();
    axis = *normal;
    values.push_back(n.unsqueeze(value, axis));
  }
  if (reversed)
    std::reverse(values.begin(), values.end());
  return n.setOutput(output, n.concat(values, axis));
}

LogicalResult convertLoop(NodeContext &n) {
  const onnx::AttributeProto *body = n.findAttr("body");
  int numCarried = n.getNumInputs() - 2;
  if (!body || numCarried < 0 || body->g().output_size() < 1 + numCarried)
    return n.emitError() << "the body is missing or has too few outputs";
  std::optional<int64_t> count, go = 1;
  if (n.hasInput(0) && !(count = getKnown(n, n.getValue(0))))
    return n.emitError() << "the number of iterations depends on data; loops are unrolled, so it must be known";
  if (n.hasInput(1))
    go = getKnown(n, n.getValue(1));
  SmallVector<OnnxValue *> carried;
  for (int i = 0; i < numCarried; ++i) {
    carried.push_back(n.getValue(i + 2));
    if (!carried.back())
      return failure();
  }
  int numScanned = body->g().output_size() - 1 - numCarried;
  std::vector<SmallVector<OnnxValue *>> scanned(numScanned);
  OnnxValue *condition = wrapConstant(n, 1, n.builder().getI1Type());
  for (int64_t i = 0; !count || i < *count; ++i) {
    if (!go)
      return n.emitError() << "the condition of the loop depends on data; loops are unrolled, so it must be known";
    if (!*go)
      break;
    if (i >= kMaxIterations)
      return n.emitError() << "the loop runs more than " << kMaxIterations << " times; loops are unrolled";
    SmallVector<OnnxValue *> inputs{wrapConstant(n, i, n.builder().getI64Type()), condition}, outputs;
    llvm::append_range(inputs, carried);
    if (failed(
            n.getImporter().importSubgraph(body->g(), n.getScope(), inputs, outputs, n.getLoc(), /*isRepeated=*/true)))
      return failure();
    condition = outputs[0];
    go = getKnown(n, condition);
    // Without a trip count or a condition given the loop's own condition need not be known to end it.
    if (!go && count && !n.hasInput(1))
      go = 1;
    carried.assign(outputs.begin() + 1, outputs.begin() + 1 + numCarried);
    for (int k = 0; k < numScanned; ++k)
      scanned[k].push_back(outputs[1 + numCarried + k]);
  }
  for (int i = 0; i < numCarried; ++i)
    if (failed(n.forward(i, carried[i])))
      return failure();
  for (int k = 0; k < numScanned; ++k)
    if (failed(setStacked(n, numCarried + k, scanned[k], 0, false)))
      return failure();
  return success();
}

//===----------------------------------------------------------------------===//
// Scan
//===----------------------------------------------------------------------===//

/// Entry `index` of a list attribute, or 0.
int64_t entryOf(const std::optional<Ints> &list, int index) {
  return list && index < static_cast<int>(list->size()) ? (*list)[index] : 0;
}

LogicalResult convertScan(NodeContext &n) {
  const onnx::AttributeProto *body = n.findAttr("body");
  int64_t numScanned = n.getInt("num_scan_inputs", 0);
  int64_t numStates = n.getNumInputs() - numScanned;
  if (!body || numScanned < 1 || numStates < 0 || body->g().output_size() < numStates)
    return n.emitError() << "the body is missing, or num_scan_inputs is " << numScanned << " of " << n.getNumInputs()
                         << " inputs";
  std::optional<Ints> axes = n.getInts("scan_input_axes"), directions = n.getInts("scan_input_directions"),
                      outputAxes = n.getInts("scan_output_axes"),
                      outputDirections = n.getInts("scan_output_directions");
  SmallVector<OnnxValue *> states;
  for (int64_t i = 0; i < numStates; ++i) {
    states.push_back(n.getValue(static_cast<int>(i)));
    if (!states.back())
      return failure();
  }
  SmallVector<int64_t> scanAxes;
  std::optional<int64_t> count;
  for (int64_t i = 0; i < numScanned; ++i) {
    int input = static_cast<int>(numStates + i);
    FailureOr<int64_t> axis = n.normalizeAxis(entryOf(axes, static_cast<int>(i)), n.getNumDims(input));
    if (failed(axis))
      return failure();
    std::optional<int64_t> extent = nn::getConstant(n.getExtents(input)[*axis]);
    if (!extent || *extent > kMaxIterations || (count && *count != *extent))
      return n.emitError() << "axis " << *axis << " of input " << input << " has extent "
                           << nn::formatExtents(n.getExtents(input)[*axis]) << "; expected a constant, the same for "
                           << "all and at most " << kMaxIterations << ", as scans are unrolled";
    count = extent;
    scanAxes.push_back(*axis);
  }
  int64_t numOutputs = body->g().output_size() - numStates;
  std::vector<SmallVector<OnnxValue *>> collected(numOutputs);
  for (int64_t step = 0; step < *count; ++step) {
    SmallVector<OnnxValue *> inputs(states), outputs;
    for (int64_t i = 0; i < numScanned; ++i) {
      int64_t at = entryOf(directions, static_cast<int>(i)) ? *count - 1 - step : step;
      Value slice = n.sliceAxis(n.getInput(static_cast<int>(numStates + i)), scanAxes[i], n.cst(at), n.cst(1));
      slice = n.squeeze(slice, scanAxes[i]);
      if (!slice)
        return failure();
      inputs.push_back(wrap(n, slice));
    }
    if (failed(
            n.getImporter().importSubgraph(body->g(), n.getScope(), inputs, outputs, n.getLoc(), /*isRepeated=*/true)))
      return failure();
    states.assign(outputs.begin(), outputs.begin() + numStates);
    for (int64_t k = 0; k < numOutputs; ++k)
      collected[k].push_back(outputs[numStates + k]);
  }
  for (int64_t i = 0; i < numStates; ++i)
    if (failed(n.forward(static_cast<int>(i), states[i])))
      return failure();
  for (int k = 0; k < numOutputs; ++k)
    if (failed(setStacked(n, static_cast<int>(numStates) + k, collected[k], entryOf(outputAxes, k),
                          entryOf(outputDirections, k))))
      return failure();
  return success();
}

} // namespace

void registerLoopOperators(OperatorRegistry &r) {
  r.add("Loop", 1, convertLoop);
  r.add("Scan", 9, convertScan);
}

} // namespace penstock::onnximport
