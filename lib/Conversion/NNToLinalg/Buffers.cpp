//===- Buffers.cpp - Ops that are lowered on buffers -===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#include "Buffers.h"

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

namespace penstock::linalg_lowering {
using namespace nn;

BufferEmitter::BufferEmitter(Emitter &e, Location loc, Type element)
    : e(e), b(e.b), loc(loc), element(element.isF16() || element.isBF16() ? e.b.getF32Type() : element),
      vectorType(VectorType::get({kReductionLanes}, this->element)), stored(element) {}

//===----------------------------------------------------------------------===//
// Buffers
//===----------------------------------------------------------------------===//

static int64_t staticOf(OpFoldResult value) { return getConstantIntValue(value).value_or(ShapedType::kDynamic); }

Value BufferEmitter::show(Value memref, const View &view) {
  SmallVector<OpFoldResult> sizes, strides;
  for (AffineExpr extent : view.extents)
    sizes.push_back(e.extent(loc, extent));
  for (AffineExpr stride : view.strides)
    strides.push_back(e.extent(loc, stride));
  OpFoldResult offset = e.extent(loc, view.offset);
  auto layout = StridedLayoutAttr::get(b.getContext(), staticOf(offset), llvm::map_to_vector(strides, staticOf));
  auto type = MemRefType::get(llvm::map_to_vector(sizes, staticOf), getElementTypeOrSelf(memref), layout);
  return b.create<memref::ReinterpretCastOp>(loc, type, memref, offset, sizes, strides);
}

/// As `extents`, if there are any, where memory lies in a way that serves.
static std::optional<View> viewAs(const View &view, ArrayRef<AffineExpr> extents, Lies lies) {
  std::optional<View> result = extents.empty() ? view : view.reshaped(extents);
  bool serves = result && (lies == Lies::Anyhow || getConstant(result->strides.back()) == 1);
  return serves ? result : std::nullopt;
}

Value BufferEmitter::allocate(Type type, ArrayRef<AffineExpr> extents) {
  SmallVector<int64_t> shape;
  SmallVector<Value> sizes;
  for (AffineExpr extent : extents) {
    shape.push_back(getConstant(extent).value_or(ShapedType::kDynamic));
    if (!getConstant(extent))
      sizes.push_back(e.index(loc, extent));
  }
  return b.create<memref::AllocOp>(loc, MemRefType::get(shape, type), sizes);
}

Value BufferEmitter::read(Value operand, ArrayRef<AffineExpr> extents, Lies lies) {
  RankedTensorType type = Emitter::typeOf(operand);
  auto seen = seeThrough(operand);
  if (Value buffer = seen && type.getElementType() == element ? e.getBuffer(seen->first) : Value())
    if (std::optional<View> view = viewAs(seen->second, extents, lies))
      return show(buffer, *view);
  Value tensor = e.widen(loc, e.get(operand), type);
  if (!extents.empty()) {
    RankedTensorType to = getTensorType(extents, type.getElementType());
    tensor = e.reshape(loc, tensor, type, to);
    type = to;
  }
  auto memrefType = MemRefType::get(type.getShape(), type.getElementType());
  return b.create<bufferization::ToMemrefOp>(loc, memrefType, tensor, /*read_only=*/b.getUnitAttr());
}

Value BufferEmitter::open(Value result, ArrayRef<AffineExpr> extents, Lies lies) {
  SmallVector<AffineExpr> own = getExtents(Emitter::typeOf(result));
  auto [end, place] = seeAhead(result);
  Value destination = element == stored ? e.getDestination(end) : Value();
  if (destination)
    if (std::optional<View> view = viewAs(place, extents, lies)) {
      isWritten = true;
      return show(destination, *view);
    }
  allocated = getTensorType(extents.empty() ? ArrayRef<AffineExpr>(own) : extents, element);
  return allocate(getExtents(allocated));
}

void BufferEmitter::close(Value result, Value memref) {
  if (isWritten)
    return e.setWritten(result, seeAhead(result).first);
  RankedTensorType type = Emitter::typeOf(result), wide = getTensorType(getExtents(type), element);
  Value tensor = b.create<bufferization::ToTensorOp>(loc, memref, /*restrict=*/true);
  e.set(result, e.narrow(loc, e.reshape(loc, tensor, allocated, wide), wide, type));
}

bool BufferEmitter::isContiguous(Value memref) {
  SmallVector<int64_t> strides;
  int64_t offset;
  return succeeded(getStridesAndOffset(cast<MemRefType>(memref.getType()), strides, offset)) && strides.back() == 1;
}

//===----------------------------------------------------------------------===//
// Loops and rows
//===----------------------------------------------------------------------===//

Value BufferEmitter::index(int64_t number) { return b.create<arith::ConstantIndexOp>(loc, number); }
Value BufferEmitter::toValue(OpFoldResult number) { return getValueOrCreateConstantIndexOp(b, loc, number); }
Value BufferEmitter::constant(double number) { return ScalarBuilder{b, loc}.constant(element, number); }
Value BufferEmitter::splat(double number) { return splat(constant(number)); }
Value BufferEmitter::splat(Value number) { return b.create<vector::BroadcastOp>(loc, vectorType, number); }

scf::ForOp BufferEmitter::loop(Value low, Value high, int64_t step, function_ref<void(Value)> body) {
  auto forOp = b.create<scf::ForOp>(loc, low, high, index(step));
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(forOp.getBody());
  body(forOp.getInductionVar());
  return forOp;
}

SmallVector<Value> BufferEmitter::overRow(AffineExpr length, ValueRange carried,
                                          function_ref<SmallVector<Value>(Value, Value, ValueRange)> body) {
  AffineExpr whole = simplifyExtent(length.floorDiv(kReductionLanes) * kReductionLanes);
  AffineExpr rest = simplifyExtent(length - whole);
  SmallVector<Value> current(carried);
  if (getConstant(whole) != 0) {
    auto forOp = b.create<scf::ForOp>(loc, index(0), e.index(loc, whole), index(kReductionLanes), current);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(forOp.getBody());
    SmallVector<Value> next = body(forOp.getInductionVar(), {}, forOp.getRegionIterArgs());
    if (!next.empty())
      b.create<scf::YieldOp>(loc, next);
    current.assign(forOp.getResults().begin(), forOp.getResults().end());
  }
  if (getConstant(rest) == 0)
    return current;
  auto lanes = VectorType::get({kReductionLanes}, b.getI1Type());
  Value counts = b.create<vector::CreateMaskOp>(loc, lanes, e.index(loc, rest));
  return body(e.index(loc, whole), counts, current);
}

Value BufferEmitter::load(Value memref, ValueRange indices, Value counts) {
  if (counts)
    return b.create<vector::MaskedLoadOp>(loc, vectorType, memref, indices, counts, splat(0.0));
  return b.create<vector::LoadOp>(loc, vectorType, memref, indices);
}

void BufferEmitter::store(Value vector, Value memref, ValueRange indices, Value counts) {
  if (counts)
    b.create<vector::MaskedStoreOp>(loc, memref, indices, counts, vector);
  else
    b.create<vector::StoreOp>(loc, vector, memref, indices);
}

Value BufferEmitter::keep(Value counts, Value vector, double number) {
  return counts ? Value(b.create<arith::SelectOp>(loc, counts, vector, splat(number))) : vector;
}

Value BufferEmitter::join(Value vector, function_ref<Value(Value, Value)> combine) {
  for (int64_t half = kReductionLanes / 2; half > 0; half /= 2) {
    SmallVector<int64_t> low = llvm::to_vector(llvm::seq<int64_t>(0, half));
    SmallVector<int64_t> high = llvm::to_vector(llvm::seq<int64_t>(half, 2 * half));
    vector = combine(b.create<vector::ShuffleOp>(loc, vector, vector, low),
                     b.create<vector::ShuffleOp>(loc, vector, vector, high));
  }
  return b.create<vector::ExtractOp>(loc, vector, ArrayRef<int64_t>{0});
}

Value BufferEmitter::sumOf(Value vector) {
  return join(vector, [&](Value lhs, Value rhs) { return b.create<arith::AddFOp>(loc, lhs, rhs); });
}

Value BufferEmitter::larger(Value lhs, Value rhs) {
  Value isLarger = b.create<arith::CmpFOp>(loc, arith::CmpFPredicate::OGT, lhs, rhs);
  return b.create<arith::SelectOp>(loc, isLarger, lhs, rhs);
}

} // namespace penstock::linalg_lowering
