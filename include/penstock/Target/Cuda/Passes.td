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
              row, warp shuffles); transposes go tile by tile through shared memory; everything else on tensors has one
              thread per element of the result; what has an order of its own (scalar loops) is done by one thread.
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

#endif
