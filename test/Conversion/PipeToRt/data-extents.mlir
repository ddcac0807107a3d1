// RUN: penstock-opt %s --convert-pipe-to-rt --split-input-file | FileCheck %s

// The symbol is set after the kernel that finds it; what needs it comes later: the check of a constraint, the slot of an
// output of that extent. The next stage knows it from the header of what it receives, also where that is the number itself.
// CHECK-LABEL: rt.role @role_0
// CHECK:         rt.symbol "n" {data}
// CHECK:           rt.bind
// CHECK-NEXT:      rt.acquire @c
// CHECK-NEXT:      rt.call "k_0" buffers [0, 1] symbols 0
// CHECK-NEXT:      rt.done 0
// CHECK-NEXT:      rt.set_symbol "n" storage 1 lower 0 bound [[BOUND:[0-9]+]] from "node_of_count"
// CHECK-NEXT:      rt.check [[N:[0-9]+]] equals {{[0-9]+}} "operands of 'add'"
// CHECK-NEXT:      rt.acquire @h
// CHECK-NEXT:      rt.publish @c
// CHECK-NEXT:      rt.release @x
// CHECK-NEXT:      rt.call "k_1" buffers [1, 2] symbols [[N]]
// CHECK-NEXT:      rt.done 1
// CHECK-NEXT:      rt.publish @h
// CHECK-LABEL: rt.role @role_1
// CHECK:           rt.wait @c
// CHECK-NEXT:      rt.bind
// CHECK-NEXT:      rt.check
// CHECK-NEXT:      rt.acquire @y
// CHECK-NEXT:      rt.call "k_1"
// CHECK-LABEL: rt.role @role_2
// CHECK:           rt.wait @h
// CHECK-NEXT:      rt.bind
// CHECK-NEXT:      rt.check
// CHECK-NEXT:      rt.acquire @z
module {
  nn.symbol @n = 0 data of #nn.extents<[9]>
  nn.constraint #nn.extents<[s0, 3]> "operands of 'add'"
  pipe.channel @x from @source to [@s0] depth 2 {slot_bytes = #nn.extents<[8]>} : tensor<i64>
  pipe.channel @c from @s0 to [@s1] depth 2 {slot_bytes = #nn.extents<[8]>} : tensor<i64>
  pipe.channel @h from @s0 to [@s2] depth 2 {slot_bytes = #nn.extents<[36]>} : tensor<?xf32, #nn.extents<[s0]>>
  pipe.channel @y from @s1 to [@sink] depth 2 {slot_bytes = #nn.extents<[36]>} : tensor<?xf32, #nn.extents<[s0]>>
  pipe.channel @z from @s2 to [@sink] depth 2 {slot_bytes = #nn.extents<[36]>} : tensor<?xf32, #nn.extents<[s0]>>
  nn.kernel_def @k0(%a: tensor<i64>) -> (tensor<i64>) symbols 0 attributes {kernel.object = "0"} {
    %0 = nn.define_extent %a : tensor<i64>
    nn.yield %0 : tensor<i64>
  }
  nn.kernel_def @k1(%a: tensor<i64>) -> (tensor<?xf32, #nn.extents<[s0]>>) symbols 1 attributes {kernel.object = "1"} {
    %0 = nn.iota axis 0 start 0.0 : f32 step 1.0 : f32 : tensor<?xf32, #nn.extents<[s0]>>
    nn.yield %0 : tensor<?xf32, #nn.extents<[s0]>>
  }
  nn.kernel_def @k2(%a: tensor<?xf32, #nn.extents<[s0]>>) -> (tensor<?xf32, #nn.extents<[s0]>>) symbols 1 attributes {kernel.object = "2"} {
    %0 = nn.unary exp %a : tensor<?xf32, #nn.extents<[s0]>>
    nn.yield %0 : tensor<?xf32, #nn.extents<[s0]>>
  }
  pipe.stage @s0(%x: tensor<i64>) -> (tensor<i64>, tensor<?xf32, #nn.extents<[s0]>>) reads [@x] writes [@c, @h]
      attributes {pipe.storage = [#pipe.storage<channel_in, symbol = @x>]} {
    %o0 = nn.empty {pipe.storage = #pipe.storage<channel_out, symbol = @c>} : tensor<i64>
    %0 = nn.call @k0 ins(%x : tensor<i64>) outs(%o0 : tensor<i64>) symbols <[]> defines @n -> tensor<i64> loc("node_of_count")
    %o1 = nn.empty {pipe.storage = #pipe.storage<channel_out, symbol = @h>} : tensor<?xf32, #nn.extents<[s0]>>
    %1 = nn.call @k1 ins(%0 : tensor<i64>) outs(%o1 : tensor<?xf32, #nn.extents<[s0]>>) symbols <[s0]> -> tensor<?xf32, #nn.extents<[s0]>>
    pipe.return %0, %1 : tensor<i64>, tensor<?xf32, #nn.extents<[s0]>>
  }
  pipe.stage @s1(%c: tensor<i64>) -> (tensor<?xf32, #nn.extents<[s0]>>) reads [@c] writes [@y]
      attributes {pipe.storage = [#pipe.storage<channel_in, symbol = @c>]} {
    %o0 = nn.empty {pipe.storage = #pipe.storage<channel_out, symbol = @y>} : tensor<?xf32, #nn.extents<[s0]>>
    %0 = nn.call @k1 ins(%c : tensor<i64>) outs(%o0 : tensor<?xf32, #nn.extents<[s0]>>) symbols <[s0]> -> tensor<?xf32, #nn.extents<[s0]>>
    pipe.return %0 : tensor<?xf32, #nn.extents<[s0]>>
  }
  pipe.stage @s2(%h: tensor<?xf32, #nn.extents<[s0]>>) -> (tensor<?xf32, #nn.extents<[s0]>>) reads [@h] writes [@z]
      attributes {pipe.storage = [#pipe.storage<channel_in, symbol = @h>]} {
    %o0 = nn.empty {pipe.storage = #pipe.storage<channel_out, symbol = @z>} : tensor<?xf32, #nn.extents<[s0]>>
    %0 = nn.call @k2 ins(%h : tensor<?xf32, #nn.extents<[s0]>>) outs(%o0 : tensor<?xf32, #nn.extents<[s0]>>) symbols <[s0]> -> tensor<?xf32, #nn.extents<[s0]>>
    pipe.return %0 : tensor<?xf32, #nn.extents<[s0]>>
  }
  pipe.program @r0 runs [@s0] attributes {pipe.memory = {arena = 0 : i64}} steady {
    %0 = pipe.recv @x : tensor<i64>
    %1, %2 = pipe.run @s0(%0) : (tensor<i64>) -> (tensor<i64>, tensor<?xf32, #nn.extents<[s0]>>)
    pipe.send %1 to @c : tensor<i64>
    pipe.send %2 to @h : tensor<?xf32, #nn.extents<[s0]>>
  }
  pipe.program @r1 runs [@s1] attributes {pipe.memory = {arena = 0 : i64}} steady {
    %0 = pipe.recv @c : tensor<i64>
    %1 = pipe.run @s1(%0) : (tensor<i64>) -> tensor<?xf32, #nn.extents<[s0]>>
    pipe.send %1 to @y : tensor<?xf32, #nn.extents<[s0]>>
  }
  pipe.program @r2 runs [@s2] attributes {pipe.memory = {arena = 0 : i64}} steady {
    %0 = pipe.recv @h : tensor<?xf32, #nn.extents<[s0]>>
    %1 = pipe.run @s2(%0) : (tensor<?xf32, #nn.extents<[s0]>>) -> tensor<?xf32, #nn.extents<[s0]>>
    pipe.send %1 to @z : tensor<?xf32, #nn.extents<[s0]>>
  }
}
