//===- CudnnAttentionKernelTest.cpp - Attentions that cuDNN does -*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Every kernel that a case of this program runs on the CPU runs on a device of the machine that is not there too, if
// cuDNN does it (CudnnAttentionCases.cpp, LibraryRun.h).
//
//===----------------------------------------------------------------------===//

#include "GpuHarness.h"
#include "LibraryRun.h"

#include "penstock/Target/Cuda/CudnnTable.h"

using namespace penstock;
using namespace penstock::test;

namespace {

rt::Status openAttentions(rt::CudaKernels &kernels) {
  rt_cuda_attention_desc any = {};
  any.version = RT_CUDA_ATTENTION_VERSION;
  const rt_cuda_attention_desc *list[] = {&any};
  return kernels.dnn().load({list, 1});
}

const testing::Environment *const environment =
    observeLibrary({[] { return cuda::createCudnnTable(/*allowsTf32=*/false); }, "rt_cuda_attention",
                    reinterpret_cast<void *>(&rt_cuda_attention), openAttentions, "expected at least 1 position"});

} // namespace
