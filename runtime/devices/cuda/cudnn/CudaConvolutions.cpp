//===- CudaConvolutions.cpp - The convolutions of an executable on its device -===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "CudaConvolutions.h"

#include <tuple>

// Of the linker, where an object of the executable has the section.
extern "C" {
extern const rt_cuda_convolution_desc *const __start_rt_cuda_convolutions[] __attribute__((weak, visibility("hidden")));
extern const rt_cuda_convolution_desc *const __stop_rt_cuda_convolutions[] __attribute__((weak, visibility("hidden")));
}

namespace penstock {
namespace rt {

Span<const rt_cuda_convolution_desc *const> convolutionsOfExecutable() {
  return {__start_rt_cuda_convolutions, size_t(__stop_rt_cuda_convolutions - __start_rt_cuda_convolutions)};
}

Status CudaConvolutions::load(Span<const rt_cuda_convolution_desc *const> convolutions) {
  return openLibrary(stage, "cuDNN", convolutions, RT_CUDA_CONVOLUTION_VERSION, &Device::openConvolutions, isOpen);
}

bool CudaConvolutions::Less::operator()(const ConvolutionProblem &lhs, const ConvolutionProblem &rhs) const {
  auto words = [](const ConvolutionProblem &p) {
    return std::tie(p.input, p.filter, p.result, p.strides, p.dilations, p.padsBefore, p.padsAfter, p.workspaceBytes,
                    p.type, p.allowsTf32, p.isChannelsLast, p.hasBias, p.hasResidual, p.hasRelu);
  };
  return words(lhs) < words(rhs);
}

static ConvolutionProblem problemOf(const rt_cuda_convolution_desc &desc, const int64_t *extents) {
  auto at = [extents](int index) { return extents[index]; };
  auto pair = [](const int64_t(&values)[2]) { return ConvolutionProblem::Pair{values[0], values[1]}; };
  ConvolutionProblem problem;
  problem.input = {at(RT_CUDA_CONVOLUTION_BATCH), at(RT_CUDA_CONVOLUTION_CHANNELS), at(RT_CUDA_CONVOLUTION_HEIGHT),
                   at(RT_CUDA_CONVOLUTION_WIDTH)};
  problem.filter = {at(RT_CUDA_CONVOLUTION_FILTERS), at(RT_CUDA_CONVOLUTION_FILTER_CHANNELS),
                    at(RT_CUDA_CONVOLUTION_FILTER_HEIGHT), at(RT_CUDA_CONVOLUTION_FILTER_WIDTH)};
  problem.result = {at(RT_CUDA_CONVOLUTION_BATCH), at(RT_CUDA_CONVOLUTION_FILTERS),
                    at(RT_CUDA_CONVOLUTION_RESULT_HEIGHT), at(RT_CUDA_CONVOLUTION_RESULT_WIDTH)};
  problem.workspaceBytes = at(RT_CUDA_CONVOLUTION_WORKSPACE);
  problem.strides = pair(desc.strides), problem.dilations = pair(desc.dilations);
  problem.padsBefore = pair(desc.pads_before), problem.padsAfter = pair(desc.pads_after);
  problem.type = ConvolutionType(desc.type), problem.allowsTf32 = desc.allows_tf32;
  problem.isChannelsLast = desc.channels_last;
  problem.hasBias = desc.bias >= 0, problem.hasResidual = desc.residual >= 0;
  problem.hasRelu = desc.activation == RT_CUDA_CONVOLUTION_RELU;
  return problem;
}

static bool isEmpty(const ConvolutionProblem::Shape &shape) {
  return shape[0] == 0 || shape[1] == 0 || shape[2] == 0 || shape[3] == 0;
}

/// "convolve 1x64x56x56 with 64x64x3x3 in kernel 'k_1'".
static std::string wordsOf(const rt_cuda_convolution_desc &desc, const ConvolutionProblem &problem) {
  auto words = [](const ConvolutionProblem::Shape &shape) {
    return format("%lldx%lldx%lldx%lld", (long long)shape[0], (long long)shape[1], (long long)shape[2],
                  (long long)shape[3]);
  };
  return format("convolve %s with %s in kernel '%s'", words(problem.input).c_str(), words(problem.filter).c_str(),
                desc.name);
}

Status CudaConvolutions::prepare(const rt_cuda_convolution_desc &desc, void *const *buffers, const int64_t *extents,
                                 CudaConvolution &convolution) {
  if (!isOpen)
    return fail(Code::kProgram, "%s: the convolution of kernel '%s' was not loaded", stage.who().c_str(), desc.name);
  ConvolutionProblem problem = problemOf(desc, extents);
  if (isEmpty(problem.result))
    return Status();
  if (isEmpty(problem.input) || isEmpty(problem.filter))
    return fail(Code::kInvalid, "%s: cannot %s: expected extents of at least 1", stage.who().c_str(),
                wordsOf(desc, problem).c_str());
  convolution.desc = &desc;
  ConvolutionBuffers &used = convolution.buffers;
  used.input = buffers[desc.input], used.filter = buffers[desc.filter];
  used.bias = problem.hasBias ? buffers[desc.bias] : nullptr;
  used.residual = problem.hasResidual ? buffers[desc.residual] : nullptr;
  used.result = buffers[desc.result], used.workspace = scratchIn(buffers[desc.workspace]);
  const Device &device = stage.device();
  auto make = [&](void **plan) { return device.makeConvolution(device.self, &problem, plan); };
  if (int32_t code = plans.find(problem, make, convolution))
    return deviceFailure(device, stage.who(), wordsOf(desc, problem).c_str(), code);
  return Status();
}

Status CudaConvolutions::begin(const CudaConvolution &convolution) {
  const Device &device = stage.device();
  if (int32_t code = device.runConvolution(device.self, convolution.plan, &convolution.buffers, stage.compute().handle))
    return deviceFailure(device, stage.who(),
                         format("run the convolution of kernel '%s'", convolution.desc->name).c_str(), code);
  return Status();
}

} // namespace rt
} // namespace penstock
