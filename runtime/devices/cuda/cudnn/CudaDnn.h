//===- CudaDnn.h - What an executable has cuDNN do on its device -*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What CudaProducts.h is for products: the library is opened before the first request if an executable has calls of it,
// and a plan is kept for each problem that has come.
//
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_RT_DEVICES_CUDADNN_H
#define PENSTOCK_RT_DEVICES_CUDADNN_H

#include "../CudaPlans.h"
#include "CudaAttention.h"
#include "CudaConvolution.h"
#include "Dnn.h"
#include "Stage.h"

namespace penstock {
namespace rt {

/// A call of cuDNN that is ready to begin.
struct CudaDnnCall : CudaPlan {
  const void *desc = nullptr;
  const char *name = "", *kind = ""; ///< of the kernel; "convolution"
  DnnBuffers buffers;
};

class CudaDnn {
  using Plans = CudaPlans<DnnProblem, std::less<DnnProblem>>;

public:
  static constexpr size_t kMaxPlans = Plans::kMaxPlans;

  /// The stage must outlive the calls.
  explicit CudaDnn(DeviceStage &stage)
      : stage(stage), plans([&stage](void *plan) { (void)stage.device().dropDnnPlan(stage.device().self, plan); }) {}

  /// What this executable holds. kMismatch: a call comes from another version of the compiler. kSystem: there is no
  /// library, or a wrong one.
  Status load();
  Status load(Span<const rt_cuda_convolution_desc *const> convolutions);
  Status load(Span<const rt_cuda_attention_desc *const> attentions);
  /// What rt_cuda_convolution and rt_cuda_attention ask for. No plan: there is nothing to do. kProgram: load() has not
  /// opened the library. kInvalid: a sum over nothing. kSystem: the library has no plan, or fails.
  Status prepare(const rt_cuda_convolution_desc &desc, void *const *buffers, const int64_t *extents, CudaDnnCall &call);
  Status prepare(const rt_cuda_attention_desc &desc, void *const *buffers, const int64_t *extents, CudaDnnCall &call);
  /// Gives one that has a plan to the compute stream.
  Status begin(const CudaDnnCall &call);

  size_t numPlans() const { return plans.size(); }
  /// That have plans.
  std::vector<DnnProblem> problems() const { return plans.problems(); }

private:
  Status checkOpen(const CudaDnnCall &call) const;
  /// `words`: says the problem, for messages: every call comes here, and next to none fails.
  template <typename Words> Status find(const DnnProblem &problem, const Words &words, CudaDnnCall &call) {
    const Device &device = stage.device();
    auto make = [&](void **plan) { return device.makeDnnPlan(device.self, &problem, plan); };
    if (int32_t code = plans.find(problem, make, call))
      return deviceFailure(device, stage.who(), words().c_str(), code);
    return Status();
  }

  DeviceStage &stage;
  bool isOpen = false;
  Plans plans;
};

} // namespace rt
} // namespace penstock

#endif // PENSTOCK_RT_DEVICES_CUDADNN_H
