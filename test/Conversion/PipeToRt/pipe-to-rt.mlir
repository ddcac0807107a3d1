// RUN: penstock-opt %s --convert-pipe-to-rt="num-threads=2 required-features=avx2,fma" --split-input-file | FileCheck %s

// Two roles: inputs are waited for in the order of the reads, a slot is published after the kernel that fills it and
// released after its last reader, and everything that was there stays.
// CHECK:         pipe.program @r1
// CHECK:         rt.role @role_0 role 0 of 2 stages [0] of 2 model "m.onnx" arena 64
// CHECK-SAME:      attributes {num_threads = 2 : i64, required_features = "avx2,fma", weights_file = "stage-0.weights"}
// CHECK-NEXT:      rt.channel @x id 0 "x" f32 [4] from -1 to [0, 1] depth 3 bytes 16 in 0
// CHECK-NEXT:      rt.channel @h id 1 "relu_1" f32 [4] from 0 to [1] depth 2 bytes 16 out
// CHECK-NEXT:      rt.storage 0 channel_in "x" {channel = 0 : i64, num_bytes = 16 : i64}
// CHECK-NEXT:      rt.storage 1 weight "w" {num_bytes = 16 : i64, weight = @w}
// CHECK-NEXT:      rt.storage 2 arena "add" {first = 0 : i64, last = 1 : i64, num_bytes = 16 : i64, offset = 0 : i64}
// CHECK-NEXT:      rt.storage 3 channel_out "relu" {channel = 1 : i64, num_bytes = 16 : i64}
// CHECK-NEXT:      rt.storage 4 arena "relu" {first = 1 : i64, last = 1 : i64, num_bytes = 32 : i64, offset = 16 : i64}
// CHECK-NEXT:      rt.step 0 "add" kernel "k_1a" makes [2]
// CHECK-NEXT:      rt.step 1 "relu" kernel "k_2b" makes [3]
// CHECK-NEXT:      rt.program {
// CHECK-NEXT:        rt.begin
// CHECK-NEXT:        rt.wait @x
// CHECK-NEXT:        rt.bind
// CHECK-NEXT:        rt.acquire @h
// CHECK-NEXT:        rt.call "k_1a" buffers [0, 1, 2] symbols 0
// CHECK-NEXT:        rt.done 0
// CHECK-NEXT:        rt.release @x
// CHECK-NEXT:        rt.call "k_2b" buffers [2, 3, 4] symbols 0
// CHECK-NEXT:        rt.done 1
// CHECK-NEXT:        rt.publish @h
// CHECK-NEXT:        rt.end
// CHECK-LABEL:   rt.role @role_1 role 1 of 2 stages [1] of 2
// CHECK:           rt.channel @h id 1 "relu_1" f32 [4] from 0 to [1] depth 2 bytes 16 in 0
// CHECK-NEXT:      rt.channel @x id 0 "x" f32 [4] from -1 to [0, 1] depth 3 bytes 16 in 1
// CHECK-NEXT:      rt.channel @y id 2 "y" f32 [4] from 1 to [-2] depth 2 bytes 16 out
// CHECK:             rt.wait @h
// CHECK-NEXT:        rt.wait @x
// CHECK-NEXT:        rt.bind
// CHECK-NEXT:        rt.acquire @y
// CHECK-NEXT:        rt.call "k_1a" buffers [0, 1, 2] symbols 0
// CHECK-NEXT:        rt.done 0
// CHECK-NEXT:        rt.publish @y
// CHECK-NEXT:        rt.release @h
// CHECK-NEXT:        rt.release @x
// CHECK-NEXT:        rt.end
module attributes {nn.model = "m.onnx"} {
  nn.weight @w : tensor<4xf32> from <"m.onnx", 0, 16>
  pipe.channel @x from @source to [@s0, @s1] depth 3 {slot_bytes = #nn.extents<[16]>} : tensor<4xf32>
  pipe.channel @h from @s0 to [@s1] depth 2 tensor "relu_1" {slot_bytes = #nn.extents<[16]>} : tensor<4xf32>
  pipe.channel @y from @s1 to [@sink] depth 2 {slot_bytes = #nn.extents<[16]>} : tensor<4xf32>
  nn.kernel_def @k0(%a: tensor<4xf32>, %b: tensor<4xf32>) -> (tensor<4xf32>) symbols 0 attributes {kernel.object = "1a"} {
    %0 = nn.binary add %a, %b : tensor<4xf32>, tensor<4xf32>
    nn.yield %0 : tensor<4xf32>
  }
  nn.kernel_def @k1(%a: tensor<4xf32>) -> (tensor<4xf32>) symbols 0 attributes {kernel.object = "2b"} {
    %0 = nn.unary relu %a : tensor<4xf32>
    nn.yield %0 : tensor<4xf32>
  }
  pipe.stage @s0(%x: tensor<4xf32>) -> (tensor<4xf32>) reads [@x] writes [@h]
      attributes {pipe.storage = [#pipe.storage<channel_in, symbol = @x>]} {
    %w = nn.load_weight @w {pipe.storage = #pipe.storage<weight, symbol = @w, offset = 0, bytes = <[16]>>} : tensor<4xf32>
    %0 = nn.empty {pipe.storage = #pipe.storage<arena, offset = 0, bytes = <[16]>, first = 0, last = 1>} : tensor<4xf32>
    %1 = nn.call @k0 ins(%x, %w : tensor<4xf32>, tensor<4xf32>) outs(%0 : tensor<4xf32>) symbols <[]> {nn.kernel_name = "add"} -> tensor<4xf32>
    %2 = nn.empty {pipe.storage = #pipe.storage<channel_out, symbol = @h>} : tensor<4xf32>
    %3 = nn.empty {pipe.storage = #pipe.storage<arena, offset = 16, bytes = <[32]>, first = 1, last = 1>} : tensor<32xi8>
    %4 = nn.call @k1 ins(%1 : tensor<4xf32>) outs(%2 : tensor<4xf32>) workspace(%3 : tensor<32xi8>) symbols <[]> {nn.kernel_name = "relu"} -> tensor<4xf32>
    pipe.return %4 : tensor<4xf32>
  }
  pipe.stage @s1(%h: tensor<4xf32>, %x: tensor<4xf32>) -> (tensor<4xf32>) reads [@h, @x] writes [@y]
      attributes {pipe.storage = [#pipe.storage<channel_in, symbol = @h>, #pipe.storage<channel_in, symbol = @x>]} {
    %0 = nn.empty {pipe.storage = #pipe.storage<channel_out, symbol = @y>} : tensor<4xf32>
    %1 = nn.call @k0 ins(%h, %x : tensor<4xf32>, tensor<4xf32>) outs(%0 : tensor<4xf32>) symbols <[]> -> tensor<4xf32>
    pipe.return %1 : tensor<4xf32>
  }
  pipe.program @r0 runs [@s0] attributes {pipe.memory = {arena = 64 : i64}} prologue {
  } steady {
    %0 = pipe.recv @x : tensor<4xf32>
    %1 = pipe.run @s0(%0) : (tensor<4xf32>) -> tensor<4xf32>
    pipe.send %1 to @h : tensor<4xf32>
  } epilogue {
  }
  pipe.program @r1 runs [@s1] attributes {pipe.memory = {arena = 0 : i64}} prologue {
  } steady {
    %0 = pipe.recv @h : tensor<4xf32>
    %1 = pipe.recv @x : tensor<4xf32>
    %2 = pipe.run @s1(%0, %1) : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
    pipe.send %2 to @y : tensor<4xf32>
  } epilogue {
  }
}

// -----

// Free dimensions: roots come first in the role, expressions are listed once, the symbols of a call stand side by side, the
// constraints of the module are checked, a constant lies in the executable, and a control channel is released at once.
// CHECK-DAG:     #[[DERIVED:.*]] = affine_map<()[s0, s1] -> (s1, 8)>
// CHECK-DAG:     #[[EXTENTS:.*]] = affine_map<()[s0, s1, s2] -> (s0, s1, s2, (s0 * s1) * 4, s2 * 4, s2, s0, s1)>
// CHECK:         rt.role @role_0 {{.*}} arena -1 extents #[[EXTENTS]]
// CHECK-NEXT:      rt.symbol "batch"
// CHECK-NEXT:      rt.symbol "seq" {lower = 1 : i64, upper = 16 : i64}
// CHECK-NEXT:      rt.derived_symbol "kept" min #[[DERIVED]]
// CHECK-NEXT:      rt.channel @x id 0 "x" f32 [-1, -2] from -1 to [0] depth 2 bytes -1 in 0
// CHECK-NEXT:      rt.channel @go id 1 "go" i8 [0] from -1 to [0] depth 2 bytes 0 in 0
// CHECK-NEXT:      rt.channel @z id 2 "z" f32 [-3] from -1 to [0] depth 2 bytes -1 in 0
// CHECK-NEXT:      rt.channel @y id 3 "y" f32 [-1, -2] from 0 to [-2] depth 2 bytes -1 out
// CHECK-NEXT:      rt.storage 0 channel_in "x" {channel = 0 : i64, num_bytes = -4 : i64}
// CHECK-NEXT:      rt.storage 1 channel_in "go" {channel = 1 : i64}
// CHECK-NEXT:      rt.storage 2 channel_in "z" {channel = 2 : i64, num_bytes = -5 : i64}
// CHECK-NEXT:      rt.storage 3 constant "constant" {num_bytes = 32 : i64, value = dense<2.000000e+00> : tensor<8xf32>}
// CHECK-NEXT:      rt.storage 4 arena "scale" {first = 0 : i64, last = 1 : i64, num_bytes = -5 : i64}
// CHECK-NEXT:      rt.storage 5 channel_out "y" {channel = 3 : i64, num_bytes = -4 : i64}
// CHECK-NEXT:      rt.step 0 "scale" kernel "k_3c" makes [4]
// CHECK-NEXT:      rt.step 1 "y" kernel "k_4d" makes [5]
// CHECK:             rt.wait @x
// CHECK-NEXT:        rt.wait @go
// CHECK-NEXT:        rt.wait @z
// CHECK-NEXT:        rt.bind
// CHECK-NEXT:        rt.check 1 equals 2 "operands of node 'add'"
// CHECK-NEXT:        rt.acquire @y
// CHECK-NEXT:        rt.release @go
// CHECK-NEXT:        rt.call "k_3c" buffers [2, 4] symbols 2
// CHECK-NEXT:        rt.done 0
// CHECK-NEXT:        rt.release @z
// CHECK-NEXT:        rt.call "k_4d" buffers [4, 3, 0, 5] symbols 5
// CHECK-NEXT:        rt.done 1
// CHECK-NEXT:        rt.publish @y
// CHECK-NEXT:        rt.release @x
// CHECK-NEXT:        rt.end
module {
  nn.symbol @batch = 0 root
  nn.symbol @kept = 1 min of #nn.extents<[s2, 8]>
  nn.symbol @seq = 2 root {lower = 1 : i64, upper = 16 : i64}
  nn.constraint #nn.extents<[s2, s1]> "operands of node 'add'"
  nn.constraint #nn.extents<[s2, s2]> "holds always"
  pipe.channel @x from @source to [@s0] depth 2 {slot_bytes = #nn.extents<[s0 * s2 * 4]>} : tensor<?x?xf32, #nn.extents<[s0, s2]>>
  pipe.channel @go from @source to [@s0] depth 2 control {slot_bytes = #nn.extents<[0]>} : tensor<0xi8>
  pipe.channel @z from @source to [@s0] depth 2 {slot_bytes = #nn.extents<[s1 * 4]>} : tensor<?xf32, #nn.extents<[s1]>>
  pipe.channel @y from @s0 to [@sink] depth 2 {slot_bytes = #nn.extents<[s0 * s2 * 4]>} : tensor<?x?xf32, #nn.extents<[s0, s2]>>
  nn.kernel_def @k0(%a: tensor<?xf32, #nn.extents<[s0]>>) -> (tensor<?xf32, #nn.extents<[s0]>>) symbols 1 attributes {kernel.object = "3c"} {
    %0 = nn.unary relu %a : tensor<?xf32, #nn.extents<[s0]>>
    nn.yield %0 : tensor<?xf32, #nn.extents<[s0]>>
  }
  nn.kernel_def @k1(%a: tensor<?xf32, #nn.extents<[s0]>>, %b: tensor<8xf32>, %c: tensor<?x?xf32, #nn.extents<[s1, s2]>>) -> (tensor<?x?xf32, #nn.extents<[s1, s2]>>) symbols 3 attributes {kernel.object = "4d"} {
    %0 = nn.unary relu %c : tensor<?x?xf32, #nn.extents<[s1, s2]>>
    nn.yield %0 : tensor<?x?xf32, #nn.extents<[s1, s2]>>
  }
  pipe.stage @s0(%x: tensor<?x?xf32, #nn.extents<[s0, s2]>>, %go: tensor<0xi8>, %z: tensor<?xf32, #nn.extents<[s1]>>) -> (tensor<?x?xf32, #nn.extents<[s0, s2]>>) reads [@x, @go, @z] writes [@y]
      attributes {pipe.storage = [#pipe.storage<channel_in, symbol = @x>, #pipe.storage<channel_in, symbol = @go>, #pipe.storage<channel_in, symbol = @z>]} {
    %c = nn.constant {pipe.storage = #pipe.storage<constant>} dense<2.0> : tensor<8xf32>
    %0 = nn.empty {pipe.storage = #pipe.storage<arena, bytes = <[s1 * 4]>, first = 0, last = 1>} : tensor<?xf32, #nn.extents<[s1]>>
    %1 = nn.call @k0 ins(%z : tensor<?xf32, #nn.extents<[s1]>>) outs(%0 : tensor<?xf32, #nn.extents<[s1]>>) symbols <[s1]> {nn.kernel_name = "scale"} -> tensor<?xf32, #nn.extents<[s1]>>
    %2 = nn.empty {pipe.storage = #pipe.storage<channel_out, symbol = @y>} : tensor<?x?xf32, #nn.extents<[s0, s2]>>
    %3 = nn.call @k1 ins(%1, %c, %x : tensor<?xf32, #nn.extents<[s1]>>, tensor<8xf32>, tensor<?x?xf32, #nn.extents<[s0, s2]>>) outs(%2 : tensor<?x?xf32, #nn.extents<[s0, s2]>>) symbols <[s1, s0, s2]> {nn.kernel_name = "y"} -> tensor<?x?xf32, #nn.extents<[s0, s2]>>
    pipe.return %3 : tensor<?x?xf32, #nn.extents<[s0, s2]>>
  }
  pipe.program @r0 runs [@s0] attributes {pipe.memory = {arena = -1 : i64}} prologue {
  } steady {
    %0 = pipe.recv @x : tensor<?x?xf32, #nn.extents<[s0, s2]>>
    %1 = pipe.recv @go : tensor<0xi8>
    %2 = pipe.recv @z : tensor<?xf32, #nn.extents<[s1]>>
    %3 = pipe.run @s0(%0, %1, %2) : (tensor<?x?xf32, #nn.extents<[s0, s2]>>, tensor<0xi8>, tensor<?xf32, #nn.extents<[s1]>>) -> tensor<?x?xf32, #nn.extents<[s0, s2]>>
    pipe.send %3 to @y : tensor<?x?xf32, #nn.extents<[s0, s2]>>
  } epilogue {
  }
}
