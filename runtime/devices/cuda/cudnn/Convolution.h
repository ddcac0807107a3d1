//===- Convolution.h - Convolutions that a device's library does ---*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What the table of Device.h is asked for: a plan for a problem, and then the plan with buffers.
//
//   result = relu(convolution(input, filter) + residual + bias)
//
// Which algorithms a plan has depends on the problem, the device and the library alone: not on addresses, and not on
// time.
//
// Units: elements, unless a name says bytes. Images are batch x channels x height x width, filters alike, row-major and
// dense, or both with the channels behind the width; buffers are aligned to RT_ALIGNMENT.
//
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_RT_DEVICES_CONVOLUTION_H
#define PENSTOCK_RT_DEVICES_CONVOLUTION_H

#include <array>
#include <cstdint>
#include <tuple>

namespace penstock {
namespace rt {

enum class ConvolutionType : int32_t { kF32 = 1, kF16 = 2, kBF16 = 3 };

struct ConvolutionProblem {
  using Shape = std::array<int64_t, 4>; ///< all positive
  using Pair = std::array<int64_t, 2>;  ///< along height and width
  Shape input = {}, filter = {}, result = {};
  Pair strides = {1, 1}, dilations = {1, 1};
  Pair padsBefore = {}, padsAfter = {}; ///< zeros
  int64_t workspaceBytes = 0;           ///< the most that the plan may use
  ConvolutionType type = ConvolutionType::kF32;
  bool allowsTf32 = false;
  bool isChannelsLast = false;                                ///< in memory; shapes stay as they are
  bool hasBias = false, hasResidual = false, hasRelu = false; ///< the others only with a bias

  /// All of them, in some order.
  auto fields() const {
    return std::tie(input, filter, result, strides, dilations, padsBefore, padsAfter, workspaceBytes, type, allowsTf32,
                    isChannelsLast, hasBias, hasResidual, hasRelu);
  }
  bool operator<(const ConvolutionProblem &other) const { return fields() < other.fields(); }
};

struct ConvolutionBuffers {
  const void *input = nullptr, *filter = nullptr;
  const void *bias = nullptr;     ///< one element per filter
  const void *residual = nullptr; ///< of the result's shape
  void *result = nullptr, *workspace = nullptr;

  std::array<const void *, 6> all() const { return {input, filter, bias, residual, result, workspace}; }
};

} // namespace rt
} // namespace penstock

#endif // PENSTOCK_RT_DEVICES_CONVOLUTION_H
