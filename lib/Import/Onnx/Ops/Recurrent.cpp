//===- Recurrent.cpp - RNN, GRU and LSTM -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#include "../NodeContext.h"
#include "Families.h"
#include "Quantization.h"
#include "penstock/Import/Onnx/OperatorRegistry.h"

namespace penstock::onnximport {
namespace {

using nn::RecurrentDirection;
using nn::RecurrentKind;

/// An activation of a cell, and the parameters it has where none are given.
struct Activation {
  const char *name;
  bool takesAlpha, takesBeta;
  double alpha, beta;
};
constexpr Activation kActivations[] = {
    {"Relu", false, false, 0, 0},           {"Tanh", false, false, 0, 0},
    {"Sigmoid", false, false, 0, 0},        {"Softsign", false, false, 0, 0},
    {"Softplus", false, false, 0, 0},       {"LeakyRelu", true, false, 0.01, 0},
    {"ThresholdedRelu", true, false, 1, 0}, {"Elu", true, false, 1, 0},
    {"Affine", true, true, 1, 0},           {"ScaledTanh", true, true, 1, 1},
    {"HardSigmoid", true, true, 0.2, 0.5},
};

struct Activations {
  SmallVector<StringRef> names;
  std::vector<double> alpha, beta; ///< one per activation
};

/// Names in their canonical spelling; parameters are consumed in the order of the activations that take them.
FailureOr<Activations> getActivations(NodeContext &n, ArrayRef<const char *> defaults, int64_t numDirections) {
  std::vector<std::string> names = n.getStrings("activations");
  if (names.empty())
    for (int64_t i = 0; i < numDirections; ++i)
      names.insert(names.end(), defaults.begin(), defaults.end());
  if (names.size() != defaults.size() * numDirections)
    return (n.emitError() << "has " << names.size() << " activations; expected " << defaults.size() * numDirections),
           failure();
  std::vector<double> alpha = n.getFloats("activation_alpha"), beta = n.getFloats("activation_beta");
  size_t nextAlpha = 0, nextBeta = 0;
  Activations result;
  for (const std::string &name : names) {
    const Activation *found = llvm::find_if(kActivations, [&](const Activation &activation) {
      return StringRef(activation.name).equals_insensitive(name);
    });
    if (found == std::end(kActivations))
      return (n.emitError() << "activation '" << name << "' does not exist"), failure();
    result.names.push_back(found->name);
    result.alpha.push_back(found->takesAlpha && nextAlpha < alpha.size() ? alpha[nextAlpha++] : found->alpha);
    result.beta.push_back(found->takesBeta && nextBeta < beta.size() ? beta[nextBeta++] : found->beta);
  }
  return result;
}

struct Cell {
  RecurrentKind kind;
  int64_t numGates;
  std::vector<const char *> activations;
};

/// A scale or zero point of each direction, or of each of its columns, as [directions, 1, 1 or columns].
Value alignDirections(NodeContext &n, Value parameter) {
  int64_t numDims = n.typeOf(parameter).getRank();
  if (numDims != 1 && numDims != 2)
    return (n.emitError() << "a scale or zero point has type " << n.typeOf(parameter) << "; expected one or two axes"),
           Value();
  return numDims == 1 ? n.unsqueeze(parameter, {1, 2}) : n.unsqueeze(parameter, 1);
}

/// [directions, rows, columns] and, as one row more, the scale of each column.
Value appendScale(NodeContext &n, Value weights, int scaleIndex) {
  Value scale = n.getInput(scaleIndex);
  scale = scale ? alignDirections(n, scale) : Value();
  Extents row = n.extentsOf(weights);
  row[1] = n.cst(1);
  return scale ? n.concat({weights, n.broadcastTo(scale, row)}, 1) : Value();
}

LogicalResult makeRecurrent(NodeContext &n, const Cell &cell, Value input, Value weights, Value recurrence,
                            bool isQuantized = false) {
  std::string directionName = n.getString("direction", "forward");
  std::optional<RecurrentDirection> direction = nn::symbolizeRecurrentDirection(directionName);
  if (!direction)
    return n.emitError() << "direction is '" << directionName << "'; expected forward, reverse or bidirectional";
  int64_t numDirections = *direction == RecurrentDirection::bidirectional ? 2 : 1;
  bool batchFirst = n.getInt("layout", 0);
  if (!input || !weights || !recurrence)
    return failure();
  if (n.typeOf(input).getRank() != 3 || n.typeOf(recurrence).getRank() != 3 || n.typeOf(weights).getRank() != 3)
    return n.emitError() << "input, weights and recurrence have " << n.typeOf(input).getRank() << ", "
                         << n.typeOf(weights).getRank() << " and " << n.typeOf(recurrence).getRank()
                         << " axes; expected three each";
  std::optional<int64_t> hidden = nn::getConstant(n.extentsOf(recurrence)[2]);
  if (isQuantized && hidden)
    hidden = *hidden / cell.numGates;
  if (!hidden || n.getInt("hidden_size", *hidden) != *hidden)
    return n.emitError() << "hidden_size is " << n.getInt("hidden_size", 0) << "; the recurrence has type "
                         << n.typeOf(recurrence);
  FailureOr<Activations> activations = getActivations(n, cell.activations, numDirections);
  if (failed(activations))
    return failure();
  if (isQuantized) {
    weights = appendScale(n, weights, 8);
    recurrence = appendScale(n, recurrence, 10);
  } else {
    weights = n.transpose(weights, {0, 2, 1});
    recurrence = n.transpose(recurrence, {0, 2, 1});
  }
  if (!weights || !recurrence)
    return failure();
  bool isLstm = cell.kind == RecurrentKind::lstm;
  Value initialH = n.getOptionalInput(5), initialC = isLstm ? n.getOptionalInput(6) : Value();
  if (batchFirst) {
    input = n.transpose(input, {1, 0, 2});
    initialH = initialH ? n.transpose(initialH, {1, 0, 2}) : initialH;
    initialC = initialC ? n.transpose(initialC, {1, 0, 2}) : initialC;
  }
  Extents in = n.extentsOf(input);
  Type type = n.elementOf(input);
  RankedTensorType outputType = nn::getTensorType({in[0], n.cst(numDirections), in[1], n.cst(*hidden)}, type);
  RankedTensorType stateType = nn::getTensorType({n.cst(numDirections), in[1], n.cst(*hidden)}, type);
  Builder b(n.getContext());
  auto flag = [&](bool on) { return on ? b.getUnitAttr() : UnitAttr(); };
  FloatAttr clip = n.hasAttr("clip") ? b.getF64FloatAttr(n.getFloat("clip", 0)) : FloatAttr();
  auto op = n.builder().create<nn::RecurrentOp>(
      n.getLoc(), outputType, stateType, isLstm ? Type(stateType) : Type(),
      nn::RecurrentKindAttr::get(n.getContext(), cell.kind),
      nn::RecurrentDirectionAttr::get(n.getContext(), *direction), input, weights, recurrence, n.getOptionalInput(3),
      n.getOptionalInput(4), initialH, initialC, isLstm ? n.getOptionalInput(7) : Value(), b.getI64IntegerAttr(*hidden),
      b.getStrArrayAttr(activations->names), b.getDenseF64ArrayAttr(activations->alpha),
      b.getDenseF64ArrayAttr(activations->beta), clip, flag(n.getInt("input_forget", 0)),
      flag(n.getInt("linear_before_reset", 0)), flag(isQuantized));
  Value output = op.getOutput(), lastH = op.getLastH(), lastC = op.getLastC();
  if (batchFirst) {
    output = n.hasOutput(0) ? n.transpose(output, {2, 0, 1, 3}) : output;
    lastH = n.hasOutput(1) ? n.transpose(lastH, {1, 0, 2}) : lastH;
    lastC = isLstm && n.hasOutput(2) ? n.transpose(lastC, {1, 0, 2}) : lastC;
  }
  if (failed(n.setOutput(0, output)) || failed(n.setOutput(1, lastH)))
    return failure();
  return isLstm ? n.setOutput(2, lastC) : success();
}

Converter recurrent(Cell cell) {
  return [cell](NodeContext &n) { return makeRecurrent(n, cell, n.getInput(0), n.getInput(1), n.getInput(2)); };
}

const Cell kLstm{RecurrentKind::lstm, 4, {"Sigmoid", "Tanh", "Tanh"}};

/// Quantized weights less their zero points.
Value getDifferences(NodeContext &n, int index, int zeroIndex, Type type) {
  Value weights = n.getInput(index), zero = n.getOptionalInput(zeroIndex);
  if (!weights)
    return {};
  return n.cast_(subtractZeroPoint(n, weights, zero ? alignDirections(n, zero) : Value()), type);
}

LogicalResult convertDynamicQuantizeLSTM(NodeContext &n) {
  Value input = n.getInput(0);
  if (!input)
    return failure();
  Type type = n.elementOf(input);
  return makeRecurrent(n, kLstm, input, getDifferences(n, 1, 9, type), getDifferences(n, 2, 11, type),
                       /*isQuantized=*/true);
}

} // namespace

void registerRecurrentOperators(OperatorRegistry &r) {
  r.add("RNN", 7, recurrent({RecurrentKind::rnn, 1, {"Tanh"}}));
  r.add("GRU", 7, recurrent({RecurrentKind::gru, 3, {"Sigmoid", "Tanh"}}));
  r.add("LSTM", 7, recurrent(kLstm));
  r.add("com.microsoft", "DynamicQuantizeLSTM", 1, convertDynamicQuantizeLSTM);
}

} // namespace penstock::onnximport
