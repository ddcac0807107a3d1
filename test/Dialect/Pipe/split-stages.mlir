// RUN: penstock-opt %s --pipe-split-stages --split-input-file | FileCheck %s

// Two stages joined by one channel; the two kernels are equal, so there is one definition.
// CHECK:       pipe.input "x" via @x batch 0 : tensor<4x8xf32>
// CHECK:       pipe.output "y" via @y batch 0 : tensor<4x8xf32>
// CHECK:       pipe.channel @x from @source to [@s0] tensor "x" : tensor<4x8xf32>
// CHECK:       pipe.channel @c0 from @s0 to [@s1] tensor "a" : tensor<4x8xf32>
// CHECK:       pipe.channel @y from @s1 to [@sink] tensor "b" : tensor<4x8xf32>
// CHECK:       nn.kernel_def @k0
// CHECK-NOT:   nn.kernel_def
// CHECK:       pipe.stage @s0(%[[X:.*]]: tensor<4x8xf32>) -> (tensor<4x8xf32>) reads [@x] writes [@c0]
// CHECK:         %[[E:.*]] = nn.empty : tensor<4x8xf32>
// CHECK:         %[[R:.*]] = nn.call @k0 ins(%[[X]] : tensor<4x8xf32>) outs(%[[E]] : tensor<4x8xf32>)
// CHECK-SAME:      nn.kernel_name = "a"
// CHECK:         pipe.return %[[R]]
// CHECK:       pipe.stage @s1
// CHECK-SAME:    reads [@c0] writes [@y]
// CHECK:         nn.call @k0
// CHECK-NOT:   func.func
func.func @main(%x: tensor<4x8xf32> {nn.name = "x", nn.batch_dim = 0 : i64}) -> (tensor<4x8xf32> {nn.name = "y", nn.batch_dim = 0 : i64}) {
  %0 = nn.kernel "a" ins(%i = %x : tensor<4x8xf32>) -> (tensor<4x8xf32>) attributes {pipe.stage_id = 0 : i32} {
    %t = nn.unary tanh %i {nn.tensor = "a"} : tensor<4x8xf32>
    nn.yield %t : tensor<4x8xf32>
  }
  %1 = nn.kernel "b" ins(%i = %0 : tensor<4x8xf32>) -> (tensor<4x8xf32>) attributes {pipe.stage_id = 1 : i32} {
    %t = nn.unary tanh %i {nn.tensor = "b"} : tensor<4x8xf32>
    nn.yield %t : tensor<4x8xf32>
  }
  return %1 : tensor<4x8xf32>
}

// -----

// A value used in two later stages and by the sink crosses once, on one channel; an output given twice shares it. A weight
// is loaded in each stage that uses it. An input that nothing reads has no channel.
// CHECK:       pipe.input "x" via @x : tensor<4xf32>
// CHECK:       pipe.input "unused" : tensor<1xi64>
// CHECK:       pipe.output "p" via @p : tensor<4xf32>
// CHECK:       pipe.output "q" via @p : tensor<4xf32>
// CHECK:       pipe.output "r" via @r : tensor<4xf32>
// CHECK:       pipe.channel @x from @source to [@s0]
// CHECK:       pipe.channel @p from @s0 to [@s1, @s2, @sink]
// CHECK:       pipe.stage @s0
// CHECK-SAME:    reads [@x] writes [@p]
// CHECK:         nn.load_weight @w
// CHECK:       pipe.stage @s1
// CHECK-SAME:    reads [@p] writes [@c0]
// CHECK:         nn.load_weight @w
// CHECK:       pipe.stage @s2(%[[P:.*]]: tensor<4xf32>, %[[C:.*]]: tensor<4xf32>)
// CHECK-SAME:    reads [@p, @c0] writes [@r]
// CHECK:         nn.call @k0 ins(%[[P]], %[[C]] :
nn.weight @w : tensor<4xf32> from <"m.onnx", 0, 16>
func.func @main(%x: tensor<4xf32> {nn.name = "x"}, %u: tensor<1xi64> {nn.name = "unused"})
    -> (tensor<4xf32> {nn.name = "p"}, tensor<4xf32> {nn.name = "q"}, tensor<4xf32> {nn.name = "r"}) {
  %w = nn.load_weight @w : tensor<4xf32>
  %0 = nn.kernel "a" ins(%i = %x : tensor<4xf32>, %j = %w : tensor<4xf32>) -> (tensor<4xf32>) attributes {pipe.stage_id = 0 : i32} {
    %t = nn.binary add %i, %j : tensor<4xf32>, tensor<4xf32>
    nn.yield %t : tensor<4xf32>
  }
  %1 = nn.kernel "b" ins(%i = %0 : tensor<4xf32>, %j = %w : tensor<4xf32>) -> (tensor<4xf32>) attributes {pipe.stage_id = 1 : i32} {
    %t = nn.binary mul %i, %j : tensor<4xf32>, tensor<4xf32>
    nn.yield %t : tensor<4xf32>
  }
  %2 = nn.kernel "c" ins(%i = %0 : tensor<4xf32>, %j = %1 : tensor<4xf32>) -> (tensor<4xf32>) attributes {pipe.stage_id = 2 : i32} {
    %t = nn.binary add %i, %j : tensor<4xf32>, tensor<4xf32>
    nn.yield %t : tensor<4xf32>
  }
  return %0, %0, %2 : tensor<4xf32>, tensor<4xf32>, tensor<4xf32>
}

// -----

// A stage that reads no channel is started by one without bytes.
// CHECK:       pipe.channel @x from @source to [@s1]
// CHECK:       pipe.channel @start_s0 from @source to [@s0] control : tensor<0xi8>
// CHECK:       pipe.stage @s0(%{{.*}}: tensor<0xi8>) -> (tensor<4xf32>) reads [@start_s0] writes [@c0]
nn.weight @w : tensor<4xf32> from <"m.onnx", 0, 16>
func.func @main(%x: tensor<4xf32> {nn.name = "x"}) -> (tensor<4xf32> {nn.name = "y"}) {
  %w = nn.load_weight @w : tensor<4xf32>
  %0 = nn.kernel "a" ins(%j = %w : tensor<4xf32>) -> (tensor<4xf32>) attributes {pipe.stage_id = 0 : i32} {
    %t = nn.unary exp %j : tensor<4xf32>
    nn.yield %t : tensor<4xf32>
  }
  %1 = nn.kernel "b" ins(%i = %0 : tensor<4xf32>, %j = %x : tensor<4xf32>) -> (tensor<4xf32>) attributes {pipe.stage_id = 1 : i32} {
    %t = nn.binary mul %i, %j : tensor<4xf32>, tensor<4xf32>
    nn.yield %t : tensor<4xf32>
  }
  return %1 : tensor<4xf32>
}

// -----

// An output that is an input, a weight or a constant is copied by a kernel: an input where it is first read, the others in
// the last stage.
// CHECK:       pipe.channel @x from @source to [@s0]
// CHECK-DAG:   pipe.channel @same from @s0 to [@sink] tensor "same"
// CHECK-DAG:   pipe.channel @weight from @s1 to [@sink] tensor "weight"
// CHECK-DAG:   pipe.channel @constant from @s1 to [@sink] tensor "constant"
// CHECK:       pipe.stage @s0
// CHECK:         nn.kernel_name = "same"
// CHECK:       pipe.stage @s1
// CHECK:         nn.load_weight @w
// CHECK:         nn.kernel_name = "weight"
// CHECK:         nn.constant dense<1.0
// CHECK:         nn.kernel_name = "constant"
nn.weight @w : tensor<4xf32> from <"m.onnx", 0, 16>
func.func @main(%x: tensor<4xf32> {nn.name = "x"})
    -> (tensor<4xf32> {nn.name = "same"}, tensor<4xf32> {nn.name = "weight"}, tensor<4xf32> {nn.name = "constant"},
        tensor<4xf32> {nn.name = "y"}) {
  %w = nn.load_weight @w : tensor<4xf32>
  %c = nn.constant dense<1.0> : tensor<4xf32>
  %0 = nn.kernel "a" ins(%j = %x : tensor<4xf32>) -> (tensor<4xf32>) attributes {pipe.stage_id = 0 : i32} {
    %t = nn.unary exp %j : tensor<4xf32>
    nn.yield %t : tensor<4xf32>
  }
  %1 = nn.kernel "b" ins(%i = %0 : tensor<4xf32>) -> (tensor<4xf32>) attributes {pipe.stage_id = 1 : i32} {
    %t = nn.unary exp %i : tensor<4xf32>
    nn.yield %t : tensor<4xf32>
  }
  return %x, %w, %c, %1 : tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>
}

// -----

// Names that are taken are made unique.
// CHECK:       pipe.channel @s0_1 from @source to [@s0_0] tensor "s0"
// CHECK:       pipe.channel @sink_0 from @s0_0 to [@sink]
// CHECK:       pipe.stage @s0_0(
nn.symbol @s0 = 0 root
func.func @main(%x: tensor<?xf32, #nn.extents<[s0]>> {nn.name = "s0"}) -> (tensor<?xf32, #nn.extents<[s0]>> {nn.name = "sink"}) {
  %0 = nn.kernel "a" ins(%j = %x : tensor<?xf32, #nn.extents<[s0]>>) -> (tensor<?xf32, #nn.extents<[s0]>>) attributes {pipe.stage_id = 0 : i32} {
    %t = nn.unary exp %j : tensor<?xf32, #nn.extents<[s0]>>
    nn.yield %t : tensor<?xf32, #nn.extents<[s0]>>
  }
  return %0 : tensor<?xf32, #nn.extents<[s0]>>
}

// -----

// The module lists the model's kernels for the proof; the call of a clone says of which one it is a copy.
// CHECK:       module attributes {pipe.kernels = ["mask", "a", "b"]
// CHECK:       pipe.stage @s0
// CHECK:         nn.kernel_name = "mask"}
// CHECK:       pipe.stage @s1
// CHECK:         nn.call @{{.*}} {nn.clone_of = "mask", nn.kernel_name = "mask@1"}
func.func @main(%x: tensor<4xf32> {nn.name = "x"}) -> (tensor<4xf32> {nn.name = "y"}) {
  %0 = nn.kernel "mask" ins(%i = %x : tensor<4xf32>) -> (tensor<4xf32>) attributes {pipe.stage_id = 0 : i32} {
    %t = nn.unary neg %i : tensor<4xf32>
    nn.yield %t : tensor<4xf32>
  }
  %1 = nn.kernel "mask@1" ins(%i = %x : tensor<4xf32>) -> (tensor<4xf32>) attributes {nn.clone_of = "mask", pipe.stage_id = 1 : i32} {
    %t = nn.unary neg %i : tensor<4xf32>
    nn.yield %t : tensor<4xf32>
  }
  %2 = nn.kernel "a" ins(%i = %0 : tensor<4xf32>) -> (tensor<4xf32>) attributes {pipe.stage_id = 0 : i32} {
    %t = nn.unary exp %i : tensor<4xf32>
    nn.yield %t : tensor<4xf32>
  }
  %3 = nn.kernel "b" ins(%i = %1 : tensor<4xf32>, %j = %2 : tensor<4xf32>) -> (tensor<4xf32>) attributes {pipe.stage_id = 1 : i32} {
    %t = nn.binary add %i, %j : tensor<4xf32>, tensor<4xf32>
    nn.yield %t : tensor<4xf32>
  }
  return %3 : tensor<4xf32>
}
