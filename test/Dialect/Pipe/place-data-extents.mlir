// RUN: penstock-opt %s --pipe-place-buffers --pipe-verify-placement --split-input-file | FileCheck %s

// What a kernel finds is placed at its bound, also where the bytes shrink as more is found.
// CHECK:       pipe.channel @y
// CHECK-SAME:    slot_bytes = #nn.extents<[36]>
// CHECK:         nn.empty {pipe.storage = #pipe.storage<arena, offset = {{[0-9]+}}, bytes = <[36]>, first = 1, last = 2>} : tensor<?xf32, #nn.extents<[-s0 + 9]>>
// CHECK:       pipe.program @r0
// CHECK-SAME:    unbounded = []
module {
  nn.symbol @n = 0 data of #nn.extents<[9]>
  pipe.channel @x from @source to [@s0] depth 2 : tensor<i64>
  pipe.channel @y from @s0 to [@sink] depth 2 : tensor<?xf32, #nn.extents<[-s0 + 9]>>
  nn.kernel_def @k0(%a: tensor<i64>) -> (tensor<i64>) symbols 0 {
    %0 = nn.define_extent %a : tensor<i64>
    nn.yield %0 : tensor<i64>
  }
  nn.kernel_def @k1(%a: tensor<i64>) -> (tensor<?xf32, #nn.extents<[-s0 + 9]>>) symbols 1 {
    %0 = nn.iota axis 0 start 0.0 : f32 step 1.0 : f32 : tensor<?xf32, #nn.extents<[-s0 + 9]>>
    nn.yield %0 : tensor<?xf32, #nn.extents<[-s0 + 9]>>
  }
  nn.kernel_def @k2(%a: tensor<?xf32, #nn.extents<[s0]>>) -> (tensor<?xf32, #nn.extents<[s0]>>) symbols 1 {
    %0 = nn.unary exp %a : tensor<?xf32, #nn.extents<[s0]>>
    nn.yield %0 : tensor<?xf32, #nn.extents<[s0]>>
  }
  pipe.stage @s0(%x: tensor<i64>) -> (tensor<?xf32, #nn.extents<[-s0 + 9]>>) reads [@x] writes [@y] {
    %o0 = nn.empty : tensor<i64>
    %0 = nn.call @k0 ins(%x : tensor<i64>) outs(%o0 : tensor<i64>) symbols <[]> defines @n -> tensor<i64>
    %o1 = nn.empty : tensor<?xf32, #nn.extents<[-s0 + 9]>>
    %1 = nn.call @k1 ins(%0 : tensor<i64>) outs(%o1 : tensor<?xf32, #nn.extents<[-s0 + 9]>>) symbols <[s0]> -> tensor<?xf32, #nn.extents<[-s0 + 9]>>
    %o2 = nn.empty : tensor<?xf32, #nn.extents<[-s0 + 9]>>
    %2 = nn.call @k2 ins(%1 : tensor<?xf32, #nn.extents<[-s0 + 9]>>) outs(%o2 : tensor<?xf32, #nn.extents<[-s0 + 9]>>) symbols <[-s0 + 9]> -> tensor<?xf32, #nn.extents<[-s0 + 9]>>
    pipe.return %2 : tensor<?xf32, #nn.extents<[-s0 + 9]>>
  }
  pipe.program @r0 runs [@s0] steady {
    %0 = pipe.recv @x : tensor<i64>
    %1 = pipe.run @s0(%0) : (tensor<i64>) -> tensor<?xf32, #nn.extents<[-s0 + 9]>>
    pipe.send %1 to @y : tensor<?xf32, #nn.extents<[-s0 + 9]>>
  }
}

// -----

// Where the bound itself is free, the arena is planned at run time, from what the inputs' shapes say alone. A minimum is
// bounded by a number among its parts, a maximum by the sum of them.
// CHECK:         nn.empty {pipe.storage = #pipe.storage<arena, offset = -1, bytes = <[s0 * 8]>, first = 1, last = 2>} : tensor<?xf32, #nn.extents<[s1]>>
// CHECK:         nn.empty {pipe.storage = #pipe.storage<arena, offset = -1, bytes = <[20]>, first = 2, last = 3>} : tensor<?xf32, #nn.extents<[s2]>>
// CHECK:         nn.empty {pipe.storage = #pipe.storage<arena, offset = -1, bytes = <[s0 * 8 + 20]>, first = 3, last = 4>} : tensor<?xf32, #nn.extents<[s3]>>
module {
  nn.symbol @rows = 0 root
  nn.symbol @n = 1 data of #nn.extents<[s0 * 2]>
  nn.symbol @least = 2 min of #nn.extents<[s1, 5]>
  nn.symbol @most = 3 max of #nn.extents<[s1, 5]>
  pipe.channel @x from @source to [@s0] depth 2 : tensor<i64>
  pipe.channel @y from @s0 to [@sink] depth 2 : tensor<?xf32, #nn.extents<[s1]>>
  nn.kernel_def @k0(%a: tensor<i64>) -> (tensor<i64>) symbols 0 {
    %0 = nn.define_extent %a : tensor<i64>
    nn.yield %0 : tensor<i64>
  }
  nn.kernel_def @k1(%a: tensor<i64>) -> (tensor<?xf32, #nn.extents<[s0]>>) symbols 1 {
    %0 = nn.iota axis 0 start 0.0 : f32 step 1.0 : f32 : tensor<?xf32, #nn.extents<[s0]>>
    nn.yield %0 : tensor<?xf32, #nn.extents<[s0]>>
  }
  nn.kernel_def @k2(%a: tensor<?xf32, #nn.extents<[s0]>>) -> (tensor<?xf32, #nn.extents<[s1]>>) symbols 2 {
    %0 = nn.slice %a from #nn.extents<[0]> step [1] : tensor<?xf32, #nn.extents<[s0]>> to tensor<?xf32, #nn.extents<[s1]>>
    nn.yield %0 : tensor<?xf32, #nn.extents<[s1]>>
  }
  pipe.stage @s0(%x: tensor<i64>) -> (tensor<?xf32, #nn.extents<[s1]>>) reads [@x] writes [@y] {
    %o0 = nn.empty : tensor<i64>
    %0 = nn.call @k0 ins(%x : tensor<i64>) outs(%o0 : tensor<i64>) symbols <[]> defines @n -> tensor<i64>
    %o1 = nn.empty : tensor<?xf32, #nn.extents<[s1]>>
    %1 = nn.call @k1 ins(%0 : tensor<i64>) outs(%o1 : tensor<?xf32, #nn.extents<[s1]>>) symbols <[s1]> -> tensor<?xf32, #nn.extents<[s1]>>
    %o2 = nn.empty : tensor<?xf32, #nn.extents<[s2]>>
    %2 = nn.call @k2 ins(%1 : tensor<?xf32, #nn.extents<[s1]>>) outs(%o2 : tensor<?xf32, #nn.extents<[s2]>>) symbols <[s1, s2]> -> tensor<?xf32, #nn.extents<[s2]>>
    %o3 = nn.empty : tensor<?xf32, #nn.extents<[s3]>>
    %3 = nn.call @k2 ins(%2 : tensor<?xf32, #nn.extents<[s2]>>) outs(%o3 : tensor<?xf32, #nn.extents<[s3]>>) symbols <[s2, s3]> -> tensor<?xf32, #nn.extents<[s3]>>
    %o4 = nn.empty : tensor<?xf32, #nn.extents<[s1]>>
    %4 = nn.call @k2 ins(%3 : tensor<?xf32, #nn.extents<[s3]>>) outs(%o4 : tensor<?xf32, #nn.extents<[s1]>>) symbols <[s3, s1]> -> tensor<?xf32, #nn.extents<[s1]>>
    pipe.return %4 : tensor<?xf32, #nn.extents<[s1]>>
  }
  pipe.program @r0 runs [@s0] steady {
    %0 = pipe.recv @x : tensor<i64>
    %1 = pipe.run @s0(%0) : (tensor<i64>) -> tensor<?xf32, #nn.extents<[s1]>>
    pipe.send %1 to @y : tensor<?xf32, #nn.extents<[s1]>>
  }
}
