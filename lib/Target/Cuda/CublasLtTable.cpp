//===- CublasLtTable.cpp - The kernels that cuBLASLt does ----- -*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "penstock/Target/Cuda/CublasLtTable.h"
#include "CallTable.h"
#include "CublasLtMatch.h"

namespace penstock::cuda {
using namespace mlir;

namespace {

class CublasLtTable : public CallTable {
public:
  explicit CublasLtTable(bool allowsTf32) : CallTable("cuBLASLt 13"), allowsTf32(allowsTf32) {}

private:
  std::optional<FoundCall> find(Block &body, StringRef name) const override {
    std::optional<CublasLtKernel> kernel = matchCublasLt(body, allowsTf32);
    if (!kernel)
      return std::nullopt;
    AffineExpr scratchBytes = getAffineConstantExpr(RT_CUDA_PRODUCT_WORKSPACE_BYTES, body.getParentOp()->getContext());
    return makeCall(*kernel, name, "rt_cuda_product", "rt_cuda_products", scratchBytes);
  }

  bool allowsTf32;
};

} // namespace

std::unique_ptr<kernels::LibraryTable> createCublasLtTable(bool allowsTf32) {
  return std::make_unique<CublasLtTable>(allowsTf32);
}

} // namespace penstock::cuda
