//===- Emitter.h - What all lowerings to linalg share ----------*- C++ -*-===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
// Holds the builder, the values made so far and the symbols; knows extents, storage types and broadcasting. A family of
// ops is one file with one `emit<Op>` function per op, listed in dispatch (Emitter.cpp).
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_LIB_CONVERSION_NNTOLINALG_EMITTER_H
#define PENSTOCK_LIB_CONVERSION_NNTOLINALG_EMITTER_H

#include "penstock/Conversion/NNToLinalg/NNToLinalg.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/IRMapping.h"
#include "llvm/ADT/SmallPtrSet.h"

namespace penstock::linalg_lowering {
using namespace mlir;

/// Makes a scalar from scalars, inside the body of a linalg.generic.
using ScalarFn = function_ref<Value(OpBuilder &, Location, ValueRange)>;

/// Two extents that must be equal where a branch is taken.
struct Assumption {
  AffineExpr left, right;
  StringRef reason;
};

class Emitter {
public:
  Emitter(OpBuilder &builder, ArrayRef<Value> symbols, LoopStyle style) : b(builder), style(style), symbols(symbols) {}

  OpBuilder &b;
  const LoopStyle style;
  Value context; ///< of the runtime; null in kernels that cannot fail
  /// On devices instead: a word for the number of the assumption that did not hold.
  Value verdict;
  SmallVector<Assumption> assumptions; ///< numbered from 1

  Value get(Value value) const { return values.lookup(value); }
  void set(Value value, Value lowered) { values.map(value, lowered); }
  LogicalResult emit(Operation *op);

  // Buffers, for ops that are lowered to work on them directly.
  /// Where an operand of the kernel lies, row-major; null for other values.
  Value getBuffer(Value value) const { return buffers.lookupOrNull(value); }
  void setBuffer(Value value, Value memref) { buffers.map(value, memref); }
  /// Where a result of the kernel must lie in the end; null for other values.
  Value getDestination(Value value) const { return destinations.lookupOrNull(value); }
  void setDestination(Value value, Value memref) { destinations.map(value, memref); }
  /// `end`, which lies in its destination now, is nothing but `value` moved: the ops between the two are not lowered.
  void setWritten(Value value, Value end);
  bool isWritten(Operation *op) const { return written.contains(op); }
  // Types and extents.
  static RankedTensorType typeOf(Value value) { return cast<RankedTensorType>(value.getType()); }
  static RankedTensorType storageType(RankedTensorType type);
  OpFoldResult extent(Location loc, AffineExpr expr);
  SmallVector<OpFoldResult> extents(Location loc, RankedTensorType type);
  Value index(Location loc, AffineExpr expr);
  /// The indices of the flat-th element, row-major.
  SmallVector<Value> delinearize(Location loc, Value flat, ArrayRef<AffineExpr> extents);
  AffineExpr constantExpr(int64_t value) { return b.getAffineConstantExpr(value); }

  // Tensors. Types are those of nn (extents as expressions), values those of linalg.
  Value empty(Location loc, RankedTensorType type);
  Value filled(Location loc, RankedTensorType type, Value scalar);
  Value zeros(Location loc, RankedTensorType type);
  /// The same elements in another row-major shape.
  Value reshape(Location loc, Value value, RankedTensorType from, RankedTensorType to);
  /// A new tensor of `type` whose elements are functions of the inputs', which broadcast.
  Value elementwise(Location loc, RankedTensorType type, ArrayRef<std::pair<Value, RankedTensorType>> inputs,
                    ScalarFn fn);
  /// A new tensor of `type` made index by index; `fn` gets the indices.
  Value generate(Location loc, RankedTensorType type, ScalarFn fn);
  /// linalg.generic with one result.
  Value generic(Location loc, ValueRange inputs, Value init, ArrayRef<AffineMap> maps,
                ArrayRef<utils::IteratorType> iterators, ScalarFn fn);
  /// `value` in the storage of `init`, of the same type: what a loop carries must stay in one place.
  Value storedIn(Location loc, Value value, Value init);
  /// `value` as f32 if its elements are f16 or bf16, else itself. Changes `type` along.
  Value widen(Location loc, Value value, RankedTensorType &type);
  /// The inverse: to the element type of `type`.
  Value narrow(Location loc, Value value, RankedTensorType from, RankedTensorType to);
  /// The map of an operand that broadcasts to `result`.
  AffineMap broadcastMap(RankedTensorType operand, RankedTensorType result);
  /// A copy of `value` with `low` and `high` more elements on each axis, all `scalar`.
  Value padded(Location loc, Value value, RankedTensorType from, ArrayRef<AffineExpr> low, ArrayRef<AffineExpr> high,
               Value scalar, RankedTensorType &to);
  /// Reduces `axes` (ascending) of `value` without keeping them; the input is widened.
  Value reduce(Location loc, Value value, RankedTensorType type, ArrayRef<int64_t> axes, nn::ReduceKind kind,
               bool isUnsigned, RankedTensorType &resultType);

private:
  ArrayRef<Value> symbols;
  IRMapping values, buffers, destinations;
  llvm::SmallPtrSet<Operation *, 4> written;
};

// Scalars (Scalars.cpp). Float types are f32 or f64; integers are signless with their sign apart.
struct ScalarBuilder {
  OpBuilder &b;
  Location loc;

  Value constant(Type type, double value);
  Value integer(Type type, int64_t value);
  Value identity(nn::ReduceKind kind, Type type, bool isUnsigned);
  Value combine(nn::ReduceKind kind, Value lhs, Value rhs, bool isUnsigned);
  Value unary(nn::UnaryKind kind, Value x, double alpha, double beta, bool isUnsigned);
  Value binary(nn::BinaryKind kind, Value x, Value y, bool isUnsigned);
  Value compare(nn::CompareKind kind, Value x, Value y, bool isUnsigned);
  /// `from` and `to` are the types of nn, with signs.
  Value cast(Value x, Type from, Type to, bool saturate);
  /// To and from f32, for the formats of `isFloat8`; with `saturate` what is too large becomes the largest.
  Value decodeFloat8(Value x);
  Value encodeFloat8(Value x, Type type, bool saturate);
  /// acc + x * y, fused for floats.
  Value multiplyAdd(Value x, Value y, Value acc);
};

/// True for floats of eight bits, which only `cast` takes.
bool isFloat8(Type type);

/// True for unsigned integers and i1, whose values are 0 and 1.
bool isUnsigned(RankedTensorType type);

/// An index of the model as a position in [0, extent): negative ones count from the end, others are clamped.
Value toPosition(OpBuilder &b, Location loc, Value raw, Value extent);

// One function per op of a family; each maps the op's results.
LogicalResult emitElementwise(Emitter &e, Operation *op);
LogicalResult emitContraction(Emitter &e, Operation *op);
LogicalResult emitConv(Emitter &e, nn::ConvOp op);
LogicalResult emitConvTranspose(Emitter &e, nn::ConvTransposeOp op);
LogicalResult emitAttention(Emitter &e, nn::AttentionOp op);
LogicalResult emitAttentionAsTensors(Emitter &e, nn::AttentionOp op);
LogicalResult emitPool(Emitter &e, nn::PoolOp op);
LogicalResult emitReduction(Emitter &e, Operation *op);
LogicalResult emitMovement(Emitter &e, Operation *op);
LogicalResult emitIndexed(Emitter &e, Operation *op);
LogicalResult emitResize(Emitter &e, nn::ResizeOp op);
LogicalResult emitScatter(Emitter &e, Operation *op);
LogicalResult emitSelection(Emitter &e, Operation *op);
LogicalResult emitRanking(Emitter &e, nn::TopKOp op);
LogicalResult emitIf(Emitter &e, nn::IfOp op);
/// Before and after the ops of a kernel for devices whose branches take extents for granted: the word is cleared, and
/// handed to the runtime.
void openVerdict(Emitter &e, Location loc);
void closeVerdict(Emitter &e, Location loc, ModuleOp module);
LogicalResult emitRecurrent(Emitter &e, nn::RecurrentOp op);

} // namespace penstock::linalg_lowering

#endif // PENSTOCK_LIB_CONVERSION_NNTOLINALG_EMITTER_H
