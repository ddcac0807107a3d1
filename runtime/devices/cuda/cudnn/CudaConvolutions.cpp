//===- CudaConvolutions.cpp - The convolutions of an executable on its device -===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "CudaDnn.h"

namespace penstock {
namespace rt {

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

Status CudaDnn::prepare(const rt_cuda_convolution_desc &desc, void *const *buffers, const int64_t *extents,
                        CudaDnnCall &call) {
  call.desc = &desc, call.name = desc.name, call.kind = "convolution";
  if (Status status = checkOpen(call); !status.ok())
    return status;
  ConvolutionProblem problem = problemOf(desc, extents);
  if (isEmpty(problem.result))
    return Status();
  if (isEmpty(problem.input) || isEmpty(problem.filter))
    return fail(Code::kInvalid, "%s: cannot %s: expected extents of at least 1", stage.who().c_str(),
                wordsOf(desc, problem).c_str());
  ConvolutionBuffers used;
  used.input = buffers[desc.input], used.filter = buffers[desc.filter];
  used.bias = problem.hasBias ? buffers[desc.bias] : nullptr;
  used.residual = problem.hasResidual ? buffers[desc.residual] : nullptr;
  used.result = buffers[desc.result], used.workspace = scratchIn(buffers[desc.workspace]);
  call.buffers = used;
  return find(problem, [&] { return wordsOf(desc, problem); }, call);
}

} // namespace rt
} // namespace penstock
