//===- Attention.h - Attentions that a device's library does ----*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What the table of Device.h is asked for: a plan for a problem, and then the plan with buffers.
//
//   result = softmax(scale * query * transposed(key) + mask) * value      for each image and head
//
// Units: elements, unless a name says bytes. The features of a row are neighbours in memory; everything else has a
// stride, of a multiple of 16 bytes, and so have addresses.
//
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_RT_DEVICES_ATTENTION_H
#define PENSTOCK_RT_DEVICES_ATTENTION_H

#include <array>
#include <cstdint>
#include <tuple>

namespace penstock {
namespace rt {

enum class AttentionType : int32_t { kF16 = 1, kBF16 = 2 };

struct AttentionProblem {
  using Strides = std::array<int64_t, 3>; ///< from image to image, head to head, row to row
  int64_t batch = 0, heads = 0, rows = 0, positions = 0, features = 0; ///< all positive
  int64_t keyHeads = 0;                                                ///< of key and value; `heads` is a multiple
  int64_t valueFeatures = 0;                                           ///< of value and result
  Strides query = {}, key = {}, value = {}, result = {};
  /// Images, heads and rows that the mask has, or 1 if it is the same for all. Row-major and dense, of all positions.
  std::array<int64_t, 3> mask = {};
  bool hasMask = false;
  AttentionType type = AttentionType::kBF16; ///< of all tensors; sums are f32
  float scale = 1;
  int64_t workspaceBytes = 0; ///< the most that the plan may use

  /// All of them, in some order.
  auto fields() const {
    return std::tie(batch, heads, rows, positions, features, keyHeads, valueFeatures, query, key, value, result, mask,
                    hasMask, type, scale, workspaceBytes);
  }
  bool operator<(const AttentionProblem &other) const { return fields() < other.fields(); }
};

struct AttentionBuffers {
  const void *query = nullptr, *key = nullptr, *value = nullptr;
  const void *mask = nullptr; ///< is added
  void *result = nullptr, *workspace = nullptr;

  std::array<const void *, 6> all() const { return {query, key, value, mask, result, workspace}; }
};

} // namespace rt
} // namespace penstock

#endif // PENSTOCK_RT_DEVICES_ATTENTION_H
