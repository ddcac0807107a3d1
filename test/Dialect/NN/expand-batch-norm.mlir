// RUN: penstock-opt %s --nn-expand-batch-norm --split-input-file | FileCheck %s

// After a convolution with constant filter the norm becomes arithmetic on filter and bias.
// CHECK-LABEL: func.func @main
// CHECK:       nn.unary sqrt
// CHECK:       %[[S:.*]] = nn.binary div
// CHECK:       %[[F:.*]] = nn.binary mul
// CHECK:       %[[B:.*]] = nn.binary add
// CHECK:       nn.conv %{{.*}}, %[[F]] bias %[[B]]
// CHECK-SAME:    nn.tensor = "bn"
// CHECK-NOT:   nn.batch_norm
nn.weight @w : tensor<4x3x1x1xf32> from <"m.onnx", 0, 48>
func.func @main(%x: tensor<1x3x8x8xf32>) -> tensor<1x4x8x8xf32> {
  %w = nn.load_weight @w : tensor<4x3x1x1xf32>
  %s = nn.constant dense<[1.0, 2.0, 3.0, 4.0]> : tensor<4xf32>
  %0 = nn.conv %x, %w {dilations = array<i64: 1, 1>, group = 1 : i64, pads = array<i64: 0, 0, 0, 0>, strides = array<i64: 1, 1>} : tensor<1x3x8x8xf32>, tensor<4x3x1x1xf32>
  %1 = nn.batch_norm %0, %s, %s, %s, %s {epsilon = 1.0e-05 : f64, nn.tensor = "bn"} : tensor<1x4x8x8xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>
  return %1 : tensor<1x4x8x8xf32>
}

// -----

// Alone it scales and shifts the channels.
// CHECK-LABEL: func.func @main(%arg0
// CHECK:       %[[M:.*]] = nn.binary mul %arg0
// CHECK:       nn.binary add %[[M]]
// CHECK-NOT:   nn.batch_norm
func.func @main(%x: tensor<1x4x8x8xf32>) -> tensor<1x4x8x8xf32> {
  %s = nn.constant dense<[1.0, 2.0, 3.0, 4.0]> : tensor<4xf32>
  %1 = nn.batch_norm %x, %s, %s, %s, %s {epsilon = 1.0e-05 : f64} : tensor<1x4x8x8xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>
  return %1 : tensor<1x4x8x8xf32>
}
