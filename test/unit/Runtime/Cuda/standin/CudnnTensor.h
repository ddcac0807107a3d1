//===- CudnnTensor.h - Tensors of the cuDNN that is not there -----*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_TEST_STANDIN_CUDNNTENSOR_H
#define PENSTOCK_TEST_STANDIN_CUDNNTENSOR_H

#include "Cudnn.h"
#include "Numbers.h"

#include <array>

namespace standin {
namespace dnn {

/// A tensor of a graph, with its buffer.
struct Tensor {
  Tensor() = default;
  explicit Tensor(const State &state);

  char *data = nullptr;
  std::vector<int64_t> dims, strides;
  Float type = Float::kF32;
  int64_t alignment = 1;

  /// From the first element to the last one.
  size_t numBytes() const;
  /// Of an axis with one element, every index is that element's.
  char *at(const std::array<int64_t, 4> &index) const;
  float get(const std::array<int64_t, 4> &index) const { return load(at(index), type); }
};

/// Gives tensors of a graph the buffers of their ids.
class Binder {
public:
  explicit Binder(const std::map<int64_t, char *> &data) : data(data) {}
  Tensor take(const std::shared_ptr<State> &state);
  /// Every tensor got a buffer, and every buffer a tensor.
  bool isComplete() const { return hasAll && numTaken == data.size(); }

private:
  const std::map<int64_t, char *> &data;
  bool hasAll = true;
  size_t numTaken = 0;
};

/// A result that lies over what is read, and tensors that are not where they were said to be. `what`: "a convolution".
void checkPlacesOf(const char *what, const std::vector<const Tensor *> &read, const Tensor &result);

} // namespace dnn
} // namespace standin

#endif // PENSTOCK_TEST_STANDIN_CUDNNTENSOR_H
