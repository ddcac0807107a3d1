//===- NNInterfaces.td - Interfaces of the nn dialect ------*- tablegen -*-===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_DIALECT_NN_IR_NNINTERFACES
#define PENSTOCK_DIALECT_NN_IR_NNINTERFACES

include "mlir/IR/OpBase.td"

def NN_CostInterface : OpInterface<"CostInterface"> {
  let cppNamespace = "::penstock::nn";
  let description = [{
    What an op costs, as expressions over the symbols of the module. One multiply-add is two FLOPs; a transcendental
    function counts as `kTranscendentalFlops`. Bytes are those of operands and results; views cost nothing.
  }];
  let methods = [
    InterfaceMethod<"floating-point (or integer) operations", "::mlir::AffineExpr", "getFlops", (ins), [{}],
        [{ return ::penstock::nn::defaultFlops($_op.getOperation()); }]>,
    InterfaceMethod<"bytes read", "::mlir::AffineExpr", "getBytesRead", (ins), [{}],
        [{ return ::penstock::nn::defaultBytesRead($_op.getOperation()); }]>,
    InterfaceMethod<"bytes written", "::mlir::AffineExpr", "getBytesWritten", (ins), [{}],
        [{ return ::penstock::nn::defaultBytesWritten($_op.getOperation()); }]>,
  ];
}

#endif
