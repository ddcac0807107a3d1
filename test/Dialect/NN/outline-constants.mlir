// RUN: penstock-opt %s --nn-outline-constants --split-input-file | FileCheck %s

// Arithmetic on weights becomes one kernel, which runs when the executables are linked.
// CHECK-DAG:   nn.kernel_def @[[INIT:init.*]](%[[A:.*]]: tensor<4xf32>
// CHECK-DAG:   nn.weight @[[NEW:derived.*]] : tensor<4xf32> init @[[INIT]]([@w])
// CHECK-LABEL: func.func @main
// CHECK-NEXT:  %[[E:.*]] = nn.load_weight @[[NEW]]
// CHECK-NEXT:  nn.binary add %{{.*}}, %[[E]]
// CHECK-NEXT:  return
nn.weight @w : tensor<4xf32> from <"m.onnx", 0, 16>
func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> {
  %w = nn.load_weight @w : tensor<4xf32>
  %e = nn.unary exp %w : tensor<4xf32>
  %s = nn.unary sqrt %e : tensor<4xf32>
  %0 = nn.binary add %x, %s : tensor<4xf32>, tensor<4xf32>
  return %0 : tensor<4xf32>
}

// -----

// What depends on an input stays.
// CHECK-LABEL: func.func @main
// CHECK-NEXT:  nn.unary exp
// CHECK-NOT:   nn.kernel_def
func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = nn.unary exp %x : tensor<4xf32>
  return %0 : tensor<4xf32>
}
