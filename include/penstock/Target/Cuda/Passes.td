//===- Passes.td - From linalg on buffers to functions of a GPU -*- tablegen -*-===//
//
// Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#ifndef PENSTOCK_TARGET_CUDA_PASSES
#define PENSTOCK_TARGET_CUDA_PASSES

include "mlir/Pass/PassBase.td"

def CudaMapLaunchesPass : Pass<"cuda-map-launches", "::mlir::ModuleOp"> {
  let summary = "turn linalg on buffers into functions of the device and their launches";
  let description = [{
    Requires: one function of pointers and symbols (index arguments) whose body is linalg on buffers, loops and scalar
              accesses; temporaries lie in the workspace. Extents depend on symbols only.
    Ensures:  the function only launches; each `gpu.func` of the module `@device` takes pointers and symbols that it uses,
              in the order of the function's. Neighbouring ops on the same rows are one `gpu.func` (a warp or a block per
              row, warp shuffles); transposes go tile by tile through shared memory; sums of columns are shared by the
              warps of a block; everything else on tensors has one thread per element of the result, or per 16 bytes.
              Loops keep their order: threads share what of them is independent (`EmitOrdered.cpp`). Ops of branches are
              launched, and left by their threads where the condition does not hold.
    Does not: fuse elementwise ops, or move data between host and device.

    Before:
    ```mlir
    func.func @body(%p: !llvm.ptr, %q: !llvm.ptr) {
      %x = builtin.unrealized_conversion_cast %p : !llvm.ptr to memref<1000xf32>
      %y = builtin.unrealized_conversion_cast %q : !llvm.ptr to memref<1000xf32>
      linalg.generic {indexing_maps = [affine_map<(d0) -> (d0)>, affine_map<(d0) -> (d0)>], iterator_types = ["parallel"]}
          ins(%x : memref<1000xf32>) outs(%y : memref<1000xf32>) {
      ^bb0(%in: f32, %out: f32):
        %n = arith.negf %in : f32
        linalg.yield %n : f32
      }
      return
    }
    ```
    After:
    ```mlir
    module attributes {gpu.container_module} {
      func.func @body(%arg0: !llvm.ptr, %arg1: !llvm.ptr) {
        gpu.launch_func @device::@f0 blocks in (%c4, %c1, %c1) threads in (%c256, ...) args(%arg0 : !llvm.ptr, %arg1 : !llvm.ptr)
        return
      }
      gpu.module @device {
        gpu.func @f0(%arg0: !llvm.ptr, %arg1: !llvm.ptr) kernel attributes {known_block_size = array<i32: 256, 1, 1>} {
          ...
          %block_id_x = gpu.block_id x
          ...
          scf.if %4 {
            %5 = memref.load %0[%3] : memref<1000xf32>
            %6 = arith.negf %5 : f32
            memref.store %6, %1[%3] : memref<1000xf32>
          }
          gpu.return
        }
      }
    }
    ```
  }];
  let statistics = [Statistic<"numFunctions", "num-functions", "functions of the device">,
                    Statistic<"numSerial", "num-serial", "of them with one thread">];
  let dependentDialects = ["::mlir::affine::AffineDialect", "::mlir::arith::ArithDialect", "::mlir::gpu::GPUDialect",
                           "::mlir::linalg::LinalgDialect", "::mlir::memref::MemRefDialect", "::mlir::scf::SCFDialect"];
}

def CudaSplitAttentionPass : Pass<"cuda-split-attention", "::mlir::ModuleOp"> {
  let summary = "leave attention to cuDNN, or make it two products of cuBLASLt with a softmax between";
  let description = [{
    Requires: kernels in the form of `nn-fuse-kernels`.
    Ensures:  an attention of f16 or bf16 that cuDNN does is a kernel of its own, with the reshapes, transposes and slices
              that say where its operands and its result lie. Operands that do not lie like that are kernels too; a condition
              becomes a mask that is added.
              Another kernel with an attention of f32, f16 or bf16 is: the scores, a product that has the scale; the weights,
              which are the softmax of scores and mask; their product with the value, and what follows it. Query, key and
              value that are not the library's to read as they lie are kernels too. Rows of heads that share a head of the
              key are one matrix. Scores are f32, the weights of the operands' type.
    Does not: touch an attention of another type, or one of which no library does it.

    Before:
    ```mlir
    func.func @main(%q: tensor<2x4x8xf32>, %k: tensor<2x5x8xf32>, %v: tensor<2x5x8xf32>) -> tensor<2x4x8xf32> {
      %0 = nn.kernel "y" ins(%i = %q : tensor<2x4x8xf32>, %j = %k : tensor<2x5x8xf32>, %l = %v : tensor<2x5x8xf32>) -> (tensor<2x4x8xf32>) {
        %1 = nn.attention %i, %j, %l {nn.tensor = "y", scale = 5.000000e-01 : f64} : tensor<2x4x8xf32>, tensor<2x5x8xf32>, tensor<2x5x8xf32>
        nn.yield %1 : tensor<2x4x8xf32>
      }
      return %0 : tensor<2x4x8xf32>
    }
    ```
    After:
    ```mlir
    func.func @main(%arg0: tensor<2x4x8xf32>, %arg1: tensor<2x5x8xf32>, %arg2: tensor<2x5x8xf32>) -> tensor<2x4x8xf32> {
      %0 = nn.kernel "y.scores" ins(%arg3 = %arg0 : tensor<2x4x8xf32>, %arg4 = %arg1 : tensor<2x5x8xf32>) -> (tensor<2x4x5xf32>) ... {
        %3 = nn.matmul %arg3, %arg4 {transpose_rhs} : tensor<2x4x8xf32>, tensor<2x5x8xf32>
        %4 = nn.constant dense<5.000000e-01> : tensor<f32>
        %5 = nn.binary mul %3, %4 : tensor<2x4x5xf32>, tensor<f32>
        nn.yield %5 : tensor<2x4x5xf32>
      }
      %1 = nn.kernel "y.weights" ins(%arg3 = %0 : tensor<2x4x5xf32>) -> (tensor<2x4x5xf32>) ... {
        %3 = nn.softmax %arg3 axis 2 : tensor<2x4x5xf32>
        nn.yield %3 : tensor<2x4x5xf32>
      }
      %2 = nn.kernel "y" ins(%arg3 = %1 : tensor<2x4x5xf32>, %arg4 = %arg2 : tensor<2x5x8xf32>) -> (tensor<2x4x8xf32>) attributes {nn.tensors = ["y"]} {
        %3 = nn.matmul %arg3, %arg4 {nn.tensor = "y"} : tensor<2x4x5xf32>, tensor<2x5x8xf32>
        nn.yield %3 : tensor<2x4x8xf32>
      }
      return %2 : tensor<2x4x8xf32>
    }
    ```
  }];
  let statistics = [Statistic<"numSplit", "num-split", "attentions that are left to a library">];
}

def CudaSplitEpiloguesPass : Pass<"cuda-split-epilogues", "::mlir::ModuleOp"> {
  let summary = "cut kernels where cuBLASLt or cuDNN ends";
  let description = [{
    Requires: kernels in the form of `nn-fuse-kernels`.
    Ensures:  a kernel that begins with a product of matrices which cuBLASLt does, or a convolution which cuDNN does, and
              goes on with something that the library does not do as well, is two kernels: as much as the library does,
              and the rest; a rest that only casts, for one kernel of generated code, is part of that. Constants that the
              library reads, such as a bias, are weights. Filters of convolutions whose images have their channels last have
              theirs last too, in weights of their own.
    Does not: touch other kernels.

    Before:
    ```mlir
    func.func @main(%x: tensor<4x8xf32>, %w: tensor<8x8xf32>, %b: tensor<8xf32>) -> tensor<4x8xf32> {
      %0 = nn.kernel "y" ins(%i = %x : tensor<4x8xf32>, %j = %w : tensor<8x8xf32>, %k = %b : tensor<8xf32>) -> (tensor<4x8xf32>) {
        %1 = nn.matmul %i, %j : tensor<4x8xf32>, tensor<8x8xf32>
        %2 = nn.binary add %1, %k {nn.tensor = "h"} : tensor<4x8xf32>, tensor<8xf32>
        %3 = nn.unary gelu %2 {nn.tensor = "y"} : tensor<4x8xf32>
        nn.yield %3 : tensor<4x8xf32>
      }
      return %0 : tensor<4x8xf32>
    }
    ```
    After:
    ```mlir
    func.func @main(%arg0: tensor<4x8xf32>, %arg1: tensor<8x8xf32>, %arg2: tensor<8xf32>) -> tensor<4x8xf32> {
      %0 = nn.kernel "h" ins(%arg3 = %arg0 : tensor<4x8xf32>, %arg4 = %arg1 : tensor<8x8xf32>, %arg5 = %arg2 : tensor<8xf32>) -> (tensor<4x8xf32>) attributes {nn.tensors = ["h"]} {
        %2 = nn.matmul %arg3, %arg4 : tensor<4x8xf32>, tensor<8x8xf32>
        %3 = nn.binary add %2, %arg5 {nn.tensor = "h"} : tensor<4x8xf32>, tensor<8xf32>
        nn.yield %3 : tensor<4x8xf32>
      }
      %1 = nn.kernel "y" ins(%arg3 = %0 : tensor<4x8xf32>) -> (tensor<4x8xf32>) attributes {nn.tensors = ["y"]} {
        %2 = nn.unary gelu %arg3 {nn.tensor = "y"} : tensor<4x8xf32>
        nn.yield %2 : tensor<4x8xf32>
      }
      return %1 : tensor<4x8xf32>
    }
    ```
  }];
  let statistics = [Statistic<"numSplit", "num-split", "kernels that were cut">,
                    Statistic<"numJoined", "num-joined", "rests that are part of what reads them">,
                    Statistic<"numOutlined", "num-outlined", "constants that became weights">,
                    Statistic<"numTurned", "num-turned", "filters with their channels last">];
}

#endif
