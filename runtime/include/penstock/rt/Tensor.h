//===- Tensor.h - Named tensors outside a pipeline ---------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What goes into a session and comes out of it. Row-major, contiguous, aligned to RT_ALIGNMENT when owned.
//
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_RT_TENSOR_H
#define PENSTOCK_RT_TENSOR_H

#include "penstock/rt/Status.h"
#include "penstock/rt/Types.h"

#include <cstdlib>
#include <map>
#include <memory>
#include <mutex>

namespace penstock {
namespace rt {

/// A tensor that somebody else owns.
struct TensorView {
  int32_t dtype = RT_F32;
  std::vector<int64_t> dims;
  const void *data = nullptr;
  int64_t numBytes = 0;
};

/// A tensor with its memory.
struct Tensor {
  int32_t dtype = RT_F32;
  std::vector<int64_t> dims;
  int64_t numBytes = 0;
  std::shared_ptr<char> data; ///< shared, so that a Python array can keep it

  /// Uninitialised memory for the shape. kInvalid: a negative extent or overflow. kSystem: no memory.
  static Status make(int32_t dtype, std::vector<int64_t> dims, Tensor &tensor);
  TensorView view() const { return {dtype, dims, data.get(), numBytes}; }
};

/// Memory of large tensors that nobody holds any more, for the next ones: a result of megabytes in new memory costs
/// more in page faults than the copy. Keeps at most kMaxBytes; tensors may outlive the pool. Any thread.
class TensorPool {
public:
  static constexpr int64_t kMinBytes = int64_t(1) << 17, kMaxBytes = int64_t(1) << 28;
  TensorPool() : kept(std::make_shared<Kept>()) {}
  /// As Tensor::make, which makes the small ones.
  Status make(int32_t dtype, std::vector<int64_t> dims, Tensor &tensor);

private:
  struct Block {
    std::shared_ptr<char> data;
    int64_t numBytes = 0;
  };
  struct Kept {
    std::mutex mutex; ///< guards what follows
    std::vector<Block> blocks;
    int64_t numBytes = 0;
    Block take(int64_t wanted);
    void put(Block block);
  };
  std::shared_ptr<Kept> kept;
};

using TensorMap = std::map<std::string, Tensor>;
using TensorViewMap = std::map<std::string, TensorView>;

TensorViewMap viewsOf(const TensorMap &tensors);

/// "f32 1x2 min -0.5 mean 0.1 max 2"; integers and bool as numbers too.
std::string summarize(const Tensor &tensor);

} // namespace rt
} // namespace penstock

#endif // PENSTOCK_RT_TENSOR_H
