//===- Buffers.h - Ops that are lowered on buffers -------------*- C++ -*-===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
// Ops whose speed hangs on where operands and result lie, and on what stays in registers, are lowered to loops over
// buffers at once, past fusion and bufferization of tensors. An operand that movements make of a buffer is read there;
// a result that movements lead to a result of the kernel is written there.
//
// Vectors have kReductionLanes elements on every machine: sums along a row run in lanes, which are added by halves, the
// same order everywhere.
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_LIB_CONVERSION_NNTOLINALG_BUFFERS_H
#define PENSTOCK_LIB_CONVERSION_NNTOLINALG_BUFFERS_H

#include "Emitter.h"
#include "Views.h"

#include "mlir/Dialect/SCF/IR/SCF.h"

namespace penstock::linalg_lowering {

/// What is asked of memory that is there already: neighbours along the last axis lie side by side, or not.
enum class Lies { Anyhow, InRows };

class BufferEmitter {
protected:
  /// `element`: of the result; f16 and bf16 are computed in f32.
  BufferEmitter(Emitter &e, Location loc, Type element);

  // Buffers.

  Value show(Value memref, const View &view);
  /// Of the element type, or of another one.
  Value allocate(ArrayRef<AffineExpr> extents) { return allocate(element, extents); }
  Value allocate(Type type, ArrayRef<AffineExpr> extents);
  /// An operand where it lies, or, if it lies nowhere yet, not as asked or not in the element type, in a buffer of its
  /// own. With `extents`, in that shape.
  Value read(Value operand, ArrayRef<AffineExpr> extents = {}, Lies lies = Lies::Anyhow);
  /// Where the op's result is to be written, with its own axes or in the shape `extents`.
  Value open(Value result, ArrayRef<AffineExpr> extents = {}, Lies lies = Lies::Anyhow);
  /// The result has been written there.
  void close(Value result, Value memref);
  static bool isContiguous(Value memref);

  // Loops and numbers.

  Value index(int64_t number);
  Value toValue(OpFoldResult number);
  Value constant(double number);
  Value splat(double number);
  Value splat(Value number);
  scf::ForOp loop(Value low, Value high, int64_t step, function_ref<void(Value)> body);

  // Rows in vectors.

  /// `body(position, which lanes count or null for all, carried)` for the vectors of a row of `length`; gives what the
  /// last one carried. Lanes that do not count must not reach it.
  SmallVector<Value> overRow(AffineExpr length, ValueRange carried,
                             function_ref<SmallVector<Value>(Value, Value, ValueRange)> body);
  /// Lanes that do not count are 0.
  Value load(Value memref, ValueRange indices, Value counts);
  void store(Value vector, Value memref, ValueRange indices, Value counts);
  /// `vector` where lanes count, else `number`.
  Value keep(Value counts, Value vector, double number);
  /// All lanes joined, half by half.
  Value join(Value vector, function_ref<Value(Value, Value)> combine);
  Value sumOf(Value vector);
  /// The larger one. NaN in `lhs` is lost.
  Value larger(Value lhs, Value rhs);

  Emitter &e;
  OpBuilder &b;
  Location loc;
  Type element; ///< computed in
  VectorType vectorType;

private:
  Type stored;                ///< the result's
  RankedTensorType allocated; ///< what was made for the result,
  bool isWritten = false;     ///< unless it is written to its destination
};

/// Softmax and normalization along contiguous rows. False if the op is of another form, and nothing was emitted.
bool emitRowSoftmax(Emitter &e, nn::SoftmaxOp op);
bool emitRowNorm(Emitter &e, nn::LayerNormOp op);

} // namespace penstock::linalg_lowering

#endif // PENSTOCK_LIB_CONVERSION_NNTOLINALG_BUFFERS_H
