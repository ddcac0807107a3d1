//===- CudaProduct.h - Products that cuBLASLt does -----------------------*- C -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A kernel that cuBLASLt does is, as every kernel, a function of Abi.h whose buffers lie in device memory. It computes
// four extents from its symbols and calls rt_cuda_product with a constant descriptor:
//
//     result[b] = activation(alpha * op(lhs[b]) * op(rhs[b]) + bias + residual[b])        for each b below `batch`
//
// All matrices are row-major and dense. A pointer to the descriptor stands in the section `rt_cuda_products`, whose
// bounds the linker knows as __start_rt_cuda_products and __stop_rt_cuda_products, so that the library is opened before
// the first request, and only by executables that use it.
//
// Every field is a 64-bit word, so that the compiler can write a descriptor as a table of numbers. The numbers are
// ours, not cuBLASLt's.
//
// Units: elements, unless a name says bytes. Ownership: descriptors live as long as the executable. Threads: the role's
// thread. Errors: rt_fail of Abi.h; further calls of a failed context do nothing.
// Any change of layout or meaning raises RT_CUDA_PRODUCT_VERSION.
//
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_RT_CUDAPRODUCT_H
#define PENSTOCK_RT_CUDAPRODUCT_H

#include "penstock/rt/CudaKernel.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RT_CUDA_PRODUCT_VERSION 3
/// Room for the kernel's name with its end; a multiple of 8.
#define RT_CUDA_PRODUCT_NAME_BYTES 48
/// Scratch memory that an algorithm may have. It is the same for every kernel and device, since which algorithm is
/// taken depends on it, and so do the bits of the result.
#define RT_CUDA_PRODUCT_WORKSPACE_BYTES (32 * 1024 * 1024)

/// Of all operands and the result, or of the factors and of all else. Products are summed in f32.
enum rt_cuda_product_type {
  RT_CUDA_PRODUCT_F32 = 1,
  RT_CUDA_PRODUCT_F16 = 2,
  RT_CUDA_PRODUCT_BF16 = 3,
  RT_CUDA_PRODUCT_F16_TO_F32 = 4,
  RT_CUDA_PRODUCT_BF16_TO_F32 = 5
};

enum rt_cuda_product_activation {
  RT_CUDA_PRODUCT_NO_ACTIVATION = 0,
  RT_CUDA_PRODUCT_RELU = 1,
  RT_CUDA_PRODUCT_GELU_TANH = 2 ///< x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x^3)))
};

typedef struct rt_cuda_product_desc {
  int64_t version; ///< RT_CUDA_PRODUCT_VERSION; first, never moves
  char name[RT_CUDA_PRODUCT_NAME_BYTES];
  int64_t type;
  int64_t allows_tf32; ///< factors of type f32 may be rounded to 10 bits of fraction
  int64_t activation;
  double alpha;
  int64_t transposes_lhs; ///< each matrix of it is inner x rows
  int64_t transposes_rhs; ///< each matrix of it is columns x inner
  int64_t repeats_lhs;    ///< it is one matrix, whatever `batch` is
  int64_t repeats_rhs;
  // Indices in the kernel's buffers.
  int64_t lhs, rhs;
  int64_t bias;     ///< one element per column; -1: none
  int64_t residual; ///< of the result's shape; -1: none
  int64_t result;
  int64_t workspace; ///< of RT_CUDA_PRODUCT_WORKSPACE_BYTES + RT_CUDA_LIBRARY_ALIGNMENT
} rt_cuda_product_desc;

enum { RT_CUDA_PRODUCT_BATCH, RT_CUDA_PRODUCT_ROWS, RT_CUDA_PRODUCT_INNER, RT_CUDA_PRODUCT_COLUMNS };
#define RT_CUDA_PRODUCT_NUM_EXTENTS 4

/// Enqueues the product on the stream that ctx computes on. `extents`: batch, rows, inner, columns, read before the
/// call returns. An empty result is nothing to do.
void rt_cuda_product(rt_ctx *ctx, const rt_cuda_product_desc *desc, void *const *buffers, const int64_t *extents);

#ifdef __cplusplus
}
#endif
#endif // PENSTOCK_RT_CUDAPRODUCT_H
