//===- CudaProducts.cpp - The products of an executable on its device -===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "CudaProducts.h"

#include <cstring>

// Of the linker, where an object of the executable has the section.
extern "C" {
extern const rt_cuda_product_desc *const __start_rt_cuda_products[] __attribute__((weak, visibility("hidden")));
extern const rt_cuda_product_desc *const __stop_rt_cuda_products[] __attribute__((weak, visibility("hidden")));
}

namespace penstock {
namespace rt {

Span<const rt_cuda_product_desc *const> productsOfExecutable() {
  return {__start_rt_cuda_products, size_t(__stop_rt_cuda_products - __start_rt_cuda_products)};
}

Status CudaProducts::load(Span<const rt_cuda_product_desc *const> products) {
  return openLibrary(stage, "cuBLASLt", products, RT_CUDA_PRODUCT_VERSION, &Device::openProducts, isOpen);
}

void CudaProducts::tune(const std::string &path) {
  if (!isOpen)
    return;
  const Device &device = stage.device();
  char library[64] = "";
  device.describeProducts(device.self, library, sizeof(library));
  tuning.open(path, std::string(library) + ", " + device.facts.name);
}

/// What all matrices of a batch are aligned to, wherever their buffers begin.
static int64_t alignmentOf(const ProductProblem &problem) {
  bool isF32 = problem.type == ProductType::kF32;
  bool isNarrow = problem.type == ProductType::kF16 || problem.type == ProductType::kBF16;
  int64_t factorBytes = isF32 ? 4 : 2, resultBytes = isNarrow ? 2 : 4;
  uint64_t bits = RT_ALIGNMENT;
  if (problem.batch > 1)
    bits |= uint64_t(problem.rows * problem.inner * factorBytes) |
            uint64_t(problem.inner * problem.columns * factorBytes) |
            uint64_t(problem.rows * problem.columns * resultBytes);
  return int64_t(bits & -bits);
}

static ProductProblem problemOf(const rt_cuda_product_desc &desc, const int64_t *extents) {
  ProductProblem problem;
  problem.batch = extents[RT_CUDA_PRODUCT_BATCH], problem.rows = extents[RT_CUDA_PRODUCT_ROWS];
  problem.inner = extents[RT_CUDA_PRODUCT_INNER], problem.columns = extents[RT_CUDA_PRODUCT_COLUMNS];
  problem.workspaceBytes = RT_CUDA_PRODUCT_WORKSPACE_BYTES;
  problem.type = ProductType(desc.type), problem.activation = ProductActivation(desc.activation);
  problem.allowsTf32 = desc.allows_tf32;
  problem.transposesLhs = desc.transposes_lhs, problem.transposesRhs = desc.transposes_rhs;
  problem.repeatsLhs = desc.repeats_lhs, problem.repeatsRhs = desc.repeats_rhs;
  problem.hasBias = desc.bias >= 0, problem.hasResidual = desc.residual >= 0;
  problem.alignment = alignmentOf(problem);
  return problem;
}

Status CudaProducts::find(const rt_cuda_product_desc &desc, const ProductProblem &problem, CudaProduct &product) {
  const Device &device = stage.device();
  auto make = [&](void **plan) {
    ProductChoice known = tuning.find(problem), choice = known;
    int32_t code = device.makeProduct(device.self, &problem, &choice, plan);
    bool isNew = !known.isKnown || std::memcmp(known.words, choice.words, sizeof(choice.words)) != 0;
    if (code == 0 && isNew)
      tuning.add(problem, choice);
    return code;
  };
  if (int32_t code = plans.find(problem, make, product))
    return deviceFailure(device, stage.who(),
                         format("multiply %lld matrices of %lld x %lld with %lld x %lld in kernel '%s'",
                                (long long)problem.batch, (long long)problem.rows, (long long)problem.inner,
                                (long long)problem.inner, (long long)problem.columns, desc.name)
                             .c_str(),
                         code);
  return Status();
}

Status CudaProducts::prepare(const rt_cuda_product_desc &desc, void *const *buffers, const int64_t *extents,
                             CudaProduct &product) {
  if (!isOpen)
    return fail(Code::kProgram, "%s: the product of kernel '%s' was not loaded", stage.who().c_str(), desc.name);
  ProductProblem problem = problemOf(desc, extents);
  if (problem.batch == 0 || problem.rows == 0 || problem.columns == 0)
    return Status();
  if (problem.inner == 0)
    return fail(Code::kInvalid, "%s: kernel '%s' multiplies matrices with an inner extent of 0, expected at least 1",
                stage.who().c_str(), desc.name);
  product.desc = &desc;
  ProductBuffers &used = product.buffers;
  used.lhs = buffers[desc.lhs], used.rhs = buffers[desc.rhs];
  used.bias = problem.hasBias ? buffers[desc.bias] : nullptr;
  used.residual = problem.hasResidual ? buffers[desc.residual] : nullptr;
  used.result = buffers[desc.result], used.workspace = scratchIn(buffers[desc.workspace]);
  used.alpha = float(desc.alpha);
  return find(desc, problem, product);
}

Status CudaProducts::begin(const CudaProduct &product) {
  const Device &device = stage.device();
  if (int32_t code = device.runProduct(device.self, product.plan, &product.buffers, stage.compute().handle))
    return deviceFailure(device, stage.who(), format("run the product of kernel '%s'", product.desc->name).c_str(),
                         code);
  return Status();
}

} // namespace rt
} // namespace penstock
