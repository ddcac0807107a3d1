//===- Layout.cpp - Layouts of weights as text -------------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "Layout.h"

#include <algorithm>
#include <cctype>
#include <numeric>
#include <tuple>

namespace penstock {
namespace rt {
namespace onednn {

static constexpr int kMaxAxes = 12;

/// Number of blocks along each axis, and elements of an axis that lie inside.
static std::vector<int64_t> blockOf(const dnnl_memory_desc_t &desc) {
  std::vector<int64_t> block(size_t(desc.ndims), 1);
  const dnnl_blocking_desc_t &blocking = desc.format_desc.blocking;
  for (int i = 0; i < blocking.inner_nblks; ++i)
    block[size_t(blocking.inner_idxs[i])] *= blocking.inner_blks[i];
  return block;
}

std::string formatLayout(const dnnl::memory::desc &given) {
  const dnnl_memory_desc_t &desc = given.data;
  if (desc.format_kind != dnnl_blocked || desc.data_type != dnnl_f32 || desc.extra.flags != 0 || desc.offset0 != 0)
    return "";
  const dnnl_blocking_desc_t &blocking = desc.format_desc.blocking;
  std::vector<int64_t> block = blockOf(desc);
  std::vector<int> order(size_t(desc.ndims), 0);
  std::iota(order.begin(), order.end(), 0);
  // Of axes with one stride, all but one have a single block: the other one is the outermost of them.
  auto rankOf = [&](int axis) {
    return std::make_tuple(-blocking.strides[axis], -(desc.padded_dims[axis] / block[size_t(axis)]), axis);
  };
  std::sort(order.begin(), order.end(), [&](int lhs, int rhs) { return rankOf(lhs) < rankOf(rhs); });
  std::string text;
  for (int axis : order)
    text += char((block[size_t(axis)] > 1 ? 'A' : 'a') + axis);
  for (int i = 0; i < blocking.inner_nblks; ++i)
    text += std::to_string(blocking.inner_blks[i]) + char('a' + blocking.inner_idxs[i]);
  dnnl::memory::desc again;
  bool isSame = parseLayout(given.dims(), text, again) && again == given;
  return isSame ? text : "";
}

/// Reads "16a64b" into the descriptor; false if it is something else.
static bool parseBlocks(const std::string &text, dnnl_memory_desc_t &desc) {
  dnnl_blocking_desc_t &blocking = desc.format_desc.blocking;
  for (size_t i = 0; i < text.size(); ++i) {
    int64_t extent = 0;
    for (; i < text.size() && std::isdigit(static_cast<unsigned char>(text[i])) && extent < 10000; ++i)
      extent = extent * 10 + (text[i] - '0');
    int axis = i < text.size() ? text[i] - 'a' : -1;
    if (extent < 2 || axis < 0 || axis >= desc.ndims || blocking.inner_nblks == kMaxAxes)
      return false;
    blocking.inner_blks[blocking.inner_nblks] = extent;
    blocking.inner_idxs[blocking.inner_nblks++] = axis;
  }
  return true;
}

bool parseLayout(const dnnl::memory::dims &dims, const std::string &text, dnnl::memory::desc &result) {
  dnnl_memory_desc_t desc = {};
  size_t numAxes = dims.size();
  if (numAxes == 0 || numAxes > kMaxAxes || text.size() < numAxes)
    return false;
  desc.ndims = int(numAxes);
  desc.data_type = dnnl_f32;
  desc.format_kind = dnnl_blocked;
  if (!parseBlocks(text.substr(numAxes), desc))
    return false;
  dnnl_blocking_desc_t &blocking = desc.format_desc.blocking;
  std::vector<int64_t> block = blockOf(desc);
  int64_t stride = std::accumulate(block.begin(), block.end(), int64_t(1), std::multiplies<int64_t>());
  std::vector<bool> seen(numAxes, false);
  for (size_t i = numAxes; i-- > 0;) {
    int axis = std::tolower(static_cast<unsigned char>(text[i])) - 'a';
    if (axis < 0 || axis >= desc.ndims || seen[size_t(axis)] || dims[size_t(axis)] < 1 ||
        bool(std::isupper(static_cast<unsigned char>(text[i]))) != (block[size_t(axis)] > 1))
      return false;
    seen[size_t(axis)] = true;
    int64_t numBlocks = (dims[size_t(axis)] + block[size_t(axis)] - 1) / block[size_t(axis)];
    desc.dims[axis] = dims[size_t(axis)];
    desc.padded_dims[axis] = numBlocks * block[size_t(axis)];
    blocking.strides[axis] = stride;
    if (__builtin_mul_overflow(stride, numBlocks, &stride))
      return false;
  }
  result = dnnl::memory::desc(desc);
  return true;
}

} // namespace onednn
} // namespace rt
} // namespace penstock
