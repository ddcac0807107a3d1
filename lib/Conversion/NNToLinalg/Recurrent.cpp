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
  /// rows x depth times (columns x depth)^T, added to `init`.
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
      return s.unary(activation.kind, x, activation.alpha, activation.beta, false);
    });
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
    Value recurrence, bias, recurrentBias, peephole;
  };
  Value inputProducts(int64_t d, Weights &weights);
  std::pair<Value, Value> stepLstm(Value gates, Value c0, const Weights &weights, int64_t d);
  Value roundToBytes(Value state);
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

/// [columns, depth] as [depth, columns].
static Value transposed(Emitter &e, Location loc, Value value, RankedTensorType type) {
  SmallVector<AffineExpr> extents = getExtents(type);
  std::swap(extents[0], extents[1]);
  RankedTensorType to = getTensorType(extents, type.getElementType());
  AffineExpr d0 = e.b.getAffineDimExpr(0), d1 = e.b.getAffineDimExpr(1);
  AffineMap maps[] = {AffineMap::get(2, 0, {d1, d0}, e.b.getContext()), e.b.getMultiDimIdentityMap(2)};
  IteratorType iterators[] = {IteratorType::parallel, IteratorType::parallel};
  return e.generic(loc, value, e.empty(loc, to), maps, iterators,
                   [](OpBuilder &, Location, ValueRange in) { return in[0]; });
}

/// input x weights^T + biases for all time steps: [time, batch, gates * hidden].
Value RecurrentLowering::inputProducts(int64_t d, Weights &weights) {
  RankedTensorType weightType, recurrenceType, biasType, peepholeType;
  Value weight = transposed(e, loc, direction(op.getWeights(), d, weightType), weightType);
  Value recurrence = direction(op.getRecurrence(), d, recurrenceType);
  weights.recurrence = transposed(e, loc, recurrence, recurrenceType);
  weights.peephole = direction(op.getPeephole(), d, peepholeType);
  AffineExpr width = c(numGates * hidden);
  RankedTensorType flatOut = type({simplifyExtent(time * batch), width}), rowType = type({width});
  RankedTensorType flatIn = type({simplifyExtent(time * batch), getExtent(inType, 2)});
  Value init = e.zeros(loc, flatOut);
  if (Value bias = direction(op.getBias(), d, biasType)) {
    auto half = [&](int64_t which) {
      return slice(bias, {b.getIndexAttr(which * numGates * hidden)}, {b.getIndexAttr(numGates * hidden)}, rowType);
    };
    weights.recurrentBias = half(1);
    // A GRU that resets after its product adds the last gate's recurrent bias inside.
    int64_t added = op.getLinearBeforeReset() ? 2 * hidden : numGates * hidden;
    init = e.elementwise(loc, flatOut, {{half(0), rowType}, {half(1), rowType}},
                         [&](OpBuilder &inner, Location innerLoc, ValueRange in) -> Value {
                           Value column = inner.create<linalg::IndexOp>(innerLoc, 1);
                           Value limit = inner.create<arith::ConstantIndexOp>(innerLoc, added);
                           Value adds = inner.create<arith::CmpIOp>(innerLoc, arith::CmpIPredicate::slt, column, limit);
                           Value sum = inner.create<arith::AddFOp>(innerLoc, in[0], in[1]);
                           return inner.create<arith::SelectOp>(innerLoc, adds, sum, in[0]);
                         });
  }
  Value rows = e.reshape(loc, e.get(op.getInput()), inType, flatIn);
  return e.reshape(loc, product(rows, weight, init), flatOut, type({time, batch, width}));
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
    return s.binary(BinaryKind::mul, args[0], s.unary(last.kind, args[1], last.alpha, last.beta, false), false);
  });
  return {h, cell};
}

/// The values that 8 bits over the range of the whole state, with zero in it, can tell apart.
Value RecurrentLowering::roundToBytes(Value state) {
  RankedTensorType scalar;
  Value low = e.reduce(loc, state, stateType(), {0, 1}, ReduceKind::min, false, scalar);
  Value high = e.reduce(loc, state, stateType(), {0, 1}, ReduceKind::max, false, scalar);
  SmallVector<Typed> inputs{{state, stateType()}, {low, scalar}, {high, scalar}};
  return e.elementwise(loc, stateType(), inputs, [](OpBuilder &inner, Location innerLoc, ValueRange in) -> Value {
    ScalarBuilder s{inner, innerLoc};
    auto number = [&](double value) { return s.constant(in[0].getType(), value); };
    auto apply = [&](BinaryKind kind, Value x, Value y) { return s.binary(kind, x, y, false); };
    auto round = [&](Value x) { return s.unary(UnaryKind::round_even, x, 0, 0, false); };
    auto clamp = [&](Value x) {
      return apply(BinaryKind::minimum, apply(BinaryKind::maximum, x, number(0)), number(255));
    };
    Value least = apply(BinaryKind::minimum, in[1], number(0)), most = apply(BinaryKind::maximum, in[2], number(0));
    Value isFlat = s.compare(CompareKind::eq, least, most, false);
    Value steps = apply(BinaryKind::div, apply(BinaryKind::sub, most, least), number(255));
    Value scale = inner.create<arith::SelectOp>(innerLoc, isFlat, number(1), steps);
    Value zeroPoint = round(clamp(apply(BinaryKind::sub, number(0), apply(BinaryKind::div, least, scale))));
    Value bytes = clamp(apply(BinaryKind::add, round(apply(BinaryKind::div, in[0], scale)), zeroPoint));
    return apply(BinaryKind::mul, apply(BinaryKind::sub, bytes, zeroPoint), scale);
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
      gates = product(op.getRoundsState() ? roundToBytes(h0) : h0, weights.recurrence, gates);
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
