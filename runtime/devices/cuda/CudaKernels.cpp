//===- CudaKernels.cpp - The kernels of an executable on its device -===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "CudaKernels.h"

#include "CudaEntry.h"
#include "RoleDevice.h"

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
  Status status = theProducts.load(productsOfExecutable());
  return status.ok() ? theDnn.load() : status;
}

Status CudaKernels::launch(const rt_cuda_kernel &kernel, uint32_t function, const uint32_t (&grid)[3],
                           uint32_t sharedBytes, const uint64_t *arguments) {
  auto found = functions.find(&kernel);
  if (found == functions.end() || function >= found->second.size())
    return fail(Code::kProgram, "%s: launch %u of kernel '%s' was not loaded", stage.who().c_str(), function,
                kernel.name);
  if (grid[0] == 0 || grid[1] == 0 || grid[2] == 0)
    return Status();
  Waiting launch;
  launch.entry = &kernel.functions[function];
  launch.kernel = found->second[function];
  std::copy(std::begin(grid), std::end(grid), launch.grid);
  launch.sharedBytes = sharedBytes;
  if (!isCollecting)
    return begin(launch, arguments);
  launch.firstArgument = collected.size();
  collected.insert(collected.end(), arguments, arguments + launch.entry->num_arguments);
  waiting.push_back(launch);
  return Status();
}

Status CudaKernels::begin(const Waiting &waits, const uint64_t *arguments) {
  if (!waits.entry)
    return waits.product.plan ? theProducts.begin(waits.product) : theDnn.begin(waits.dnn);
  parameters.clear();
  for (uint32_t i = 0; i < waits.entry->num_arguments; ++i)
    parameters.push_back(const_cast<uint64_t *>(&arguments[i]));
  Launch launch;
  launch.kernel = waits.kernel;
  std::copy(std::begin(waits.grid), std::end(waits.grid), launch.grid);
  std::copy(std::begin(waits.entry->block), std::end(waits.entry->block), launch.block);
  launch.sharedBytes = waits.sharedBytes;
  launch.parameters = parameters.data();
  return stage.launch(launch, waits.entry->name);
}

Status CudaKernels::beginAll() {
  for (const Waiting &launch : waiting)
    if (Status status = begin(launch, collected.data() + launch.firstArgument); !status.ok())
      return status;
  return Status();
}

void CudaKernels::addToKey(const Waiting &waits) {
  auto add = [&](const void *data) { key.push_back(static_cast<int64_t>(reinterpret_cast<uintptr_t>(data))); };
  if (!waits.entry) {
    auto addCall = [&](const void *desc, const auto &buffers, const CudaPlan &plan) {
      add(desc);
      std::for_each(buffers.begin(), buffers.end(), add);
      key.push_back(static_cast<int64_t>(plan.number));
    };
    // A descriptor tells one kind of call from the others, and has the factor of a product.
    if (waits.product.plan)
      addCall(waits.product.desc, waits.product.buffers.all(), waits.product);
    else
      std::visit([&](const auto &buffers) { addCall(waits.dnn.desc, buffers.all(), waits.dnn); },
                 waits.dnn.buffers.kinds());
    return;
  }
  add(waits.kernel);
  key.insert(key.end(), std::begin(waits.grid), std::end(waits.grid));
  key.push_back(waits.sharedBytes);
  const uint64_t *arguments = collected.data() + waits.firstArgument;
  key.insert(key.end(), arguments, arguments + waits.entry->num_arguments);
}

Status CudaKernels::flush() {
  if (waiting.empty())
    return Status();
  key.clear();
  for (const Waiting &waits : waiting)
    addToKey(waits);
  bool isFirst = std::any_of(waiting.begin(), waiting.end(), [](const Waiting &w) { return w.isFirst(); });
  // One launch is as fast by itself, and no library loads its code while a graph is recorded.
  Status status = waiting.size() == 1 || isFirst ? beginAll() : stage.runGraph(key, [this] { return beginAll(); });
  waiting.clear();
  collected.clear();
  return status;
}

Status CudaKernels::multiply(const rt_cuda_product_desc &desc, void *const *buffers, const int64_t *extents) {
  Waiting waits;
  Status status = theProducts.prepare(desc, buffers, extents, waits.product);
  return status.ok() && waits.product.plan ? beginOrWait(waits) : status;
}

Status CudaKernels::run(const CudaDnnCall &call) {
  Waiting waits;
  waits.dnn = call;
  return call.plan ? beginOrWait(waits) : Status();
}

Status CudaKernels::beginOrWait(const Waiting &waits) {
  if (!isCollecting)
    return begin(waits, nullptr);
  waiting.push_back(waits);
  // Plans of what waits must not be forgotten.
  return waiting.size() < std::min(CudaProducts::kMaxPlans, CudaDnn::kMaxPlans) ? Status() : flush();
}

} // namespace rt
} // namespace penstock

extern "C" void rt_cuda_launch(rt_ctx *ctx, const rt_cuda_kernel *kernel, uint32_t function, const uint32_t grid[3],
                               uint32_t dynamic_shared_bytes, const uint64_t *arguments) {
  uint32_t blocks[3] = {grid[0], grid[1], grid[2]};
  penstock::rt::callKernels(
      ctx, [&](auto &kernels) { return kernels.launch(*kernel, function, blocks, dynamic_shared_bytes, arguments); });
}

extern "C" void rt_cuda_check(rt_ctx *ctx, const void *word, int64_t number, int64_t lhs, int64_t rhs,
                              const char *what) {
  if (lhs == rhs || ctx->kernelFailed.load(std::memory_order_relaxed))
    return;
  if (!ctx->onDevice)
    return rt_fail(ctx, "a kernel for a CUDA device, and this role has none");
  int64_t found = 0;
  penstock::rt::Status status = ctx->onDevice->read(&found, word, sizeof(found));
  if (!status.ok())
    return rt_fail(ctx, status.message().c_str());
  if (found == number)
    (void)rt_check(ctx, lhs, rhs, what);
}

extern "C" void rt_cuda_product(rt_ctx *ctx, const rt_cuda_product_desc *desc, void *const *buffers,
                                const int64_t *extents) {
  penstock::rt::callKernels(ctx, [&](auto &kernels) { return kernels.multiply(*desc, buffers, extents); });
}
