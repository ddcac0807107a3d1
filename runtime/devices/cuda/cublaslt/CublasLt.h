//===- CublasLt.h - cuBLASLt of this machine ---------------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Part of libpenstock-cuda.so. The library sees columns where we have rows: it is asked for the transposed product,
// whose factors change places.
//
// Threads: any, one call at a time per plan. Errors: cuBLASLt's codes, which wordsOf() explains.
//
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_RT_DEVICES_CUBLASLT_H
#define PENSTOCK_RT_DEVICES_CUBLASLT_H

#include "CublasLtApi.h"
#include "Product.h"

#include <memory>
#include <string>
#include <vector>

namespace penstock {
namespace rt {
namespace cuda {

/// A product with its algorithm.
class ProductPlan;

class CublasLt {
public:
  /// Opens the library for the current context. Null: `error` says what is missing and what to do.
  static std::unique_ptr<CublasLt> open(std::string &error);
  ~CublasLt();
  CublasLt(const CublasLt &) = delete;
  CublasLt &operator=(const CublasLt &) = delete;

  size_t version() const { return calls.version(); }
  /// With the known choice if the library accepts it, else with the heuristic's, which becomes `choice`.
  /// blas::kNotSupported: there is no algorithm.
  blas::Outcome make(const ProductProblem &problem, ProductChoice &choice, std::unique_ptr<ProductPlan> &plan) const;
  /// The algorithms that the heuristic lists, at most `room` of them, the one that make() takes first.
  blas::Outcome list(const ProductProblem &problem, size_t room, std::vector<ProductChoice> &choices) const;
  blas::Outcome run(const ProductPlan &plan, const ProductBuffers &buffers, Stream stream) const;
  const char *wordsOf(blas::Outcome outcome) const { return calls.outcomeString(outcome); }

private:
  CublasLt() = default;
  blas::Calls calls;
  blas::Handle handle = nullptr;
};

class ProductPlan {
public:
  explicit ProductPlan(const blas::Calls &calls) : calls(calls) {}
  ~ProductPlan();
  ProductPlan(const ProductPlan &) = delete;
  ProductPlan &operator=(const ProductPlan &) = delete;

private:
  friend class CublasLt;
  blas::Outcome describe(const ProductProblem &problem);
  blas::Outcome describeLayouts(const ProductProblem &problem);
  bool accepts(const ProductProblem &problem, const ProductChoice &choice, blas::Handle handle);
  blas::Outcome choose(const ProductProblem &problem, blas::Handle handle, std::vector<blas::Heuristic> &found) const;

  const blas::Calls &calls;
  blas::Product product = nullptr;
  blas::Layout left = nullptr, right = nullptr, result = nullptr; ///< in the library's order of factors
  blas::Heuristic chosen = {};
  bool hasBias = false, hasResidual = false;
};

} // namespace cuda
} // namespace rt
} // namespace penstock

#endif // PENSTOCK_RT_DEVICES_CUBLASLT_H
