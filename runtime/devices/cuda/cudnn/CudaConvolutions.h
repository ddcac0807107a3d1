//===- CudaConvolutions.h - The convolutions of an executable on its device -*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What CudaProducts.h is for products: cuDNN is opened before the first request if an executable has convolutions for
// it, and a plan is kept for each problem that has come.
//
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_RT_DEVICES_CUDACONVOLUTIONS_H
#define PENSTOCK_RT_DEVICES_CUDACONVOLUTIONS_H

#include "../CudaPlans.h"
#include "Convolution.h"
#include "CudaConvolution.h"
#include "Stage.h"

namespace penstock {
namespace rt {

/// A convolution that is ready to begin.
struct CudaConvolution : CudaPlan {
  const rt_cuda_convolution_desc *desc = nullptr;
  ConvolutionBuffers buffers;
};

class CudaConvolutions {
  struct Less {
    bool operator()(const ConvolutionProblem &lhs, const ConvolutionProblem &rhs) const;
  };
  using Plans = CudaPlans<ConvolutionProblem, Less>;

public:
  static constexpr size_t kMaxPlans = Plans::kMaxPlans;

  /// The stage must outlive the convolutions.
  explicit CudaConvolutions(DeviceStage &stage)
      : stage(stage), plans([&stage](void *plan) { (void)stage.device().dropConvolution(stage.device().self, plan); }) {
  }

  /// kMismatch: a convolution comes from another version of the compiler. kSystem: there is no library, or a wrong one.
  Status load(Span<const rt_cuda_convolution_desc *const> convolutions);
  /// What rt_cuda_convolution asks for. kProgram: load() has not opened the library. kInvalid: sums over nothing.
  /// kSystem: the library has no plan, or fails.
  Status prepare(const rt_cuda_convolution_desc &desc, void *const *buffers, const int64_t *extents,
                 CudaConvolution &convolution);
  /// Gives one that has a plan to the compute stream.
  Status begin(const CudaConvolution &convolution);

  size_t numPlans() const { return plans.size(); }
  /// That have plans.
  std::vector<ConvolutionProblem> problems() const { return plans.problems(); }

private:
  DeviceStage &stage;
  bool isOpen = false;
  Plans plans;
};

/// The convolutions that this executable holds.
Span<const rt_cuda_convolution_desc *const> convolutionsOfExecutable();

} // namespace rt
} // namespace penstock

#endif // PENSTOCK_RT_DEVICES_CUDACONVOLUTIONS_H
