// RUN: penstock-opt %s --cuda-map-launches --split-input-file --verify-diagnostics

// A grid follows from symbols; an extent that lies in memory is none.
func.func @body(%p: !llvm.ptr, %q: !llvm.ptr) {
  %x0 = builtin.unrealized_conversion_cast %p : !llvm.ptr to memref<?xi8>
  %n0 = builtin.unrealized_conversion_cast %q : !llvm.ptr to memref<1xindex>
  %c0 = arith.constant 0 : index
  %n = memref.load %n0[%c0] : memref<1xindex>
  %x = memref.view %x0[%c0][%n] : memref<?xi8> to memref<?xf32>
  %zero = arith.constant 0.0 : f32
  // expected-error @below {{has an extent that depends on data; the cuda target launches as symbols say}}
  linalg.fill ins(%zero : f32) outs(%x : memref<?xf32>)
  return
}

// -----

// A number that the host seems to read is read by the device when it needs it, so nobody may have changed it.
func.func @body(%p: !llvm.ptr, %q: !llvm.ptr) {
  %x = builtin.unrealized_conversion_cast %p : !llvm.ptr to memref<1xf32>
  %y = builtin.unrealized_conversion_cast %q : !llvm.ptr to memref<100xf32>
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %old = memref.load %x[%c0] : memref<1xf32>
  // expected-error @below {{writes a buffer of which a number was read before; the device would read it after}}
  linalg.fill ins(%zero : f32) outs(%x : memref<1xf32>)
  linalg.fill ins(%old : f32) outs(%y : memref<100xf32>)
  return
}

// -----

// What one thread computes stays with it, unless it lies in memory.
func.func @body(%p: !llvm.ptr, %q: !llvm.ptr) {
  %x = builtin.unrealized_conversion_cast %p : !llvm.ptr to memref<9xf32>
  %y = builtin.unrealized_conversion_cast %q : !llvm.ptr to memref<100xf32>
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c9 = arith.constant 9 : index
  %zero = arith.constant 0.0 : f32
  // expected-error @below {{makes a value that other threads need; the cuda target cannot hand it on}}
  %sum = scf.for %i = %c0 to %c9 step %c1 iter_args(%s = %zero) -> f32 {
    %v = memref.load %x[%i] : memref<9xf32>
    %t = arith.addf %s, %v : f32
    memref.store %zero, %x[%i] : memref<9xf32>
    scf.yield %t : f32
  }
  linalg.fill ins(%sum : f32) outs(%y : memref<100xf32>)
  return
}

// -----

// expected-error @below {{has 0 functions; expected one, of one block}}
module {
}
