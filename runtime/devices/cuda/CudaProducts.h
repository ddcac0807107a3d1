//===- CudaProducts.h - The products of an executable on its device -*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Opens the library before the first request if an executable has products for it, and keeps a plan for each problem
// that has come: the heuristic is asked once for each, and nothing is allocated when one comes again. In every
// executable that has kernels for a device; no part of the plug-in.
//
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_RT_DEVICES_CUDAPRODUCTS_H
#define PENSTOCK_RT_DEVICES_CUDAPRODUCTS_H

#include "Stage.h"
#include "cublaslt/CudaProduct.h"
#include "cublaslt/Product.h"

namespace penstock {
namespace rt {

/// A product that is ready to begin.
struct CudaProduct {
  const rt_cuda_product_desc *desc = nullptr;
  void *plan = nullptr; ///< null: the result is empty
  uint64_t number = 0;  ///< of the plan, never that of another one
  bool isFirst = false; ///< of its plan: the library may still have to load code
  ProductBuffers buffers;
};

class CudaProducts {
public:
  /// The stage must outlive the products.
  explicit CudaProducts(DeviceStage &stage) : stage(stage) {}
  ~CudaProducts();
  CudaProducts(const CudaProducts &) = delete;
  CudaProducts &operator=(const CudaProducts &) = delete;

  /// kMismatch: a product comes from another version of the compiler. kSystem: there is no library, or a wrong one.
  Status load(Span<const rt_cuda_product_desc *const> products);
  /// What rt_cuda_product asks for. kProgram: load() has not opened the library. kSystem: it has no algorithm, or
  /// fails.
  Status prepare(const rt_cuda_product_desc &desc, void *const *buffers, const int64_t *extents, CudaProduct &product);
  /// Gives it to the compute stream.
  Status begin(const CudaProduct &product);

  size_t numPlans() const { return plans.size(); }
  /// The one unused for longest goes first: a product can begin until as many others have been prepared.
  static constexpr size_t kMaxPlans = 1024;

private:
  struct Less {
    bool operator()(const ProductProblem &lhs, const ProductProblem &rhs) const;
  };
  struct Plan {
    void *plan = nullptr;
    uint64_t number = 0, lastUse = 0;
  };
  Status find(const rt_cuda_product_desc &desc, const ProductProblem &problem, CudaProduct &product);
  void forgetOldest();

  DeviceStage &stage;
  bool isOpen = false;
  std::map<ProductProblem, Plan, Less> plans;
  uint64_t numUses = 0, numMade = 0;
};

/// The products that this executable holds.
Span<const rt_cuda_product_desc *const> productsOfExecutable();

} // namespace rt
} // namespace penstock

#endif // PENSTOCK_RT_DEVICES_CUDAPRODUCTS_H
