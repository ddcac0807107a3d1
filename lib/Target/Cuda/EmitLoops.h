//===- EmitLoops.h - One op or loop on buffers as one function --*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_LIB_TARGET_CUDA_EMITLOOPS_H
#define PENSTOCK_LIB_TARGET_CUDA_EMITLOOPS_H

#include "DeviceFunction.h"
#include "penstock/Kernels/ExtentFinder.h"

#include "mlir/Dialect/SCF/IR/SCF.h"

namespace penstock::cuda {

/// Threads of a block whose threads know nothing of each other.
inline constexpr int32_t kThreads = 256;
/// Elements that a thread takes at once at most.
inline constexpr int64_t kMostWidth = 8;

/// The loops of an op by kind: the parallel ones with the one innermost in the result last, so that neighbouring
/// threads write to neighbouring places.
struct LoopOrder {
  explicit LoopOrder(linalg::GenericOp op);
  SmallVector<int64_t> parallel, reductions;
};

/// The extents of some of an op's loops.
SmallVector<AffineExpr> extentsOf(ArrayRef<int64_t> axes, ArrayRef<AffineExpr> extents);
/// Sets `position` on `axes` to that of the flat-th element of the space that they span; `space`: their extents.
void place(DeviceFunction &f, Value flat, ArrayRef<int64_t> axes, ArrayRef<AffineExpr> space,
           MutableArrayRef<Value> position);

/// Makes the element of the result at `position` (of the parallel loops), with a loop of its own over what is reduced.
/// Gives what to store, for each result.
SmallVector<Value> makeElement(DeviceFunction &f, linalg::GenericOp op, ArrayRef<AffineExpr> extents,
                               const LoopOrder &order, MutableArrayRef<Value> position);

/// The width of vectors: as many elements as 16 bytes hold, if the innermost of the `axes` of an elementwise op runs
/// along memory in every operand that it moves, and divides into them. Else 1.
int64_t findWidth(linalg::GenericOp op, AffineExpr innermostExtent, int64_t innermost);

/// A thread per element of the result, or per vector of elements; reductions are loops of a thread. `extents`: of the
/// op's loops.
void emitElements(linalg::GenericOp op, ArrayRef<AffineExpr> extents, func::FuncOp host, gpu::GPUModuleOp device);

/// Is the op a long reduction whose operand runs along memory with another axis than it reduces, and has it too few
/// results to have a thread each?
bool reducesColumns(linalg::GenericOp op, ArrayRef<AffineExpr> extents);

/// Such a reduction: a block has 32 neighbouring results, each with a column of threads that take every n-th element.
void emitColumns(linalg::GenericOp op, ArrayRef<AffineExpr> extents, func::FuncOp host, gpu::GPUModuleOp device);

/// The operand that an elementwise op reads with another axis innermost than it writes, if both are long; null if none.
OpOperand *findTransposed(linalg::GenericOp op, ArrayRef<AffineExpr> extents);

/// An elementwise op tile by tile: the transposed operand comes through shared memory, so that reads and writes run
/// along memory both.
void emitTransposed(linalg::GenericOp op, OpOperand &operand, ArrayRef<AffineExpr> extents, func::FuncOp host,
                    gpu::GPUModuleOp device);

/// What runs on how many threads when order matters.
enum class OrderedForm {
  Rows,  ///< a loop whose iterations are independent: a thread for each
  Lanes, ///< a loop of elementwise ops on slices: a thread for each element of a slice, through the whole loop
  Team,  ///< a loop around ops on tensors: one block, whose threads share each op
  Serial ///< one thread
};

/// The form of a loop with an order of its own, or of another op with effects.
OrderedForm chooseForm(Operation *op, kernels::ExtentFinder &finder);

/// A loop in a form other than Serial as one function.
void emitLoop(scf::ForOp loop, OrderedForm form, kernels::ExtentFinder &finder, func::FuncOp host,
              gpu::GPUModuleOp device);

/// Ops one after the other by one thread.
void emitSerial(ArrayRef<Operation *> ops, func::FuncOp host, gpu::GPUModuleOp device);

} // namespace penstock::cuda

#endif // PENSTOCK_LIB_TARGET_CUDA_EMITLOOPS_H
