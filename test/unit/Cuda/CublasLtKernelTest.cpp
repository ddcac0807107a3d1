//===- CublasLtKernelTest.cpp - Kernels that cuBLASLt does ------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Every kernel that a case of this program runs on the CPU runs on a device of the machine that is not there too, if
// cuBLASLt does it (CublasLtCases.cpp, LibraryRun.h).
//
//===----------------------------------------------------------------------===//

#include "GpuHarness.h"
#include "LibraryRun.h"

#include "penstock/Target/Cuda/CublasLtTable.h"

using namespace penstock;
using namespace penstock::test;

namespace {

rt::Status openProducts(rt::CudaKernels &kernels) {
  rt_cuda_product_desc any = {};
  any.version = RT_CUDA_PRODUCT_VERSION;
  const rt_cuda_product_desc *list[] = {&any};
  return kernels.products().load({list, 1});
}

const testing::Environment *const environment = observeLibrary(
    {[] { return cuda::createCublasLtTable(/*allowsTf32=*/false); }, "rt_cuda_product",
     reinterpret_cast<void *>(&rt_cuda_product), openProducts, "with an inner extent of 0, expected at least 1"});

} // namespace
