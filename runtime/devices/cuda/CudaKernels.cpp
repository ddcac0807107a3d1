//===- CudaKernels.cpp - The kernels of an executable on its device -===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "CudaKernels.h"

#include "lib/Role/Context.h"

#include <algorithm>

namespace penstock {
namespace rt {

Status CudaKernels::load(Span<const rt_cuda_kernel *const> kernels) {
  size_t most = 0;
  for (const rt_cuda_kernel *kernel : kernels) {
    if (kernel->version != RT_CUDA_KERNEL_VERSION)
      return fail(Code::kMismatch,
                  "%s: kernel '%s' has version %u, expected %d; compile the model again with this version",
                  stage.who().c_str(), kernel->name, kernel->version, RT_CUDA_KERNEL_VERSION);
    void *image = nullptr;
    if (Status status = stage.load({kernel->image, kernel->archs}, image); !status.ok())
      return status;
    std::vector<void *> &found = functions[kernel];
    found.resize(kernel->num_functions);
    for (uint32_t i = 0; i < kernel->num_functions; ++i) {
      if (Status status = stage.find(image, kernel->functions[i].name, 0, found[i]); !status.ok())
        return status;
      most = std::max<size_t>(most, kernel->functions[i].num_arguments);
    }
  }
  parameters.reserve(most);
  return Status();
}

Status CudaKernels::launch(const rt_cuda_kernel &kernel, uint32_t function, const uint32_t (&grid)[3],
                           uint32_t sharedBytes, const uint64_t *arguments) {
  auto found = functions.find(&kernel);
  if (found == functions.end() || function >= found->second.size())
    return fail(Code::kProgram, "%s: launch %u of kernel '%s' was not loaded", stage.who().c_str(), function,
                kernel.name);
  if (grid[0] == 0 || grid[1] == 0 || grid[2] == 0)
    return Status();
  const rt_cuda_function &entry = kernel.functions[function];
  parameters.clear();
  for (uint32_t i = 0; i < entry.num_arguments; ++i)
    parameters.push_back(const_cast<uint64_t *>(&arguments[i]));
  Launch launch;
  launch.kernel = found->second[function];
  std::copy(std::begin(grid), std::end(grid), launch.grid);
  std::copy(std::begin(entry.block), std::end(entry.block), launch.block);
  launch.sharedBytes = sharedBytes;
  launch.parameters = parameters.data();
  return stage.launch(launch, entry.name);
}

} // namespace rt
} // namespace penstock

extern "C" void rt_cuda_launch(rt_ctx *ctx, const rt_cuda_kernel *kernel, uint32_t function, const uint32_t grid[3],
                               uint32_t dynamic_shared_bytes, const uint64_t *arguments) {
  using namespace penstock::rt;
  if (ctx->kernelFailed.load(std::memory_order_relaxed))
    return;
  if (!ctx->cudaKernels)
    return rt_fail(ctx, "a kernel for a CUDA device, and this role has none");
  uint32_t blocks[3] = {grid[0], grid[1], grid[2]};
  Status status = ctx->cudaKernels->launch(*kernel, function, blocks, dynamic_shared_bytes, arguments);
  if (!status.ok())
    rt_fail(ctx, status.message().c_str());
}
