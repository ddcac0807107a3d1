//===- CudaProducts.h - The products of an executable on its device -*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Opens the library before the first request if an executable has products for it, and keeps a plan for each problem
// that has come (CudaPlans.h). In every executable that has kernels for a device; no part of the plug-in.
//
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_RT_DEVICES_CUDAPRODUCTS_H
#define PENSTOCK_RT_DEVICES_CUDAPRODUCTS_H

#include "CudaPlans.h"
#include "ProductTuning.h"
#include "Stage.h"
#include "cublaslt/CudaProduct.h"
#include "cublaslt/Product.h"

namespace penstock {
namespace rt {

/// A product that is ready to begin.
struct CudaProduct : CudaPlan {
  const rt_cuda_product_desc *desc = nullptr;
  ProductBuffers buffers;
};

class CudaProducts {
  using Plans = CudaPlans<ProductProblem, ProductProblemLess>;

public:
  static constexpr size_t kMaxPlans = Plans::kMaxPlans;
  /// The stage must outlive the products.
  explicit CudaProducts(DeviceStage &stage)
      : stage(stage), plans([&stage](void *plan) { (void)stage.device().dropProduct(stage.device().self, plan); }) {}

  /// kMismatch: a product comes from another version of the compiler. kSystem: there is no library, or a wrong one.
  Status load(Span<const rt_cuda_product_desc *const> products);
  /// What rt_cuda_product asks for. kProgram: load() has not opened the library. kSystem: it has no algorithm, or
  /// fails.
  Status prepare(const rt_cuda_product_desc &desc, void *const *buffers, const int64_t *extents, CudaProduct &product);
  /// Gives one that has a plan to the compute stream.
  Status begin(const CudaProduct &product);

  /// From now on algorithms of earlier starts are taken, those in the file at `path`. After load(); nothing to do
  /// without products.
  void tune(const std::string &path);
  /// Keeps what the library has chosen since.
  void keepTuning() { tuning.save(); }

  size_t numPlans() const { return plans.size(); }
  /// That have plans.
  std::vector<ProductProblem> problems() const { return plans.problems(); }

private:
  Status find(const rt_cuda_product_desc &desc, const ProductProblem &problem, CudaProduct &product);

  DeviceStage &stage;
  bool isOpen = false;
  ProductTuning tuning;
  Plans plans;
};

/// The products that this executable holds.
Span<const rt_cuda_product_desc *const> productsOfExecutable();

} // namespace rt
} // namespace penstock

#endif // PENSTOCK_RT_DEVICES_CUDAPRODUCTS_H
