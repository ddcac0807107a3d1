//===- CudnnTensor.cpp - Tensors of the cuDNN that is not there ---*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "CudnnTensor.h"

namespace standin {
namespace dnn {

Tensor::Tensor(const State &state)
    : dims(state.numbers(kTensorDims)), strides(state.numbers(kTensorStrides)),
      alignment(state.number<int64_t>(kTensorAlignment)) {
  auto kind = state.number<DataType>(kTensorType);
  type = kind == kFloat32 ? Float::kF32 : kind == kFloat16 ? Float::kF16 : Float::kBF16;
}

size_t Tensor::numBytes() const {
  int64_t last = 0;
  for (size_t i = 0; i < dims.size(); ++i)
    last += (dims[i] - 1) * strides[i];
  return size_t(last + 1) * bytesOf(type);
}

char *Tensor::at(const std::array<int64_t, 4> &index) const {
  int64_t place = 0;
  for (size_t i = 0; i < index.size(); ++i)
    place += dims[i] == 1 ? 0 : index[i] * strides[i];
  return data + size_t(place) * bytesOf(type);
}

Tensor Binder::take(const std::shared_ptr<State> &state) {
  Tensor tensor(*state);
  auto found = data.find(state->number<int64_t>(kTensorId));
  hasAll &= found != data.end() && found->second;
  tensor.data = hasAll ? found->second : nullptr;
  ++numTaken;
  return tensor;
}

void checkPlacesOf(const char *what, const std::vector<const Tensor *> &read, const Tensor &result) {
  for (const Tensor *tensor : read)
    if (tensor->data < result.data + result.numBytes() && result.data < tensor->data + tensor->numBytes())
      addFault("out of place: " + std::string(what) + " is written over what it reads");
  auto isMisplaced = [](const Tensor &tensor) {
    return reinterpret_cast<uintptr_t>(tensor.data) % uintptr_t(tensor.alignment) != 0;
  };
  if (isMisplaced(result) || std::any_of(read.begin(), read.end(), [&](const Tensor *t) { return isMisplaced(*t); }))
    addFault("out of place: a tensor that is not aligned as was said when the engine was chosen");
}

} // namespace dnn
} // namespace standin
