//===- StageGraph.h - The entry function seen as kernels with stages -*- C++ -*-===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
// What assign and split both need of `@main`: its kernels in order, and a kernel for every output that no kernel makes.
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_LIB_DIALECT_PIPE_TRANSFORMS_STAGEGRAPH_H
#define PENSTOCK_LIB_DIALECT_PIPE_TRANSFORMS_STAGEGRAPH_H

#include "penstock/Dialect/NN/IR/NNOps.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace penstock::pipe {

/// `@main` with one block that holds only kernels, weights and constants; otherwise an error and null.
mlir::func::FuncOp findEntry(mlir::ModuleOp module);

/// Kernels of the entry function, in program order.
llvm::SmallVector<nn::KernelOp> getKernels(mlir::func::FuncOp entry);

/// A kernel that copies what is returned as `output`, and takes its place there.
nn::KernelOp createCopy(mlir::func::ReturnOp ret, unsigned output, const std::string &name);

/// Gives every output that is a weight, a constant or an input a kernel that copies it. Stages, where they are
/// annotated already, are those of the first reader of the input, else the last one.
void copyTrivialOutputs(mlir::func::FuncOp entry);

/// An output that is fed back as an input of the next call (`nn.states` of the module, pairs of names).
struct StateEdge {
  unsigned input, output; ///< positions in the signature of the entry function
};

/// The states of the module; an error if a name is unknown, or used twice, or the types differ.
mlir::FailureOr<llvm::SmallVector<StateEdge>> getStates(mlir::func::FuncOp entry);

/// Name of an input or output: `nn.name`, else its position.
std::string getInputName(mlir::func::FuncOp entry, unsigned index);
std::string getOutputName(mlir::func::FuncOp entry, unsigned index);

/// ONNX tensor that a kernel result stands for; else the kernel's name.
std::string getTensorName(mlir::OpResult result);

/// Where the bytes of `kernel` are counted: weights that it reads, loaded outside.
llvm::SmallVector<nn::LoadWeightOp> getWeights(nn::KernelOp kernel);

} // namespace penstock::pipe

#endif // PENSTOCK_LIB_DIALECT_PIPE_TRANSFORMS_STAGEGRAPH_H
