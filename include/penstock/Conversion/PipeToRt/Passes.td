//===- Passes.td - From placed stages to calls of the runtime -*- tablegen -*-===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_CONVERSION_PIPETORT_PASSES
#define PENSTOCK_CONVERSION_PIPETORT_PASSES

include "mlir/Pass/PassBase.td"

def ConvertPipeToRtPass : Pass<"convert-pipe-to-rt", "::mlir::ModuleOp"> {
  let summary = "write each role as tables and calls of the runtime";
  let description = [{
    Requires: placed stages and their programs (`pipe-place-buffers`), kernels with `kernel.object`, the symbol of the
              kernel's function without its prefix `k_`.
    Ensures:  one `rt.role` per `pipe.program`. For each microbatch it waits for its inputs, binds the symbols, checks the
              constraints of the module, acquires its outputs in channel order, calls the kernels, publishes each output
              after the kernel that makes it and releases each input after its last reader.
              The role of a stage with `pipe.device` has that device and the number of stages before it that have it too;
              what its program uploads is uploaded after the wait, what it downloads is downloaded before it is published.
    Does not: touch stages, channels and programs, which plan.json is made from; fill in what is known only when the weights
              file is written.

    Before:
    ```mlir
    module attributes {nn.model = "m.onnx"} {
      pipe.channel @x from @source to [@s0] depth 2 {slot_bytes = #nn.extents<[16]>} : tensor<4xf32>
      pipe.channel @y from @s0 to [@sink] depth 2 {slot_bytes = #nn.extents<[16]>} : tensor<4xf32>
      nn.kernel_def @k0(%a: tensor<4xf32>) -> (tensor<4xf32>) symbols 0 attributes {kernel.object = "1a"} {
        %0 = nn.unary tanh %a : tensor<4xf32>
        nn.yield %0 : tensor<4xf32>
      }
      pipe.stage @s0(%x: tensor<4xf32>) -> (tensor<4xf32>) reads [@x] writes [@y] attributes {pipe.storage = [#pipe.storage<channel_in, symbol = @x>]} {
        %0 = nn.empty {pipe.storage = #pipe.storage<channel_out, symbol = @y>} : tensor<4xf32>
        %1 = nn.call @k0 ins(%x : tensor<4xf32>) outs(%0 : tensor<4xf32>) symbols <[]> {nn.kernel_name = "tanh"} -> tensor<4xf32>
        pipe.return %1 : tensor<4xf32>
      }
      pipe.program @r0 runs [@s0] attributes {pipe.memory = {arena = 0 : i64}} prologue {
      } steady {
        %0 = pipe.recv @x : tensor<4xf32>
        %1 = pipe.run @s0(%0) : (tensor<4xf32>) -> tensor<4xf32>
        pipe.send %1 to @y : tensor<4xf32>
      } epilogue {
      }
    }
    ```
    After: in addition
    ```mlir
    rt.role @role_0 role 0 of 1 stages [0] of 1 model "m.onnx" arena 0 extents #... {
      rt.channel @x id 0 "x" f32 [4] from -1 to [0] depth 2 bytes 16 in 0
      rt.channel @y id 1 "y" f32 [4] from 0 to [-2] depth 2 bytes 16 out
      rt.storage 0 channel_in "x" {channel = 0 : i64, num_bytes = 16 : i64}
      rt.storage 1 channel_out "tanh" {channel = 1 : i64, num_bytes = 16 : i64}
      rt.step 0 "tanh" kernel "k_1a" makes [1]
      rt.program {
        rt.begin
        rt.wait @x
        rt.bind
        rt.acquire @y
        rt.call "k_1a" buffers [0, 1] symbols 0
        rt.done 0
        rt.publish @y
        rt.release @x
        rt.end
      }
    }
    ```
  }];
  let options = [
    Option<"numThreads", "num-threads", "int64_t", "1", "threads of each kernel">,
    Option<"requiredFeatures", "required-features", "std::string", "", "features that the CPU must have, in LLVM's words">];
  let dependentDialects = ["::penstock::rtir::RtDialect"];
}

#endif
