//===- OnnxStages.h - A plan into the model's own file ---------*- C++ -*-===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
// ONNX says of a node, not of a kernel, in which pipeline stage it is. What of a plan can be said so:
//   a kernel       all nodes that it is made of are in its stage
//   a copied op    (a reshape in several kernels, say): its node is in the first of their stages
//   clones         nodes of a kernel that several stages repeat carry no stage: who reads the model repeats it again
//   branches       the node with the branches carries the stage; where the condition is constant, the nodes inside may
//   functions      the call carries the stage; the nodes of a function that is cut do, if all calls agree
// A node or function that is cut otherwise is an error that names it.
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_DRIVER_ONNXSTAGES_H
#define PENSTOCK_DRIVER_ONNXSTAGES_H

#include "penstock/Import/Onnx/StageWriter.h"
#include "penstock/Partition/Problem.h"

#include "mlir/IR/BuiltinOps.h"

namespace penstock::driver {

/// The stages of the nodes that the kernels of `@main` were made for. `module` was imported with numbered nodes and
/// `problem` is of it. `plan` is solved again with what the nodes then say, so that it is what a reader of the file
/// gets.
llvm::Expected<onnximport::NodeStages> chooseOnnxStages(mlir::ModuleOp module, const partition::Problem &problem,
                                                        partition::Plan &plan);

} // namespace penstock::driver

#endif // PENSTOCK_DRIVER_ONNXSTAGES_H
