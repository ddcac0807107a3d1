//===- CudaKernels.h - The kernels of an executable on its device -*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Loads what CudaKernel.h describes before the first request, and launches it on a stage's compute stream; with it,
// what the executable's kernels need of libraries. In every executable that has such kernels; no part of the plug-in.
//
// What a microbatch launches depends on its slots, its shapes and nothing else, and most come again. So launches may be
// collected and begun together: the same ones in the same order, with the same arguments, are one graph.
//
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_RT_DEVICES_CUDAKERNELS_H
#define PENSTOCK_RT_DEVICES_CUDAKERNELS_H

#include "CudaProducts.h"
#include "cudnn/CudaDnn.h"
#include "penstock/rt/CudaKernel.h"

#include <unordered_map>

namespace penstock {
namespace rt {

class CudaKernels {
public:
  /// The stage must outlive the kernels.
  explicit CudaKernels(DeviceStage &stage) : stage(stage), theProducts(stage), theDnn(stage) {}
  /// `kernels`: as the linker bounds them, __start_rt_cuda_kernels to __stop_rt_cuda_kernels. kMismatch: one comes from
  /// another version of the compiler, or has no code for this device. kSystem: a library that the executable's kernels
  /// call is missing.
  Status load(Span<const rt_cuda_kernel *const> kernels);
  /// See rt_cuda_launch. kProgram: the kernel was not loaded, or has no such function.
  Status launch(const rt_cuda_kernel &kernel, uint32_t function, const uint32_t (&grid)[3], uint32_t sharedBytes,
                const uint64_t *arguments);
  /// See rt_cuda_product.
  Status multiply(const rt_cuda_product_desc &desc, void *const *buffers, const int64_t *extents);
  CudaProducts &products() { return theProducts; }
  /// A call that dnn() has prepared; nothing without a plan.
  Status run(const CudaDnnCall &call);
  CudaDnn &dnn() { return theDnn; }
  /// From now on launches wait for flush().
  void collect() { isCollecting = true; }
  /// Begins what was collected; its failures are those of its launches.
  Status flush();

private:
  struct Waiting {
    const rt_cuda_function *entry = nullptr; ///< null: a call of a library, of whose plans one is there
    void *kernel = nullptr;
    uint32_t grid[3] = {}, sharedBytes = 0;
    size_t firstArgument = 0;
    CudaProduct product;
    CudaDnnCall dnn;
    bool isFirst() const { return product.isFirst || dnn.isFirst; }
  };
  Status begin(const Waiting &launch, const uint64_t *arguments);
  Status beginAll();
  Status beginOrWait(const Waiting &waits);
  void addToKey(const Waiting &waits);

  DeviceStage &stage;
  bool isCollecting = false;
  std::vector<Waiting> waiting;
  std::vector<uint64_t> collected; ///< arguments of all that wait
  std::vector<int64_t> key;        ///< of their graph
  CudaProducts theProducts;
  CudaDnn theDnn;
  std::unordered_map<const rt_cuda_kernel *, std::vector<void *>> functions;
  std::vector<void *> parameters; ///< addresses of the arguments of one launch
};

} // namespace rt
} // namespace penstock

#endif // PENSTOCK_RT_DEVICES_CUDAKERNELS_H
