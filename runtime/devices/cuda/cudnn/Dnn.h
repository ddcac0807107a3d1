//===- Dnn.h - What cuDNN is asked for ---------------------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// All kinds of problems that the table of Device.h makes plans for, and the buffers that such a plan is run with: of
// the same kind.
//
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_RT_DEVICES_DNN_H
#define PENSTOCK_RT_DEVICES_DNN_H

#include "Attention.h"
#include "Convolution.h"

#include <variant>

namespace penstock {
namespace rt {

struct DnnProblem : std::variant<ConvolutionProblem, AttentionProblem> {
  using variant::variant;
  const variant &kinds() const { return *this; }
  bool operator<(const DnnProblem &other) const { return kinds() < other.kinds(); }
};

struct DnnBuffers : std::variant<ConvolutionBuffers, AttentionBuffers> {
  using variant::variant;
  const variant &kinds() const { return *this; }
  variant &kinds() { return *this; }
};

} // namespace rt
} // namespace penstock

#endif // PENSTOCK_RT_DEVICES_DNN_H
