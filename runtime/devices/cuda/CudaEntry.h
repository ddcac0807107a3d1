//===- CudaEntry.h - What generated kernels call ----------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_RT_DEVICES_CUDAENTRY_H
#define PENSTOCK_RT_DEVICES_CUDAENTRY_H

#include "CudaKernels.h"
#include "lib/Role/Context.h"

namespace penstock {
namespace rt {

/// `call` of the role's kernels, whose failure is that of the kernel. Nothing is called once a kernel has failed.
template <typename Call> void callKernels(rt_ctx *ctx, const Call &call) {
  if (ctx->kernelFailed.load(std::memory_order_relaxed))
    return;
  if (!ctx->cudaKernels)
    return rt_fail(ctx, "a kernel for a CUDA device, and this role has none");
  if (Status status = call(*ctx->cudaKernels); !status.ok())
    rt_fail(ctx, status.message().c_str());
}

} // namespace rt
} // namespace penstock

#endif // PENSTOCK_RT_DEVICES_CUDAENTRY_H
