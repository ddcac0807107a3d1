// RUN: penstock-opt %s --pipe-assign-stages=num-stages=2 --split-input-file | FileCheck %s
// RUN: penstock-opt %s --pipe-assign-stages=num-stages=2 --pipe-split-stages --pipe-schedule --split-input-file | FileCheck %s --check-prefix=SPLIT

// The product of the large matrices costs most, so it has a stage of its own; the plan says what that costs, with its proof.
// CHECK:       module attributes {pipe.plan = {balance = "time", bottleneck = [[T:[0-9.eE+-]+]] : f64
// CHECK-SAME:    gap = 0.000000e+00 : f64, lower_bound = [[T]] : f64, method = "exact", proved_optimal = true
// CHECK-LABEL: func.func @main
// CHECK:         nn.kernel "large"
// CHECK-SAME:      pipe.stage_id = 0 : i32
// CHECK:         nn.kernel "small"
// CHECK-SAME:      pipe.stage_id = 1 : i32
// CHECK:         nn.kernel "last"
// CHECK-SAME:      pipe.stage_id = 1 : i32
func.func @main(%x: tensor<512x512xf32>) -> tensor<512x8xf32> {
  %w = nn.load_weight @w : tensor<512x512xf32>
  %v = nn.load_weight @v : tensor<512x8xf32>
  %0 = nn.kernel "large" ins(%i = %x : tensor<512x512xf32>, %j = %w : tensor<512x512xf32>) -> (tensor<512x512xf32>) {
    %t = nn.matmul %i, %j : tensor<512x512xf32>, tensor<512x512xf32>
    nn.yield %t : tensor<512x512xf32>
  }
  %1 = nn.kernel "small" ins(%i = %0 : tensor<512x512xf32>, %j = %v : tensor<512x8xf32>) -> (tensor<512x8xf32>) {
    %t = nn.matmul %i, %j : tensor<512x512xf32>, tensor<512x8xf32>
    nn.yield %t : tensor<512x8xf32>
  }
  %2 = nn.kernel "last" ins(%i = %1 : tensor<512x8xf32>) -> (tensor<512x8xf32>) {
    %t = nn.unary relu %i : tensor<512x8xf32>
    nn.yield %t : tensor<512x8xf32>
  }
  return %2 : tensor<512x8xf32>
}
nn.weight @w : tensor<512x512xf32> from <"m.onnx", 0, 1048576>
nn.weight @v : tensor<512x8xf32> from <"m.onnx", 1048576, 16384>

// -----

// A mask that is cheap and read in both stages is computed in both; only the large values cross.
// CHECK-LABEL: func.func @main
// CHECK:         %[[M:.*]] = nn.kernel "mask"
// CHECK-SAME:      pipe.stage_id = 0 : i32
// CHECK:         %[[C:.*]] = nn.kernel "mask@1"
// CHECK-SAME:      attributes {nn.clone_of = "mask", pipe.seconds = {{[^ ]*}} : f64, pipe.stage_id = 1 : i32}
// CHECK:         nn.kernel "first" ins({{.*}}, %{{[^ ]*}} = %[[M]] :
// CHECK:         nn.kernel "second" ins({{.*}}, %{{[^ ]*}} = %[[C]] :
// SPLIT:       pipe.channel @input_1 from @source to [@s0, @s1]
// SPLIT:       pipe.channel @c0 from @s0 to [@s1] depth 2 tensor "first"
// SPLIT-NOT:   pipe.channel @c1
func.func @main(%x: tensor<512x512xf32>, %m: tensor<512xf32>) -> tensor<512x512xf32> {
  %0 = nn.kernel "mask" ins(%i = %m : tensor<512xf32>) -> (tensor<512xf32>) {
    %t = nn.unary abs %i : tensor<512xf32>
    nn.yield %t : tensor<512xf32>
  }
  %1 = nn.kernel "first" ins(%i = %x : tensor<512x512xf32>, %j = %0 : tensor<512xf32>) -> (tensor<512x512xf32>) {
    %t = nn.binary mul %i, %j : tensor<512x512xf32>, tensor<512xf32>
    nn.yield %t : tensor<512x512xf32>
  }
  %2 = nn.kernel "second" ins(%i = %1 : tensor<512x512xf32>, %j = %0 : tensor<512xf32>) -> (tensor<512x512xf32>) {
    %t = nn.binary mul %i, %j : tensor<512x512xf32>, tensor<512xf32>
    nn.yield %t : tensor<512x512xf32>
  }
  return %2 : tensor<512x512xf32>
}

// -----

// Stages written by hand are kept, also where they are not balanced.
// CHECK-LABEL: func.func @main
// CHECK:         nn.kernel "a"
// CHECK-SAME:      pipe.stage_id = 0 : i32
// CHECK:         nn.kernel "b"
// CHECK-SAME:      pipe.stage_id = 0 : i32
// CHECK:         nn.kernel "c"
// CHECK-SAME:      pipe.stage_id = 0 : i32
// CHECK:         nn.kernel "d"
// CHECK-SAME:      pipe.stage_id = 1 : i32
func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = nn.kernel "a" ins(%i = %x : tensor<4xf32>) -> (tensor<4xf32>) {
    %t = nn.unary exp %i : tensor<4xf32>
    nn.yield %t : tensor<4xf32>
  }
  %1 = nn.kernel "b" ins(%i = %0 : tensor<4xf32>) -> (tensor<4xf32>) {
    %t = nn.unary exp %i : tensor<4xf32>
    nn.yield %t : tensor<4xf32>
  }
  %2 = nn.kernel "c" ins(%i = %1 : tensor<4xf32>) -> (tensor<4xf32>) attributes {pipe.stage_id = 0 : i32} {
    %t = nn.unary exp %i : tensor<4xf32>
    nn.yield %t : tensor<4xf32>
  }
  %3 = nn.kernel "d" ins(%i = %2 : tensor<4xf32>) -> (tensor<4xf32>) {
    %t = nn.unary exp %i : tensor<4xf32>
    nn.yield %t : tensor<4xf32>
  }
  return %3 : tensor<4xf32>
}
