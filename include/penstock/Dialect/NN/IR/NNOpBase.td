//===- NNOpBase.td - Classes of nn ops ---------------------*- tablegen -*-===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_DIALECT_NN_IR_NNOPBASE
#define PENSTOCK_DIALECT_NN_IR_NNOPBASE

include "penstock/Dialect/NN/IR/NNAttrs.td"
include "penstock/Dialect/NN/IR/NNInterfaces.td"
include "mlir/IR/SymbolInterfaces.td"
include "mlir/IR/RegionKindInterface.td"
include "mlir/Interfaces/InferTypeOpInterface.td"
include "mlir/Interfaces/SideEffectInterfaces.td"
include "mlir/Interfaces/CallInterfaces.td"
include "mlir/Interfaces/ControlFlowInterfaces.td"


/// An op whose result types follow from operands and attributes. `inferReturnTypes` reports what does not fit, so it is the
/// verifier of shapes too; results may be more specific in nothing.
class NN_InferredOp<string mnemonic, list<Trait> traits = []>
    : NN_Op<mnemonic, !listconcat([Pure, NN_CostInterface, InferTypeOpAdaptor], traits)>;

#endif
