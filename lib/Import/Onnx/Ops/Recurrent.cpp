//===- Recurrent.cpp - RNN, GRU and LSTM -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#include "../NodeContext.h"
#include "Families.h"
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

LogicalResult makeRecurrent(NodeContext &n, const Cell &cell, Value input, Value weights, Value recurrence,
                            bool roundsState = false) {
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
  if (!hidden || n.getInt("hidden_size", *hidden) != *hidden)
    return n.emitError() << "hidden_size is " << n.getInt("hidden_size", 0) << "; the recurrence has type "
                         << n.typeOf(recurrence);
  FailureOr<Activations> activations = getActivations(n, cell.activations, numDirections);
  if (failed(activations))
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
      flag(n.getInt("linear_before_reset", 0)), flag(roundsState));
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

/// Quantized weights [directions, features, gates * hidden] as ONNX's LSTM has them, in floats.
Value dequantizeWeights(NodeContext &n, Value weights, Value scale, Value zeroPoint) {
  if (!weights || !scale || n.typeOf(weights).getRank() != 3)
    return {};
  Extents aligned(3, n.cst(1)), given = n.extentsOf(scale);
  if (given.size() > 2 || given.empty())
    return (n.emitError() << "a scale has type " << n.typeOf(scale) << "; expected one or two axes"), Value();
  aligned[0] = given[0];
  if (given.size() == 2)
    aligned[2] = given[1];
  Type i32 = IntegerType::get(n.getContext(), 32);
  Value integers = n.cast_(weights, i32);
  if (zeroPoint)
    integers = n.sub(integers, n.cast_(n.reshape(zeroPoint, aligned), i32));
  Value real = n.mul(n.cast_(integers, n.elementOf(scale)), n.reshape(scale, aligned));
  return n.transpose(real, {0, 2, 1});
}

/// The values that 8 bits over the range of the whole tensor (with zero in it) can tell apart.
Value roundToBytes(NodeContext &n, Value input) {
  if (!input)
    return {};
  Type type = n.elementOf(input);
  Ints axes;
  for (int64_t axis = 0; axis < n.typeOf(input).getRank(); ++axis)
    axes.push_back(axis);
  auto number = [&](double value) { return n.scalar(value, type); };
  Value low = n.binary(nn::BinaryKind::minimum, n.reduce(nn::ReduceKind::min, input, axes, false), number(0));
  Value high = n.binary(nn::BinaryKind::maximum, n.reduce(nn::ReduceKind::max, input, axes, false), number(0));
  Value range = n.sub(high, low);
  Value isFlat = n.compare(nn::CompareKind::eq, range, number(0));
  Value scale = n.select(isFlat, number(1), n.div(range, number(255)));
  auto clamp = [&](Value value) {
    return n.binary(nn::BinaryKind::minimum, n.binary(nn::BinaryKind::maximum, value, number(0)), number(255));
  };
  auto round = [&](Value value) { return n.unary(nn::UnaryKind::round_even, value); };
  Value zeroPoint = round(clamp(n.unary(nn::UnaryKind::neg, n.div(low, scale))));
  Value bytes = clamp(n.add(round(n.div(input, scale)), zeroPoint));
  return n.mul(n.sub(bytes, zeroPoint), scale);
}

/// ONNX Runtime's LSTM with quantized weights. As there, the input and, before every product, the hidden state are
/// rounded to what 8 bits can tell apart; only the order of the sums differs.
LogicalResult convertDynamicQuantizeLSTM(NodeContext &n) {
  Value weights = dequantizeWeights(n, n.getInput(1), n.getInput(8), n.getOptionalInput(9));
  Value recurrence = dequantizeWeights(n, n.getInput(2), n.getInput(10), n.getOptionalInput(11));
  return makeRecurrent(n, kLstm, roundToBytes(n, n.getInput(0)), weights, recurrence,
                       /*roundsState=*/true);
}

} // namespace

void registerRecurrentOperators(OperatorRegistry &r) {
  r.add("RNN", 7, recurrent({RecurrentKind::rnn, 1, {"Tanh"}}));
  r.add("GRU", 7, recurrent({RecurrentKind::gru, 3, {"Sigmoid", "Tanh"}}));
  r.add("LSTM", 7, recurrent(kLstm));
  r.add("com.microsoft", "DynamicQuantizeLSTM", 1, convertDynamicQuantizeLSTM);
}

} // namespace penstock::onnximport
