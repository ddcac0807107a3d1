//===- KernelText.h - Kernels as text, and what they should give -*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Writes the text of a kernel from types and a body, runs it for several symbol values and compares with a reference in
// double precision.
//
//===----------------------------------------------------------------------===//

#ifndef PENSTOCK_TEST_UNIT_KERNELS_KERNELTEXT_H
#define PENSTOCK_TEST_UNIT_KERNELS_KERNELTEXT_H

#include "KernelHarness.h"

#include <functional>
#include <string>

namespace penstock::test {

using Indices = std::vector<int64_t>;
using Reference = std::function<std::vector<Array>(const std::vector<Array> &)>;

/// "2xs0x(s1 * 2)" and an element type as a tensor type. "" is a scalar.
std::string tensorType(const std::string &dims, const std::string &element = "f32");

/// A kernel with arguments %0.. of `inputs`, whose body makes the values `results` of types `types`.
struct KernelText {
  std::vector<std::string> inputs;
  std::string body;
  std::vector<std::string> types;
  std::vector<std::string> results = {"%r"};

  std::string str() const;
};

/// How far a result may be off: |y - x| <= relative * |x| + absolute.
struct Tolerance {
  double relative = 2e-6, absolute = 1e-6;
};
Tolerance toleranceOf(const std::string &element);

/// Compiles once, runs for every tuple of symbols, compares with the reference.
void check(const KernelText &text, const std::vector<std::vector<int64_t>> &symbols, const Reference &reference,
           Tolerance tolerance = {}, double low = -2, double high = 2,
           const std::function<void(std::vector<Array> &)> &adjust = {});

// Arrays.
int64_t numElements(const Indices &dims);
/// Calls `fn` with every index tuple, row-major.
void forEachIndex(const Indices &dims, const std::function<void(const Indices &)> &fn);
int64_t flatten(const Indices &dims, const Indices &indices);
double at(const Array &array, const Indices &indices);
/// The element that broadcasting puts at `indices`.
double atBroadcast(const Array &array, const Indices &indices);
/// An array of `dims` made element by element.
Array makeArray(const Indices &dims, const std::function<double(const Indices &)> &fn);
Indices broadcastDims(const Indices &lhs, const Indices &rhs);

/// Images with their channels last, and back; of dims as text, too.
std::string toChannelsLast(const std::string &dims);
Indices toChannelsLast(Indices dims);
Indices fromChannelsLast(Indices dims);
Array toChannelsLast(const Array &image);
Array fromChannelsLast(const Array &image);

} // namespace penstock::test

#endif // PENSTOCK_TEST_UNIT_KERNELS_KERNELTEXT_H
