//===- CudaAttention.h - Attentions that cuDNN does ----------------------*- C -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A kernel that cuDNN does is, as every kernel, a function of Abi.h whose buffers lie in device memory. It computes its
// extents from its symbols and calls rt_cuda_attention with a constant descriptor:
//
//     result = softmax(scale * query * transposed(key) + mask) * value      for each image and head
//
// HEADS is a multiple of KEY_HEADS: a head of key and value serves as many of the query, one after the other. Where an
// operand lies in its buffer, the extents say: an offset, and strides from image to image, head to head and row to row.
// Features are neighbours. All of these are multiples of 8 elements. A mask is row-major and dense, and has all
// positions. A pointer to the descriptor stands in the section `rt_cuda_attentions`, whose bounds the linker knows as
// __start_rt_cuda_attentions and __stop_rt_cuda_attentions, so that the library is opened before the first request, and
// only by executables that use it.
//
// Every field is a 64-bit word, so that the compiler can write a descriptor as a table of numbers. The numbers are
// ours, not cuDNN's.
//
// Units: elements, unless a name says bytes. Ownership: descriptors live as long as the executable. Threads: the role's
// thread. Errors: rt_fail of Abi.h; further calls of a failed context do nothing.
// Any change of layout or meaning raises RT_CUDA_ATTENTION_VERSION.
//
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_RT_CUDAATTENTION_H
#define PENSTOCK_RT_CUDAATTENTION_H

#include "penstock/rt/CudaKernel.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RT_CUDA_ATTENTION_VERSION 1
/// Room for the kernel's name with its end; a multiple of 8.
#define RT_CUDA_ATTENTION_NAME_BYTES 48
/// Scratch memory that a plan may have. Which plan is taken depends on it, and so do the bits of the result.
#define RT_CUDA_ATTENTION_WORKSPACE_BYTES (32 * 1024 * 1024)
/// Of strides and offsets.
#define RT_CUDA_ATTENTION_MULTIPLE 8

/// Of all operands and the result. Sums are of f32.
enum rt_cuda_attention_type { RT_CUDA_ATTENTION_F16 = 1, RT_CUDA_ATTENTION_BF16 = 2 };

typedef struct rt_cuda_attention_desc {
  int64_t version; ///< RT_CUDA_ATTENTION_VERSION; first, never moves
  char name[RT_CUDA_ATTENTION_NAME_BYTES];
  int64_t type;
  double scale;
  // Indices in the kernel's buffers.
  int64_t query, key, value;
  int64_t mask; ///< -1: none
  int64_t result;
  int64_t workspace; ///< of RT_CUDA_ATTENTION_WORKSPACE_BYTES and RT_CUDA_LIBRARY_ALIGNMENT
} rt_cuda_attention_desc;

enum {
  RT_CUDA_ATTENTION_BATCH,
  RT_CUDA_ATTENTION_HEADS,
  RT_CUDA_ATTENTION_KEY_HEADS,
  RT_CUDA_ATTENTION_ROWS,
  RT_CUDA_ATTENTION_POSITIONS,
  RT_CUDA_ATTENTION_FEATURES,
  RT_CUDA_ATTENTION_VALUE_FEATURES,
  // Of each operand: offset, then strides of images, heads and rows.
  RT_CUDA_ATTENTION_QUERY,
  RT_CUDA_ATTENTION_KEY = RT_CUDA_ATTENTION_QUERY + 4,
  RT_CUDA_ATTENTION_VALUE = RT_CUDA_ATTENTION_KEY + 4,
  RT_CUDA_ATTENTION_RESULT = RT_CUDA_ATTENTION_VALUE + 4,
  // Images, heads and rows of the mask; 1: the same for all.
  RT_CUDA_ATTENTION_MASK = RT_CUDA_ATTENTION_RESULT + 4
};
#define RT_CUDA_ATTENTION_NUM_EXTENTS (RT_CUDA_ATTENTION_MASK + 3)

/// Enqueues the attention on the stream that ctx computes on. `extents` are read before the call returns. An empty
/// result is nothing to do.
void rt_cuda_attention(rt_ctx *ctx, const rt_cuda_attention_desc *desc, void *const *buffers, const int64_t *extents);

#ifdef __cplusplus
}
#endif
#endif // PENSTOCK_RT_CUDAATTENTION_H
