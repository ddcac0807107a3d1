//===- Request.h - From named tensors to messages and back -------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Checks the tensors of a request against the plan, finds the values of the dimension symbols, cuts the request into
// microbatches, and puts the outputs of the parts together again. Pure: no threads, no channels. Every mistake of the
// user is kInvalid with a sentence that names the input.
//
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_RT_LIB_HOST_REQUEST_H
#define PENSTOCK_RT_LIB_HOST_REQUEST_H

#include "penstock/rt/Plan.h"
#include "penstock/rt/Tensor.h"

namespace penstock {
namespace rt {

/// One request, cut into microbatches.
class BoundRequest {
public:
  static Status bind(const Plan &plan, const TensorViewMap &inputs, BoundRequest &request);

  int64_t numMicrobatches() const { return count; }
  /// Values of the symbols of one microbatch.
  void symbolsOf(int64_t microbatch, std::vector<int64_t> &values) const;
  /// Shape of input `index` in one microbatch.
  void inputDims(size_t index, int64_t microbatch, std::vector<int64_t> &dims) const;
  /// Copies that part to `to`, which has room for it.
  void copyInput(size_t index, int64_t microbatch, void *to) const;

private:
  Status matchInputs(const TensorViewMap &given);
  Status bindSymbols();
  Status bindDim(size_t index, size_t axis, std::vector<bool> &bound);
  Status checkBounds() const;
  Status cut();
  Status cutStatic();
  Status cutSymbolic();
  int64_t beginOf(size_t index, int64_t microbatch) const;

  const Plan *plan = nullptr;
  std::vector<TensorView> inputs; ///< in the plan's order
  std::vector<int64_t> symbols;   ///< of the whole request
  std::vector<int64_t> partRows;  ///< per input: extent of a full part along its batch axis; -1: given whole
  int64_t count = 1;
};

/// The outputs of a request as they come in, microbatch by microbatch.
class OutputAssembler {
public:
  /// `pool`: where the outputs' memory comes from.
  OutputAssembler(const Plan &plan, TensorPool &pool) : plan(plan), pool(pool) { parts.resize(plan.outputs.size()); }
  /// The next part of output `index`; parts come in order.
  Status add(size_t index, const TensorView &part);
  /// All parts of `numMicrobatches` have come. Outputs that came in none go elsewhere and are left out.
  Status finish(int64_t numMicrobatches, TensorMap &outputs);

private:
  Status join(const PlanTensor &output, std::vector<Tensor> &pieces, Tensor &whole) const;
  const Plan &plan;
  TensorPool &pool;
  std::vector<std::vector<Tensor>> parts;
};

} // namespace rt
} // namespace penstock

#endif // PENSTOCK_RT_LIB_HOST_REQUEST_H
