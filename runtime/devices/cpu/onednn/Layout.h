//===- Layout.h - Layouts of weights as text ---------------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Weights that are packed ahead of time outlive the process that packed them, so their layout is written down, in the
// manner of oneDNN's format tags: one letter per axis from the outermost in, a capital where the axis is split, then
// the blocks inside. "ba" is a transposed matrix; "BA16a64b" has blocks of 16 rows by 64 columns, columns innermost.
// Extents are rounded up to whole blocks.
//
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_RT_DEVICES_CPU_ONEDNN_LAYOUT_H
#define PENSTOCK_RT_DEVICES_CPU_ONEDNN_LAYOUT_H

#include <dnnl.hpp>

#include <string>

namespace penstock {
namespace rt {
namespace onednn {

/// The layout as text; empty if it cannot be said so (gaps, transformed values).
std::string formatLayout(const dnnl::memory::desc &desc);

/// A tensor of f32 of these extents in that layout; false if the text is no layout of such a tensor.
bool parseLayout(const dnnl::memory::dims &dims, const std::string &text, dnnl::memory::desc &desc);

} // namespace onednn
} // namespace rt
} // namespace penstock

#endif // PENSTOCK_RT_DEVICES_CPU_ONEDNN_LAYOUT_H
