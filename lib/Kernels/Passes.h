//===- Passes.h - From linalg to the LLVM dialect ---------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The passes between `lowerKernelToLinalg` and `emitObject`. Each works on one function of pointers and symbols. They
// are private to this library: outside, a kernel is text in and an object out.
//
//===----------------------------------------------------------------------===//

#ifndef PENSTOCK_LIB_KERNELS_PASSES_H
#define PENSTOCK_LIB_KERNELS_PASSES_H

#include "penstock/Conversion/NNToLinalg/NNToLinalg.h"
#include "penstock/Kernels/CodeGenerator.h"
#include "penstock/Kernels/KernelCompiler.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Pass/PassManager.h"

namespace penstock::kernels {

/// Every buffer begins at a multiple of this many bytes.
inline constexpr int64_t kAlignment = 64;
/// Bytes of the stack that a kernel of the host may use.
inline constexpr int64_t kMaxStackBytes = 8192;
/// And those that each thread may use besides, for columns of one contraction.
inline constexpr int64_t kMaxPanelBytes = 16384;
/// Scalar operations that are worth a thread's wake-up.
inline constexpr int64_t kEnoughOperations = 32 * 1024;

/// Joins elementwise linalg ops, folds constants and reshapes into them.
std::unique_ptr<mlir::Pass> createFuseElementwisePass();

/// Elementwise ops that write to a tensor of their own take over the buffer of an operand that nobody else needs.
std::unique_ptr<mlir::Pass> createWorkInPlacePass();

/// Products and convolutions on buffers as loops around tiles of sums in vector registers. `isParallel` marks outermost
/// loops that threads may share with kParallelAttr.
std::unique_ptr<mlir::Pass> createTileContractionsPass(unsigned vectorBits, bool isParallel);

/// Reductions whose results are contiguous, and which run over axes before these, in blocks of results that threads may
/// share.
std::unique_ptr<mlir::Pass> createTileReductionsPass();

/// Copies that exchange the axes which lie next to each other in memory, block by block.
std::unique_ptr<mlir::Pass> createTileTransposesPass(bool isParallel);

/// Gives every user of a tensor.empty one of its own.
std::unique_ptr<mlir::Pass> createSeparateEmptiesPass();

/// memref.copy between strided buffers as loops.
std::unique_ptr<mlir::Pass> createLowerCopiesPass();

/// Outermost loops whose iterations are independent (scf.parallel, and scf.for with kParallelAttr) become functions of
/// a range of iterations, called with the whole range.
std::unique_ptr<mlir::Pass> createOutlineParallelLoopsPass();
inline constexpr llvm::StringLiteral kParallelAttr = kParallelLoopAttr, kPartPrefix = "part_";

/// Calls of such functions in `body` go through rt_parallel_for. True if there are any; then `body` has the context of
/// the runtime as its last argument. `passthrough` is for the functions.
bool useParallelFor(mlir::ModuleOp module, mlir::LLVM::LLVMFuncOp body, mlir::ArrayAttr passthrough);

/// Lowers a module with one linalg function up to `form`.
mlir::LogicalResult lowerModule(mlir::ModuleOp module, const TargetProfile &profile, KernelForm form);

} // namespace penstock::kernels

#endif // PENSTOCK_LIB_KERNELS_PASSES_H
