//===- Random.cpp - Random numbers -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A compiled model has no state, so these numbers are a function of the seed and of an element's place alone: every
// run gives the same ones, whatever the cut. Without a seed the node's name stands for one.
//===----------------------------------------------------------------------===//
#include "../NodeContext.h"
#include "Families.h"
#include "penstock/Import/Onnx/OperatorRegistry.h"
#include "llvm/Support/xxhash.h"
#include <cmath>

namespace penstock::onnximport {
namespace {

using nn::BinaryKind;
using nn::CompareKind;
using nn::UnaryKind;

class Generator {
public:
  Generator(NodeContext &n, Extents extents)
      : n(n), extents(std::move(extents)), word(IntegerType::get(n.getContext(), 32, IntegerType::Unsigned)) {
    // The attribute is a float, but for Dropout's.
    const onnx::AttributeProto *given = n.findAttr("seed");
    if (!given)
      seed = llvm::xxh3_64bits(n.getNode().output_size() ? n.getNode().output(0) : n.getNode().name());
    else
      seed = given->has_f() ? llvm::bit_cast<uint32_t>(given->f()) : static_cast<uint64_t>(given->i());
  }

  /// In [0, 1), with all the digits that the type has.
  Value uniform(Type real) {
    if (!real.isF64())
      return n.mul(n.cast_(shiftRight(draw(), 8), real), n.scalar(std::ldexp(1.0, -24), real));
    Value high = n.cast_(shiftRight(draw(), 5), real), low = n.cast_(shiftRight(draw(), 6), real);
    Value sum = n.add(n.mul(high, n.scalar(std::ldexp(1.0, 26), real)), low);
    return n.mul(sum, n.scalar(std::ldexp(1.0, -53), real));
  }

  /// Of mean 0 and deviation 1, by Box and Muller's way.
  Value normal(Type real) {
    Value radius = n.unary(UnaryKind::log, n.sub(n.scalar(1, real), uniform(real)));
    radius = n.unary(UnaryKind::sqrt, n.mul(radius, n.scalar(-2, real)));
    Value angle = n.mul(uniform(real), n.scalar(6.28318530717958647692, real));
    return n.mul(radius, n.unary(UnaryKind::cos, angle));
  }

private:
  Value constant(uint32_t value) { return n.scalar(value, word); }
  Value shiftRight(Value value, uint32_t count) { return n.binary(BinaryKind::shift_right, value, constant(count)); }

  /// Every bit of the result depends on every bit of the argument (Wellons' hash of 32 bits).
  Value mix(Value value) {
    auto fold = [&](uint32_t count) { value = n.binary(BinaryKind::bitwise_xor, value, shiftRight(value, count)); };
    fold(16);
    value = n.mul(value, constant(0x7feb352d));
    fold(15);
    value = n.mul(value, constant(0x846ca68b));
    fold(16);
    return value;
  }

  /// 32 random bits per element; new ones with every call.
  Value draw() {
    uint64_t words[] = {seed, numDrawn++};
    uint64_t key = llvm::xxh3_64bits(StringRef(reinterpret_cast<const char *>(words), sizeof(words)));
    Value index = n.iota(nn::getTensorType(n.algebra().product(extents), word), 0);
    Value mixed = mix(n.binary(BinaryKind::bitwise_xor, index, constant(static_cast<uint32_t>(key))));
    return n.reshape(mix(n.add(mixed, constant(static_cast<uint32_t>(key >> 32)))), extents);
  }

  NodeContext &n;
  Extents extents;
  Type word;
  uint64_t seed = 0, numDrawn = 0;
};

/// The type to compute in.
Type getWide(NodeContext &n, Type type) { return type.isF64() ? type : Type(Float32Type::get(n.getContext())); }

LogicalResult setRandom(NodeContext &n, const Extents &extents, Type type, bool isNormal) {
  if (!isa<FloatType>(type) || type.getIntOrFloatBitWidth() < 16)
    return n.emitError() << "element type " << type << " holds no random numbers; expected a dtype of at least 16-bit "
                         << "floats";
  Type real = getWide(n, type);
  Generator generator(n, extents);
  double offset = isNormal ? n.getFloat("mean", 0) : n.getFloat("low", 0);
  double scale = isNormal ? n.getFloat("scale", 1) : n.getFloat("high", 1) - offset;
  Value drawn = isNormal ? generator.normal(real) : generator.uniform(real);
  Value result = n.add(n.mul(drawn, n.scalar(scale, real)), n.scalar(offset, real));
  return n.setOutput(0, n.cast_(result, type));
}

Converter randomOfShape(bool isNormal) {
  return [=](NodeContext &n) -> LogicalResult {
    Extents extents;
    for (int64_t extent : n.getInts("shape").value_or(Ints())) {
      if (extent < 0)
        return n.emitError() << "shape has entry " << extent << "; expected at least 0";
      extents.push_back(n.cst(extent));
    }
    Type type = n.getTypeAttr("dtype", onnx::TensorProto::FLOAT);
    if (!type || failed(n.checkExtents(extents, n.builder().getF64Type())))
      return failure();
    return setRandom(n, extents, type, isNormal);
  };
}

Converter randomLike(bool isNormal) {
  return [=](NodeContext &n) -> LogicalResult {
    Type type = n.hasAttr("dtype") ? n.getTypeAttr("dtype", 0) : n.getElementType(0);
    return type && n.getType(0) ? setRandom(n, n.getExtents(0), type, isNormal) : failure();
  };
}

/// 1 with the probability that the input gives.
LogicalResult convertBernoulli(NodeContext &n) {
  Value input = n.getInput(0);
  if (!input)
    return failure();
  Type type = n.hasAttr("dtype") ? n.getTypeAttr("dtype", 0) : n.elementOf(input),
       real = getWide(n, n.elementOf(input));
  Value hit = n.compare(CompareKind::lt, Generator(n, n.extentsOf(input)).uniform(real), n.cast_(input, real));
  return n.setOutput(0, n.cast_(hit, type));
}

/// Classes drawn by logarithms of their weights: the first whose running sum of probabilities exceeds the number drawn.
LogicalResult convertMultinomial(NodeContext &n) {
  Value input = n.getInput(0);
  int64_t numSamples = n.getInt("sample_size", 1);
  Type type = n.getTypeAttr("dtype", onnx::TensorProto::INT32);
  if (!input || !type)
    return failure();
  if (n.typeOf(input).getRank() != 2 || numSamples < 0 || !isIntegerType(type))
    return n.emitError() << "input has type " << n.typeOf(input) << ", sample_size is " << numSamples << " and dtype "
                         << type << "; expected two axes, at least 0 and an integer type";
  Type real = getWide(n, n.elementOf(input)), i64 = n.builder().getI64Type();
  Extents extents = n.extentsOf(input);
  if (failed(n.checkExtents({extents[0], extents[1], n.cst(numSamples)}, i64)))
    return failure();
  Value share = n.make<nn::SoftmaxOp>(n.cast_(input, real), n.integer("axis", 1));
  Value sums = n.make<nn::CumSumOp>(share, n.integer("axis", 1));
  Value drawn = Generator(n, {extents[0], n.cst(numSamples)}).uniform(real);
  Value isPassed = n.compare(CompareKind::le, n.unsqueeze(sums, 1), n.unsqueeze(drawn, 2));
  Value index = n.reduce(nn::ReduceKind::sum, n.cast_(isPassed, i64), 2, /*keepDims=*/false);
  // Rounding may leave the last sum below 1.
  Value last = n.extentTensor(n.algebra().sub(extents[1], n.cst(1)), RankedTensorType::get({}, i64));
  return n.setOutput(0, n.cast_(n.binary(BinaryKind::minimum, index, last), type));
}

//===----------------------------------------------------------------------===//
// Dropout
//===----------------------------------------------------------------------===//

/// Zeros with probability `ratio`; what is left is scaled so that the mean stays.
LogicalResult dropOut(NodeContext &n) {
  Value input = n.getInput(0);
  if (!input)
    return failure();
  Type type = n.elementOf(input), real = getWide(n, type);
  Value ratio = n.hasInput(1) ? n.cast_(n.getInput(1), real) : n.scalar(0.5, real);
  if (ratio && n.typeOf(ratio).getRank() != 0)
    ratio = n.reshape(ratio, {});
  Value kept = n.compare(CompareKind::ge, Generator(n, n.extentsOf(input)).uniform(real), ratio);
  Value scale = n.div(n.scalar(1, real), n.sub(n.scalar(1, real), ratio));
  Value result = n.select(kept, n.mul(n.cast_(input, real), scale), n.scalar(0, real));
  return failed(n.setOutput(0, n.cast_(result, type))) ? failure() : n.setOutput(1, kept);
}

LogicalResult convertDropout(NodeContext &n) {
  if (n.getOpset() < 7 && n.getInt("is_test", 0) == 0)
    return n.emitError() << "is_test is 0; expected 1";
  if (n.getOpset() >= 12 && n.hasInput(2)) {
    FailureOr<double> training = n.getScalarInput(2, 0);
    if (failed(training))
      return failure();
    if (*training != 0)
      return dropOut(n);
  }
  if (n.hasOutput(1)) {
    Type type = n.getOpset() >= 10 ? n.builder().getI1Type() : n.getElementType(0);
    if (!type || failed(n.setOutput(1, n.broadcastTo(n.scalar(1, type), n.getExtents(0)))))
      return failure();
  }
  return n.forward(0, n.getValue(0));
}

} // namespace

void registerRandomOperators(OperatorRegistry &r) {
  r.add("RandomUniform", 1, randomOfShape(/*isNormal=*/false));
  r.add("RandomNormal", 1, randomOfShape(/*isNormal=*/true));
  r.add("RandomUniformLike", 1, randomLike(/*isNormal=*/false));
  r.add("RandomNormalLike", 1, randomLike(/*isNormal=*/true));
  r.add("Bernoulli", 15, convertBernoulli);
  r.add("Multinomial", 7, convertMultinomial);
  r.add("Dropout", 1, convertDropout);
}

} // namespace penstock::onnximport
