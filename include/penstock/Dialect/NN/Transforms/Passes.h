//===- Passes.h - Passes of the phases normalize and fuse ------*- C++ -*-===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_DIALECT_NN_TRANSFORMS_PASSES_H
#define PENSTOCK_DIALECT_NN_TRANSFORMS_PASSES_H

#include "penstock/Dialect/NN/IR/NNOps.h"
#include "penstock/Dialect/NN/IR/NodeNumbers.h"

#include "mlir/Pass/Pass.h"

namespace penstock::nn {

/// The function that holds the model between import and split.
inline constexpr llvm::StringLiteral kEntryName = "main";
/// Discardable attribute: the ONNX tensor that an op makes.
inline constexpr llvm::StringLiteral kTensorAttr = "nn.tensor";
/// Discardable attribute of a kernel: all ONNX tensors made inside.
inline constexpr llvm::StringLiteral kTensorsAttr = "nn.tensors";

/// Typical value of each symbol of the module: the one given, else the upper bound, else 1 for the symbol of a leading
/// axis of an input and 128 for the others; at least the lower bound. Derived symbols follow from theirs; what kernels
/// find is all that there can be.
SmallVector<int64_t> getTypicalValues(ModuleOp module, TypeRange inputTypes);

/// Discardable attribute of a kernel_def: how its library wants each input packed, a #nn.packing or unit.
inline constexpr llvm::StringLiteral kKernelPackingAttr = "kernel.packing";

/// Every call gives its kernel weights in the layouts that the kernel asks for.
mlir::LogicalResult verifyPacking(mlir::ModuleOp module);

/// `to` takes the place of `from`: it makes the same ONNX tensor, for the same node, in the same stage of the model's
/// own.
inline void takePlace(Operation *from, Operation *to) {
  for (StringRef name : {StringRef(kTensorAttr), StringRef(kOnnxStageAttr), StringRef(kOnnxNodesAttr)})
    if (Attribute value = from->getAttr(name))
      to->setAttr(name, value);
}

#define GEN_PASS_DECL
#include "penstock/Dialect/NN/Transforms/Passes.h.inc"
#define GEN_PASS_REGISTRATION
#include "penstock/Dialect/NN/Transforms/Passes.h.inc"

} // namespace penstock::nn

#endif // PENSTOCK_DIALECT_NN_TRANSFORMS_PASSES_H
