//===- KernelNames.h - Kernels by the ONNX names in them -------*- C++ -*-===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
// People name cuts by tensors and nodes of their ONNX file. After fusion these lie in kernels, some at their end, some
// inside.
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_LIB_DIALECT_PIPE_TRANSFORMS_KERNELNAMES_H
#define PENSTOCK_LIB_DIALECT_PIPE_TRANSFORMS_KERNELNAMES_H

#include "penstock/Dialect/NN/IR/NNOps.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "llvm/ADT/StringMap.h"

namespace penstock::pipe {

/// Where a name was found.
struct NamedKernel {
  nn::KernelOp kernel;
  bool isInside = false; ///< not a result of the kernel
};

class KernelNames {
public:
  explicit KernelNames(mlir::func::FuncOp entry);

  /// The kernel that makes the named tensor or runs the named node; otherwise an error that proposes the closest name.
  mlir::FailureOr<NamedKernel> find(llvm::StringRef name);

private:
  void add(llvm::StringRef name, NamedKernel kernel);

  mlir::func::FuncOp entry;
  llvm::StringMap<NamedKernel> kernels;
};

/// The stage that the model's own annotations (`nn.onnx_stage`) give to a kernel: the last one of its ops.
std::optional<int64_t> getOnnxStage(nn::KernelOp kernel);

} // namespace penstock::pipe

#endif // PENSTOCK_LIB_DIALECT_PIPE_TRANSFORMS_KERNELNAMES_H
