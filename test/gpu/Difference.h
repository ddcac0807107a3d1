//===- Difference.h - How near numbers of two targets must be -*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_TEST_GPU_DIFFERENCE_H
#define PENSTOCK_TEST_GPU_DIFFERENCE_H

#include <cstdint>
#include <string>
#include <vector>

namespace penstock::test {

/// How far the norm of a difference may be from the norm of what is expected, for elements of an rt_dtype: sums are
/// added in another order. 0: not at all, for integers.
double toleranceOf(int32_t dtype);

/// How the numbers of a GPU differ from the CPU target's; empty if integers are equal, and floats near in their norm,
/// with infinities and NaN in the same places.
std::string findDifference(const std::vector<double> &got, const std::vector<double> &expected, int32_t dtype);

} // namespace penstock::test

#endif // PENSTOCK_TEST_GPU_DIFFERENCE_H
