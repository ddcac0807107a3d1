//===- Difference.cpp - How near numbers of two targets must be -*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Difference.h"

#include "penstock/rt/Abi.h"

#include <cmath>
#include <cstdio>

using namespace penstock;

double test::toleranceOf(int32_t dtype) {
  switch (dtype) {
  case RT_F64:
    return 1e-13;
  case RT_F32:
    return 1e-5;
  case RT_F16:
    return 1e-3;
  case RT_BF16:
    return 8e-3;
  default:
    return 0;
  }
}

static std::string words(size_t element, double got, double expected) {
  char text[160];
  std::snprintf(text, sizeof(text), "element %zu is %.9g; the CPU target has %.9g", element, got, expected);
  return text;
}

std::string test::findDifference(const std::vector<double> &got, const std::vector<double> &expected, int32_t dtype) {
  double tolerance = toleranceOf(dtype), difference = 0, norm = 0, most = -1;
  size_t worst = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    double x = got[i], y = expected[i];
    bool isExact = tolerance == 0 || !std::isfinite(x) || !std::isfinite(y);
    if (isExact && !(x == y || (std::isnan(x) && std::isnan(y))))
      return words(i, x, y);
    if (isExact)
      continue;
    difference += (x - y) * (x - y);
    norm += y * y;
    if (std::fabs(x - y) > most)
      most = std::fabs(x - y), worst = i;
  }
  if (std::sqrt(difference) <= tolerance * std::sqrt(norm) + 1e-7 * std::sqrt(double(got.size())))
    return "";
  char text[160];
  std::snprintf(text, sizeof(text),
                "the norm of the difference is %.6g; that of the CPU target's result is %.6g; most in ",
                std::sqrt(difference), std::sqrt(norm));
  return text + words(worst, got[worst], expected[worst]);
}
