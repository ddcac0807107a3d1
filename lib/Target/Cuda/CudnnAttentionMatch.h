//===- CudnnAttentionMatch.h - Attentions as cuDNN sees them -- -*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// One attention of f16 or bf16 whose features are multiples of 8, with a mask that is added or none. Query, key and
// value lie anywhere in inputs of the kernel that strides can say, and so does the attention in the kernel's result.
//
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_LIB_TARGET_CUDA_CUDNNATTENTIONMATCH_H
#define PENSTOCK_LIB_TARGET_CUDA_CUDNNATTENTIONMATCH_H

#include "cudnn/CudaAttention.h"
#include "penstock/Dialect/NN/IR/NNOps.h"

#include <optional>

namespace penstock::cuda {

/// A kernel as a descriptor. Its buffers are the kernel's inputs, its result, then the workspace.
struct CudnnAttention {
  rt_cuda_attention_desc desc = {};
  llvm::SmallVector<mlir::AffineExpr> extents; ///< RT_CUDA_ATTENTION_NUM_EXTENTS, over the kernel's symbols
};

/// The descriptor of a kernel's body, if it has one, without the kernel's name.
std::optional<CudnnAttention> matchCudnnAttention(mlir::Block &body);

/// Whether the library attends in this type and with so many features; where the operands lie, and what becomes of rows
/// that see no position, is another question.
bool canBeCudnns(nn::AttentionOp op);

/// Whether a query, key or value lies in an input of its kernel so that the library can read it.
bool isReadByCudnn(mlir::Value operand);

/// The same of a mask.
bool isMaskReadByCudnn(mlir::Value mask);

/// The last value behind an attention in whose memory the library can leave the result; it has the same elements.
mlir::Value findCudnnResult(nn::AttentionOp op);

} // namespace penstock::cuda

#endif // PENSTOCK_LIB_TARGET_CUDA_CUDNNATTENTIONMATCH_H
