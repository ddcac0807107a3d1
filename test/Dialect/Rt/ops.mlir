// RUN: penstock-opt %s --split-input-file | penstock-opt --split-input-file | FileCheck %s

// All tables and calls of a role that receives two channels, sends one, and plans its arena at run time.
// CHECK-DAG:   #[[EXTENTS:.*]] = affine_map<()[s0, s1, s2] -> (s0, s2 floordiv 2, s0 * s1, (s0 * s1) * 4)>
// CHECK-DAG:   #[[KEPT:.*]] = affine_map<()[s0, s1] -> (s1, 512)>
// CHECK:       rt.role @s1 role 1 of 2 stages [1] of 2 model "m.onnx" arena -1
// CHECK-SAME:    extents #[[EXTENTS]] attributes {num_threads = 4 : i64, weights_file = "stage-1.weights"}
// CHECK-NEXT:    rt.symbol "batch"
// CHECK-NEXT:    rt.symbol "seq"
// CHECK-NEXT:    rt.derived_symbol "kept" min #[[KEPT]]
// CHECK-NEXT:    rt.channel @a id 3 "relu_1" f32 [-1, 7] from 0 to [1, 2] depth 4 bytes 1024 in 0
// CHECK-NEXT:    rt.channel @b id 4 "relu_2" i64 [] from -1 to [1] depth 2 bytes -1 in 0
// CHECK-NEXT:    rt.channel @y id 5 "y" bf16 [-2] from 1 to [-2] depth 2 bytes -1 out
// CHECK-NEXT:    rt.storage 0 channel_in "relu_1" {channel = 0 : i64}
// CHECK-NEXT:    rt.storage 1 channel_in "relu_2" {channel = 1 : i64}
// CHECK-NEXT:    rt.storage 2 channel_out "y" {channel = 2 : i64}
// CHECK-NEXT:    rt.storage 3 weight "w" {num_bytes = 12 : i64, weight = @w}
// CHECK-NEXT:    rt.storage 4 constant "c" {num_bytes = 8 : i64, value = dense<[1.000000e+00, 2.000000e+00]> : tensor<2xf32>}
// CHECK-NEXT:    rt.storage 5 arena "t" {first = 0 : i64, last = 1 : i64, num_bytes = -4 : i64}
// CHECK-NEXT:    rt.step 0 "mul" kernel "k_1" makes [5]
// CHECK-NEXT:    rt.step 1 "add" kernel "k_2"{{$}}
// CHECK-NEXT:    rt.program {
// CHECK-NEXT:      rt.begin
// CHECK-NEXT:      rt.wait @a
// CHECK-NEXT:      rt.bind
// CHECK-NEXT:      rt.check 0 equals 1 "operands of node 'add'"
// CHECK-NEXT:      rt.wait @b
// CHECK-NEXT:      rt.acquire @y
// CHECK-NEXT:      rt.call "k_1" buffers [0, 3, 5] symbols 0
// CHECK-NEXT:      rt.done 0
// CHECK-NEXT:      rt.release @a
// CHECK-NEXT:      rt.call "k_2" buffers [5, 1, 4, 2] symbols 2
// CHECK-NEXT:      rt.done 1
// CHECK-NEXT:      rt.publish @y
// CHECK-NEXT:      rt.release @b
// CHECK-NEXT:      rt.end
rt.role @s1 role 1 of 2 stages [1] of 2 model "m.onnx" arena -1
    extents affine_map<()[s0, s1, s2] -> (s0, s2 floordiv 2, s0 * s1, s0 * s1 * 4)>
    attributes {num_threads = 4 : i64, weights_file = "stage-1.weights"} {
  rt.symbol "batch"
  rt.symbol "seq"
  rt.derived_symbol "kept" min affine_map<()[s0, s1] -> (s1, 512)>
  rt.channel @a id 3 "relu_1" f32 [-1, 7] from 0 to [1, 2] depth 4 bytes 1024 in 0
  rt.channel @b id 4 "relu_2" i64 [] from -1 to [1] depth 2 bytes -1 in 0
  rt.channel @y id 5 "y" bf16 [-2] from 1 to [-2] depth 2 bytes -1 out
  rt.storage 0 channel_in "relu_1" {channel = 0 : i64}
  rt.storage 1 channel_in "relu_2" {channel = 1 : i64}
  rt.storage 2 channel_out "y" {channel = 2 : i64}
  rt.storage 3 weight "w" {num_bytes = 12 : i64, weight = @w}
  rt.storage 4 constant "c" {num_bytes = 8 : i64, value = dense<[1.0, 2.0]> : tensor<2xf32>}
  rt.storage 5 arena "t" {num_bytes = -4 : i64, first = 0 : i64, last = 1 : i64}
  rt.step 0 "mul" kernel "k_1" makes [5]
  rt.step 1 "add" kernel "k_2"
  rt.program {
    rt.begin
    rt.wait @a
    rt.bind
    rt.check 0 equals 1 "operands of node 'add'"
    rt.wait @b
    rt.acquire @y
    rt.call "k_1" buffers [0, 3, 5] symbols 0
    rt.done 0
    rt.release @a
    rt.call "k_2" buffers [5, 1, 4, 2] symbols 2
    rt.done 1
    rt.publish @y
    rt.release @b
    rt.end
  }
}

// -----

// A role on a device copies what the host carries, and not what goes from device to device.
// CHECK:       rt.program {
// CHECK-NEXT:    rt.begin
// CHECK-NEXT:    rt.wait @x
// CHECK-NEXT:    rt.upload @x
// CHECK-NEXT:    rt.wait @a
// CHECK-NEXT:    rt.bind
// CHECK-NEXT:    rt.acquire @y
// CHECK-NEXT:    rt.call "k" buffers [0, 1, 2] symbols 0
// CHECK-NEXT:    rt.done 0
// CHECK-NEXT:    rt.download @y
// CHECK-NEXT:    rt.publish @y
// CHECK-NEXT:    rt.release @x
// CHECK-NEXT:    rt.release @a
// CHECK-NEXT:    rt.end
rt.role @s1 role 1 of 2 stages [1] of 2 model "m.onnx" arena 0 extents affine_map<() -> ()> attributes {device = "cuda"} {
  rt.channel @x id 0 "x" f32 [4] from -1 to [1] depth 2 bytes 16 in 0
  rt.channel @a id 1 "a" f32 [4] from 0 to [1] depth 2 bytes 16 in 0 {carrier = "nccl"}
  rt.channel @y id 2 "y" f32 [4] from 1 to [-2] depth 2 bytes 16 out
  rt.storage 0 channel_in "x" {channel = 0 : i64}
  rt.storage 1 channel_in "a" {channel = 1 : i64}
  rt.storage 2 channel_out "y" {channel = 2 : i64}
  rt.step 0 "add" kernel "k"
  rt.program {
    rt.begin
    rt.wait @x
    rt.upload @x
    rt.wait @a
    rt.bind
    rt.acquire @y
    rt.call "k" buffers [0, 1, 2] symbols 0
    rt.done 0
    rt.download @y
    rt.publish @y
    rt.release @x
    rt.release @a
    rt.end
  }
}
