// RUN: penstock-opt %s --pipe-place-buffers --split-input-file | FileCheck %s
// RUN: penstock-opt %s --pipe-place-buffers=num-threads=3 --split-input-file | FileCheck %s --check-prefix=THREADS

// What a library keeps for a kernel counts once for each tuple of extents at which the role calls it: two calls of @k0 at the
// same extents, one of @k1. 704 KiB for a process, 4 KiB for each of 4 slots, and here 2000 bytes; for each further thread
// of a kernel 192 KiB.
// CHECK:   runtime = 739280 : i64, shapes = 0 : i64
// THREADS: runtime = 1132496 : i64, shapes = 0 : i64
module {
  pipe.channel @x from @source to [@s0] depth 2 : tensor<4xf32>
  pipe.channel @y from @s0 to [@sink] depth 2 : tensor<4xf32>
  nn.kernel_def @k0(%a: tensor<4xf32>) -> (tensor<4xf32>) symbols 0 attributes {kernel.shape_bytes = 1000 : i64, kernel.max_shapes = 16 : i64} {
    %0 = nn.unary exp %a : tensor<4xf32>
    nn.yield %0 : tensor<4xf32>
  }
  nn.kernel_def @k1(%a: tensor<4xf32>) -> (tensor<4xf32>) symbols 0 attributes {kernel.shape_bytes = 1000 : i64, kernel.max_shapes = 16 : i64} {
    %0 = nn.unary tanh %a : tensor<4xf32>
    nn.yield %0 : tensor<4xf32>
  }
  pipe.stage @s0(%x: tensor<4xf32>) -> (tensor<4xf32>) reads [@x] writes [@y] {
    %o0 = nn.empty : tensor<4xf32>
    %0 = nn.call @k0 ins(%x : tensor<4xf32>) outs(%o0 : tensor<4xf32>) symbols <[]> -> tensor<4xf32>
    %o1 = nn.empty : tensor<4xf32>
    %1 = nn.call @k0 ins(%0 : tensor<4xf32>) outs(%o1 : tensor<4xf32>) symbols <[]> -> tensor<4xf32>
    %o2 = nn.empty : tensor<4xf32>
    %2 = nn.call @k1 ins(%1 : tensor<4xf32>) outs(%o2 : tensor<4xf32>) symbols <[]> -> tensor<4xf32>
    pipe.return %2 : tensor<4xf32>
  }
  pipe.program @r0 runs [@s0] steady {
    %0 = pipe.recv @x : tensor<4xf32>
    %1 = pipe.run @s0(%0) : (tensor<4xf32>) -> tensor<4xf32>
    pipe.send %1 to @y : tensor<4xf32>
  }
}

// -----

// Where extents are bounded the library may come to keep more: up to 16 tuples of the kernel, two of which the calls have
// already. The total counts them.
// CHECK:      runtime = 739280 : i64, shapes = 14000 : i64, slots = 256 : i64, slots_read = 128 : i64, states = 0 : i64, total = 753856 : i64, unbounded = []
module {
  nn.symbol @n = 0 root {lower = 1 : i64, upper = 16 : i64}
  pipe.channel @x from @source to [@s0] depth 2 : tensor<?xf32, #nn.extents<[s0]>>
  pipe.channel @y from @s0 to [@sink] depth 2 : tensor<?xf32, #nn.extents<[s0 * 2]>>
  nn.kernel_def @k0(%a: tensor<?xf32, #nn.extents<[s0]>>) -> (tensor<?xf32, #nn.extents<[s0]>>) symbols 1 attributes {kernel.shape_bytes = 1000 : i64, kernel.max_shapes = 16 : i64} {
    %0 = nn.unary exp %a : tensor<?xf32, #nn.extents<[s0]>>
    nn.yield %0 : tensor<?xf32, #nn.extents<[s0]>>
  }
  nn.kernel_def @k1(%a: tensor<?xf32, #nn.extents<[s0]>>) -> (tensor<?xf32, #nn.extents<[s0 * 2]>>) symbols 1 {
    %0 = nn.concat %a, %a axis 0 : tensor<?xf32, #nn.extents<[s0]>>, tensor<?xf32, #nn.extents<[s0]>>
    nn.yield %0 : tensor<?xf32, #nn.extents<[s0 * 2]>>
  }
  pipe.stage @s0(%x: tensor<?xf32, #nn.extents<[s0]>>) -> (tensor<?xf32, #nn.extents<[s0 * 2]>>) reads [@x] writes [@y] {
    %o0 = nn.empty : tensor<?xf32, #nn.extents<[s0]>>
    %0 = nn.call @k0 ins(%x : tensor<?xf32, #nn.extents<[s0]>>) outs(%o0 : tensor<?xf32, #nn.extents<[s0]>>) symbols <[s0]> -> tensor<?xf32, #nn.extents<[s0]>>
    %o1 = nn.empty : tensor<?xf32, #nn.extents<[s0 * 2]>>
    %1 = nn.call @k1 ins(%0 : tensor<?xf32, #nn.extents<[s0]>>) outs(%o1 : tensor<?xf32, #nn.extents<[s0 * 2]>>) symbols <[s0]> -> tensor<?xf32, #nn.extents<[s0 * 2]>>
    %o2 = nn.empty : tensor<?xf32, #nn.extents<[s0 * 2]>>
    %2 = nn.call @k0 ins(%1 : tensor<?xf32, #nn.extents<[s0 * 2]>>) outs(%o2 : tensor<?xf32, #nn.extents<[s0 * 2]>>) symbols <[s0 * 2]> -> tensor<?xf32, #nn.extents<[s0 * 2]>>
    pipe.return %2 : tensor<?xf32, #nn.extents<[s0 * 2]>>
  }
  pipe.program @r0 runs [@s0] steady {
    %0 = pipe.recv @x : tensor<?xf32, #nn.extents<[s0]>>
    %1 = pipe.run @s0(%0) : (tensor<?xf32, #nn.extents<[s0]>>) -> tensor<?xf32, #nn.extents<[s0 * 2]>>
    pipe.send %1 to @y : tensor<?xf32, #nn.extents<[s0 * 2]>>
  }
}
