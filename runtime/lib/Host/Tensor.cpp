//===- Tensor.cpp - Named tensors outside a pipeline -------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "penstock/rt/Tensor.h"

#include <cmath>

namespace penstock {
namespace rt {

Status Tensor::make(int32_t dtype, std::vector<int64_t> dims, Tensor &tensor) {
  int64_t numBytes;
  if (!tensorBytes(dtype, dims.data(), dims.size(), numBytes))
    return fail(Code::kInvalid, "a tensor of shape %s is too large", dimsToString(dims).c_str());
  void *memory = nullptr;
  // One byte at least: an empty tensor has an address too.
  if (posix_memalign(&memory, RT_ALIGNMENT, size_t(numBytes) + 1) != 0)
    return fail(Code::kSystem, "no memory for a tensor of shape %s, %lld bytes", dimsToString(dims).c_str(),
                (long long)numBytes);
  tensor.dtype = dtype;
  tensor.dims = std::move(dims);
  tensor.numBytes = numBytes;
  tensor.data = std::shared_ptr<char>(static_cast<char *>(memory), std::free);
  return Status();
}

/// One of this size exactly: what comes again is what comes from the same pipeline.
TensorPool::Block TensorPool::Kept::take(int64_t wanted) {
  std::lock_guard<std::mutex> lock(mutex);
  for (size_t i = blocks.size(); i-- > 0;) {
    if (blocks[i].numBytes != wanted)
      continue;
    Block block = std::move(blocks[i]);
    blocks.erase(blocks.begin() + std::ptrdiff_t(i));
    numBytes -= wanted;
    return block;
  }
  return Block();
}

void TensorPool::Kept::put(Block block) {
  std::lock_guard<std::mutex> lock(mutex);
  numBytes += block.numBytes;
  blocks.push_back(std::move(block));
  while (numBytes > kMaxBytes) {
    numBytes -= blocks.front().numBytes;
    blocks.erase(blocks.begin());
  }
}

Status TensorPool::make(int32_t dtype, std::vector<int64_t> dims, Tensor &tensor) {
  int64_t numBytes;
  if (!tensorBytes(dtype, dims.data(), dims.size(), numBytes) || numBytes < kMinBytes)
    return Tensor::make(dtype, std::move(dims), tensor);
  Block block = kept->take(numBytes);
  if (!block.data) {
    if (Status status = Tensor::make(dtype, dims, tensor); !status.ok())
      return status;
    block = {std::move(tensor.data), numBytes};
  }
  tensor.dtype = dtype;
  tensor.dims = std::move(dims);
  tensor.numBytes = numBytes;
  tensor.data = std::shared_ptr<char>(block.data.get(), [pool = std::weak_ptr<Kept>(kept), block](char *) {
    if (std::shared_ptr<Kept> open = pool.lock())
      open->put(block);
  });
  return Status();
}

TensorViewMap viewsOf(const TensorMap &tensors) {
  TensorViewMap views;
  for (const auto &entry : tensors)
    views[entry.first] = entry.second.view();
  return views;
}

std::string summarize(const Tensor &tensor) {
  std::string head = std::string(dtypeName(tensor.dtype)) + " " + dimsToString(tensor.dims);
  int64_t count = tensor.numBytes / dtypeBytes(tensor.dtype);
  if (count == 0)
    return head + " empty";
  double least = INFINITY, most = -INFINITY, sum = 0;
  bool hasNan = false;
  for (int64_t i = 0; i < count; ++i) {
    double value = elementValue(tensor.dtype, tensor.data.get() + i * dtypeBytes(tensor.dtype));
    hasNan |= std::isnan(value);
    least = value < least ? value : least;
    most = value > most ? value : most;
    sum += value;
  }
  if (hasNan)
    return head + " has NaN";
  return head + format(" min %.6g mean %.6g max %.6g", least, sum / double(count), most);
}

} // namespace rt
} // namespace penstock
