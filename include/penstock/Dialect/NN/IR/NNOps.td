//===- NNOps.td - All ops of the nn dialect ----------------*- tablegen -*-===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_DIALECT_NN_IR_NNOPS
#define PENSTOCK_DIALECT_NN_IR_NNOPS

include "penstock/Dialect/NN/IR/NNOpsModule.td"
include "penstock/Dialect/NN/IR/NNOpsElementwise.td"
include "penstock/Dialect/NN/IR/NNOpsContraction.td"
include "penstock/Dialect/NN/IR/NNOpsMovement.td"
include "penstock/Dialect/NN/IR/NNOpsReduction.td"
include "penstock/Dialect/NN/IR/NNOpsSelection.td"
include "penstock/Dialect/NN/IR/NNOpsRecurrent.td"

#endif
