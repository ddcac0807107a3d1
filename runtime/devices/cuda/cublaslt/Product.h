//===- Product.h - Products that a device's library does ----------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What the table of Device.h is asked for: a plan for a problem, and then the plan with buffers.
//
//   result[b] = activation(alpha * op(lhs[b]) * op(rhs[b]) + bias + residual[b])
//
// Which algorithm a plan has depends on the problem, the device and the library alone: not on addresses, and not on
// time.
//
// Units: elements, unless a name says bytes. Matrices are row-major and dense.
//
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_RT_DEVICES_PRODUCT_H
#define PENSTOCK_RT_DEVICES_PRODUCT_H

#include <array>
#include <cstdint>

namespace penstock {
namespace rt {

/// Of all operands and the result, or of the factors and of all else.
enum class ProductType : int32_t { kF32 = 1, kF16 = 2, kBF16 = 3, kF16ToF32 = 4, kBF16ToF32 = 5 };
enum class ProductActivation : int32_t { kNone = 0, kRelu = 1, kGeluTanh = 2 };

struct ProductProblem {
  int64_t batch = 1, rows = 0, inner = 0, columns = 0; ///< all positive
  int64_t workspaceBytes = 0;                          ///< the most that the plan may use
  int64_t alignment = 1;                               ///< of all buffers but the workspace, in bytes
  ProductType type = ProductType::kF32;
  ProductActivation activation = ProductActivation::kNone;
  bool allowsTf32 = false;
  bool transposesLhs = false, transposesRhs = false;
  bool repeatsLhs = false, repeatsRhs = false; ///< it is one matrix for the whole batch
  bool hasBias = false, hasResidual = false;
};

struct ProductBuffers {
  const void *lhs = nullptr, *rhs = nullptr;
  const void *bias = nullptr;     ///< one element per column
  const void *residual = nullptr; ///< of the result's shape; may be the result
  void *result = nullptr, *workspace = nullptr;
  float alpha = 1;

  std::array<const void *, 6> all() const { return {lhs, rhs, bias, residual, result, workspace}; }
};

/// An algorithm as the library has it, which may be kept for the same library and device.
struct ProductChoice {
  uint64_t words[8] = {};
  bool isKnown = false;
};

} // namespace rt
} // namespace penstock

#endif // PENSTOCK_RT_DEVICES_PRODUCT_H
