//===- CudaConvolution.h - Convolutions that cuDNN does ------------------*- C -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A kernel that cuDNN does is, as every kernel, a function of Abi.h whose buffers lie in device memory. It computes its
// extents from its symbols and calls rt_cuda_convolution with a constant descriptor:
//
//     result = activation(convolution(input, filter) + residual + bias)
//
// The library does a residual and an activation only beside a bias.
//
// Images are batch x channels x height x width, filters filters x channels x height x width, row-major and dense, or,
// with channels_last, both with the channels behind the width; an image of one axis has a height of 1. There are
// CHANNELS / FILTER_CHANNELS groups. A pointer to the descriptor stands in the section `rt_cuda_convolutions`, whose
// bounds the linker knows as __start_rt_cuda_convolutions and __stop_rt_cuda_convolutions, so that the library is
// opened before the first request, and only by executables that use it.
//
// Every field is a 64-bit word, so that the compiler can write a descriptor as a table of numbers. The numbers are
// ours, not cuDNN's.
//
// Units: elements, unless a name says bytes. Ownership: descriptors live as long as the executable. Threads: the role's
// thread. Errors: rt_fail of Abi.h; further calls of a failed context do nothing.
// Any change of layout or meaning raises RT_CUDA_CONVOLUTION_VERSION.
//
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_RT_CUDACONVOLUTION_H
#define PENSTOCK_RT_CUDACONVOLUTION_H

#include "penstock/rt/CudaKernel.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RT_CUDA_CONVOLUTION_VERSION 2
/// Room for the kernel's name with its end; a multiple of 8.
#define RT_CUDA_CONVOLUTION_NAME_BYTES 48
/// Scratch memory that a plan may have, beside room for two copies of input, filter and result in another layout. Which
/// plan is taken depends on it, and so do the bits of the result.
#define RT_CUDA_CONVOLUTION_WORKSPACE_BYTES (32 * 1024 * 1024)

/// Of all operands and the result. Products are summed in f32.
enum rt_cuda_convolution_type {
  RT_CUDA_CONVOLUTION_F32 = 1,
  RT_CUDA_CONVOLUTION_F16 = 2,
  RT_CUDA_CONVOLUTION_BF16 = 3
};

enum rt_cuda_convolution_activation { RT_CUDA_CONVOLUTION_NO_ACTIVATION = 0, RT_CUDA_CONVOLUTION_RELU = 1 };

typedef struct rt_cuda_convolution_desc {
  int64_t version; ///< RT_CUDA_CONVOLUTION_VERSION; first, never moves
  char name[RT_CUDA_CONVOLUTION_NAME_BYTES];
  int64_t type;
  int64_t allows_tf32; ///< factors of type f32 may be rounded to 10 bits of fraction
  int64_t activation;
  int64_t channels_last;
  // Along height and width.
  int64_t strides[2], dilations[2];
  int64_t pads_before[2], pads_after[2]; ///< zeros
  // Indices in the kernel's buffers.
  int64_t input, filter;
  int64_t bias;     ///< one element per filter; -1: none
  int64_t residual; ///< of the result's shape; -1: none
  int64_t result;
  int64_t workspace; ///< of as many bytes as the last extent says, and RT_CUDA_LIBRARY_ALIGNMENT
} rt_cuda_convolution_desc;

enum {
  RT_CUDA_CONVOLUTION_BATCH,
  RT_CUDA_CONVOLUTION_CHANNELS,
  RT_CUDA_CONVOLUTION_HEIGHT,
  RT_CUDA_CONVOLUTION_WIDTH,
  RT_CUDA_CONVOLUTION_FILTERS,
  RT_CUDA_CONVOLUTION_FILTER_CHANNELS,
  RT_CUDA_CONVOLUTION_FILTER_HEIGHT,
  RT_CUDA_CONVOLUTION_FILTER_WIDTH,
  RT_CUDA_CONVOLUTION_RESULT_HEIGHT,
  RT_CUDA_CONVOLUTION_RESULT_WIDTH,
  RT_CUDA_CONVOLUTION_WORKSPACE ///< bytes
};
#define RT_CUDA_CONVOLUTION_NUM_EXTENTS 11

/// Enqueues the convolution on the stream that ctx computes on. `extents` are read before the call returns. An empty
/// result is nothing to do.
void rt_cuda_convolution(rt_ctx *ctx, const rt_cuda_convolution_desc *desc, void *const *buffers,
                         const int64_t *extents);

#ifdef __cplusplus
}
#endif
#endif // PENSTOCK_RT_CUDACONVOLUTION_H
