//===- OneDnn.h - Descriptors of kernels that oneDNN runs --------*- C -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A library kernel is a small function that computes the extents of its tensors from its symbols and calls rt_dnnl_run
// with a constant descriptor: one contraction and what is done to each of its elements. Every field is a 64-bit word,
// so that the compiler can write a descriptor as a table of numbers. The numbers below are ours, not oneDNN's: they
// stay when oneDNN's change.
//
// Units: elements. Ownership: descriptors live as long as the executable. Threads: the role's thread. Errors: rt_fail.
// Any change of layout or meaning raises RT_DNNL_VERSION.
//
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_RT_DEVICES_CPU_ONEDNN_H
#define PENSTOCK_RT_DEVICES_CPU_ONEDNN_H

#include "penstock/rt/Abi.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RT_DNNL_VERSION 2
#define RT_DNNL_MAX_SPATIAL 3
#define RT_DNNL_MAX_DIMS 6
#define RT_DNNL_MAX_POST_OPS 8
/// Most extents that one kernel hands over.
#define RT_DNNL_MAX_EXTENTS 64
/// Tuples of extents of one kernel that stay ready; the one unused for longest goes first. Fewer where extents are
/// bounded, for there the memory of a role is promised.
#define RT_DNNL_MAX_SHAPES 64
#define RT_DNNL_MAX_BOUNDED_SHAPES 16
/// What one of them takes, on the average over the networks of the tests: machine code and descriptions.
#define RT_DNNL_SHAPE_BYTES (64 * 1024)
/// Room for the layout of packed weights as text, with its end; a multiple of 8.
#define RT_DNNL_LAYOUT_BYTES 64

/// The contraction.
enum rt_dnnl_op {
  RT_DNNL_CONV = 1,           ///< source N x C x spatial, weights M x C/group x kernel
  RT_DNNL_CONV_TRANSPOSE = 2, ///< source N x C x spatial, weights C x M/group x kernel
  RT_DNNL_MATMUL = 3          ///< source [B x] M x K, weights [B x] K x N
};

/// How a tensor lies in its buffer.
enum rt_dnnl_layout {
  RT_DNNL_ROW_MAJOR = 0,
  RT_DNNL_CHANNELS_LAST = 1, ///< axis 1 is the innermost one
  RT_DNNL_TRANSPOSED = 2     ///< the last two axes are swapped
};

enum rt_dnnl_isa { RT_DNNL_AVX2 = 1, RT_DNNL_AVX512 = 2, RT_DNNL_AVX512_VNNI = 3, RT_DNNL_AVX512_BF16 = 4 };

/// What is done to each element x of the contraction's result; v is the operand's element.
enum rt_dnnl_post_op_kind {
  RT_DNNL_RELU = 1,    ///< x < 0 ? alpha * x : x
  RT_DNNL_LINEAR = 2,  ///< alpha * x + beta
  RT_DNNL_CLIP = 3,    ///< max(alpha, min(beta, x))
  RT_DNNL_SIGMOID = 4, ///< 1 / (1 + exp(-x))
  RT_DNNL_TANH = 5,
  RT_DNNL_ELU = 6, ///< x < 0 ? alpha * (exp(x) - 1) : x
  RT_DNNL_GELU_ERF = 7,
  RT_DNNL_GELU_TANH = 8,
  RT_DNNL_SWISH = 9, ///< x * sigmoid(alpha * x)
  RT_DNNL_HARD_SWISH = 10,
  RT_DNNL_ABS = 11,
  RT_DNNL_SQRT = 12,
  RT_DNNL_MISH = 13,
  RT_DNNL_BINARY_ADD = 32, ///< x + v, likewise below; the operand has one element, or one per channel
  RT_DNNL_BINARY_SUB = 33,
  RT_DNNL_BINARY_MUL = 34,
  RT_DNNL_BINARY_DIV = 35,
  RT_DNNL_BINARY_MAX = 36,
  RT_DNNL_BINARY_MIN = 37,
  RT_DNNL_SUM = 64 ///< x + v; the operand is of the result's shape; at most once
};

typedef struct rt_dnnl_tensor {
  int64_t buffer;  ///< index in the kernel's buffers; -1: there is none
  int64_t extents; ///< index of its first extent
  int64_t num_dims;
  int64_t layout; ///< rt_dnnl_layout
} rt_dnnl_tensor;

typedef struct rt_dnnl_post_op {
  int64_t kind;
  double alpha, beta;
  rt_dnnl_tensor operand;
} rt_dnnl_post_op;

typedef struct rt_dnnl_desc {
  int64_t version; ///< RT_DNNL_VERSION; first, never moves
  int64_t op;
  int64_t isa;
  int64_t groups;
  int64_t constant_weights; ///< weights stay the same while the role runs
  int64_t library_version;  ///< of the oneDNN that the kernel was made with: 10000 * major + 100 * minor + patch
  int64_t is_static;        ///< the extents never change
  int64_t workspace;        ///< index in the kernel's buffers; -1: scratch memory is the library's own, and grows
  int64_t workspace_bytes;
  /// How constant weights lie in their buffer, as Layout.h says: packed ahead of time. Empty: as `weights` says.
  char packed[RT_DNNL_LAYOUT_BYTES];
  int64_t num_extents;
  int64_t strides[RT_DNNL_MAX_SPATIAL], dilations[RT_DNNL_MAX_SPATIAL];
  int64_t pads[2 * RT_DNNL_MAX_SPATIAL]; ///< low ones of every spatial axis, then the high ones at RT_DNNL_MAX_SPATIAL
  rt_dnnl_tensor source, weights, bias, destination;
  int64_t num_post_ops;
  rt_dnnl_post_op post_ops[RT_DNNL_MAX_POST_OPS];
} rt_dnnl_desc;

/// `extents`: desc->num_extents values, those of all tensors of the descriptor, in the order their `extents` tell.
void rt_dnnl_run(rt_ctx *ctx, const rt_dnnl_desc *desc, void *const *buffers, const int64_t *extents);

#ifdef __cplusplus
}
#endif
#endif // PENSTOCK_RT_DEVICES_CPU_ONEDNN_H
