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

/// The values of all iterations along a new axis; null and an error if there are none.
Value stack(NodeContext &n, int output, ArrayRef<OnnxValue *> parts, int64_t axis, bool reversed) {
  if (parts.empty())
    return (n.emitError() << "the loop runs no time, so the shape of output " << output << " is not known"), Value();
  SmallVector<Value> values;
  for (OnnxValue *part : parts) {
    Value value = n.getImporter().materialize(*part, n.getLoc());
    if (!value)
      return {};
    FailureOr<int64_t> normal = n.normalizeAxis(axis, n.typeOf(value).getRank() + 1);
    if (failed(normal))
      return {};
    axis = *normal;
    values.push_back(n.unsqueeze(value, axis));
  }
  if (reversed)
    std::reverse(values.begin(), values.end());
  return n.concat(values, axis);
}

LogicalResult setStacked(NodeContext &n, int output, ArrayRef<OnnxValue *> parts, int64_t axis, bool reversed) {
  return n.hasOutput(output) ? n.setOutput(output, stack(n, output, parts, axis, reversed)) : success();
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

/// An input that is cut along an axis.
struct ScanInput {
  Value value;
  int64_t axis;
  bool reversed;
};

/// The number of cuts, which must be constant and the same for all.
FailureOr<int64_t> getNumCuts(NodeContext &n, ArrayRef<ScanInput> scanned) {
  std::optional<int64_t> count;
  for (const ScanInput &input : scanned) {
    AffineExpr extent = n.extentsOf(input.value)[input.axis];
    std::optional<int64_t> number = nn::getConstant(extent);
    if (!number || *number > kMaxIterations || (count && *count != *number))
      return (n.emitError() << "axis " << input.axis << " of an input has extent " << nn::formatExtents(extent)
                            << "; expected a constant, the same for all and at most " << kMaxIterations
                            << ", as scans are unrolled"),
             failure();
    count = number;
  }
  return *count;
}

Value cutAt(NodeContext &n, const ScanInput &input, int64_t step, int64_t count) {
  int64_t at = input.reversed ? count - 1 - step : step;
  return n.squeeze(n.sliceAxis(input.value, input.axis, n.cst(at), n.cst(1)), input.axis);
}

/// Imports the body once per cut. `states` become those of the last one, `collected` the other outputs of all.
LogicalResult unrollScan(NodeContext &n, const onnx::GraphProto &body, ArrayRef<ScanInput> scanned, int64_t count,
                         SmallVector<OnnxValue *> &states, std::vector<SmallVector<OnnxValue *>> &collected) {
  for (int64_t step = 0; step < count; ++step) {
    SmallVector<OnnxValue *> inputs(states), outputs;
    for (const ScanInput &input : scanned)
      inputs.push_back(wrap(n, cutAt(n, input, step, count)));
    if (failed(n.getImporter().importSubgraph(body, n.getScope(), inputs, outputs, n.getLoc(), /*isRepeated=*/true)))
      return failure();
    states.assign(outputs.begin(), outputs.begin() + states.size());
    for (size_t k = 0; k < collected.size(); ++k)
      collected[k].push_back(outputs[states.size() + k]);
  }
  return success();
}

/// Checks the counts that hold for every version; `first` inputs come before the states.
LogicalResult checkScan(NodeContext &n, int64_t first, int64_t &numScanned, int64_t &numStates) {
  const onnx::AttributeProto *body = n.findAttr("body");
  numScanned = n.getInt("num_scan_inputs", 0);
  numStates = n.getNumInputs() - first - numScanned;
  if (body && numScanned >= 1 && numStates >= 0 && body->g().output_size() >= numStates)
    return success();
  return n.emitError() << "the body is missing, or num_scan_inputs is " << numScanned << " of " << n.getNumInputs()
                       << " inputs";
}

LogicalResult convertScan(NodeContext &n) {
  int64_t numScanned, numStates;
  if (failed(checkScan(n, 0, numScanned, numStates)))
    return failure();
  std::optional<Ints> axes = n.getInts("scan_input_axes"), directions = n.getInts("scan_input_directions"),
                      outputAxes = n.getInts("scan_output_axes"),
                      outputDirections = n.getInts("scan_output_directions");
  SmallVector<OnnxValue *> states;
  for (int i = 0; i < numStates; ++i) {
    states.push_back(n.getValue(i));
    if (!states.back())
      return failure();
  }
  SmallVector<ScanInput> scanned;
  for (int i = 0; i < numScanned; ++i) {
    int input = static_cast<int>(numStates) + i;
    FailureOr<int64_t> axis = n.normalizeAxis(entryOf(axes, i), n.getNumDims(input));
    Value value = n.getInput(input);
    if (failed(axis) || !value)
      return failure();
    scanned.push_back({value, *axis, entryOf(directions, i) != 0});
  }
  FailureOr<int64_t> count = getNumCuts(n, scanned);
  const onnx::GraphProto &body = n.findAttr("body")->g();
  std::vector<SmallVector<OnnxValue *>> collected(body.output_size() - numStates);
  if (failed(count) || failed(unrollScan(n, body, scanned, *count, states, collected)))
    return failure();
  for (int i = 0; i < numStates; ++i)
    if (failed(n.forward(i, states[i])))
      return failure();
  for (int k = 0, e = static_cast<int>(collected.size()); k < e; ++k)
    if (failed(setStacked(n, static_cast<int>(numStates) + k, collected[k], entryOf(outputAxes, k),
                          entryOf(outputDirections, k))))
      return failure();
  return success();
}

/// Until operator set 9 all inputs had a batch in front, and every row was a scan of its own.
LogicalResult convertScan8(NodeContext &n) {
  int64_t numScanned, numStates;
  if (failed(checkScan(n, 1, numScanned, numStates)))
    return failure();
  if (n.hasInput(0))
    return n.emitError() << "sequence_lens is given; expected sequences of one length";
  std::optional<Ints> directions = n.getInts("directions");
  SmallVector<ScanInput> rows; // states, then what is scanned
  for (int i = 1; i < n.getNumInputs(); ++i) {
    rows.push_back({n.getInput(i), 0, false});
    if (!rows.back().value || n.getNumDims(i) < (i <= numStates ? 1 : 2))
      return rows.back().value ? n.emitError() << "input " << i << " has too few axes" : failure();
  }
  FailureOr<int64_t> numRows = getNumCuts(n, rows);
  if (failed(numRows))
    return failure();
  const onnx::GraphProto &body = n.findAttr("body")->g();
  std::vector<SmallVector<OnnxValue *>> results(body.output_size());
  for (int64_t row = 0; row < *numRows; ++row) {
    SmallVector<OnnxValue *> states;
    SmallVector<ScanInput> scanned;
    for (auto [i, input] : llvm::enumerate(rows)) {
      Value value = cutAt(n, input, row, *numRows);
      auto which = static_cast<int64_t>(i) - numStates;
      if (which < 0)
        states.push_back(wrap(n, value));
      else
        scanned.push_back({value, 0, entryOf(directions, static_cast<int>(which)) != 0});
    }
    FailureOr<int64_t> count = getNumCuts(n, scanned);
    std::vector<SmallVector<OnnxValue *>> collected(body.output_size() - numStates);
    if (failed(count) || failed(unrollScan(n, body, scanned, *count, states, collected)))
      return failure();
    for (int64_t i = 0; i < numStates; ++i)
      results[i].push_back(states[i]);
    for (auto [k, parts] : llvm::enumerate(collected)) {
      Value stacked = stack(n, static_cast<int>(numStates + k), parts, 0, /*reversed=*/false);
      if (!stacked)
        return failure();
      results[numStates + k].push_back(wrap(n, stacked));
    }
  }
  for (auto [i, parts] : llvm::enumerate(results))
    if (failed(setStacked(n, static_cast<int>(i), parts, 0, /*reversed=*/false)))
      return failure();
  return success();
}

} // namespace

void registerLoopOperators(OperatorRegistry &r) {
  r.add("Loop", 1, convertLoop);
  r.add("Scan", 8, convertScan8);
  r.add("Scan", 9, convertScan);
}

} // namespace penstock::onnximport
