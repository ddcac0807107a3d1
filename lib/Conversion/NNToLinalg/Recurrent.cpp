//===- Recurrent.cpp - RNN, GRU and LSTM -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
// The products with the inputs of all time steps are one matrix product; what is left in the loop over time is the
// product with the hidden state and the gates. Formulas and the order of gates are those of ONNX's operator documents.
//===----------------------------------------------------------------------===//
#include "Emitter.h"

#include "mlir/Dialect/SCF/IR/SCF.h"

namespace penstock::linalg_lowering {
using namespace nn;
using utils::IteratorType;

namespace {

struct Activation {
  UnaryKind kind;
  double alpha, beta;
};

/// x * odd(x * x) / even(x * x) of x within the bounds: coefficients from the highest power on.
Value rational(ScalarBuilder &s, Value x, double bound, ArrayRef<double> odd, ArrayRef<double> even) {
  auto number = [&](double value) { return s.constant(x.getType(), value); };
  x = s.binary(BinaryKind::maximum, x, number(-bound), false);
  x = s.binary(BinaryKind::minimum, x, number(bound), false);
  Value square = s.binary(BinaryKind::mul, x, x, false);
  auto polynomial = [&](ArrayRef<double> coefficients) {
    Value sum = number(coefficients.front());
    for (double coefficient : coefficients.drop_front())
      sum = s.multiplyAdd(sum, square, number(coefficient));
    return sum;
  };
  Value numerator = s.binary(BinaryKind::mul, polynomial(odd), x, false);
  return s.binary(BinaryKind::div, numerator, polynomial(even), false);
}

/// ONNX Runtime's sigmoid and tanh to the last bit; null for other functions.
Value rationalActivation(ScalarBuilder &s, UnaryKind kind, Value x) {
  if (kind == UnaryKind::tanh)
    return rational(s, x, 9,
                    {-2.76076847742355e-16, 2.00018790482477e-13, -8.60467152213735e-11, 5.12229709037114e-08,
                     1.48572235717979e-05, 6.37261928875436e-04, 4.89352455891786e-03},
                    {1.19825839466702e-06, 1.18534705686654e-04, 2.26843463243900e-03, 4.89352518554385e-03});
  if (kind != UnaryKind::sigmoid)
    return {};
  Value middle = rational(
      s, x, 18,
      {4.37031012579801e-11, 1.15627324459942e-07, 6.08574864600143e-05, 8.51377133304701e-03, 2.48287947061529e-01},
      {6.10247389755681e-13, 5.76102136993427e-09, 6.29106785017040e-06, 1.70198817374094e-03, 1.16817656904453e-01,
       9.93151921023180e-01});
  Value sum = s.binary(BinaryKind::add, middle, s.constant(x.getType(), 0.5), false);
  sum = s.binary(BinaryKind::maximum, sum, s.constant(x.getType(), 0), false);
  return s.binary(BinaryKind::minimum, sum, s.constant(x.getType(), 1), false);
}

std::optional<UnaryKind> findActivation(StringRef name) {
  return llvm::StringSwitch<std::optional<UnaryKind>>(name.lower())
      .Case("sigmoid", UnaryKind::sigmoid)
      .Case("tanh", UnaryKind::tanh)
      .Case("relu", UnaryKind::relu)
      .Case("leakyrelu", UnaryKind::leaky_relu)
      .Case("thresholdedrelu", UnaryKind::thresholded_relu)
      .Case("hardsigmoid", UnaryKind::hard_sigmoid)
      .Case("elu", UnaryKind::elu)
      .Case("softsign", UnaryKind::softsign)
      .Case("softplus", UnaryKind::softplus)
      .Default(std::nullopt);
}

class RecurrentLowering {
public:
  RecurrentLowering(Emitter &e, RecurrentOp op)
      : e(e), op(op), loc(op.getLoc()), b(e.b), inType(Emitter::typeOf(op.getInput())),
        element(inType.getElementType()), time(getExtent(inType, 0)), batch(getExtent(inType, 1)),
        hidden(op.getHiddenSize()), numGates(op.getKind() == RecurrentKind::lstm  ? 4
                                             : op.getKind() == RecurrentKind::gru ? 3
                                                                                  : 1) {}

  LogicalResult run();

private:
  using Typed = std::pair<Value, RankedTensorType>;

  RankedTensorType type(ArrayRef<AffineExpr> extents) { return getTensorType(extents, element); }
  AffineExpr c(int64_t value) { return e.constantExpr(value); }
  RankedTensorType stateType() { return type({batch, c(hidden)}); }

  /// Part of a tensor along all axes; leading axes of extent 1 in `to`'s place are dropped.
  Value slice(Value value, ArrayRef<OpFoldResult> offsets, ArrayRef<OpFoldResult> extents, RankedTensorType to) {
    SmallVector<OpFoldResult> strides(offsets.size(), b.getIndexAttr(1));
    return b.create<tensor::ExtractSliceOp>(loc, Emitter::storageType(to), value, offsets, extents, strides);
  }
  /// Direction d of an operand whose first axis is the directions; null for an absent one.
  Value direction(Value operand, int64_t d, RankedTensorType &to) {
    if (!operand)
      return {};
    RankedTensorType from = Emitter::typeOf(operand);
    SmallVector<AffineExpr> rest = getExtents(from);
    rest.erase(rest.begin());
    to = getTensorType(rest, from.getElementType());
    SmallVector<OpFoldResult> offsets(from.getRank(), b.getIndexAttr(0)), extents = e.extents(loc, from);
    offsets[0] = b.getIndexAttr(d);
    extents[0] = b.getIndexAttr(1);
    return slice(e.get(operand), offsets, extents, to);
  }
  /// Elements [first * hidden, (first + 1) * hidden) of the last axis.
  Value gate(Value value, int64_t numDims, int64_t first) {
    SmallVector<OpFoldResult> offsets(numDims, b.getIndexAttr(0)), extents;
    offsets.back() = b.getIndexAttr(first * hidden);
    if (numDims == 2)
      extents.push_back(e.extent(loc, batch));
    extents.push_back(b.getIndexAttr(hidden));
    return slice(value, offsets, extents, numDims == 2 ? stateType() : type({c(hidden)}));
  }
  /// rows x depth times depth x columns, added to `init`.
  Value product(Value left, Value right, Value init);
  Value activate(Value value, int64_t which, int64_t d) {
    Activation activation = activations[which + d * numActivations()];
    bool clips = static_cast<bool>(op.getClip());
    double clip = clips ? op.getClip()->convertToDouble() : 0;
    return map({value}, [&](OpBuilder &inner, Location innerLoc, ValueRange in) {
      ScalarBuilder s{inner, innerLoc};
      Value x = in[0];
      if (clips) {
        x = s.binary(BinaryKind::maximum, x, s.constant(x.getType(), -clip), false);
        x = s.binary(BinaryKind::minimum, x, s.constant(x.getType(), clip), false);
      }
      return apply(s, activation, x);
    });
  }
  Value apply(ScalarBuilder &s, const Activation &activation, Value x) {
    Value exact = op.getRoundsState() ? rationalActivation(s, activation.kind, x) : Value();
    return exact ? exact : s.unary(activation.kind, x, activation.alpha, activation.beta, false);
  }
  /// A new state made of states.
  Value map(ArrayRef<Value> values, ScalarFn fn) {
    SmallVector<Typed> inputs;
    for (Value value : values)
      inputs.push_back({value, stateType()});
    return e.elementwise(loc, stateType(), inputs, fn);
  }
  Value binary(BinaryKind kind, Value x, Value y, RankedTensorType yType = {}) {
    return e.elementwise(loc, stateType(), {{x, stateType()}, {y, yType ? yType : stateType()}},
                         [&](OpBuilder &inner, Location innerLoc, ValueRange in) {
                           return ScalarBuilder{inner, innerLoc}.binary(kind, in[0], in[1], false);
                         });
  }
  int64_t numActivations() {
    return op.getKind() == RecurrentKind::lstm ? 3 : op.getKind() == RecurrentKind::gru ? 2 : 1;
  }
  LogicalResult readActivations();

  struct Weights {
    Value recurrence, recurrentBias, peephole;
    Value scale, bias; ///< of products of bytes: of the recurrence's columns, and what is added at last
  };
  Value inputProducts(int64_t d, Weights &weights);
  Value biases(Value inputBias, Value recurrentBias, RankedTensorType to);
  std::pair<Value, Value> stepLstm(Value gates, Value c0, const Weights &weights, int64_t d);
  Value multiplyBytes(Value left, RankedTensorType leftType, Value right, RankedTensorType to, Value scale,
                      ArrayRef<Value> added);
  Value splitScale(Value &weights, RankedTensorType type);
  Value addRows(Value left, Value right);
  Value stepGru(Value inputGates, Value h0, const Weights &weights, int64_t d);
  void runDirection(int64_t d, Value &output, Value &lastH, Value &lastC);
  Value keepWhereEnded(Value position, Value made, Value old);

  Emitter &e;
  RecurrentOp op;
  Location loc;
  OpBuilder &b;
  RankedTensorType inType;
  Type element;
  AffineExpr time, batch;
  int64_t hidden, numGates;
  SmallVector<Activation> activations;
};

LogicalResult RecurrentLowering::readActivations() {
  ArrayRef<double> alphas = op.getActivationAlpha(), betas = op.getActivationBeta();
  for (auto [i, name] : llvm::enumerate(op.getActivations().getAsValueRange<StringAttr>())) {
    std::optional<UnaryKind> kind = findActivation(name);
    if (!kind)
      return op.emitOpError() << "activation '" << name << "' has no lowering; this version cannot compile it";
    activations.push_back({*kind, i < alphas.size() ? alphas[i] : 0.0, i < betas.size() ? betas[i] : 0.0});
  }
  int64_t directions = op.getDirection() == RecurrentDirection::bidirectional ? 2 : 1;
  if (static_cast<int64_t>(activations.size()) != directions * numActivations())
    return op.emitOpError() << "has " << activations.size() << " activations; expected "
                            << directions * numActivations();
  return success();
}

Value RecurrentLowering::product(Value left, Value right, Value init) {
  AffineExpr row = b.getAffineDimExpr(0), depth = b.getAffineDimExpr(1), column = b.getAffineDimExpr(2);
  auto map = [&](AffineExpr first, AffineExpr second) { return AffineMap::get(3, 0, {first, second}, b.getContext()); };
  IteratorType iterators[] = {IteratorType::parallel, IteratorType::reduction, IteratorType::parallel};
  return e.generic(loc, {left, right}, init, {map(row, depth), map(depth, column), map(row, column)}, iterators,
                   [](OpBuilder &inner, Location innerLoc, ValueRange in) {
                     return ScalarBuilder{inner, innerLoc}.multiplyAdd(in[0], in[1], in[2]);
                   });
}

/// The last row of quantized weights; `weights` become those before it.
Value RecurrentLowering::splitScale(Value &weights, RankedTensorType type) {
  AffineExpr rows = getExtent(type, 0) - 1, columns = getExtent(type, 1);
  Value scale = slice(weights, {e.extent(loc, rows), b.getIndexAttr(0)}, {b.getIndexAttr(1), e.extent(loc, columns)},
                      this->type({columns}));
  weights = slice(weights, {b.getIndexAttr(0), b.getIndexAttr(0)}, {e.extent(loc, rows), e.extent(loc, columns)},
                  this->type({rows, columns}));
  return scale;
}

Value RecurrentLowering::addRows(Value left, Value right) {
  RankedTensorType row = type({c(numGates * hidden)});
  return e.elementwise(loc, row, {{left, row}, {right, row}}, [](OpBuilder &inner, Location innerLoc, ValueRange in) {
    return ScalarBuilder{inner, innerLoc}.binary(BinaryKind::add, in[0], in[1], false);
  });
}

/// input x weights + biases for all time steps: [time, batch, gates * hidden].
Value RecurrentLowering::inputProducts(int64_t d, Weights &weights) {
  RankedTensorType weightType, recurrenceType, biasType, peepholeType;
  Value weight = direction(op.getWeights(), d, weightType);
  weights.recurrence = direction(op.getRecurrence(), d, recurrenceType);
  weights.peephole = direction(op.getPeephole(), d, peepholeType);
  AffineExpr width = c(numGates * hidden);
  RankedTensorType flatOut = type({simplifyExtent(time * batch), width}), rowType = type({width});
  RankedTensorType flatIn = type({simplifyExtent(time * batch), getExtent(inType, 2)});
  Value rows = e.reshape(loc, e.get(op.getInput()), inType, flatIn), inputBias;
  if (Value bias = direction(op.getBias(), d, biasType)) {
    auto half = [&](int64_t which) {
      return slice(bias, {b.getIndexAttr(which * numGates * hidden)}, {b.getIndexAttr(numGates * hidden)}, rowType);
    };
    inputBias = half(0);
    weights.recurrentBias = half(1);
  }
  Value sums;
  if (op.getRoundsState()) {
    Value scale = splitScale(weight, weightType);
    weights.scale = splitScale(weights.recurrence, recurrenceType);
    if (inputBias)
      weights.bias = addRows(inputBias, weights.recurrentBias);
    sums = multiplyBytes(rows, flatIn, weight, flatOut, scale, {});
  } else {
    sums = product(rows, weight, biases(inputBias, weights.recurrentBias, flatOut));
  }
  return e.reshape(loc, sums, flatOut, type({time, batch, width}));
}

/// What the products with the input are added to.
Value RecurrentLowering::biases(Value inputBias, Value recurrentBias, RankedTensorType to) {
  if (!inputBias)
    return e.zeros(loc, to);
  // A GRU that resets after its product adds the last gate's recurrent bias inside.
  int64_t added = op.getLinearBeforeReset() ? 2 * hidden : numGates * hidden;
  RankedTensorType rowType = type({c(numGates * hidden)});
  return e.elementwise(loc, to, {{inputBias, rowType}, {recurrentBias, rowType}},
                       [&](OpBuilder &inner, Location innerLoc, ValueRange in) -> Value {
                         Value column = inner.create<linalg::IndexOp>(innerLoc, 1);
                         Value limit = inner.create<arith::ConstantIndexOp>(innerLoc, added);
                         Value adds = inner.create<arith::CmpIOp>(innerLoc, arith::CmpIPredicate::slt, column, limit);
                         Value sum = inner.create<arith::AddFOp>(innerLoc, in[0], in[1]);
                         return inner.create<arith::SelectOp>(innerLoc, adds, sum, in[0]);
                       });
}

/// Gates in the order i, o, f, c. Returns h and c.
std::pair<Value, Value> RecurrentLowering::stepLstm(Value gates, Value c0, const Weights &weights, int64_t d) {
  auto peep = [&](Value sum, int64_t which, Value cell) {
    if (!weights.peephole)
      return sum;
    Value scaled = binary(BinaryKind::mul, cell, gate(weights.peephole, 1, which), type({c(hidden)}));
    return binary(BinaryKind::add, sum, scaled);
  };
  Value in = activate(peep(gate(gates, 2, 0), 0, c0), 0, d);
  Value forget;
  if (op.getInputForget())
    forget = map({in}, [](OpBuilder &inner, Location innerLoc, ValueRange args) -> Value {
      ScalarBuilder s{inner, innerLoc};
      return s.binary(BinaryKind::sub, s.constant(args[0].getType(), 1), args[0], false);
    });
  else
    forget = activate(peep(gate(gates, 2, 2), 2, c0), 0, d);
  Value candidate = activate(gate(gates, 2, 3), 1, d);
  Value cell = binary(BinaryKind::add, binary(BinaryKind::mul, forget, c0), binary(BinaryKind::mul, in, candidate));
  Value out = activate(peep(gate(gates, 2, 1), 1, cell), 0, d);
  Activation last = activations[2 + d * numActivations()];
  Value h = map({out, cell}, [&](OpBuilder &inner, Location innerLoc, ValueRange args) -> Value {
    ScalarBuilder s{inner, innerLoc};
    return s.binary(BinaryKind::mul, args[0], apply(s, last, args[1]), false);
  });
  return {h, cell};
}

/// The step between the bytes over the range from `low` to `high`, with zero in it.
static Value stepOfBytes(ScalarBuilder &s, Value &low, Value &high) {
  auto number = [&](double value) { return s.constant(low.getType(), value); };
  low = s.binary(BinaryKind::minimum, low, number(0), false);
  high = s.binary(BinaryKind::maximum, high, number(0), false);
  Value steps = s.binary(BinaryKind::div, s.binary(BinaryKind::sub, high, low, false), number(255), false);
  Value isFlat = s.compare(CompareKind::eq, low, high, false);
  return s.b.create<arith::SelectOp>(s.loc, isFlat, number(1), steps);
}

/// The bytes nearest to `left`, over the range of it all, times `right`: `to` of sums that are scaled and, in order,
/// summed with `added`, rows of `to` or all of it.
Value RecurrentLowering::multiplyBytes(Value left, RankedTensorType leftType, Value right, RankedTensorType to,
                                       Value scale, ArrayRef<Value> added) {
  RankedTensorType scalar, row = type({getExtent(to, 1)});
  Value low = e.reduce(loc, left, leftType, {0, 1}, ReduceKind::min, false, scalar);
  Value high = e.reduce(loc, left, leftType, {0, 1}, ReduceKind::max, false, scalar);
  SmallVector<Typed> inputs{{left, leftType}, {low, scalar}, {high, scalar}};
  Value bytes = e.elementwise(loc, leftType, inputs, [](OpBuilder &inner, Location innerLoc, ValueRange in) -> Value {
    ScalarBuilder s{inner, innerLoc};
    auto number = [&](double value) { return s.constant(in[0].getType(), value); };
    auto apply = [&](BinaryKind kind, Value x, Value y) { return s.binary(kind, x, y, false); };
    auto round = [&](Value x) { return s.unary(UnaryKind::round_even, x, 0, 0, false); };
    auto clamp = [&](Value x) {
      return apply(BinaryKind::minimum, apply(BinaryKind::maximum, x, number(0)), number(255));
    };
    Value least = in[1], most = in[2], step = stepOfBytes(s, least, most);
    Value zeroPoint = round(clamp(apply(BinaryKind::sub, number(0), apply(BinaryKind::div, least, step))));
    Value byte = clamp(apply(BinaryKind::add, round(apply(BinaryKind::div, in[0], step)), zeroPoint));
    return apply(BinaryKind::sub, byte, zeroPoint);
  });
  Value sums = product(bytes, right, e.zeros(loc, to));
  inputs = {{sums, to}, {low, scalar}, {high, scalar}, {scale, row}};
  for (Value value : added)
    inputs.push_back({value, cast<RankedTensorType>(value.getType()).getRank() == 1 ? row : to});
  return e.elementwise(loc, to, inputs, [&](OpBuilder &inner, Location innerLoc, ValueRange in) -> Value {
    ScalarBuilder s{inner, innerLoc};
    Value least = in[1], most = in[2];
    Value factor = s.binary(BinaryKind::mul, stepOfBytes(s, least, most), in[3], false);
    Value sum = s.binary(BinaryKind::mul, in[0], factor, false);
    for (size_t i = 0; i < added.size(); ++i)
      sum = s.binary(BinaryKind::add, sum, in[4 + i], false);
    return sum;
  });
}

/// Gates in the order z, r, h; `inputGates` has the products with the input only.
Value RecurrentLowering::stepGru(Value inputGates, Value h0, const Weights &weights, int64_t d) {
  auto columns = [&](int64_t first, int64_t count) {
    return slice(weights.recurrence, {b.getIndexAttr(0), b.getIndexAttr(first * hidden)},
                 {b.getIndexAttr(hidden), b.getIndexAttr(count * hidden)}, type({c(hidden), c(count * hidden)}));
  };
  Value update = activate(product(h0, columns(0, 1), gate(inputGates, 2, 0)), 0, d);
  Value reset = activate(product(h0, columns(1, 1), gate(inputGates, 2, 1)), 0, d);
  Value candidate = gate(inputGates, 2, 2);
  if (op.getLinearBeforeReset()) {
    Value inner = product(h0, columns(2, 1), e.zeros(loc, stateType()));
    if (weights.recurrentBias)
      inner = binary(BinaryKind::add, inner, gate(weights.recurrentBias, 1, 2), type({c(hidden)}));
    candidate = binary(BinaryKind::add, candidate, binary(BinaryKind::mul, reset, inner));
  } else {
    candidate = product(binary(BinaryKind::mul, reset, h0), columns(2, 1), candidate);
  }
  candidate = activate(candidate, 1, d);
  return map({update, candidate, h0}, [](OpBuilder &inner, Location innerLoc, ValueRange in) -> Value {
    ScalarBuilder s{inner, innerLoc};
    Value rest = s.binary(BinaryKind::sub, s.constant(in[0].getType(), 1), in[0], false);
    Value fresh = s.binary(BinaryKind::mul, rest, in[1], false);
    return s.binary(BinaryKind::add, fresh, s.binary(BinaryKind::mul, in[0], in[2], false), false);
  });
}

/// A row whose sequence has ended keeps `old` (zero where it is null).
Value RecurrentLowering::keepWhereEnded(Value position, Value made, Value old) {
  if (!op.getLengths())
    return made;
  RankedTensorType lengthType = Emitter::typeOf(op.getLengths());
  RankedTensorType column = getTensorType({batch, c(1)}, lengthType.getElementType());
  Value lengths = e.reshape(loc, e.get(op.getLengths()), lengthType, column);
  SmallVector<Typed> inputs{{made, stateType()}, {lengths, column}};
  if (old)
    inputs.push_back({old, stateType()});
  return e.elementwise(loc, stateType(), inputs, [&](OpBuilder &inner, Location innerLoc, ValueRange in) -> Value {
    Value length = inner.create<arith::IndexCastOp>(innerLoc, inner.getIndexType(), in[1]);
    Value runs = inner.create<arith::CmpIOp>(innerLoc, arith::CmpIPredicate::slt, position, length);
    Value rest = old ? in[2] : ScalarBuilder{inner, innerLoc}.constant(in[0].getType(), 0);
    return inner.create<arith::SelectOp>(innerLoc, runs, in[0], rest);
  });
}

void RecurrentLowering::runDirection(int64_t d, Value &output, Value &lastH, Value &lastC) {
  Weights weights;
  Value products = inputProducts(d, weights);
  RankedTensorType ignored;
  auto initial = [&](Value operand) {
    Value given = direction(operand, d, ignored);
    if (!given)
      return e.zeros(loc, stateType());
    return map({given}, [](OpBuilder &, Location, ValueRange in) { return in[0]; });
  };
  bool backwards = op.getDirection() == RecurrentDirection::reverse || d == 1;
  Value count = e.index(loc, time), zero = e.index(loc, c(0)), one = e.index(loc, c(1));
  Value init[] = {output, initial(op.getInitialH()), initial(op.getInitialC())};
  auto loop = b.create<scf::ForOp>(loc, zero, count, one, init);
  {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(loop.getBody());
    Value t = loop.getInductionVar();
    if (backwards)
      t = b.create<arith::SubIOp>(loc, b.create<arith::SubIOp>(loc, count, one), t);
    Value h0 = loop.getRegionIterArgs()[1], c0 = loop.getRegionIterArgs()[2], h, cell = c0;
    RankedTensorType wide = type({batch, c(numGates * hidden)});
    OpFoldResult rows = e.extent(loc, batch), width = b.getIndexAttr(numGates * hidden), nothing = b.getIndexAttr(0);
    Value gates = slice(products, {t, nothing, nothing}, {b.getIndexAttr(1), rows, width}, wide);
    if (op.getKind() == RecurrentKind::gru) {
      h = stepGru(gates, h0, weights, d);
    } else {
      SmallVector<Value> added = {gates};
      if (weights.bias)
        added.push_back(weights.bias);
      gates = weights.scale ? multiplyBytes(h0, stateType(), weights.recurrence, wide, weights.scale, added)
                            : product(h0, weights.recurrence, gates);
      if (op.getKind() == RecurrentKind::lstm)
        std::tie(h, cell) = stepLstm(gates, c0, weights, d);
      else
        h = activate(gates, 0, d);
    }
    Value shown = keepWhereEnded(t, h, {});
    h = keepWhereEnded(t, h, h0);
    cell = keepWhereEnded(t, cell, c0);
    SmallVector<OpFoldResult> offsets{t, b.getIndexAttr(d), nothing, nothing}, strides(4, b.getIndexAttr(1));
    SmallVector<OpFoldResult> extents{b.getIndexAttr(1), b.getIndexAttr(1), rows, b.getIndexAttr(hidden)};
    Value out = b.create<tensor::InsertSliceOp>(loc, shown, loop.getRegionIterArgs()[0], offsets, extents, strides);
    h = e.storedIn(loc, h, h0);
    cell = cell == c0 ? cell : e.storedIn(loc, cell, c0);
    b.create<scf::YieldOp>(loc, ValueRange{out, h, cell});
  }
  output = loop.getResult(0);
  auto store = [&](Value into, Value state) -> Value {
    SmallVector<OpFoldResult> offsets{b.getIndexAttr(d), b.getIndexAttr(0), b.getIndexAttr(0)},
        strides(3, b.getIndexAttr(1));
    SmallVector<OpFoldResult> extents{b.getIndexAttr(1), e.extent(loc, batch), b.getIndexAttr(hidden)};
    return b.create<tensor::InsertSliceOp>(loc, state, into, offsets, extents, strides);
  };
  lastH = store(lastH, loop.getResult(1));
  if (lastC)
    lastC = store(lastC, loop.getResult(2));
}

LogicalResult RecurrentLowering::run() {
  if (!element.isF32() && !element.isF64())
    return op.emitOpError() << "of " << element << " has no lowering; this version cannot compile it";
  if (failed(readActivations()))
    return failure();
  Value output = e.empty(loc, Emitter::typeOf(op.getOutput())), lastH = e.empty(loc, Emitter::typeOf(op.getLastH()));
  Value lastC = op.getLastC() ? e.empty(loc, Emitter::typeOf(op.getLastC())) : Value();
  int64_t directions = op.getDirection() == RecurrentDirection::bidirectional ? 2 : 1;
  for (int64_t d = 0; d < directions; ++d)
    runDirection(d, output, lastH, lastC);
  e.set(op.getOutput(), output);
  e.set(op.getLastH(), lastH);
  if (lastC)
    e.set(op.getLastC(), lastC);
  return success();
}

} // namespace

LogicalResult emitRecurrent(Emitter &e, RecurrentOp op) { return RecurrentLowering(e, op).run(); }

} // namespace penstock::linalg_lowering
