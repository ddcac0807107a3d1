//===- Passes.td - From calls of the runtime to LLVM -------*- tablegen -*-===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_CONVERSION_RTTOLLVM_PASSES
#define PENSTOCK_CONVERSION_RTTOLLVM_PASSES

include "mlir/Pass/PassBase.td"

def ConvertRtToLLVMPass : Pass<"convert-rt-to-llvm", "::mlir::ModuleOp"> {
  let summary = "write each role as a module of the LLVM dialect";
  let description = [{
    Requires: `rt.role`s that know their fingerprint and, where they load weights, the weights file (its length and hash, and
              the offset of each weight).
    Ensures:  in the place of each role a module of its name that defines `penstock_role` of Abi.h: constant tables, a
              function that computes the extents, and the program. The program allocates nothing.

    Extents are computed in 64 bits as `nn::evaluate` does; an expression that overflows, divides by a number below one, or
    needs a symbol that is out of its bounds has no value and becomes the least integer, which the runtime refuses.

    Before:
    ```mlir
    rt.program {
      rt.begin
      rt.wait @x
      ...
    }
    ```
    After:
    ```mlir
    llvm.func internal @program(%ctx: !llvm.ptr) -> i32 {
      %0 = llvm.call @rt_buffers(%ctx) : (!llvm.ptr) -> !llvm.ptr
      ...
    ^loop:
      %2 = llvm.call @rt_begin(%ctx) : (!llvm.ptr) -> i32
      ...
    ```
  }];
  let dependentDialects = ["::mlir::LLVM::LLVMDialect"];
}

#endif
