//===- OneDnnMatch.h - Kernels as oneDNN sees them --------------*- C++ -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// One contraction, then a chain of elementwise ops on its result, is what oneDNN does in one pass. Anything else is
// left to generated code.
//
//===----------------------------------------------------------------------===//

#ifndef PENSTOCK_LIB_TARGET_CPU_ONEDNNMATCH_H
#define PENSTOCK_LIB_TARGET_CPU_ONEDNNMATCH_H

#include "OneDnn.h"
#include "penstock/Dialect/NN/IR/NNOps.h"

#include <optional>
#include <vector>

namespace penstock {

/// A kernel as a descriptor. Its buffers are the kernel's inputs, its result, then the constants below, then the
/// workspace if it has one.
struct OneDnnKernel {
  rt_dnnl_desc desc = {};
  llvm::SmallVector<mlir::AffineExpr> extents; ///< desc.num_extents, over the kernel's symbols
  std::vector<std::vector<float>> constants;
  llvm::SmallVector<mlir::Attribute> packing; ///< as kernels::CompiledKernel has it
};

/// The descriptor of `kernel`, if it has one, without what depends on the library: instruction set, version, packing
/// and workspace.
std::optional<OneDnnKernel> matchOneDnn(nn::KernelDefOp kernel);

} // namespace penstock

#endif // PENSTOCK_LIB_TARGET_CPU_ONEDNNMATCH_H
