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
    Ensures:  in the place of each role a module of its name that defines `penstock_role_K` of Abi.h: constant tables, a
              function that computes the extents, and the program. The program allocates nothing.

    Extents are computed in 64 bits as `nn::evaluate` does; an expression that overflows, divides by a number below one, or
    needs a symbol that is out of its bounds has no value and becomes the least integer, which the runtime refuses.

    Before:
    ```mlir
    rt.role @role_0 role 0 of 1 stages [0] of 1 model "m.onnx" arena 0 extents affine_map<() -> ()>
        attributes {fingerprint = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"} {
      rt.channel @x id 0 "x" f32 [4] from -1 to [0] depth 2 bytes 16 in 0
      rt.program {
        rt.begin
        rt.wait @x
        rt.bind
        rt.release @x
        rt.end
      }
    }
    ```
    After:
    ```mlir
    module @role_0 {
    ...
      llvm.mlir.global internal constant @channels() ...
    ...
      llvm.func internal @program(%arg0: !llvm.ptr) -> i32 {
        %0 = llvm.call @rt_buffers(%arg0) : (!llvm.ptr) -> !llvm.ptr
    ...
        %5 = llvm.call @rt_begin(%arg0) : (!llvm.ptr) -> i32
    ...
        %11 = llvm.call @rt_wait(%arg0, %10) : (!llvm.ptr, i32) -> i32
    ...
      llvm.mlir.global external constant @penstock_role_0() ...
    ```
  }];
  let dependentDialects = ["::mlir::LLVM::LLVMDialect"];
}

#endif
