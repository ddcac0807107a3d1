//===- Float8.cpp - Floats of eight bits, by integer arithmetic -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
// No CPU computes with them: they are decoded to f32 and encoded from it. Subnormals are handled apart from single
// precision's own, which the runtime flushes to zero.
//===----------------------------------------------------------------------===//
#include "Emitter.h"

#include "mlir/Dialect/Math/IR/Math.h"

#include <cmath>

namespace penstock::linalg_lowering {
namespace {

struct Format {
  int mantissaBits, bias;
  int64_t largest;     ///< bits of the largest finite magnitude
  bool hasInfinity;    ///< as IEEE; else the value after the largest is NaN
  bool isUnsignedZero; ///< one zero; the bits of the other are the only NaN
};

std::optional<Format> getFormat(Type type) {
  if (isa<Float8E4M3FNType>(type))
    return Format{3, 7, 0x7e, false, false};
  if (isa<Float8E5M2Type>(type))
    return Format{2, 15, 0x7b, true, false};
  if (isa<Float8E4M3FNUZType>(type))
    return Format{3, 8, 0x7f, false, true};
  if (isa<Float8E5M2FNUZType>(type))
    return Format{2, 16, 0x7f, false, true};
  return std::nullopt;
}

struct Coder {
  OpBuilder &b;
  Location loc;
  Format format;

  Type i32() { return b.getI32Type(); }
  Type f32() { return b.getF32Type(); }
  Value integer(int64_t value) { return b.create<arith::ConstantOp>(loc, b.getI32IntegerAttr(value)); }
  Value real(double value) { return b.create<arith::ConstantOp>(loc, b.getF32FloatAttr(value)); }
  Value bitAnd(Value x, int64_t mask) { return b.create<arith::AndIOp>(loc, x, integer(mask)); }
  Value shiftLeft(Value x, int64_t count) { return b.create<arith::ShLIOp>(loc, x, integer(count)); }
  Value shiftRight(Value x, int64_t count) { return b.create<arith::ShRUIOp>(loc, x, integer(count)); }
  Value add(Value x, Value y) { return b.create<arith::AddIOp>(loc, x, y); }
  Value compare(arith::CmpIPredicate predicate, Value x, int64_t y) {
    return b.create<arith::CmpIOp>(loc, predicate, x, integer(y));
  }
  Value select(Value condition, Value x, Value y) { return b.create<arith::SelectOp>(loc, condition, x, y); }

  Value decode(Value x) {
    Value bits = b.create<arith::ExtUIOp>(loc, i32(), b.create<arith::BitcastOp>(loc, b.getI8Type(), x));
    Value magnitude = bitAnd(bits, 0x7f);
    int64_t leastNormal = int64_t(1) << format.mantissaBits;
    Value rebiased = add(shiftLeft(magnitude, 23 - format.mantissaBits), integer(int64_t(127 - format.bias) << 23));
    Value normal = b.create<arith::BitcastOp>(loc, f32(), rebiased);
    Value step = real(std::ldexp(1.0, 1 - format.bias - format.mantissaBits));
    Value small = b.create<arith::MulFOp>(loc, b.create<arith::UIToFPOp>(loc, f32(), magnitude), step);
    Value result = select(compare(arith::CmpIPredicate::ult, magnitude, leastNormal), small, normal);
    Value special;
    if (format.isUnsignedZero) {
      special = compare(arith::CmpIPredicate::eq, bits, 0x80);
    } else {
      if (format.hasInfinity)
        result = select(compare(arith::CmpIPredicate::eq, magnitude, format.largest + 1), real(HUGE_VAL), result);
      special = compare(arith::CmpIPredicate::ugt, magnitude, format.largest + (format.hasInfinity ? 1 : 0));
    }
    Value negative = b.create<arith::NegFOp>(loc, result);
    result = select(compare(arith::CmpIPredicate::uge, bits, 0x80), negative, result);
    return select(special, real(std::nan("")), result);
  }

  Value encode(Value x, Type type, bool saturate) {
    Value bits = b.create<arith::BitcastOp>(loc, i32(), x), sign = bitAnd(shiftRight(bits, 24), 0x80);
    Value magnitude = bitAnd(bits, 0x7fffffff), absolute = b.create<math::AbsFOp>(loc, x);
    // To nearest, ties to even: in the bits where the result is normal, else as an integer of the smallest step.
    int dropped = 23 - format.mantissaBits;
    Value odd = bitAnd(shiftRight(magnitude, dropped), 1);
    Value rounded = add(add(magnitude, integer((int64_t(1) << (dropped - 1)) - 1)), odd);
    Value normal = add(shiftRight(rounded, dropped), integer(-(int64_t(127 - format.bias) << format.mantissaBits)));
    Value limit = real(std::ldexp(1.0, 1 - format.bias));
    Value isSmall = b.create<arith::CmpFOp>(loc, arith::CmpFPredicate::OLT, absolute, limit);
    Value inRange = select(isSmall, absolute, real(0));
    Value steps = b.create<arith::MulFOp>(loc, inRange, real(std::ldexp(1.0, format.bias - 1 + format.mantissaBits)));
    Value small = b.create<arith::FPToSIOp>(loc, i32(), b.create<math::RoundEvenOp>(loc, steps));
    Value result = select(isSmall, small, normal);
    Value isNan = b.create<arith::CmpFOp>(loc, arith::CmpFPredicate::UNO, x, x);
    Value tooLarge = compare(arith::CmpIPredicate::sgt, result, format.largest);
    int64_t nan = format.isUnsignedZero ? 0x80 : 0x7f;
    if (saturate)
      result = select(tooLarge, integer(format.largest), result);
    else if (format.hasInfinity)
      result = select(tooLarge, integer(format.largest + 1), result);
    else
      isNan = b.create<arith::OrIOp>(loc, isNan, tooLarge);
    if (format.isUnsignedZero)
      sign = select(compare(arith::CmpIPredicate::eq, result, 0), integer(0), sign);
    result = select(isNan, integer(nan), b.create<arith::OrIOp>(loc, result, sign));
    return b.create<arith::BitcastOp>(loc, type, b.create<arith::TruncIOp>(loc, b.getI8Type(), result));
  }
};

} // namespace

bool isFloat8(Type type) { return getFormat(type).has_value(); }

Value ScalarBuilder::decodeFloat8(Value x) { return Coder{b, loc, *getFormat(x.getType())}.decode(x); }

Value ScalarBuilder::encodeFloat8(Value x, Type type, bool saturate) {
  return Coder{b, loc, *getFormat(type)}.encode(x, type, saturate);
}

} // namespace penstock::linalg_lowering
