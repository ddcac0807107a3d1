//===- NNToLinalg.h - One kernel as linalg on tensors ----------*- C++ -*-===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
// Turns an `nn.kernel_def` into a function over pointers: inputs and results are wrapped as memrefs, everything between
// is linalg on tensors. Numbers are fixed here: products of floats accumulate with fused multiply-adds in the order of
// the loops, sums along the last axis go over 16 lanes that are added at the end, half types compute in single
// precision.
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_CONVERSION_NNTOLINALG_H
#define PENSTOCK_CONVERSION_NNTOLINALG_H

#include "penstock/Dialect/NN/IR/NNOps.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace penstock {

/// Partial sums along the last axis: as many as an AVX-512 register has single-precision elements.
inline constexpr int64_t kReductionLanes = 16;

/// Unit attribute of an outermost scf.for whose iterations are independent: threads may share them.
inline constexpr llvm::StringLiteral kParallelLoopAttr = "kernel.parallel";

/// The element type that a tensor of `type` has in linalg and in memory: integers lose their sign, which the ops know.
mlir::Type getStorageType(mlir::Type type);

/// Unit attribute of a kernel's function whose first pointer is the runtime's context: it reports failures.
inline constexpr llvm::StringLiteral kContextAttr = "kernel.context";

/// A kernel for devices that may fail calls it at its end, once for each pair of extents that a branch takes for
/// granted, with the address of a word of the device's memory, the number that the word has if that branch was taken,
/// the extents, and what they are: rt_cuda_check without the context.
inline constexpr llvm::StringLiteral kVerdictFunction = "rt_cuda_check";

/// How kernels whose speed hangs on loops over rows are written.
enum class LoopStyle {
  Rows,   ///< for processors with vector registers: loops over buffers, row by row, in lanes of kReductionLanes
  Tensors ///< for devices that distribute loops themselves: all linalg on tensors, reductions whole
};

/// Appends a function `name` to `module`: the context if it has `kContextAttr`, one !llvm.ptr per input, result, then
/// one for the workspace; then one index per symbol. Pointers are noalias and 64-byte aligned. Buffers are row-major.
/// Ops without a lowering are an error that names the op.
mlir::FailureOr<mlir::func::FuncOp> lowerKernelToLinalg(nn::KernelDefOp kernel, mlir::ModuleOp module,
                                                        llvm::StringRef name, LoopStyle style = LoopStyle::Rows);

/// Registers the dialects that the lowering makes ops of.
void registerLinalgDialects(mlir::DialectRegistry &registry);

} // namespace penstock

#endif // PENSTOCK_CONVERSION_NNTOLINALG_H
