//===- CudnnTable.cpp - The kernels that cuDNN does ----------- -*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "penstock/Target/Cuda/CudnnTable.h"
#include "CallTable.h"
#include "CudnnAttentionMatch.h"
#include "CudnnMatch.h"

namespace penstock::cuda {
using namespace mlir;

namespace {

class CudnnTable : public CallTable {
public:
  explicit CudnnTable(bool allowsTf32) : CallTable("cuDNN 9"), allowsTf32(allowsTf32) {}

private:
  std::optional<FoundCall> find(Block &body, StringRef name) const override {
    std::optional<CudnnKernel> kernel = matchCudnn(body, allowsTf32);
    if (!kernel)
      return findAttention(body, name);
    return makeCall(*kernel, name, "rt_cuda_convolution", "rt_cuda_convolutions",
                    kernel->extents[RT_CUDA_CONVOLUTION_WORKSPACE]);
  }

  static std::optional<FoundCall> findAttention(Block &body, StringRef name) {
    std::optional<CudnnAttention> kernel = matchCudnnAttention(body);
    if (!kernel)
      return std::nullopt;
    AffineExpr scratch = getAffineConstantExpr(RT_CUDA_ATTENTION_WORKSPACE_BYTES, body.getParentOp()->getContext());
    return makeCall(*kernel, name, "rt_cuda_attention", "rt_cuda_attentions", scratch);
  }

  bool allowsTf32;
};

} // namespace

std::unique_ptr<kernels::LibraryTable> createCudnnTable(bool allowsTf32) {
  return std::make_unique<CudnnTable>(allowsTf32);
}

} // namespace penstock::cuda
