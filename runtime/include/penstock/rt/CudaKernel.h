//===- CudaKernel.h - What a kernel for CUDA devices is made of ---------*- C -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The object of a kernel that runs on a CUDA device is code for the host, as every kernel's is: it defines
//
//     void k_<hash>(rt_ctx *ctx, void *const *buffers, const int64_t *symbols);
//
// of Abi.h, whose buffers (ins, outs, inouts, workspace) lie in device memory. The function works out the size of each
// grid from the symbols and enqueues the kernel's launches one after the other with rt_cuda_launch. Each launch sees
// what the ones before it wrote: they belong on one stream.
//
// Beside the function lies a constant rt_cuda_kernel with the device's code, and in the section `rt_cuda_kernels` a
// pointer to it. So the linker's symbols __start_rt_cuda_kernels and __stop_rt_cuda_kernels bound an array of all
// kernels of an executable, which lets a device load them before the first request.
//
// Units: bytes, threads. Ownership: all of it is constant and lives as long as the executable.
// Threads: a kernel is called by the thread of its role. Errors: rt_cuda_launch reports through rt_fail of Abi.h and
// returns normally; further launches of a failed context do nothing.
// A change of layout or meaning raises RT_CUDA_KERNEL_VERSION.
//
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_RT_CUDAKERNEL_H
#define PENSTOCK_RT_CUDAKERNEL_H

#include "penstock/rt/Abi.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RT_CUDA_KERNEL_VERSION 1
/// Of the scratch memory of NVIDIA's libraries: cuBLASLt refuses any other. A kernel's workspace is only aligned to
/// RT_ALIGNMENT and has as many bytes to spare.
#define RT_CUDA_LIBRARY_ALIGNMENT 256

/// An entry of an image and how it is launched, always.
typedef struct rt_cuda_function {
  const char *name;             ///< for cuModuleGetFunction: "k_<hash>_<index>"
  uint32_t block[3];            ///< threads of a block in x, y and z; at most 1024 in all
  uint32_t num_arguments;       ///< parameters, each of 8 bytes: device pointers and signed integers
  uint32_t static_shared_bytes; ///< shared memory of a block that the code itself declares
} rt_cuda_function;

/// The code of one kernel for the device.
typedef struct rt_cuda_kernel {
  uint32_t version; ///< RT_CUDA_KERNEL_VERSION
  uint32_t num_functions;
  const char *name; ///< the symbol of the kernel, "k_<hash>"
  const char
      *archs; ///< what the image has cubins for, with commas: "sm_80,sm_90"; PTX of the last one serves later chips
  const void *image; ///< a fat binary, as cuModuleLoadData takes it; the runtime does not look inside
  uint64_t image_bytes;
  const rt_cuda_function *functions;
} rt_cuda_kernel;

/// Enqueues one launch of `kernel->functions[function]` on the stream that ctx computes on. `grid`: blocks in x, y and
/// z; if one is 0 there is nothing to do and nothing is launched. `dynamic_shared_bytes`: shared memory of a block
/// beside the static part; 0 from today's compiler. `arguments`: num_arguments values in the order of the function's
/// parameters, read before the call returns.
void rt_cuda_launch(rt_ctx *ctx, const rt_cuda_kernel *kernel, uint32_t function, const uint32_t grid[3],
                    uint32_t dynamic_shared_bytes, const uint64_t *arguments);

/// At the end of a kernel with branches that data decide: one of them needs the extents to be equal, which only matters
/// if it was taken. `word` lies on the device and is `number` then, else something else; it is written by the kernel's
/// launches. If the extents are not equal this waits for the device, and reports like rt_check.
void rt_cuda_check(rt_ctx *ctx, const void *word, int64_t number, int64_t lhs, int64_t rhs, const char *what);

#ifdef __cplusplus
}
#endif
#endif // PENSTOCK_RT_CUDAKERNEL_H
