//===- EmitLoops.h - One op on buffers as one function ----------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_LIB_TARGET_CUDA_EMITLOOPS_H
#define PENSTOCK_LIB_TARGET_CUDA_EMITLOOPS_H

#include "DeviceFunction.h"
#include "penstock/Kernels/ExtentFinder.h"

namespace penstock::cuda {

/// One thread per element of the result; reductions are loops of a thread. `extents`: of the op's loops.
void emitElements(linalg::GenericOp op, ArrayRef<AffineExpr> extents, func::FuncOp host, gpu::GPUModuleOp device);

/// The operand that an elementwise op reads with another axis innermost than it writes, if both are long; null if none.
OpOperand *findTransposed(linalg::GenericOp op, ArrayRef<AffineExpr> extents);

/// An elementwise op tile by tile: the transposed operand comes through shared memory, so that reads and writes run
/// along memory both.
void emitTransposed(linalg::GenericOp op, OpOperand &operand, ArrayRef<AffineExpr> extents, func::FuncOp host,
                    gpu::GPUModuleOp device);

/// Ops whose order matters, one after the other by one thread.
void emitSerial(ArrayRef<Operation *> ops, func::FuncOp host, gpu::GPUModuleOp device);

} // namespace penstock::cuda

#endif // PENSTOCK_LIB_TARGET_CUDA_EMITLOOPS_H
