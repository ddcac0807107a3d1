//===- Passes.td - Passes of the phases assign to place ----*- tablegen -*-===//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_DIALECT_PIPE_TRANSFORMS_PASSES
#define PENSTOCK_DIALECT_PIPE_TRANSFORMS_PASSES

include "mlir/Pass/PassBase.td"

def SplitStagesPass : Pass<"pipe-split-stages", "::mlir::ModuleOp"> {
  let summary = "turn stage annotations into pure stages joined by channels";
  let description = [{
    Requires: `@main` holds kernels, weights and constants; every `nn.kernel` carries `pipe.stage_id` (see
              `pipe-assign-stages`); a value flows only to its own or later stages; stages are 0, 1, ... without a gap.
    Ensures:  one `pipe.stage` per number, in destination-passing form; one `pipe.channel` per value that leaves its stage,
              listing all its consumers, and one per input that is read; a stage that reads nothing gets a control
              channel. Kernels are `nn.kernel_def` symbols; those of equal structure, up to their symbols, are one. An
              output that is a weight, a constant or an input is copied by a kernel of its own. `@main` is gone;
              `pipe.input` and `pipe.output` keep its signature.
    Does not: choose cuts, or order microbatches (see `pipe-schedule`).

    Before:
    ```mlir
    func.func @main(%x: tensor<4x8xf32> {nn.name = "x"}) -> (tensor<4x8xf32> {nn.name = "y"}) {
      %0 = nn.kernel "a" ins(%i = %x : tensor<4x8xf32>) -> (tensor<4x8xf32>) attributes {pipe.stage_id = 0 : i32} {
        %t = nn.unary tanh %i : tensor<4x8xf32>
        nn.yield %t : tensor<4x8xf32>
      }
      %1 = nn.kernel "b" ins(%i = %0 : tensor<4x8xf32>) -> (tensor<4x8xf32>) attributes {pipe.stage_id = 1 : i32} {
        %t = nn.unary tanh %i : tensor<4x8xf32>
        nn.yield %t : tensor<4x8xf32>
      }
      return %1 : tensor<4x8xf32>
    }
    ```
    After:
    ```mlir
    pipe.input "x" via @x : tensor<4x8xf32>
    pipe.output "y" via @y : tensor<4x8xf32>
    pipe.channel @x from @source to [@s0] tensor "x" : tensor<4x8xf32>
    pipe.channel @c0 from @s0 to [@s1] tensor "a" : tensor<4x8xf32>
    pipe.channel @y from @s1 to [@sink] tensor "y" : tensor<4x8xf32>
    nn.kernel_def @k0(%arg0: tensor<4x8xf32>) -> (tensor<4x8xf32>) symbols 0 {
      %0 = nn.unary tanh %arg0 : tensor<4x8xf32>
      nn.yield %0 : tensor<4x8xf32>
    }
    pipe.stage @s0(%arg0: tensor<4x8xf32>) -> (tensor<4x8xf32>) reads [@x] writes [@c0] {
      %0 = nn.empty : tensor<4x8xf32>
      %1 = nn.call @k0 ins(%arg0 : tensor<4x8xf32>) outs(%0 : tensor<4x8xf32>) symbols <[]> {nn.kernel_name = "a"} -> tensor<4x8xf32>
      pipe.return %1 : tensor<4x8xf32>
    }
    pipe.stage @s1(%arg0: tensor<4x8xf32>) -> (tensor<4x8xf32>) reads [@c0] writes [@y] {
      %0 = nn.empty : tensor<4x8xf32>
      %1 = nn.call @k0 ins(%arg0 : tensor<4x8xf32>) outs(%0 : tensor<4x8xf32>) symbols <[]> {nn.kernel_name = "b"} -> tensor<4x8xf32>
      pipe.return %1 : tensor<4x8xf32>
    }
    ```
  }];
  let dependentDialects = ["::penstock::nn::NNDialect", "::penstock::pipe::PipeDialect"];
  let statistics = [Statistic<"numChannels", "num-channels", "channels made">,
                    Statistic<"numKernels", "num-kernels", "distinct kernels">,
                    Statistic<"numCalls", "num-calls", "calls of kernels">];
}

#endif
