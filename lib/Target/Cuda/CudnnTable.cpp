//===- CudnnTable.cpp - The kernels that cuDNN does ----------- -*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "penstock/Target/Cuda/CudnnTable.h"
#include "CallTable.h"
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
      return std::nullopt;
    return makeCall(*kernel, name, "rt_cuda_convolution", "rt_cuda_convolutions",
                    kernel->extents[RT_CUDA_CONVOLUTION_WORKSPACE]);
  }

  bool allowsTf32;
};

} // namespace

std::unique_ptr<kernels::LibraryTable> createCudnnTable(bool allowsTf32) {
  return std::make_unique<CudnnTable>(allowsTf32);
}

} // namespace penstock::cuda
