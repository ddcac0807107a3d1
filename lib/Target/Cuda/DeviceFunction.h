//===- DeviceFunction.h - A gpu.func and its launch -------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Some work of a kernel's host function moves into a function of the device. What the work needs of the host function
// (buffers, extents) is computed anew from the arguments, so that the parameters are pointers and symbols only.
//
//===----------------------------------------------------------------------===//

#ifndef PENSTOCK_LIB_TARGET_CUDA_DEVICEFUNCTION_H
#define PENSTOCK_LIB_TARGET_CUDA_DEVICEFUNCTION_H

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/IR/IRMapping.h"

namespace penstock::cuda {
using namespace mlir;

/// Threads of a block in x, y and z.
using BlockShape = std::array<int32_t, 3>;

/// The buffer that a view shows: an argument of the kernel, or a range of the workspace.
Value getBase(Value memref);
/// May others make what the op gives anew?
bool isRepeatable(Operation *op);
/// Erases ops of the host function that read or compute what nobody needs.
void eraseUnused(func::FuncOp host);

class DeviceFunction {
public:
  /// Begins the next function of `device`, for work that stands before `anchor` in the host function. Its body is made
  /// with `b`; `finish` ends it. If `anchor` stands in branches of the host function, the body runs where the device
  /// finds their conditions to hold.
  DeviceFunction(func::FuncOp host, gpu::GPUModuleOp device, Operation *anchor, BlockShape block,
                 ArrayRef<MemRefType> shared = {});

  OpBuilder b;
  Location loc;

  /// A value of the host function, on the device.
  Value get(Value hostValue);
  Value getShared(int64_t i);
  /// From here on `deviceValue` stands for a value of the host function.
  void map(Value hostValue, Value deviceValue) { values.map(hostValue, deviceValue); }
  /// Copies an op of the host function here, with all that it uses.
  void clone(Operation *op, IRMapping &local);
  /// The same, and others may use its results.
  void repeat(Operation *op) { clone(op, values); }

  // Numbers.
  Value index(int64_t number);
  /// An expression over the kernel's symbols.
  Value index(AffineExpr expr);
  Value add(Value lhs, Value rhs);
  Value multiply(Value lhs, Value rhs);
  Value isBelow(Value lhs, Value rhs);
  Value isEqual(Value lhs, Value rhs);
  Value thread(gpu::Dimension dimension);
  Value blockNumber();
  /// The number of a thread among those of all blocks, which count in x alone.
  Value threadNumber();
  /// The position of the flat-th element of a row-major space.
  SmallVector<Value> delinearize(Value flat, ArrayRef<AffineExpr> extents);

  // Control.
  void when(Value condition, function_ref<void()> body);
  /// A loop from `low` to `high`, whose carried values `body` replaces.
  SmallVector<Value> loop(Value low, Value high, Value step, ValueRange carried,
                          function_ref<SmallVector<Value>(Value, ValueRange)> body);

  // Elements.
  SmallVector<Value> mapIndices(AffineMap map, ValueRange position);
  Value load(OpOperand &operand, ValueRange position);
  void store(Value value, OpOperand &operand, ValueRange position);
  /// All results of an op at `position` of its loops.
  void store(ValueRange results, linalg::GenericOp op, ValueRange position);
  /// What the op yields at `position`. `given`: values that stand for elements of operands, by number; null ones are
  /// loaded.
  SmallVector<Value> compute(linalg::GenericOp op, ValueRange position, ArrayRef<Value> given = {});

  /// Joins two numbers with a copy of the op that joins them in a reduction.
  Value combine(Operation *combiner, Value lhs, Value rhs);

  /// Ends the function and launches `numBlocks` blocks of it, an expression over the symbols.
  void finish(AffineExpr numBlocks);

private:
  void beginBranches();

  func::FuncOp host;
  Operation *anchor;
  BlockShape block;
  gpu::GPUFuncOp function;
  Operation *begin = nullptr; ///< what is repeated of the host stands before it
  IRMapping values;
};

/// numerator / divisor, rounded up.
AffineExpr ceilDiv(AffineExpr numerator, int64_t divisor);
AffineExpr product(MLIRContext *context, ArrayRef<AffineExpr> factors);

} // namespace penstock::cuda

#endif // PENSTOCK_LIB_TARGET_CUDA_DEVICEFUNCTION_H
