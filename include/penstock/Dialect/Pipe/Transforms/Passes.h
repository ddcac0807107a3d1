//===- Passes.h - Passes of the phases assign to place ---------*- C++ -*-===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_DIALECT_PIPE_TRANSFORMS_PASSES_H
#define PENSTOCK_DIALECT_PIPE_TRANSFORMS_PASSES_H

#include "penstock/Dialect/Pipe/IR/PipeOps.h"

#include "mlir/Pass/Pass.h"

namespace penstock::pipe {

/// Discardable attribute of an input or output of the entry function: the axis that carries the batch (see
/// `pipe-verify-batch`).
inline constexpr llvm::StringLiteral kBatchDimAttr = "nn.batch_dim";
/// Discardable attribute of a kernel: predicted seconds of one run (see `pipe-assign-stages`).
inline constexpr llvm::StringLiteral kSecondsAttr = "pipe.seconds";
/// Discardable attribute of a kernel and of its call: the name of the kernel of which it is a copy in another stage.
inline constexpr llvm::StringLiteral kCloneOfAttr = "nn.clone_of";
/// Discardable attribute of the module: the names of the model's kernels without clones (see `pipe-split-stages`).
inline constexpr llvm::StringLiteral kKernelsAttr = "pipe.kernels";
/// Discardable attribute of the module: outputs fed back as inputs of the next call, pairs of names (input, output).
inline constexpr llvm::StringLiteral kStatesAttr = "nn.states";
/// Discardable attribute of the module: why requests cannot be cut into microbatches.
inline constexpr llvm::StringLiteral kBatchUnprovedAttr = "nn.batch_unproved";

#define GEN_PASS_DECL
#include "penstock/Dialect/Pipe/Transforms/Passes.h.inc"
#define GEN_PASS_REGISTRATION
#include "penstock/Dialect/Pipe/Transforms/Passes.h.inc"

} // namespace penstock::pipe

#endif // PENSTOCK_DIALECT_PIPE_TRANSFORMS_PASSES_H
