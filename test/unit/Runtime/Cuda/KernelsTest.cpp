//===- KernelsTest.cpp - Kernels as generated code launches them -*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "KernelsRun.h"

using namespace testdevice;

namespace {

/// Notes the launches of a kernel with two functions, of one and two arguments, as the compiler writes one.
class GeneratedKernel {
public:
  GeneratedKernel() : image(standin::makeImage(90)) {
    for (uint32_t i = 0; i < 2; ++i) {
      standin::KernelModel model;
      model.name = functions[i].name, model.numParameters = functions[i].num_arguments;
      model.accesses = [](const standin::KernelCall &call) -> std::vector<standin::Access> {
        return {{reinterpret_cast<const void *>(call.parameters[0]), 4, true}};
      };
      model.run = [this](const standin::KernelCall &call) { launches.push_back(call); };
      standin::addKernel(model);
    }
    kernel.image = image.data(), kernel.image_bytes = image.size();
  }
  std::vector<char> image;
  rt_cuda_function functions[2] = {{"k_1_0", {32, 1, 1}, 1, 0}, {"k_1_1", {64, 2, 1}, 2, 0}};
  rt_cuda_kernel kernel = {RT_CUDA_KERNEL_VERSION, 2, "k_1", "sm_90", nullptr, 0, functions};
  std::vector<standin::KernelCall> launches;
};

class CudaKernelsTest : public KernelsRun {
protected:
  CudaKernelsTest() : KernelsRun({{"arena", 64}}) {}
};

// Each launch has its function's block, its own grid, and its arguments; one without blocks is none.
TEST_F(CudaKernelsTest, launches) {
  GeneratedKernel generated;
  const rt_cuda_kernel *list[] = {&generated.kernel};
  ASSERT_TRUE(kernels->load({list, 1}).ok());
  uint64_t arguments[] = {reinterpret_cast<uintptr_t>(stage->part(0)), 7};
  uint32_t grids[][3] = {{3, 1, 1}, {5, 6, 7}, {5, 0, 7}};
  rt_cuda_launch(ctx.get(), &generated.kernel, 0, grids[0], 0, arguments);
  rt_cuda_launch(ctx.get(), &generated.kernel, 1, grids[1], 128, arguments);
  rt_cuda_launch(ctx.get(), &generated.kernel, 1, grids[2], 0, arguments);
  arguments[1] = 8; // they were read before the calls returned
  EXPECT_FALSE(ctx->kernelFailed) << ctx->kernelMessage;
  EXPECT_TRUE(generated.launches.empty());
  kernels.reset(), stage.reset(); // ends what is on the stream
  ASSERT_EQ(generated.launches.size(), 2u);
  EXPECT_EQ(generated.launches[0].block[0], 32u);
  EXPECT_EQ(generated.launches[0].parameters.size(), 1u);
  EXPECT_EQ(generated.launches[1].grid[2], 7u);
  EXPECT_EQ(generated.launches[1].block[1], 2u);
  EXPECT_EQ(generated.launches[1].sharedBytes, 128u);
  EXPECT_EQ(generated.launches[1].parameters, (std::vector<uint64_t>{arguments[0], 7}));
}

// What a graph records are the same launches.
TEST_F(CudaKernelsTest, withinGraphs) {
  GeneratedKernel generated;
  const rt_cuda_kernel *list[] = {&generated.kernel};
  ASSERT_TRUE(kernels->load({list, 1}).ok());
  uint64_t argument = reinterpret_cast<uintptr_t>(stage->part(0));
  uint32_t grid[3] = {1, 1, 1};
  for (int32_t i = 0; i < 3; ++i)
    EXPECT_TRUE(stage
                    ->runGraph({0},
                               [&] {
                                 rt_cuda_launch(ctx.get(), &generated.kernel, 0, grid, 0, &argument);
                                 return Status();
                               })
                    .ok());
  EXPECT_EQ(standin::numCalls("cuLaunchKernel"), 1);
  kernels.reset(), stage.reset();
  EXPECT_EQ(generated.launches.size(), 3u);
}

// Kernels of another version, for other chips, with other functions, or that were never loaded.
TEST_F(CudaKernelsTest, refusesKernels) {
  GeneratedKernel generated;
  const rt_cuda_kernel *list[] = {&generated.kernel};
  generated.kernel.version = 9;
  EXPECT_EQ(kernels->load({list, 1}).message(),
            "stage 0: kernel 'k_1' has version 9, expected 1; compile the model again with this version");
  generated.kernel.version = RT_CUDA_KERNEL_VERSION;
  std::vector<char> other = standin::makeImage(100);
  generated.kernel.image = other.data(), generated.kernel.archs = "sm_100";
  EXPECT_EQ(kernels->load({list, 1}).message(), "stage 0: device 0 (NVIDIA H200, sm_90) cannot run code that was "
                                                "compiled for sm_100; compile again with --arch sm_90");
  generated.kernel.image = generated.image.data();
  generated.functions[1].name = "k_other";
  EXPECT_EQ(kernels->load({list, 1}).code(), Code::kSystem);
  uint32_t grid[3] = {1, 1, 1};
  uint64_t arguments[2] = {};
  rt_cuda_launch(ctx.get(), &generated.kernel, 2, grid, 0, arguments);
  EXPECT_EQ(ctx->kernelMessage, "stage 0: launch 2 of kernel 'k_1' was not loaded");
  rt_cuda_launch(ctx.get(), &generated.kernel, 0, grid, 0, arguments); // nothing after a failure
  EXPECT_EQ(standin::numCalls("cuLaunchKernel"), 0);
}

// A kernel for a device in a role that has none.
TEST_F(CudaKernelsTest, needsADevice) {
  GeneratedKernel generated;
  ctx->cudaKernels = nullptr;
  uint32_t grid[3] = {1, 1, 1};
  rt_cuda_launch(ctx.get(), &generated.kernel, 0, grid, 0, nullptr);
  EXPECT_EQ(ctx->kernelMessage, "a kernel for a CUDA device, and this role has none");
}

} // namespace
