// RUN: penstock-opt %s --convert-pipe-to-rt | FileCheck %s

// The present and the next value of a state are one storage: the kernels of the stage read it, the last one writes it.
// CHECK:       rt.storage 0 channel_in "x"
// CHECK:       rt.storage 1 state "h" {num_bytes = 16 : i64}
// CHECK:       rt.storage 2 channel_out
// CHECK-NOT:   rt.storage
// CHECK:       rt.step 0 "k0" kernel "k_aa" makes [2]
// CHECK:       rt.step 1 "k1" kernel "k_bb" makes [1]
// CHECK:       rt.call "k_aa" buffers [0, 1, 2]
// CHECK:       rt.call "k_bb" buffers [2, 1]
module attributes {nn.model = "m.onnx"} {
  pipe.channel @x from @source to [@s0] depth 2 {slot_bytes = #nn.extents<[16]>} : tensor<4xf32>
  pipe.channel @y from @s0 to [@sink] depth 2 {slot_bytes = #nn.extents<[16]>} : tensor<4xf32>
  pipe.state @h in @s0 : tensor<4xf32>
  nn.kernel_def @k0(%a: tensor<4xf32>, %b: tensor<4xf32>) -> (tensor<4xf32>) symbols 0 attributes {kernel.object = "aa", kernel.workspace = #nn.extents<[0]>} {
    %0 = nn.binary add %a, %b : tensor<4xf32>, tensor<4xf32>
    nn.yield %0 : tensor<4xf32>
  }
  nn.kernel_def @k1(%a: tensor<4xf32>) -> (tensor<4xf32>) symbols 0 attributes {kernel.object = "bb", kernel.workspace = #nn.extents<[0]>} {
    %0 = nn.unary identity %a : tensor<4xf32>
    nn.yield %0 : tensor<4xf32>
  }
  pipe.stage @s0(%x: tensor<4xf32>, %h: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) reads [@x] writes [@y] states [@h] attributes {pipe.storage = [#pipe.storage<channel_in, symbol = @x>, #pipe.storage<state, symbol = @h>]} {
    %o0 = nn.empty {pipe.storage = #pipe.storage<channel_out, symbol = @y>} : tensor<4xf32>
    %0 = nn.call @k0 ins(%x, %h : tensor<4xf32>, tensor<4xf32>) outs(%o0 : tensor<4xf32>) symbols <[]> -> tensor<4xf32>
    %o1 = nn.empty {pipe.storage = #pipe.storage<state, symbol = @h>} : tensor<4xf32>
    %1 = nn.call @k1 ins(%0 : tensor<4xf32>) outs(%o1 : tensor<4xf32>) symbols <[]> -> tensor<4xf32>
    pipe.return %0, %1 : tensor<4xf32>, tensor<4xf32>
  }
  pipe.program @r0 runs [@s0] attributes {pipe.memory = {arena = 0 : i64}} steady {
    %0 = pipe.recv @x : tensor<4xf32>
    %1 = pipe.run @s0(%0) : (tensor<4xf32>) -> tensor<4xf32>
    pipe.send %1 to @y : tensor<4xf32>
  }
}
