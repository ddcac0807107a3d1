//===- CudnnConvolution.h - Convolutions of the cuDNN that is not there -*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_TEST_STANDIN_CUDNNCONVOLUTION_H
#define PENSTOCK_TEST_STANDIN_CUDNNCONVOLUTION_H

#include "CudnnTensor.h"

namespace standin {
namespace dnn {

// Whether what a descriptor was told fits together.
Outcome checkTensor(const State &tensor);
Outcome checkConvolution(const State &convolution);
Outcome checkForward(const State &operation);
Outcome checkPointwise(const State &operation);
Outcome checkGraph(const State &graph);

std::vector<Engine> enginesFor(const State &graph, HeuristicMode mode);
std::vector<Note> notesOf(Engine engine);
int64_t workspaceOf(const State &graph, Engine engine);
bool canDo(const State &graph, Engine engine);

class Convolution final : public BoundGraph {
public:
  explicit Convolution(Engine engine) : engine(engine) {}
  Outcome bind(const State &graph, const std::map<int64_t, char *> &data) override;
  void checkPlaces() const override;
  std::vector<Access> accesses() const override;
  void run() const override;
  const char *name() const override { return "convolution"; }

private:
  double sumAt(int64_t n, int64_t k, int64_t h, int64_t w) const;

  Engine engine;
  Tensor input, filter, result;
  std::vector<Tensor> summands;
  std::vector<int64_t> strides, dilations, pads;
  bool hasRelu = false, roundsFactors = false;
};

} // namespace dnn
} // namespace standin

#endif // PENSTOCK_TEST_STANDIN_CUDNNCONVOLUTION_H
