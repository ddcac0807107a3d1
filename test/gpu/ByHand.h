//===- ByHand.h - What the libraries reach by themselves -----*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A product or a convolution as somebody writes it who calls cuBLASLt or cuDNN by hand and has the time to try: every
// algorithm that the library's heuristic lists for the problem, under the same conditions as the program's own choice
// (types, scratch memory, sums in f32; engines that give the same bits each time and round no factors).
//
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_TEST_GPU_BYHAND_H
#define PENSTOCK_TEST_GPU_BYHAND_H

#include "cublaslt/CublasLt.h"
#include "cudnn/Cudnn.h"
#include "penstock/rt/Status.h"

#include <functional>
#include <memory>
#include <vector>

namespace penstock::test {

class ByHand {
public:
  /// Gives the work to a stream; its tensors lie one behind the other at `tensors`.
  using Way = std::function<int32_t(char *tensors, void *scratch, void *stream)>;
  struct Ways {
    std::vector<Way> list;
    int64_t setBytes = 0; ///< of the tensors
    int64_t flops = 0;    ///< of one run
  };

  /// The ways must not outlive this. The device is current for the calling thread. kSystem: the library is missing, or
  /// does not do it.
  rt::Status find(const rt::ProductProblem &problem, Ways &ways);
  rt::Status find(const rt::DnnProblem &problem, Ways &ways);

private:
  /// Buffers of a problem whose tensors begin there.
  using Place = std::function<rt::DnnBuffers(char *tensors)>;
  static Place describe(const rt::ConvolutionProblem &problem, Ways &ways);
  static Place describe(const rt::AttentionProblem &problem, Ways &ways);

  std::unique_ptr<rt::cuda::CublasLt> blas;
  std::unique_ptr<rt::cuda::Cudnn> dnn;
};

} // namespace penstock::test

#endif // PENSTOCK_TEST_GPU_BYHAND_H
