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

// -----

// Long elementwise work: a thread reads 16 bytes, then writes 16 bytes.
// CHECK:       gpu.launch_func @device::@f0 blocks in (%c128, %c1, %c1) threads in (%c256, %c1, %c1)
// CHECK-LABEL: gpu.func @f0(
// CHECK-COUNT-4: memref.load
// CHECK-NOT:     memref.load
// CHECK-COUNT-4: memref.store
// CHECK-NOT:     memref.store
func.func @body(%p: !llvm.ptr, %q: !llvm.ptr) {
  %x = builtin.unrealized_conversion_cast %p : !llvm.ptr to memref<131072xf32>
  %y = builtin.unrealized_conversion_cast %q : !llvm.ptr to memref<131072xf32>
  linalg.generic {indexing_maps = [affine_map<(d0) -> (d0)>, affine_map<(d0) -> (d0)>],
                  iterator_types = ["parallel"]} ins(%x : memref<131072xf32>) outs(%y : memref<131072xf32>) {
  ^bb0(%in: f32, %out: f32):
    %r = arith.negf %in : f32
    linalg.yield %r : f32
  }
  return
}

// -----

// Sums of columns: 16 warps of a block read neighbouring columns, and meet in shared memory.
// CHECK:       gpu.launch_func @device::@f0 blocks in (%c2, %c1, %c1) threads in (%c32, %c16, %c1)
// CHECK-LABEL: gpu.func @f0(
// CHECK-SAME:    workgroup(%[[SUMS:.*]] : memref<16x32xf32, #gpu.address_space<workgroup>>)
// CHECK:         %[[SUM:.*]] = scf.for
// CHECK:         memref.store %[[SUM]], %[[SUMS]]
// CHECK:         gpu.barrier
// CHECK:         scf.if
// CHECK-COUNT-16:  memref.load %[[SUMS]]
// CHECK:           memref.store
func.func @body(%p: !llvm.ptr, %q: !llvm.ptr) {
  %x = builtin.unrealized_conversion_cast %p : !llvm.ptr to memref<500x40xf32>
  %y = builtin.unrealized_conversion_cast %q : !llvm.ptr to memref<40xf32>
  linalg.generic {indexing_maps = [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d1)>],
                  iterator_types = ["reduction", "parallel"]} ins(%x : memref<500x40xf32>) outs(%y : memref<40xf32>) {
  ^bb0(%in: f32, %out: f32):
    %r = arith.addf %out, %in : f32
    linalg.yield %r : f32
  }
  return
}

// -----

// A running sum: each column has a thread, which goes through the whole loop.
// CHECK:       gpu.launch_func @device::@f0 blocks in (%c1, %c1, %c1) threads in (%c256, %c1, %c1)
// CHECK-LABEL: gpu.func @f0(
// CHECK:         scf.if
// CHECK:           scf.for
// CHECK:             arith.addf
// CHECK-NOT:         scf.for
func.func @body(%p: !llvm.ptr, %q: !llvm.ptr) {
  %x = builtin.unrealized_conversion_cast %p : !llvm.ptr to memref<50x40xf32>
  %y = builtin.unrealized_conversion_cast %q : !llvm.ptr to memref<1x40xf32>
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c50 = arith.constant 50 : index
  scf.for %i = %c0 to %c50 step %c1 {
    %row = memref.subview %x[%i, 0] [1, 40] [1, 1] : memref<50x40xf32> to memref<1x40xf32, strided<[40, 1], offset: ?>>
    linalg.generic {indexing_maps = [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d0, d1)>],
                    iterator_types = ["parallel", "parallel"]} ins(%row : memref<1x40xf32, strided<[40, 1], offset: ?>>) outs(%y : memref<1x40xf32>) {
    ^bb0(%in: f32, %out: f32):
      %r = arith.addf %out, %in : f32
      linalg.yield %r : f32
    }
  }
  return
}

// -----

// A product in a loop: one block, whose threads share each step and wait for each other before the next.
// CHECK:       gpu.launch_func @device::@f0 blocks in (%c1, %c1, %c1) threads in (%c64, %c1, %c1)
// CHECK-LABEL: gpu.func @f0(
// CHECK:         scf.for
// CHECK:           scf.for {{.*}} step %c64
// CHECK:             scf.for
// CHECK:               math.fma
// CHECK:           gpu.barrier
// CHECK:           scf.for {{.*}} step %c64
// CHECK:           gpu.barrier
func.func @body(%p: !llvm.ptr, %q: !llvm.ptr, %s: !llvm.ptr) {
  %x = builtin.unrealized_conversion_cast %p : !llvm.ptr to memref<40x40xf32>
  %y = builtin.unrealized_conversion_cast %q : !llvm.ptr to memref<40xf32>
  %z = builtin.unrealized_conversion_cast %s : !llvm.ptr to memref<40xf32>
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c5 = arith.constant 5 : index
  scf.for %i = %c0 to %c5 step %c1 {
    linalg.generic {indexing_maps = [affine_map<(d0, d1) -> (d1)>, affine_map<(d0, d1) -> (d1, d0)>, affine_map<(d0, d1) -> (d0)>],
                    iterator_types = ["parallel", "reduction"]} ins(%y, %x : memref<40xf32>, memref<40x40xf32>) outs(%z : memref<40xf32>) {
    ^bb0(%a: f32, %b: f32, %out: f32):
      %r = math.fma %a, %b, %out : f32
      linalg.yield %r : f32
    }
    memref.copy %z, %y : memref<40xf32> to memref<40xf32>
  }
  return
}

// -----

// A branch that data decide: its ops are launched, and all threads leave where the condition does not hold.
// CHECK-COUNT-2: gpu.launch_func
// CHECK:       return
// CHECK-LABEL: gpu.func @f0(
// CHECK:         %[[HOLDS:.*]] = memref.load
// CHECK:         scf.if %[[HOLDS]] {
// CHECK:           arith.negf
// CHECK-LABEL: gpu.func @f1(
// CHECK:         %[[HOLDS:.*]] = memref.load
// CHECK:         %[[NOT:.*]] = arith.xori %[[HOLDS]], %true
// CHECK:         scf.if %[[NOT]] {
// CHECK:           math.absf
func.func @body(%c: !llvm.ptr, %p: !llvm.ptr, %q: !llvm.ptr) {
  %flag = builtin.unrealized_conversion_cast %c : !llvm.ptr to memref<i1>
  %x = builtin.unrealized_conversion_cast %p : !llvm.ptr to memref<50xf32>
  %y = builtin.unrealized_conversion_cast %q : !llvm.ptr to memref<50xf32>
  %holds = memref.load %flag[] : memref<i1>
  scf.if %holds {
    linalg.generic {indexing_maps = [affine_map<(d0) -> (d0)>, affine_map<(d0) -> (d0)>],
                    iterator_types = ["parallel"]} ins(%x : memref<50xf32>) outs(%y : memref<50xf32>) {
    ^bb0(%in: f32, %out: f32):
      %r = arith.negf %in : f32
      linalg.yield %r : f32
    }
  } else {
    linalg.generic {indexing_maps = [affine_map<(d0) -> (d0)>, affine_map<(d0) -> (d0)>],
                    iterator_types = ["parallel"]} ins(%x : memref<50xf32>) outs(%y : memref<50xf32>) {
    ^bb0(%in: f32, %out: f32):
      %r = math.absf %in : f32
      linalg.yield %r : f32
    }
  }
  return
}
