// RUN: penstock-opt %s --cuda-map-launches --canonicalize --cse --split-input-file | FileCheck %s

// Work on flat buffers has one thread per element; the grid follows from the symbol.
// CHECK-LABEL: func.func @body(
// CHECK-SAME:    %[[P:.*]]: !llvm.ptr, %[[Q:.*]]: !llvm.ptr, %[[N:.*]]: index)
// CHECK:         %[[BLOCKS:.*]] = affine.apply
// CHECK:         gpu.launch_func @device::@f0 blocks in (%[[BLOCKS]], {{[^)]*}}) threads in (%c256, {{[^)]*}})
// CHECK-SAME:      args(%[[P]] : !llvm.ptr, %[[Q]] : !llvm.ptr, %[[N]] : index)
// CHECK-LABEL: gpu.func @f0(
// CHECK-SAME:    kernel attributes {known_block_size = array<i32: 256, 1, 1>}
// CHECK:         %[[INSIDE:.*]] = arith.cmpi slt
// CHECK:         scf.if %[[INSIDE]] {
// CHECK:           memref.load
// CHECK:           arith.negf
// CHECK:           memref.store
func.func @body(%p: !llvm.ptr, %q: !llvm.ptr, %n: index) {
  %x0 = builtin.unrealized_conversion_cast %p : !llvm.ptr to memref<?xi8>
  %y0 = builtin.unrealized_conversion_cast %q : !llvm.ptr to memref<?xi8>
  %c0 = arith.constant 0 : index
  %x = memref.view %x0[%c0][%n] : memref<?xi8> to memref<?x8xf32>
  %y = memref.view %y0[%c0][%n] : memref<?xi8> to memref<?x8xf32>
  linalg.generic {indexing_maps = [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d0, d1)>],
                  iterator_types = ["parallel", "parallel"]} ins(%x : memref<?x8xf32>) outs(%y : memref<?x8xf32>) {
  ^bb0(%in: f32, %out: f32):
    %r = arith.negf %in : f32
    linalg.yield %r : f32
  }
  return
}

// -----

// A maximum of rows and what is done with it are one function: the number of a row stays in a register.
// CHECK-LABEL: gpu.func @f0(
// CHECK-SAME:    known_block_size = array<i32: 32, 4, 1>
// CHECK:         scf.if
// CHECK:           %[[PARTIAL:.*]] = scf.for
// CHECK:             arith.maximumf
// CHECK:           gpu.shuffle xor %[[PARTIAL]], %c16_i32, %c32_i32 : f32
// CHECK-COUNT-4:   gpu.shuffle xor
// CHECK:           scf.for
// CHECK:             arith.subf
// CHECK-NOT:     gpu.func
func.func @body(%p: !llvm.ptr, %q: !llvm.ptr, %w: !llvm.ptr) {
  %x = builtin.unrealized_conversion_cast %p : !llvm.ptr to memref<6x100xf32>
  %y = builtin.unrealized_conversion_cast %q : !llvm.ptr to memref<6x100xf32>
  %w0 = builtin.unrealized_conversion_cast %w : !llvm.ptr to memref<?xi8>
  %c0 = arith.constant 0 : index
  %low = arith.constant 0xFF800000 : f32
  %max = memref.view %w0[%c0][] : memref<?xi8> to memref<6xf32>
  linalg.fill ins(%low : f32) outs(%max : memref<6xf32>)
  linalg.generic {indexing_maps = [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d0)>],
                  iterator_types = ["parallel", "reduction"]} ins(%x : memref<6x100xf32>) outs(%max : memref<6xf32>) {
  ^bb0(%in: f32, %out: f32):
    %r = arith.maximumf %out, %in : f32
    linalg.yield %r : f32
  }
  linalg.generic {indexing_maps = [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d0)>, affine_map<(d0, d1) -> (d0, d1)>],
                  iterator_types = ["parallel", "parallel"]} ins(%x, %max : memref<6x100xf32>, memref<6xf32>) outs(%y : memref<6x100xf32>) {
  ^bb0(%in: f32, %top: f32, %out: f32):
    %r = arith.subf %in, %top : f32
    linalg.yield %r : f32
  }
  return
}

// -----

// A transpose reads and writes along memory, with a tile in shared memory between.
// CHECK-LABEL: gpu.func @f0(
// CHECK-SAME:    workgroup(%[[TILE:.*]] : memref<32x33xf32, #gpu.address_space<workgroup>>)
// CHECK-SAME:    known_block_size = array<i32: 32, 8, 1>
// CHECK:         memref.store {{.*}}, %[[TILE]]
// CHECK:         gpu.barrier
// CHECK:         memref.load %[[TILE]]
func.func @body(%p: !llvm.ptr, %q: !llvm.ptr) {
  %x = builtin.unrealized_conversion_cast %p : !llvm.ptr to memref<40x50xf32>
  %y = builtin.unrealized_conversion_cast %q : !llvm.ptr to memref<50x40xf32>
  linalg.generic {indexing_maps = [affine_map<(d0, d1) -> (d1, d0)>, affine_map<(d0, d1) -> (d0, d1)>],
                  iterator_types = ["parallel", "parallel"]} ins(%x : memref<40x50xf32>) outs(%y : memref<50x40xf32>) {
  ^bb0(%in: f32, %out: f32):
    linalg.yield %in : f32
  }
  return
}

// -----

// Loops with an order of their own are left to one thread.
// CHECK:       gpu.launch_func @device::@f0 blocks in (%c1, %c1, %c1) threads in (%c1, %c1, %c1)
// CHECK-LABEL: gpu.func @f0(
// CHECK:         scf.for
func.func @body(%p: !llvm.ptr) {
  %x = builtin.unrealized_conversion_cast %p : !llvm.ptr to memref<50xf32>
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c49 = arith.constant 49 : index
  scf.for %i = %c0 to %c49 step %c1 {
    %next = arith.addi %i, %c1 : index
    %v = memref.load %x[%i] : memref<50xf32>
    memref.store %v, %x[%next] : memref<50xf32>
  }
  return
}
