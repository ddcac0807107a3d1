//===- CudnnAttention.h - Attentions of the cuDNN that is not there -*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_TEST_STANDIN_CUDNNATTENTION_H
#define PENSTOCK_TEST_STANDIN_CUDNNATTENTION_H

#include "CudnnTensor.h"

namespace standin {
namespace dnn {

// Whether what a descriptor was told fits together.
Outcome checkProduct(const State &operation);
Outcome checkReduction(const State &operation);

bool isAttention(const State &graph);
/// The operations by which the library's engines know an attention, each on what the ones before it have made.
Outcome checkAttention(const State &graph);
std::vector<Engine> attentionEnginesFor(HeuristicMode mode);
/// Engines read 16 bytes at a time.
bool canAttend(const State &graph);
constexpr int64_t kAttentionWorkspaceBytes = 256;

/// A graph with buffers.
class Attention final : public BoundGraph {
public:
  Outcome bind(const State &graph, const std::map<int64_t, char *> &data) override;
  void checkPlaces() const override;
  std::vector<Access> accesses() const override;
  void run() const override;
  const char *name() const override { return "attention"; }

private:
  std::vector<double> weigh(int64_t image, int64_t head, int64_t row) const;

  Tensor query, key, value, mask, result;
  bool hasMask = false;
  float scale = 1;
};

} // namespace dnn
} // namespace standin

#endif // PENSTOCK_TEST_STANDIN_CUDNNATTENTION_H
