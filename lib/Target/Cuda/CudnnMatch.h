//===- CudnnMatch.h - Kernels as cuDNN sees them -------------- -*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// One convolution over one or two spatial axes, perhaps a bias per filter, and beside a bias another summand of the
// result's shape and relu: what cuDNN's precompiled engines do together. Anything else is left to generated code.
//
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_LIB_TARGET_CUDA_CUDNNMATCH_H
#define PENSTOCK_LIB_TARGET_CUDA_CUDNNMATCH_H

#include "LibraryEnd.h"
#include "cudnn/CudaConvolution.h"

#include <optional>

namespace penstock::cuda {

/// A kernel as a descriptor. Its buffers are the kernel's inputs, its result, then the workspace.
struct CudnnKernel {
  rt_cuda_convolution_desc desc = {};
  llvm::SmallVector<mlir::AffineExpr> extents; ///< RT_CUDA_CONVOLUTION_NUM_EXTENTS, over the kernel's symbols
};

/// The descriptor of a kernel's body, if it has one, without the kernel's name. `allowsTf32`: factors of type f32 may
/// be rounded.
std::optional<CudnnKernel> matchCudnn(mlir::Block &body, bool allowsTf32);

LibraryEnd findCudnnEnd(mlir::Block &body);

/// Filters lie in memory as they would with their channels last: there is one channel, or one number per channel.
bool isSameChannelsLast(mlir::RankedTensorType filter);

} // namespace penstock::cuda

#endif // PENSTOCK_LIB_TARGET_CUDA_CUDNNMATCH_H
