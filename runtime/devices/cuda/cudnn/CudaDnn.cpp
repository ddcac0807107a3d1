//===- CudaDnn.cpp - What an executable has cuDNN do on its device -*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "CudaDnn.h"

#include "../CudaEntry.h"

// Of the linker, where an object of the executable has the section.
#define BOUNDS_OF(section, Desc)                                                                                       \
  extern const Desc *const __start_##section[] __attribute__((weak, visibility("hidden")));                            \
  extern const Desc *const __stop_##section[] __attribute__((weak, visibility("hidden")));
extern "C" {
BOUNDS_OF(rt_cuda_convolutions, rt_cuda_convolution_desc)
BOUNDS_OF(rt_cuda_attentions, rt_cuda_attention_desc)
}
#undef BOUNDS_OF

namespace penstock {
namespace rt {

static constexpr const char *kLibrary = "cuDNN";

Status CudaDnn::load(Span<const rt_cuda_convolution_desc *const> convolutions) {
  return openLibrary(stage, kLibrary, convolutions, RT_CUDA_CONVOLUTION_VERSION, &Device::openDnn, isOpen);
}

Status CudaDnn::load(Span<const rt_cuda_attention_desc *const> attentions) {
  return openLibrary(stage, kLibrary, attentions, RT_CUDA_ATTENTION_VERSION, &Device::openDnn, isOpen);
}

Status CudaDnn::load() {
  Span<const rt_cuda_convolution_desc *const> convolutions = {
      __start_rt_cuda_convolutions, size_t(__stop_rt_cuda_convolutions - __start_rt_cuda_convolutions)};
  if (Status status = load(convolutions); !status.ok())
    return status;
  Span<const rt_cuda_attention_desc *const> attentions = {
      __start_rt_cuda_attentions, size_t(__stop_rt_cuda_attentions - __start_rt_cuda_attentions)};
  return load(attentions);
}

Status CudaDnn::checkOpen(const CudaDnnCall &call) const {
  return isOpen ? Status()
                : fail(Code::kProgram, "%s: the %s of kernel '%s' was not loaded", stage.who().c_str(), call.kind,
                       call.name);
}

Status CudaDnn::begin(const CudaDnnCall &call) {
  const Device &device = stage.device();
  if (int32_t code = device.runDnnPlan(device.self, call.plan, &call.buffers, stage.compute().handle))
    return deviceFailure(device, stage.who(), format("run the %s of kernel '%s'", call.kind, call.name).c_str(), code);
  return Status();
}

} // namespace rt
} // namespace penstock

template <typename Desc>
static void callDnn(rt_ctx *ctx, const Desc *desc, void *const *buffers, const int64_t *extents) {
  penstock::rt::callKernels(ctx, [&](penstock::rt::CudaKernels &kernels) {
    penstock::rt::CudaDnnCall call;
    penstock::rt::Status status = kernels.dnn().prepare(*desc, buffers, extents, call);
    return status.ok() ? kernels.run(call) : status;
  });
}

extern "C" void rt_cuda_convolution(rt_ctx *ctx, const rt_cuda_convolution_desc *desc, void *const *buffers,
                                    const int64_t *extents) {
  callDnn(ctx, desc, buffers, extents);
}

extern "C" void rt_cuda_attention(rt_ctx *ctx, const rt_cuda_attention_desc *desc, void *const *buffers,
                                  const int64_t *extents) {
  callDnn(ctx, desc, buffers, extents);
}
