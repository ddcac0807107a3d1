//===- ProductTuning.h - Algorithms that were chosen before ------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Which algorithm a stage's products have on a kind of device, in a file of the output folder:
//
//     tuning/stage-0.sm_90.txt
//     penstock tuning 1: cuBLASLt 130100, NVIDIA H200
//     1 128 768 768 33554432 64 1 0 0 0 0 0 0 1 0 : 0000000000000015 ...
//
// A line is a problem, in the order of its fields, and the algorithm as the library has it. So later starts ask no
// heuristic, and results keep their bits for as long as the library takes the algorithm. The file may be damaged or
// somebody else's: what does not fit is passed over, and the library checks every algorithm before it is used.
//
// Threads: the role's.
//
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_RT_DEVICES_PRODUCTTUNING_H
#define PENSTOCK_RT_DEVICES_PRODUCTTUNING_H

#include "cublaslt/Product.h"

#include <map>
#include <string>

namespace penstock {
namespace rt {

/// By all fields.
struct ProductProblemLess {
  bool operator()(const ProductProblem &lhs, const ProductProblem &rhs) const;
};

class ProductTuning {
public:
  static constexpr size_t kMaxChoices = 4096;

  /// Reads the choices of earlier starts. `machine`: library and device; a file of another one counts as none.
  void open(const std::string &path, const std::string &machine);
  /// Not isKnown: there is none.
  ProductChoice find(const ProductProblem &problem) const;
  void add(const ProductProblem &problem, const ProductChoice &choice);
  /// Writes the file if something is new. A folder that cannot be written keeps nothing, which is no failure.
  void save();

private:
  std::string path, head;
  std::map<ProductProblem, ProductChoice, ProductProblemLess> choices;
  bool isChanged = false;
};

} // namespace rt
} // namespace penstock

#endif // PENSTOCK_RT_DEVICES_PRODUCTTUNING_H
