//===- CudaAttentions.cpp - Attentions of kernels for cuDNN ------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "CudaDnn.h"

namespace penstock {
namespace rt {

static AttentionProblem problemOf(const rt_cuda_attention_desc &desc, const int64_t *extents) {
  auto three = [extents](int first) {
    return AttentionProblem::Strides{extents[first], extents[first + 1], extents[first + 2]};
  };
  AttentionProblem problem;
  problem.batch = extents[RT_CUDA_ATTENTION_BATCH], problem.heads = extents[RT_CUDA_ATTENTION_HEADS];
  problem.keyHeads = extents[RT_CUDA_ATTENTION_KEY_HEADS];
  problem.rows = extents[RT_CUDA_ATTENTION_ROWS], problem.positions = extents[RT_CUDA_ATTENTION_POSITIONS];
  problem.features = extents[RT_CUDA_ATTENTION_FEATURES];
  problem.valueFeatures = extents[RT_CUDA_ATTENTION_VALUE_FEATURES];
  problem.query = three(RT_CUDA_ATTENTION_QUERY + 1), problem.key = three(RT_CUDA_ATTENTION_KEY + 1);
  problem.value = three(RT_CUDA_ATTENTION_VALUE + 1), problem.result = three(RT_CUDA_ATTENTION_RESULT + 1);
  problem.hasMask = desc.mask >= 0;
  problem.mask = three(RT_CUDA_ATTENTION_MASK);
  problem.type = AttentionType(desc.type);
  problem.scale = float(desc.scale);
  problem.workspaceBytes = RT_CUDA_ATTENTION_WORKSPACE_BYTES;
  return problem;
}

/// "attend from 2x12x128x64 to 2x4x77x64 in kernel 'k_1'".
static std::string wordsOf(const rt_cuda_attention_desc &desc, const AttentionProblem &problem) {
  return format("attend from %lldx%lldx%lldx%lld to %lldx%lldx%lldx%lld in kernel '%s'", (long long)problem.batch,
                (long long)problem.heads, (long long)problem.rows, (long long)problem.features,
                (long long)problem.batch, (long long)problem.keyHeads, (long long)problem.positions,
                (long long)problem.valueFeatures, desc.name);
}

Status CudaDnn::prepare(const rt_cuda_attention_desc &desc, void *const *buffers, const int64_t *extents,
                        CudaDnnCall &call) {
  call.desc = &desc, call.name = desc.name, call.kind = "attention";
  if (Status status = checkOpen(call); !status.ok())
    return status;
  AttentionProblem problem = problemOf(desc, extents);
  if (problem.batch == 0 || problem.heads == 0 || problem.rows == 0)
    return Status();
  if (problem.positions == 0)
    return fail(Code::kInvalid, "%s: cannot %s: expected at least 1 position", stage.who().c_str(),
                wordsOf(desc, problem).c_str());
  constexpr int64_t kElementBytes = 2;
  auto at = [&](int64_t buffer, int operand) {
    return static_cast<char *>(buffers[buffer]) + extents[operand] * kElementBytes;
  };
  AttentionBuffers used;
  used.query = at(desc.query, RT_CUDA_ATTENTION_QUERY), used.key = at(desc.key, RT_CUDA_ATTENTION_KEY);
  used.value = at(desc.value, RT_CUDA_ATTENTION_VALUE), used.result = at(desc.result, RT_CUDA_ATTENTION_RESULT);
  used.mask = problem.hasMask ? buffers[desc.mask] : nullptr;
  used.workspace = scratchIn(buffers[desc.workspace]);
  call.buffers = used;
  return find(problem, [&] { return wordsOf(desc, problem); }, call);
}

} // namespace rt
} // namespace penstock
